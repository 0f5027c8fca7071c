"""Where concrete classes meet: the one table of handlers, and what each room is made of."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from consilium.app.settings import Settings, Training
from consilium.bus.memory import MemoryBus
from consilium.domain import Consensus, FeatureWindow, Forecaster, Instrument, Outcome, Prediction, UsageError
from consilium.ensemble import EnsembleService, Gates, ModelSetting, Rule, make_gates
from consilium.models import make_forecaster
from consilium.trading.execution import CostModel, round_trip_cost
from consilium.training.forecasts import FoldSummary
from consilium.training.teaching import Teaching


class SystemClock:
    """The machine's own time; backtests do not look at it for anything but the run table."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds."""
        return time.time_ns()


class ForecasterFactory:
    """Makes unfitted forecasters of one name; a class, so that it travels to worker processes."""

    def __init__(
        self,
        name: str,
        feature_names: Sequence[str],
        *,
        parameters: Mapping[str, Any] | None = None,
        epochs: int | None = None,
    ) -> None:
        self.name = name
        self.feature_names = tuple(feature_names)
        self.parameters = dict(parameters or {})
        self.epochs = epochs

    def with_parameters(self, parameters: Mapping[str, Any]) -> "ForecasterFactory":
        """Return a factory of the same model with some parameters changed."""
        return ForecasterFactory(
            self.name,
            self.feature_names,
            parameters={**self.parameters, **parameters},
            epochs=self.epochs,
        )

    def __call__(self) -> Forecaster:
        """Return a fresh forecaster."""
        made = self._make(self.parameters)
        if self.epochs is None or "epochs" not in made.get_params(deep=False):
            return made
        return self._make({**self.parameters, "epochs": self.epochs})

    def _make(self, parameters: Mapping[str, Any]) -> Forecaster:
        return make_forecaster(self.name, feature_names=self.feature_names, n_threads=1, **parameters)


def factories(
    names: Iterable[str], feature_names: Sequence[str], training: Training | None = None
) -> dict[str, ForecasterFactory]:
    """Return a factory for each model; a missing library is told now and not in the middle of a run.

    Parameters
    ----------
    names
        Of models.
    feature_names
        What they read.
    training
        Where parameters and epochs come from; None for the models' own.

    Raises
    ------
    UsageError
        The library of a model is not installed.
    UnknownName
        A parameter that the model has not got.
    """
    set_by_hand = training.parameters if training else {}
    made = {
        name: ForecasterFactory(
            name,
            feature_names,
            parameters=set_by_hand.get(name),
            epochs=training.epochs if training else None,
        )
        for name in names
    }
    for factory in made.values():
        factory()
    return made


def teaching_of(training: Training, **more: Any) -> Teaching:
    """Return how the settings want models to be taught, with checkpoints or someone to tell added."""
    return Teaching(
        stride=training.stride,
        device=training.device,
        precision=training.precision,
        recompute=training.recompute,
        **more,
    )


def make_ensemble(
    settings: Settings,
    models: Sequence[str],
    *,
    rule: str | Rule,
    trust: str,
    gates: str | Gates,
    paper: bool = True,
    capacity: int = 4096,
) -> EnsembleService:
    """Make the ensemble of a run from its settings.

    Parameters
    ----------
    trust
        Its options are those of the settings if these name the same policy, else its defaults.
    capacity
        Rounds kept until their outcome: symbols times the bars of the horizon, and some more.

    Raises
    ------
    UsageError
        The settings name a model that is not in the pool.
    """
    ensemble = settings.ensemble
    require_members(settings, models)
    return EnsembleService(
        {name: ModelSetting(min_confidence=ensemble.min_confidence.get(name, 0.0)) for name in models},
        rule=rule,
        allocations=ensemble.allocations or None,
        trust=trust,
        trust_options=ensemble.trust_options if trust == ensemble.trust else None,
        per_regime=ensemble.per_regime,
        meta=ensemble.meta,
        conformal=ensemble.conformal,
        gates=gates,
        paper=paper,
        capacity=capacity,
        round_trip_cost=trip_cost(settings),
    )


def require_members(settings: Settings, models: Sequence[str]) -> None:
    """Refuse settings of the ensemble that name a model which is not in the pool.

    Raises
    ------
    UsageError
        The nearest member, if one is near.
    """
    ensemble = settings.ensemble
    for name in sorted(set(ensemble.allocations) | set(ensemble.min_confidence)):
        if name not in models:
            near = get_close_matches(name, models, n=1)
            raise UsageError(
                f"ensemble settings may name the models {', '.join(models)}",
                f"'{name}'",
                f"did you mean '{near[0]}'?" if near else "add it to --models",
            )


def make_bus(
    ensemble: EnsembleService,
    on_consensus: Callable[[Consensus], Iterable[Any]],
    tap: Callable[[Any], None] | None = None,
) -> MemoryBus:
    """Connect the rooms of one process."""
    return MemoryBus(
        {
            FeatureWindow: [ensemble.handle],
            Prediction: [ensemble.handle],
            Outcome: [ensemble.handle],
            Consensus: [on_consensus],
        },
        tap,
    )


def make_costs(settings: Settings) -> CostModel:
    """Make the execution model of a run."""
    costs = settings.costs
    return CostModel(
        half_spread=costs.half_spread,
        impact_coefficient=costs.impact_coefficient,
        participation=costs.participation,
    )


def make_instruments(settings: Settings, symbols: Iterable[str]) -> dict[str, Instrument]:
    """Make the instruments of a run, all with the fees of the settings."""
    costs = settings.costs
    return {
        symbol: Instrument(symbol=symbol, maker_fee=costs.maker_fee, taker_fee=costs.taker_fee)
        for symbol in symbols
    }


def trip_cost(settings: Settings) -> float:
    """Return what a round trip costs at least, a fraction of its value."""
    return round_trip_cost(make_costs(settings), Instrument(symbol="any", taker_fee=settings.costs.taker_fee))


def fold_gates(preset: str, fold: FoldSummary, models: Sequence[str], cost: float) -> Gates:
    """Make the gates of one fold; the edge preset reads means that its training part gave."""
    if preset != "edge":
        return make_gates(preset)
    return make_gates("edge", round_trip_cost=cost, **edge_means(fold, models))


def edge_means(fold: FoldSummary, models: Sequence[str]) -> Mapping[str, float]:
    """Return the means of a fold under the names of the edge preset; the calls are the ensemble's own."""
    means = {"mean_up": fold.mean_up, "mean_down": fold.mean_down}
    gain, loss = fold.mean_calls(models)
    return means | {"mean_gain": gain, "mean_loss": loss} if gain > 0.0 else means
