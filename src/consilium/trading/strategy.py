"""The strategy: when a consensus opens a position, keeps it and lets it go."""

from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from consilium.domain import Direction, InvalidValue
from consilium.domain.checks import require_positive
from consilium.trading.kept import Kept

BASE_STOP_ATR = 2.0
"""Distance of the protective stop at multiplier 1, in average true ranges; the size is made for it."""

LOWEST_STOP = 0.001
"""Share of the entry below which no stop is set."""


class Intent(Enum):
    """What the strategy wants of one symbol."""

    KEEP = auto()
    ENTER = auto()
    EXTEND = auto()
    EXIT = auto()


class Stance(Kept):
    """What the strategy remembers of one symbol.

    ``deadline`` is the bar count at which the position has lasted its horizon; ``leaving`` that it is to be
    sold and has not been sold in full; ``why`` what ends it; the ids name
    orders that wait.
    """

    __slots__ = ("deadline", "distance", "entry_id", "exit_id", "leaving", "stop_id", "why")
    kept = __slots__

    def __init__(self) -> None:
        self.entry_id = self.exit_id = self.stop_id = ""
        self.clear()

    def clear(self) -> None:
        """Forget a position that is over."""
        self.distance = 0.0
        self.deadline = inf
        self.leaving = False
        self.why = "horizon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Long or flat: an actionable UP opens, an actionable DOWN closes; the horizon ends what neither did.

    Parameters
    ----------
    horizon
        Bars that a position lasts, >= 1. An actionable UP while long starts the count again, without a trade:
        the newest forecast looks that far ahead.
    notional
        Value of each position in quote units; None sizes by risk.
    """

    horizon: int
    notional: float | None = None

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise InvalidValue("horizon must be >= 1", self.horizon, "give the bars that a position lasts")
        if self.notional is not None:
            require_positive("notional", self.notional)

    def decide(self, direction: int, *, long: bool, entering: bool) -> Intent:
        """Return what an actionable direction asks for.

        Examples
        --------
        >>> Strategy(horizon=4).decide(2, long=False, entering=False).name
        'ENTER'
        """
        if direction == Direction.UP:
            if long:
                return Intent.EXTEND
            return Intent.KEEP if entering else Intent.ENTER
        if direction == Direction.DOWN and (long or entering):
            return Intent.EXIT
        return Intent.KEEP

    @staticmethod
    def stop_price(entry: float, distance: float, multiplier: float) -> float:
        """Return the protective stop, ``entry - multiplier distance``, kept above 0.

        Examples
        --------
        >>> Strategy.stop_price(100.0, 4.0, 0.75)
        97.0
        """
        return max(entry - multiplier * distance, entry * LOWEST_STOP)
