"""What a backtest and a judgement do alike: read, register before an outcome is read, leave a row behind."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from consilium import __version__
from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import SystemClock, factories
from consilium.app.labelling import bars_ahead, labelled
from consilium.app.membership import fed, unfed, with_windows
from consilium.app.observe import Observed, fitting_features
from consilium.app.stages import ProgressCall, silent
from consilium.domain import digest
from consilium.market.features import feature_names
from consilium.training.runs import Run, RunTable

COMPARATORS_RULE = "all must be beaten; one that is the forecast itself is left out, climatology never"
ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a run works on.

    Parameters
    ----------
    request
        What was asked for.
    observed
        The candles, and the features of books if the set has any.
    features
        Name of the feature set: the one that was asked for, or the one that fits the history.
    skipped
        By model that was asked for and that the data cannot feed, why; the request names the others.
    """

    request: BacktestRequest
    observed: Observed
    features: str
    skipped: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, request: BacktestRequest, progress: ProgressCall = silent) -> "Material":
        """Make sure that all models can be made, and read the candles and what is wanted of books.

        Raises
        ------
        ConsiliumError
            Data or names that do not allow it.
        """
        factories((*request.models, *request.baselines), ())
        progress("read candles", 0, 1)
        observed = request.observed()
        progress("read candles", 1, 1)
        features = request.features or fitting_features(observed)
        observed = observed.with_books(feature_names(features), progress)
        skipped = unfed(request.models, observed)
        left = fed(request.models, skipped)
        observed = with_windows(observed, left, progress)
        observed, spec = labelled(request.settings.training, observed, request.horizon)
        interval_ns = next(iter(observed.panel.values())).interval_ns
        return cls(
            request=replace(request, models=left, horizon=bars_ahead(spec, interval_ns)),
            observed=observed,
            features=features,
            skipped=skipped,
        )

    def registration(self, **facts: Any) -> dict[str, Any]:
        """Return what is registered: the request, the label, the universe, and ``facts``."""
        interval_ns = next(iter(self.observed.panel.values())).interval_ns
        training = self.request.settings.training
        _, label = labelled(training, self.observed, self.request.horizon)
        return self.request.config(
            features=self.features,
            label=label.as_dict(),
            label_id=label.label_id(interval_ns),
            interval_ns=interval_ns,
            universe=sorted(self.observed.panel),
            comparators_rule=COMPARATORS_RULE,
            alpha=ALPHA,
            **({"skipped": dict(self.skipped)} if self.skipped else {}),
            **facts,
        )

    def notes(self) -> list[str]:
        """Say which models were left out, and why."""
        return [f"{name} is left out: {why}." for name, why in self.skipped.items()]

    def run_table(self) -> RunTable:
        """Return the run table of the settings' data folder."""
        return RunTable(self.request.settings.data_dir / "runs.db", SystemClock())


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A run whose registration stands in the run table.

    Parameters
    ----------
    row
        The run, in progress.
    config, config_hash
        What was registered.
    data_digest
        Of the candles and features of books; of books and trades too where these fill orders.
    notes
        What a reader must know of what was left out.
    """

    row: Run
    config: Mapping[str, Any]
    config_hash: str
    data_digest: str
    notes: Sequence[str] = ()

    def signed(self, report: Mapping[str, Any], trials: int) -> dict[str, Any]:
        """Add to a report what was registered for it, on which data, and as which run."""
        return {
            **report,
            "notes": [*report["notes"], *self.notes],
            "data": {**report["data"], "digest": self.data_digest},
            "config": self.config,
            "config_hash": self.config_hash,
            "run": {"id": self.row.run_id, "trials": trials},
        }


@contextmanager
def registered(
    kind: str, material: Material, table: RunTable, config: Mapping[str, Any]
) -> Iterator[Registered]:
    """Write a run and its registration into the table; when the block is left, how the run ended.

    Parameters
    ----------
    kind
        ``backtest`` or ``judge``.
    material
        What it runs on.
    table
        Where it is written.
    config
        As `Material.registration` returns it.

    Raises
    ------
    OutputProblem
        The table cannot be written.
    """
    data_digest = material.observed.digest(fills=material.request.fills == "book")
    with table.start(
        kind,
        config,
        seed=material.request.settings.training.seed,
        data_digest=data_digest,
        code_version=__version__,
    ) as row:
        yield Registered(
            row=row,
            config=config,
            config_hash=digest(config),
            data_digest=data_digest,
            notes=material.notes(),
        )
