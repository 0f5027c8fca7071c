"""Whether a rule's worth on one path is more than luck: days drawn again in blocks, both accounts alike.

One history is one sample. The two accounts lived through the same days, so the same days are drawn for both;
blocks keep what hangs together in time. What is left between them after that is not luck of single days; that
the future has the same kind of days is nobody's to promise.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.training.judge.bootstrap import mean_block

Floats = NDArray[np.float64]

DRAWS = 2_000
LEVEL = 0.95
FEWEST_DAYS = 60
"""Below it no interval is given: a drawdown of two months says nothing about the next ones."""

WITHIN_NOISE = "within noise"
SAME = "the same on every day"
TOO_SHORT = f"fewer than {FEWEST_DAYS} days"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A difference, with minus without, and where it lies in 95 of 100 draws; bounds None where too short."""

    value: float
    low: float | None
    high: float | None

    @property
    def beyond_luck(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0.0 or self.high < 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a rule changed.

    Parameters
    ----------
    net_return, drawdown
        Of the whole period, fractions; a drawdown < 0 means that the rule made it smaller.
    days
        How many the accounts have in common.
    word
        What can be said of it.
    """

    net_return: Interval
    drawdown: Interval
    days: int
    word: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def paired_difference(with_it: Floats, without: Floats, *, seed: int, draws: int = DRAWS) -> Difference:
    """Compare daily returns of two accounts over the same days by a paired stationary bootstrap.

    Each draw is a chain of blocks of days, geometric with mean ``max(5, Politis-White)`` of the difference,
    put on both accounts; return and largest drawdown of each chain are compared.

    Parameters
    ----------
    with_it, without
        Simple daily returns, shape (T,), T >= 1, each > -1.
    seed
        Of the draws.
    draws
        How many.

    Raises
    ------
    InvalidValue
        Shapes that differ, or no day.

    Examples
    --------
    >>> days = np.random.default_rng(0).normal(0.0, 0.01, 300)
    >>> paired_difference(days, days, seed=1).word
    'the same on every day'
    >>> round(paired_difference(days * 0.5, days, seed=1, draws=500).drawdown.value, 3)
    -0.103

    References
    ----------
    Politis and Romano (1994), section 2; Ledoit and Wolf (2008), section 3.2.2 (paired resampling).
    """
    if with_it.shape != without.shape or with_it.ndim != 1 or not len(with_it):
        raise InvalidValue(
            "both accounts need daily returns of the same days",
            f"{with_it.shape}, {without.shape}",
            "compare accounts over one period",
        )
    value = _figures(np.stack([with_it, without])[:, np.newaxis, :])
    days = len(with_it)
    if np.array_equal(with_it, without):
        nothing = Interval(value=0.0, low=0.0, high=0.0)
        return Difference(net_return=nothing, drawdown=nothing, days=days, word=SAME)
    drawn = None
    if days >= FEWEST_DAYS:
        index = _chains(days, max(5.0, mean_block(with_it - without, 1)), draws, seed)
        drawn = _figures(np.stack([with_it[index], without[index]]))
    earned, fell = (_interval(float(value[k, 0]), None if drawn is None else drawn[k]) for k in range(2))
    return Difference(net_return=earned, drawdown=fell, days=days, word=_word(earned, fell, drawn is None))


def _figures(returns: Floats) -> Floats:
    """Return the difference of return and of drawdown, shape (2, n), of returns of shape (2, n, T)."""
    wealth = np.cumprod(1.0 + returns, axis=2)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=2), 1.0)
    fell = (1.0 - wealth / peak).max(axis=2)
    found: Floats = np.stack([wealth[0, :, -1] - wealth[1, :, -1], fell[0] - fell[1]])
    return found


def _chains(days: int, block: float, draws: int, seed: int) -> NDArray[np.int64]:
    """Draw which day stands at each place of each chain, shape (draws, days)."""
    rng = np.random.default_rng(seed)
    opens = rng.random((draws, days)) < 1.0 / block
    opens[:, 0] = True
    place = np.arange(days)
    begun = np.maximum.accumulate(np.where(opens, place, 0), axis=1)
    starts = np.take_along_axis(rng.integers(days, size=(draws, days)), begun, axis=1)
    index: NDArray[np.int64] = (starts + place - begun) % days
    return index


def _interval(value: float, drawn: Floats | None) -> Interval:
    if drawn is None:
        return Interval(value=value, low=None, high=None)
    low, high = np.quantile(drawn, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Interval(value=value, low=float(low), high=float(high))


def _word(earned: Interval, fell: Interval, short: bool) -> str:
    if short:
        return TOO_SHORT
    told = []
    if fell.beyond_luck:
        told.append("less drawdown" if fell.value < 0.0 else "more drawdown")
    if earned.beyond_luck:
        told.append("more return" if earned.value > 0.0 else "less return")
    return ", ".join(told) or WITHIN_NOISE
