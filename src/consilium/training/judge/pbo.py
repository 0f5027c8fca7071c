"""How often the best of many strategies in one half of the time is below the middle in the other half.

Letters: T times, K strategies, S blocks, w the relative rank out of sample.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from consilium.domain import InvalidValue
from consilium.domain.wording import counted

BLOCKS = 16
FEWEST_TRIALS = 10
NOT_APPLICABLE = "not applicable"
SAME = 1e-12
"""Strategies whose returns differ nowhere by more are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """The probability of backtest overfitting.

    Parameters
    ----------
    probability
        Share of splits in which the winner inside ends in the lower half outside; None if not applicable.
    trials
        Strategies with returns that differ from each other.
    splits
        Ways to halve the time that were counted.
    loss
        Share of splits in which the winner loses money outside; None if not applicable.
    reason
        ``not applicable`` and why; None if there is a probability.
    """

    probability: float | None
    trials: int
    splits: int
    loss: float | None
    reason: str | None = None


def overfitting_probability(strategy_returns: ArrayLike, *, blocks: int = BLOCKS) -> Overfitting:
    """Combinatorially symmetric cross-validation of "take the one with the best Sharpe ratio".

    For each choice of S/2 of S blocks of time as "inside": n the best strategy there, r its rank outside
    among K, ``w = r / (K + 1)``; ``PBO = share of choices with ln(w / (1 - w)) <= 0``. Strategies with the
    same returns are ranked as one: copies of a strategy would move the ranks of all others.

    Parameters
    ----------
    strategy_returns
        Shape (T, K), returns of K strategies at the same times, finite, T >= 2 S.
    blocks
        S, even, in [4, 20]; default 16, which gives 12,870 splits.

    Returns
    -------
    Fewer than 10 distinct strategies: no probability, the reason begins with ``not applicable``.

    Raises
    ------
    InvalidValue
        Not a finite matrix, S outside its bound, fewer than 2 S times.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(640, 20))
    >>> overfitting_probability(noise).probability > 0.2
    True
    >>> noise[:, 3] += 0.3
    >>> overfitting_probability(noise).probability
    0.0
    >>> overfitting_probability(noise[:, :9]).reason
    'not applicable: 9 trials, 10 are needed'

    References
    ----------
    Bailey, Borwein, Lopez de Prado and Zhu (2017), sec. 2.
    """
    x = np.asarray(strategy_returns, dtype=np.float64)
    if x.ndim != 2 or not np.all(np.isfinite(x)):
        raise InvalidValue("strategy_returns must be finite, shape (T, K)", x.shape, "one column a strategy")
    if blocks % 2 or not 4 <= blocks <= 20:
        raise InvalidValue("blocks must be even and in [4, 20]", blocks, "use 16")
    x = distinct(x)
    trials = x.shape[1]
    if trials < FEWEST_TRIALS:
        reason = f"{NOT_APPLICABLE}: {counted(trials, 'trial')}, {FEWEST_TRIALS} are needed"
        return Overfitting(probability=None, trials=trials, splits=0, loss=None, reason=reason)
    if len(x) < 2 * blocks:
        raise InvalidValue(f"{blocks} blocks need >= {2 * blocks} times", len(x), "give a longer history")
    inside = _choices(blocks)
    first, outside = _sharpe(x, inside), _sharpe(x, ~inside)
    winner = first.argmax(axis=1)
    rows = np.arange(len(inside))
    rank = rankdata(outside, axis=1)[rows, winner]
    relative = rank / (trials + 1.0)
    return Overfitting(
        probability=float(np.mean(np.log(relative / (1.0 - relative)) <= 1e-12)),
        trials=trials,
        splits=len(inside),
        loss=float(np.mean(outside[rows, winner] < 0.0)),
    )


def distinct(strategy_returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep the first of all columns that differ nowhere by more than 1e-12.

    Examples
    --------
    >>> distinct(np.array([[0.1, 0.2, 0.1 + 1e-15], [0.3, 0.4, 0.3]])).shape
    (2, 2)
    """
    kept: list[NDArray[np.float64]] = []
    for column in strategy_returns.T:
        if not kept or np.abs(np.array(kept) - column).max(axis=1, initial=0.0).min() > SAME:
            kept.append(column)
    return np.array(kept).reshape(-1, len(strategy_returns)).T


def _choices(blocks: int) -> NDArray[np.bool_]:
    chosen = list(combinations(range(blocks), blocks // 2))
    inside = np.zeros((len(chosen), blocks), dtype=bool)
    inside[np.arange(len(chosen))[:, None], np.array(chosen)] = True
    return inside


def _sharpe(x: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sharpe ratio of each strategy over the chosen blocks, shape (splits, K); 0 where it never trades."""
    parts = np.array_split(np.arange(len(x)), chosen.shape[1])
    weight = chosen.astype(np.float64)
    scale = np.maximum(np.abs(x).max(axis=0), 1e-300)
    unit = x / scale
    count = weight @ np.array([float(len(part)) for part in parts])
    mean = weight @ np.array([unit[part].sum(axis=0) for part in parts]) / count[:, None]
    square = weight @ np.array([(unit[part] ** 2).sum(axis=0) for part in parts]) / count[:, None]
    variance = square - mean**2
    result: NDArray[np.float64] = np.zeros_like(mean)
    np.divide(mean, np.sqrt(np.maximum(variance, 0.0)), out=result, where=variance > 1e-15)
    return result
