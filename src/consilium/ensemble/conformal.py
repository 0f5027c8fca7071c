"""Sets of directions that hold what comes with a chosen frequency, whatever the forecasts are worth."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any, NamedTuple

from consilium.domain import Direction, InvalidValue, to_iso
from consilium.ensemble.gates import NOT_EVALUATED
from consilium.ensemble.voting import PASS

Set = tuple[Direction, ...]


class Coverage(NamedTuple):
    """How a month went: sets judged, those that held what came, and those of exactly one direction."""

    month: str
    outcomes: int
    coverage: float
    singletons: float


@dataclass(slots=True)
class _Symbol:
    """What one symbol has shown: its level, its scores in order of time and sorted."""

    alpha: float
    scores: deque[float] = field(default_factory=deque)
    ordered: list[float] = field(default_factory=list)


def set_within(limit: float, probabilities: tuple[float, float, float]) -> Set:
    """Keep the directions whose score ``1 - p_k`` is at most the limit."""
    return tuple(k for k in Direction if 1.0 - probabilities[k] <= limit)


class Conformal:
    """Adaptive conformal inference: ``{k: 1 - p_k <= quantile of past 1 - p_came at level 1 - alpha_t}``.

    After each outcome ``alpha_t <- alpha_t + gamma (alpha - missed)``, for each symbol by itself. Over T
    outcomes of a symbol, with at most D outstanding, the share of misses differs from alpha by at most
    ``(max(alpha, 1 - alpha) + (D + 1) gamma) / (gamma T)``, without any assumption on the market.

    Parameters
    ----------
    alpha
        Share of outcomes that the sets may miss, in (0, 1), default 0.2.
    gamma
        Step, in (0, 1), default 0.005.
    window
        Scores remembered for each symbol, >= warm_up, default 1000.
    warm_up
        Scores of a symbol before its sets are judged, >= 1, default 100.

    Raises
    ------
    InvalidValue
        A setting outside its bound, or a damaged state.

    Examples
    --------
    >>> gate = Conformal(alpha=0.2, warm_up=4)
    >>> for _ in range(8):
    ...     gate.learn("BTCUSDT", 0, gate.set_of("BTCUSDT", (0.1, 0.2, 0.7)), (0.1, 0.2, 0.7), Direction.UP)
    >>> [k.name for k in gate.set_of("BTCUSDT", (0.1, 0.2, 0.7))]
    ['UP']
    >>> gate.by_month()
    (Coverage(month='1970-01', outcomes=4, coverage=1.0, singletons=1.0),)

    References
    ----------
    Gibbs and Candes (2021), eq. 2 and proposition 4.1.
    """

    def __init__(
        self, *, alpha: float = 0.2, gamma: float = 0.005, window: int = 1000, warm_up: int = 100
    ) -> None:
        for name, value in (("alpha", alpha), ("gamma", gamma)):
            if not 0.0 < value < 1.0:
                raise InvalidValue(f"{name} must lie in (0, 1)", value, f"correct {name}")
        if not 1 <= warm_up <= window:
            raise InvalidValue("1 <= warm_up <= window", f"{warm_up} and {window}", "use 100 and 1000")
        self.alpha, self.gamma, self._window, self._warm_up = alpha, gamma, window, warm_up
        self._symbols: dict[str, _Symbol] = {}
        self._months: dict[str, list[int]] = {}

    def level(self, symbol: str) -> float:
        """Return alpha_t of a symbol."""
        return self._symbols[symbol].alpha if symbol in self._symbols else self.alpha

    def set_of(self, symbol: str, probabilities: tuple[float, float, float]) -> Set | None:
        """Return the directions that cannot be ruled out now, None during warm-up."""
        limit = self.limit(symbol)
        return None if limit is None else set_within(limit, probabilities)

    def limit(self, symbol: str) -> float | None:
        """Return the largest score ``1 - p_k`` that stays in the set now, None during warm-up."""
        known = self._symbols.get(symbol)
        if known is None or len(known.ordered) < self._warm_up:
            return None
        n = len(known.ordered)
        rank = ceil((n + 1) * (1.0 - known.alpha) - 1e-9)
        if rank > n:
            return inf
        if rank < 1:
            return -inf
        return known.ordered[rank - 1] + 1e-12

    def verdict(self, symbol: str, direction: Direction, now: Set | None) -> str:
        """Judge a consensus: ``pass`` if the set is exactly its direction, and that is UP or DOWN."""
        if now is None:
            seen = len(self._symbols[symbol].ordered) if symbol in self._symbols else 0
            return f"{NOT_EVALUATED}: {seen} of {self._warm_up} outcomes of {symbol}"
        if now == (direction,) and direction is not Direction.FLAT:
            return PASS
        held = ", ".join(k.name for k in now) or "nothing"
        return f"not_singleton: the set at {1.0 - self.alpha:.0%} holds {held}"

    def learn(
        self,
        symbol: str,
        ts_event: int,
        said: Set | None,
        probabilities: tuple[float, float, float],
        came: Direction,
    ) -> None:
        """Take one outcome; ``said`` is the set that stood when the forecast was made."""
        known = self._symbols.setdefault(symbol, _Symbol(self.alpha))
        if said is not None:
            missed = came not in said
            known.alpha += self.gamma * (self.alpha - missed)
            month = self._months.setdefault(to_iso(ts_event)[:7], [0, 0, 0])
            month[0] += 1
            month[1] += not missed
            month[2] += len(said) == 1
        score = 1.0 - probabilities[came]
        known.scores.append(score)
        insort(known.ordered, score)
        if len(known.scores) > self._window:
            del known.ordered[bisect_left(known.ordered, known.scores.popleft())]

    def by_month(self) -> tuple[Coverage, ...]:
        """Return realised coverage and the share of singletons of each month, oldest first."""
        return tuple(
            Coverage(month, n, held / n, single / n)
            for month, (n, held, single) in sorted(self._months.items())
        )

    def state(self) -> dict[str, Any]:
        """Return levels, scores and months as JSON values."""
        return {
            "symbols": {s: [k.alpha, list(k.scores)] for s, k in sorted(self._symbols.items())},
            "months": {month: list(counts) for month, counts in sorted(self._months.items())},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that ``state`` returned."""
        try:
            symbols = {}
            for symbol, (alpha, scores) in state["symbols"].items():
                values = [float(score) for score in scores]
                symbols[str(symbol)] = _Symbol(float(alpha), deque(values), sorted(values))
            months = {str(m): [int(n), int(held), int(one)] for m, (n, held, one) in state["months"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InvalidValue(
                "the state must be one of conformal", type(state).__name__, "restore a whole state"
            ) from None
        self._symbols, self._months = symbols, months
