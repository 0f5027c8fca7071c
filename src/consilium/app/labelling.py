"""What a run's forecasts are about: the label of candles, or one of books over the next snapshots."""

from consilium.app.observe import Observed
from consilium.app.settings import Training
from consilium.domain import UsageError
from consilium.training.labels import LabelDefinition, LabelSpec
from consilium.training.snapshot_labels import SnapshotLabelSpec

CANDLE, BOOK = "candle", "book"


def labelled(training: Training, observed: Observed, horizon: int) -> tuple[Observed, LabelDefinition]:
    """Return the label of a run, and the data with the books that it reads.

    Parameters
    ----------
    training
        Which label; a threshold of books is learned on the part of the time before the first test.
    observed
        Candles and recordings.
    horizon
        Bars, for the label of candles.

    Raises
    ------
    UsageError
        A label of books, and no books.
    """
    if training.label == CANDLE:
        return observed, LabelSpec(horizon=horizon)
    observed = observed.with_snapshots()
    if not observed.snapshots:
        raise UsageError("a label of books needs books", f"--label {training.label}", "add --books")
    ahead = int(training.label.removeprefix(BOOK))
    spec = SnapshotLabelSpec.learned(ahead, observed.panel, observed.snapshots, training.first_fraction)
    return observed, spec


def bars_ahead(spec: LabelDefinition, interval_ns: int) -> int:
    """Return how many bars a label looks ahead, at least one."""
    return max(1, -(-spec.span_ns(interval_ns) // interval_ns))


def folder_name(training: Training) -> str:
    """Return where models of a label are kept: those of different labels do not vote together."""
    return "models" if training.label == CANDLE else f"models-{training.label}"
