"""The stationary bootstrap over whole timestamps.

Every figure of the judge is a function of sums over timestamps, so one draw is a vector of counts: how often
each timestamp was drawn. Symbols of one timestamp stay together, because they are not independent evidence.

Letters: T timestamps, B draws, b the mean block length, h the horizon in bars.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.training.judge.block_length import optimal_block_length

DRAWS = 2_000
LEVEL = 0.95
FEWEST_INDEPENDENT = 100
"""Below this many independent timestamps (T / h) no interval is given."""
TOO_FEW = "too few independent outcomes"
_CELLS = 1_000_000
_FEW_COLUMNS = 4
"""Up to so many columns, summing whole blocks is faster than counting timestamps."""


def mean_block(series: NDArray[np.float64], horizon_bars: int) -> float:
    """Mean block length of a bootstrap: ``max(4 h, Politis-White)``, at most T.

    Parameters
    ----------
    series
        Shape (T,) or (T, k): one or several series in time order; the one with the longest memory decides.
    horizon_bars
        h in bars, >= 1: outcomes that overlap are dependent for h bars.

    Examples
    --------
    >>> mean_block(np.random.default_rng(0).normal(size=500), horizon_bars=6)
    24.0

    References
    ----------
    Politis and White (2004); Patton, Politis and White (2009).
    """
    if horizon_bars < 1:
        raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
    columns = series.reshape(len(series), -1).T
    automatic = max(optimal_block_length(column) for column in columns)
    return float(min(max(4.0 * horizon_bars, automatic), max(1, len(series))))


def stationary_counts(
    timestamps: int, block: float, *, draws: int = DRAWS, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Draw how often each timestamp appears in each resample, in chunks of draws.

    A resample is a chain of blocks from a circle of T timestamps; each starts anywhere with equal chance and
    has a geometric length with mean b.

    Parameters
    ----------
    timestamps
        T, >= 1.
    block
        Mean block length b in timestamps, >= 1.
    draws
        B, >= 1.
    seed
        Seed of the generator; equal seeds give equal counts.

    Yields
    ------
    Shape (draws of this chunk, T), each row sums to T.

    Raises
    ------
    InvalidValue
        A size below 1.

    Examples
    --------
    >>> counts = np.vstack(list(stationary_counts(50, 5.0, draws=10, seed=1)))
    >>> counts.shape, counts.sum(axis=1).tolist() == [50.0] * 10
    ((10, 50), True)

    References
    ----------
    Politis and Romano (1994), sec. 2.
    """
    _check_sizes(timestamps, block, draws)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // timestamps)
    for start in range(0, draws, chunk):
        yield _counts(min(chunk, draws - start), timestamps, block, rng)


def _check_sizes(timestamps: int, block: float, draws: int) -> None:
    for field, value in (("timestamps", timestamps), ("block", block), ("draws", draws)):
        if not value >= 1:
            raise InvalidValue(f"{field} must be >= 1", value, f"raise {field}")


def _blocks(
    draws: int, timestamps: int, block: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw the blocks of all chains: their first cells in (draws x T), lengths, and first timestamps."""
    opens = rng.random((draws, timestamps)) < 1.0 / block
    opens[:, 0] = True
    cells = np.flatnonzero(opens)
    lengths = np.diff(cells, append=draws * timestamps)
    return cells, lengths, rng.integers(timestamps, size=len(cells))


def _counts(draws: int, timestamps: int, block: float, rng: np.random.Generator) -> NDArray[np.float64]:
    cells, lengths, begins = _blocks(draws, timestamps, block, rng)
    position = np.arange(draws * timestamps)
    drawn = (position + np.repeat(begins - cells, lengths)) % timestamps
    drawn += position // timestamps * timestamps
    counts = np.bincount(drawn, minlength=draws * timestamps)
    return counts.reshape(draws, timestamps).astype(np.float64)


def resampled_sums(
    sums: NDArray[np.float64], block: float, *, draws: int = DRAWS, seed: int
) -> NDArray[np.float64]:
    """Sums of resampled timestamps.

    Parameters
    ----------
    sums
        Shape (T, k), the sums of each timestamp in time order.
    block, draws, seed
        See `stationary_counts`.

    Returns
    -------
    Shape (draws, k).

    Examples
    --------
    >>> resampled_sums(np.ones((20, 1)), 4.0, draws=3, seed=0).ravel().tolist()
    [20.0, 20.0, 20.0]
    """
    if sums.shape[1] > _FEW_COLUMNS:
        chunks = stationary_counts(len(sums), block, draws=draws, seed=seed)
        return np.vstack([counts @ sums for counts in chunks])
    _check_sizes(len(sums), block, draws)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // len(sums))
    return np.vstack(
        [_block_sums(sums, min(chunk, draws - start), block, rng) for start in range(0, draws, chunk)]
    )


def _block_sums(
    sums: NDArray[np.float64], draws: int, block: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Sum the same draws block by block: two running sums a block, instead of one count a timestamp."""
    length = len(sums)
    cells, lengths, begins = _blocks(draws, length, block, rng)
    running = np.concatenate([np.zeros((1, sums.shape[1])), np.cumsum(np.vstack([sums, sums]), axis=0)])
    first = np.searchsorted(cells, np.arange(draws) * length)
    result: NDArray[np.float64] = np.add.reduceat(running[begins + lengths] - running[begins], first, axis=0)
    return result


def interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of the draws that are defined; None if none is.

    Examples
    --------
    >>> [round(end, 6) for end in interval(np.arange(101.0))]
    [2.5, 97.5]
    """
    defined = values[np.isfinite(values)]
    if len(defined) == 0:
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return float(low), float(high)
