"""Champion and challenger: a new version takes over if it is not worse on the newest slice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import log_loss
from consilium.training.artefacts import Artefact
from consilium.training.calibration import fit_calibrator, independent_times, timestamp_weights
from consilium.training.dataset import Dataset
from consilium.training.judge.diebold_mariano import diebold_mariano
from consilium.training.judge.fixed_b import fixed_b_critical
from consilium.training.reading import Reading
from consilium.training.splits import MIN_TIMES, final_split
from consilium.training.trained import TrainedModel
from consilium.training.trainer import forecast, raw_forecasts

Floats = NDArray[np.float64]

TOLERANCE = 0.005
"""Nats of log-loss by which a challenger may lie behind on the newest slice, if that may be chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What came of a comparison.

    Parameters
    ----------
    promoted
        Whether the challenger takes over.
    reason
        One line, with the figures.
    difference
        Mean log-loss of the challenger less that of the champion, in nats; None where not compared.
    timestamps
        Times of the slice.
    """

    promoted: bool
    reason: str
    difference: float | None = None
    timestamps: int = 0

    def figures(self) -> dict[str, Any]:
        """Return what is kept with the event."""
        return {"difference": self.difference, "timestamps": self.timestamps}


def not_worse(
    challenger: Floats,
    champion: Floats,
    ts_event: NDArray[np.int64],
    horizon: int,
    *,
    tolerance: float = TOLERANCE,
) -> Challenge:
    """Decide from the losses of both on the same rows.

    Promoted if the mean difference d over timestamps is at most 0; or at most ``tolerance`` while the
    one-sided Diebold-Mariano test (5 %, fixed-b) does not find the challenger worse. Fresh data are worth
    something, so doubt speaks for the challenger; a loss beyond the tolerance does not.

    Parameters
    ----------
    challenger, champion
        Shape (n,), log-losses.
    ts_event
        Shape (n,), UTC nanoseconds.
    horizon
        Bars of the label.
    tolerance
        Nats, >= 0; 0.005.

    Examples
    --------
    >>> times, loss = np.arange(400), np.full(400, 1.0)
    >>> not_worse(loss - 0.01, loss, times, 1).promoted, not_worse(loss + 0.01, loss, times, 1).promoted
    (True, False)
    """
    test = diebold_mariano(challenger, champion, ts_event, horizon)
    d, times = test.mean, test.timestamps
    if d is None:
        return Challenge(promoted=False, reason="not compared: no rows that both can forecast")
    told = f"log-loss {d:+.4f} nats against the served version over {times} times"
    critical = None if test.statistic is None else fixed_b_critical(test.b, two_sided=False)
    worse = test.statistic is not None and critical is not None and test.statistic > critical
    if d <= 0.0:
        reason, promoted = f"not worse: {told}", True
    elif d > tolerance:
        reason, promoted = f"worse: {told}, tolerance {tolerance:g}", False
    elif worse:
        reason, promoted = f"worse beyond chance: {told}, t {test.statistic:.2f} > {critical:.2f}", False
    else:
        reason, promoted = f"not worse beyond chance: {told}, tolerance {tolerance:g}", True
    return Challenge(promoted=promoted, reason=reason, difference=d, timestamps=times)


def challenge(
    dataset: Dataset,
    challenger: TrainedModel,
    champion: Artefact,
    dataset_of: Callable[[tuple[str, ...]], Dataset],
    *,
    tolerance: float = TOLERANCE,
) -> Challenge:
    """Compare a freshly trained model with the served one on the newest slice of the data.

    The slice is the later half of the part that the challenger was calibrated on. Its forecasts there are
    calibrated on the earlier half only, so that it has seen nothing of the slice but its skill verdict. The
    champion forecasts as it is served: what it may have seen of the slice in its own training speaks for it.

    Parameters
    ----------
    dataset
        What the challenger was trained on by `train_final`.
    challenger, champion
        The new and the served model.
    dataset_of
        Makes the dataset of the same panel and label with other features.
    tolerance
        As in `not_worse`.
    """
    relabelled = _relabelled(challenger, champion.model)
    if relabelled is not None:
        return relabelled
    early, late = _halves(dataset, _newest(dataset, challenger))
    late, theirs, their_rows = _shared(dataset, late, champion.model, dataset_of)
    ours = _calibrated_on(dataset, challenger, early, late)
    return _compared(dataset, late, ours, _as_served(theirs, their_rows, champion.model), tolerance)


def challenge_stored(
    dataset: Dataset,
    challenger: Artefact,
    champion: Artefact,
    dataset_of: Callable[[tuple[str, ...]], Dataset],
    *,
    tolerance: float = TOLERANCE,
) -> Challenge:
    """Compare two stored models, each as it is served, on the same newest slice.

    Data that neither has learned from make it fair; those that one of them has learned from speak for it.

    Parameters
    ----------
    dataset
        With the challenger's features and label.
    challenger, champion, dataset_of, tolerance
        As in `challenge`.
    """
    relabelled = _relabelled(challenger.model, champion.model)
    if relabelled is not None:
        return relabelled
    late = _halves(dataset, _newest(dataset, challenger.model))[1]
    late, theirs, their_rows = _shared(dataset, late, champion.model, dataset_of)
    ours = _as_served(dataset, late, challenger.model)
    return _compared(dataset, late, ours, _as_served(theirs, their_rows, champion.model), tolerance)


def _relabelled(challenger: TrainedModel, champion: TrainedModel) -> Challenge | None:
    if champion.label_id == challenger.label_id:
        return None
    told = f"another label, {challenger.label_id} instead of {champion.label_id}: not comparable"
    return Challenge(promoted=True, reason=told)


def _newest(dataset: Dataset, model: TrainedModel) -> NDArray[np.int64]:
    fold = final_split(
        dataset.ts_event, dataset.ts_matured, labelled=dataset.labelled, judged_times=MIN_TIMES
    )
    return fold.calibration[Reading.of(dataset, model).eligible()[fold.calibration]]


def _shared(
    dataset: Dataset,
    rows: NDArray[np.int64],
    champion: TrainedModel,
    dataset_of: Callable[[tuple[str, ...]], Dataset],
) -> tuple[NDArray[np.int64], Dataset, NDArray[np.int64]]:
    """Return the rows that both can forecast, and the champion's dataset with its rows."""
    names = champion.bar_features
    theirs = dataset if names in ((), dataset.feature_names) else dataset_of(names)
    ours, others = _same_rows(dataset, rows, theirs, champion)
    return ours, theirs, others


def _as_served(dataset: Dataset, rows: NDArray[np.int64], model: TrainedModel) -> Floats:
    return forecast(dataset, rows, model)[0]


def _compared(
    dataset: Dataset, rows: NDArray[np.int64], ours: Floats, theirs: Floats, tolerance: float
) -> Challenge:
    y, ts_event = dataset.y[rows], dataset.ts_event[rows]
    return not_worse(
        log_loss(ours, y), log_loss(theirs, y), ts_event, dataset.spec.horizon, tolerance=tolerance
    )


def _halves(dataset: Dataset, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    times = np.unique(dataset.ts_event[rows])
    if len(times) == 0:
        return rows, rows
    middle = times[len(times) // 2]
    ts, matured = dataset.ts_event[rows], dataset.ts_matured[rows]
    return rows[(ts < middle) & (matured < middle)], rows[ts >= middle]


def _same_rows(
    dataset: Dataset, rows: NDArray[np.int64], theirs: Dataset, champion: TrainedModel
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of one dataset and those of the other of the same symbols and times, windows complete."""
    eligible = Reading.of(theirs, champion).eligible()
    if theirs is dataset:
        kept = rows[eligible[rows]]
        return kept, kept
    at = {
        (int(ts), theirs.symbols[int(s)]): row
        for row, (ts, s) in enumerate(zip(theirs.ts_event, theirs.symbol_index, strict=True))
        if eligible[row]
    }
    pairs = [
        (int(row), at[key])
        for row in rows
        if (key := (int(dataset.ts_event[row]), dataset.symbols[int(dataset.symbol_index[row])])) in at
    ]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _calibrated_on(
    dataset: Dataset, model: TrainedModel, early: NDArray[np.int64], late: NDArray[np.int64]
) -> Floats:
    if not model.skilled or len(early) == 0:
        return model.means.climatology(len(late))
    calibrator = fit_calibrator(
        raw_forecasts(dataset, early, model.forecaster, model.scaler),
        dataset.y[early],
        np.asarray(model.means.prior),
        weights=timestamp_weights(dataset.ts_event[early]),
        times=independent_times(dataset.ts_event[early], dataset.ts_matured[early]),
    )
    return calibrator.apply(raw_forecasts(dataset, late, model.forecaster, model.scaler))
