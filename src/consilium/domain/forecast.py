"""What is thought about the future, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from consilium.domain.checks import (
    as_probabilities,
    require_at_least,
    require_finite,
    require_fraction,
    require_name,
)
from consilium.domain.errors import InvalidValue


class Direction(IntEnum):
    """Expected move of the mid; the value is the column in ``probabilities``."""

    DOWN = 0
    FLAT = 1
    UP = 2


def direction_of(probabilities: tuple[float, float, float]) -> Direction:
    """Return the most probable direction; any tie for the first place is FLAT.

    Taking the first maximum instead would be a hidden bias to DOWN.

    Examples
    --------
    >>> direction_of((0.2, 0.3, 0.5)).name, direction_of((0.4, 0.2, 0.4)).name
    ('UP', 'FLAT')
    """
    down, flat, up = probabilities
    if up > flat and up > down:
        return Direction.UP
    if down > flat and down > up:
        return Direction.DOWN
    return Direction.FLAT


def signal_probabilities(direction: Direction, confidence: float) -> tuple[float, float, float]:
    """Spread a bare signal into probabilities: confidence on its direction, the rest split evenly.

    Examples
    --------
    >>> [round(p, 2) for p in signal_probabilities(Direction.UP, 0.8)]
    [0.1, 0.1, 0.8]
    """
    require_fraction("confidence", confidence)
    rest = (1.0 - confidence) / 2
    spread = [rest, rest, rest]
    spread[direction] = confidence
    return spread[0], spread[1], spread[2]


def coverage(loaded: int, total: int) -> str:
    """How many models speak: ``full`` if all, ``partial`` from two on, else ``none``.

    Examples
    --------
    >>> coverage(4, 4), coverage(2, 4), coverage(1, 4)
    ('full', 'partial', 'none')

    References
    ----------
    Seed 002, 5, mode tracking.
    """
    if loaded and loaded >= total:
        return "full"
    return "partial" if loaded >= 2 else "none"


def _as_direction(value: int) -> Direction:
    try:
        return Direction(value)
    except ValueError:
        raise InvalidValue(
            "direction must be DOWN 0, FLAT 1 or UP 2", repr(value), "use consilium.domain.Direction"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One model's forecast for one symbol at one time.

    Parameters
    ----------
    model
        Any non-empty name; whether it is registered is the broker's business.
    ts_event
        UTC nanoseconds, the close of the last bar that the forecast has seen; >= 0.
    horizon_ns
        How far ahead it looks; > 0.
    label_id
        Hash of the label's definition; any non-empty name.
    probabilities
        (down, flat, up), each >= 0, sum 1.
    confidence
        Calibrated probability that the direction is right, in [0, 1]; the largest probability if not given.
    expected_return
        Log return expected over the horizon.

    Examples
    --------
    >>> p = Prediction(model="xgboost", symbol="BTCUSDT", ts_event=0, horizon_ns=3600 * 10**9,
    ...                label_id="l1", probabilities=(0.1, 0.2, 0.7))
    >>> p.direction.name, p.confidence
    ('UP', 0.7)
    """

    model: str
    symbol: str
    ts_event: int
    horizon_ns: int
    label_id: str
    probabilities: tuple[float, float, float]
    confidence: float = -1.0
    expected_return: float = 0.0

    def __post_init__(self) -> None:
        require_name("model", self.model)
        require_name("symbol", self.symbol)
        require_name("label_id", self.label_id)
        require_at_least("ts_event", self.ts_event, 0)
        require_at_least("horizon_ns", self.horizon_ns, 1)
        require_finite("expected_return", self.expected_return)
        probabilities = as_probabilities("probabilities", self.probabilities)
        object.__setattr__(self, "probabilities", probabilities)
        if self.confidence == -1.0:
            object.__setattr__(self, "confidence", min(1.0, max(probabilities)))
        require_fraction("confidence", self.confidence)

    @property
    def direction(self) -> Direction:
        """The most probable direction; a tie is FLAT."""
        return direction_of(self.probabilities)


_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """The pooled forecast with its account.

    Parameters
    ----------
    rule, level
        The consensus rule; unanimous, strong, split, weak or none, with a suffix where a gate spoke.
    direction, confidence
        What the rule says; they may differ from the argmax of ``probabilities``.
    probabilities
        Pooled (down, flat, up); this is what is scored.
    p_direction
        Pooled probability of ``direction``, recalibrated where outcomes allow.
    score
        Confidence after the consensus boost, in [0, 0.95].
    agreement, support
        Share of voters by head, and share of weight, for the winner; in [0, 1].
    meta_confidence
        Probability that acting on this consensus pays.
    weights
        Weight of each voter, by model; >= 0, sum 1, empty without voters.
    gates
        Verdict of each gate by name: ``"pass"`` or why it did not.
    actionable, reason
        Whether every gate was passed; why not, empty if it was.
    """

    symbol: str
    ts_event: int
    horizon_ns: int
    label_id: str
    rule: str
    level: str
    direction: Direction
    probabilities: tuple[float, float, float]
    p_direction: float
    confidence: float
    score: float
    agreement: float
    support: float
    meta_confidence: float
    weights: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    gates: Mapping[str, str] = field(default_factory=dict)
    actionable: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        require_name("label_id", self.label_id)
        require_at_least("ts_event", self.ts_event, 0)
        require_at_least("horizon_ns", self.horizon_ns, 1)
        object.__setattr__(self, "direction", _as_direction(self.direction))
        object.__setattr__(self, "probabilities", as_probabilities("probabilities", self.probabilities))
        for name in ("p_direction", "confidence", "score", "agreement", "support", "meta_confidence"):
            require_fraction(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened to one symbol over one horizon.

    Parameters
    ----------
    ts_event
        When the forecasts were made.
    ts_matured
        When the outcome was known; >= ``ts_event``.
    realised_return
        Log return over the label's window.
    """

    symbol: str
    ts_event: int
    horizon_ns: int
    label_id: str
    ts_matured: int
    direction: Direction
    realised_return: float

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        require_name("label_id", self.label_id)
        require_at_least("ts_event", self.ts_event, 0)
        require_at_least("horizon_ns", self.horizon_ns, 1)
        require_finite("realised_return", self.realised_return)
        object.__setattr__(self, "direction", _as_direction(self.direction))
        if self.ts_matured < self.ts_event:
            raise InvalidValue(
                f"ts_matured must be >= ts_event {self.ts_event}",
                self.ts_matured,
                "an outcome follows its forecast",
            )
