"""What happens to a running system: settings changed, signals that come in, steps that are done."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consilium.domain.checks import as_probabilities, require_at_least, require_fraction, require_name
from consilium.domain.errors import InvalidValue
from consilium.domain.forecast import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChanged:
    """The consensus rule in force from now on, and who asked for it.

    Examples
    --------
    >>> RuleChanged(rule="adaptive", by="admin", ts_event=0).rule
    'adaptive'
    """

    rule: str
    by: str
    ts_event: int

    def __post_init__(self) -> None:
        require_name("rule", self.rule)
        require_name("by", self.by)
        require_at_least("ts_event", self.ts_event, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfigured:
    """How one model takes part from now on; None leaves a setting as it is.

    Parameters
    ----------
    model
        Any of its names.
    enabled
        A disabled model is as if it were not there.
    allocation
        Its share before experience, finite and >= 0.
    min_confidence
        A prediction below it abstains; in [0, 1].
    by
        Who asked for it.
    """

    model: str
    enabled: bool | None = None
    allocation: float | None = None
    min_confidence: float | None = None
    by: str
    ts_event: int

    def __post_init__(self) -> None:
        require_name("model", self.model)
        require_name("by", self.by)
        require_at_least("ts_event", self.ts_event, 0)
        if self.allocation is not None:
            require_at_least("allocation", self.allocation, 0.0)
        if self.min_confidence is not None:
            require_fraction("min_confidence", self.min_confidence)
        if self.enabled is None and self.allocation is None and self.min_confidence is None:
            raise InvalidValue(
                "a configured model must have a setting changed",
                f"none for {self.model}",
                "give enabled, allocation or min_confidence",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceReported:
    """What somebody says about a model; it is kept and shown, and never enters a weight.

    Parameters
    ----------
    accuracy
        Share of right directions, in [0, 1]; None if not told.
    profit_factor
        Gains over losses, >= 0; None if not told.
    """

    model: str
    accuracy: float | None = None
    profit_factor: float | None = None
    by: str
    ts_event: int

    def __post_init__(self) -> None:
        require_name("model", self.model)
        require_name("by", self.by)
        require_at_least("ts_event", self.ts_event, 0)
        if self.accuracy is not None:
            require_fraction("accuracy", self.accuracy)
        if self.profit_factor is not None:
            require_at_least("profit_factor", self.profit_factor, 0.0)
        if self.accuracy is None and self.profit_factor is None:
            raise InvalidValue(
                "a report must have a figure", f"none for {self.model}", "give accuracy or profit_factor"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived:
    """A valid signal from outside: a prediction, where it came from, and when it was read.

    Parameters
    ----------
    ts_event
        When its model made it.
    source
        Where it was found: a key, or who published it.
    ts_received
        When it was read; all signals of one cycle share it.

    Examples
    --------
    >>> signal = SignalReceived(model="xgboost", symbol="BTCUSDT", ts_event=1, horizon_ns=3600 * 10**9,
    ...                         label_id="l1", probabilities=(0.075, 0.075, 0.85), confidence=0.85,
    ...                         source="quantum:model:xgb:signal", ts_received=2)
    >>> signal.prediction.direction.name
    'UP'
    """

    model: str
    symbol: str
    ts_event: int
    horizon_ns: int
    label_id: str
    probabilities: tuple[float, float, float]
    confidence: float
    source: str
    ts_received: int

    def __post_init__(self) -> None:
        for name in ("model", "symbol", "label_id", "source"):
            require_name(name, getattr(self, name))
        require_at_least("ts_event", self.ts_event, 0)
        require_at_least("ts_received", self.ts_received, 0)
        require_at_least("horizon_ns", self.horizon_ns, 1)
        object.__setattr__(self, "probabilities", as_probabilities("probabilities", self.probabilities))
        require_fraction("confidence", self.confidence)

    @property
    def prediction(self) -> Prediction:
        """The forecast that the signal carries."""
        return Prediction(
            model=self.model,
            symbol=self.symbol,
            ts_event=self.ts_event,
            horizon_ns=self.horizon_ns,
            label_id=self.label_id,
            probabilities=self.probabilities,
            confidence=self.confidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """The end of one step: all that was concluded from the candles of one close is written down.

    Parameters
    ----------
    feed
        Which feed the candles came from.
    ts_event
        Their close.
    digest
        Of the candles, so that a replay knows whether it reads the same ones.
    candles
        How many there were, >= 0.
    """

    feed: str
    ts_event: int
    digest: str
    candles: int = 0

    def __post_init__(self) -> None:
        require_name("feed", self.feed)
        require_name("digest", self.digest)
        require_at_least("ts_event", self.ts_event, 0)
        require_at_least("candles", self.candles, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChanged:
    """Which models speak from now on, and what their training says of their label.

    It is written down before the first step that it holds for, so that a replay weighs with the same heads.

    Parameters
    ----------
    models
        Version by model that is loaded.
    missing
        By model that belongs to the pool and is not loaded, why.
    unskilled
        Loaded models that only say climatology.
    label
        Definition of the label that they forecast; empty without models.
    means
        What the gates want to know of it: mean_up, mean_down and, where known, mean_gain and mean_loss.
    learned_until
        By loaded model, the newest close that it learned from, UTC nanoseconds; without those that do not
        say it.
    """

    models: Mapping[str, str]
    missing: Mapping[str, str]
    unskilled: tuple[str, ...] = ()
    label: Mapping[str, object]
    means: Mapping[str, float]
    learned_until: Mapping[str, int] = field(default_factory=dict)
    ts_event: int

    def __post_init__(self) -> None:
        for name in (*self.models, *self.missing):
            require_name("model", name)
        require_at_least("ts_event", self.ts_event, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStarted:
    """A training was begun, and who asked for it.

    Parameters
    ----------
    training_id
        Names it; its end carries the same.
    """

    training_id: str
    model: str
    symbol: str
    epochs: int
    batch_size: int
    by: str
    ts_event: int

    def __post_init__(self) -> None:
        for name in ("training_id", "model", "symbol", "by"):
            require_name(name, getattr(self, name))
        require_at_least("epochs", self.epochs, 1)
        require_at_least("batch_size", self.batch_size, 1)
        require_at_least("ts_event", self.ts_event, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEnded:
    """How a training ended.

    Parameters
    ----------
    outcome
        ``done``, ``failed`` or ``cancelled``.
    reason
        Why it failed, in one line; empty if it did not.
    version
        Of the artefact that was stored; empty for none.
    """

    training_id: str
    model: str
    outcome: str
    reason: str = ""
    version: str = ""
    by: str
    ts_event: int

    def __post_init__(self) -> None:
        for name in ("training_id", "model", "by"):
            require_name(name, getattr(self, name))
        require_at_least("ts_event", self.ts_event, 0)
        if self.outcome not in ("done", "failed", "cancelled"):
            raise InvalidValue(
                "outcome must be done, failed or cancelled", repr(self.outcome), "choose one of them"
            )
