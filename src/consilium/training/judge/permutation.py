"""Would the same signals at other times have earned as much? A permutation test of timing.

Letters: T bars, S symbols, B permutations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue
from consilium.domain.checks import require_at_least

FloatArray = NDArray[np.float64]
PERMUTATIONS = 1_000
FEWEST_BLOCKS = 20
"""Fewer blocks have too few orders; the whole series is rotated instead."""
_CELLS = 4_000_000
BLOCKS, ROTATION = "blocks", "rotation"


@dataclass(frozen=True, slots=True, kw_only=True)
class PermutationTest:
    """Where the strategy stands among the same signals at other times.

    Parameters
    ----------
    p_value
        ``(1 + #{permuted >= own}) / (1 + B)``; 1 without a trade.
    net_return
        Of the signals as they were.
    median, high
        Middle and 95 % point of the permuted ones.
    permutations
        B.
    way
        ``blocks`` or ``rotation``.
    """

    p_value: float
    net_return: float
    median: float
    high: float
    permutations: int
    way: str


def permutation_test(
    signals: ArrayLike,
    net_return: Callable[[FloatArray], ArrayLike],
    *,
    block: int,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> PermutationTest:
    """Compare the net return of signals with that of block-permuted signals of equal turnover.

    The series is cut into blocks where the whole book is flat, and the blocks are put in another order: every
    trade stays whole and none is added, so turnover and exposure stay the same. Where the book is flat too
    seldom for 20 blocks, the series is rotated by a random number of bars instead. (A position open at the
    first and the last bar may save or cost one entry and one exit.) All symbols move together, as their
    returns do.

    Parameters
    ----------
    signals
        Shape (T,) or (T, S), target positions; 0 is flat.
    net_return
        Takes signals of shape (n, T) or (n, T, S), gives n net returns; see `BarReturns`.
    block
        Least length of a block in bars, in [1, T/2]: longer than the memory of the returns.
    seed
        Seed of the permutations.
    permutations
        B, >= 1,000.

    Raises
    ------
    InvalidValue
        Signals that are not finite or too short, B below 1,000, a callback with another number of results.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> returns = rng.normal(0.0, 0.01, size=600)
    >>> knowing = (returns > 0.005).astype(float)
    >>> account = BarReturns(returns, cost=0.001)
    >>> permutation_test(knowing, account, block=10, seed=1).p_value
    0.000999...
    >>> permutation_test(rng.integers(2, size=600), account, block=10, seed=1).p_value > 0.05
    True

    References
    ----------
    Phipson and Smyth (2010), eq. 2, for the 1 that is added.
    """
    s = np.asarray(signals, dtype=np.float64)
    if s.ndim not in (1, 2) or not np.all(np.isfinite(s)):
        raise InvalidValue("signals must be finite, shape (T,) or (T, S)", s.shape, "give one for each bar")
    if permutations < PERMUTATIONS:
        raise InvalidValue(f"permutations must be >= {PERMUTATIONS:,}", permutations, "use 1,000 or more")
    if not 1 <= block <= len(s) // 2:
        raise InvalidValue(f"block must lie in [1, T/2 = {len(s) // 2}]", block, "give a longer history")
    own = _evaluated(net_return, s[None])[0]
    order = _Order.of(s, block)
    if not s.any():
        flat = float(own)
        return PermutationTest(
            p_value=1.0, net_return=flat, median=flat, high=flat, permutations=permutations, way=order.way
        )
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // s.size)
    found = []
    for start in range(0, permutations, chunk):
        rows = np.array([order.draw(rng) for _ in range(min(chunk, permutations - start))])
        found.append(_evaluated(net_return, s[rows]))
    permuted = np.concatenate(found)
    # Sums in another order differ in the last bits: what is equal up to them counts against the strategy.
    slack = 1e-12 * max(1.0, abs(float(own)))
    return PermutationTest(
        p_value=(1.0 + float((permuted >= own - slack).sum())) / (1.0 + permutations),
        net_return=float(own),
        median=float(np.median(permuted)),
        high=float(np.quantile(permuted, 0.95)),
        permutations=permutations,
        way=order.way,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """Draws the order of the bars."""

    cuts: NDArray[np.int64]
    length: int
    block: int

    @classmethod
    def of(cls, s: FloatArray, block: int) -> "_Order":
        flat = ~s.reshape(len(s), -1).any(axis=1)
        # A cut before bar t leaves both sides flat, over the end of the series as well.
        places = np.flatnonzero(flat & np.roll(flat, 1))
        cuts: list[int] = []
        for place in places.tolist():
            if not cuts or (place - cuts[-1] >= block and cuts[0] + len(s) - place >= block):
                cuts.append(place)
        return cls(cuts=np.array(cuts, dtype=np.int64), length=len(s), block=block)

    @property
    def way(self) -> str:
        return BLOCKS if len(self.cuts) >= FEWEST_BLOCKS else ROTATION

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        if self.way == ROTATION:
            turn = int(rng.integers(self.block, self.length - self.block + 1))
            return (np.arange(self.length) + turn) % self.length
        lengths = np.diff(self.cuts, append=self.cuts[0] + self.length)
        order = rng.permutation(len(self.cuts))
        begin = np.cumsum(lengths[order]) - lengths[order]
        shift = np.repeat(self.cuts[order] - begin, lengths[order])
        bars: NDArray[np.int64] = (np.arange(self.length) + shift) % self.length
        return bars


def _evaluated(net_return: Callable[[FloatArray], ArrayLike], signals: FloatArray) -> FloatArray:
    values = np.asarray(net_return(signals), dtype=np.float64)
    if values.shape != (len(signals),) or not np.all(np.isfinite(values)):
        raise InvalidValue(
            "net_return must give one finite value for each row of signals",
            f"shape {values.shape} for {len(signals)} rows",
            "sum over bars and symbols",
        )
    return values


class BarReturns:
    """Net return of positions held for one bar each: the simple account for a permutation test.

    ``sum_t s_t r_t - cost (|s_0| + sum_t |s_t - s_(t-1)| + |s_T|)``, the mean over symbols; not compounded.

    Parameters
    ----------
    returns
        Shape (T,) or (T, S): what one unit earns from the fill after the signal of bar t until the fill after
        the next signal, finite.
    cost
        Fee, half spread and impact per unit traded, a fraction >= 0.

    Examples
    --------
    >>> account = BarReturns([0.01, -0.02, 0.03], cost=0.001)
    >>> account(np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])).round(4).tolist()
    [0.036, 0.0]
    """

    def __init__(self, returns: ArrayLike, *, cost: float) -> None:
        r = np.asarray(returns, dtype=np.float64)
        if r.ndim not in (1, 2) or not np.all(np.isfinite(r)):
            raise InvalidValue("returns must be finite, shape (T,) or (T, S)", r.shape, "one for each bar")
        require_at_least("cost", cost, 0.0)
        self._returns, self._cost = r.reshape(len(r), -1), cost

    def __call__(self, signals: FloatArray) -> FloatArray:
        """Return the net returns of signals of shape (n, T) or (n, T, S), shape (n,)."""
        s = signals.reshape(*signals.shape[:2], -1)
        earned = np.einsum("nts,ts->n", s, self._returns)
        traded = np.abs(np.diff(s, axis=1)).sum(axis=(1, 2)) + np.abs(s[:, [0, -1]]).sum(axis=(1, 2))
        result: FloatArray = (earned - self._cost * traded) / s.shape[2]
        return result
