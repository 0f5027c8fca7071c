"""Many rules and policies against one: Hansen's test of superior predictive ability, and the confidence set.

The bootstrap itself is that of the package arch (extra ``judge``); blocks are ours.

Letters: T timestamps, K variants, h the horizon in bars.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue, missing_package
from consilium.training.judge.bootstrap import FEWEST_INDEPENDENT, TOO_FEW, mean_block
from consilium.training.judge.diebold_mariano import IDENTICAL
from consilium.training.judge.timestamps import NOTHING, FloatArray, mean_by_timestamp

SPA_DRAWS = 1_000
SET_LEVEL = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperiorAbility:
    """Whether any variant beats the benchmark, all variants counted.

    Parameters
    ----------
    p_value
        Hansen's consistent p-value; None where there is no test.
    p_lower, p_upper
        The liberal one, and the conservative one (White's reality check, studentised).
    best
        The variant with the lowest mean loss, shown but not re-labelled primary; None without outcomes.
    best_difference
        Its mean loss minus that of the benchmark.
    variants
        Variants that differ from the benchmark; those identical to it cannot beat it and are left out.
    reason
        Why there is no test; None if there is one.
    """

    p_value: float | None
    p_lower: float | None
    p_upper: float | None
    best: str | None
    best_difference: float | None
    variants: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceSet:
    """The variants that cannot be told from the best.

    Parameters
    ----------
    included
        Names in the set, in the order given.
    p_values
        By name; in the set where p > 1 - level. Variants with equal losses share one.
    level
        Chance that the set holds the best variant.
    reason
        Why all are included without a test; None if there was one.
    """

    included: tuple[str, ...]
    p_values: Mapping[str, float]
    level: float
    reason: str | None = None


def superior_ability(
    loss_benchmark: ArrayLike,
    losses: Mapping[str, ArrayLike],
    ts_event: ArrayLike,
    horizon_bars: int,
    seed: int,
    *,
    draws: int = SPA_DRAWS,
) -> SuperiorAbility:
    """Test that no variant loses less than the benchmark, by the largest studentised mean gain.

    ``T = max_k max(0, sqrt(T) mean(d_k) / w_k)``, ``d_k = benchmark - variant k`` for each timestamp, its
    distribution from the stationary bootstrap with variants that are far too bad to matter left out.

    Parameters
    ----------
    loss_benchmark
        Shape (N,), loss of each row.
    losses
        Shape (N,) each, by variant.
    ts_event
        Shape (N,), UTC nanoseconds.
    horizon_bars
        h, >= 1: the mean block is ``max(4 h, Politis-White)``.
    seed
        Seed of the draws.
    draws
        Number of resamples, >= 1.

    Raises
    ------
    InvalidValue
        No variant, shapes that do not fit, losses that are not finite.
    UsageError
        The package arch is not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base, hours = rng.uniform(size=400), np.arange(400)
    >>> variants = {"good": base - rng.uniform(0, 0.1, 400), "bad": base + rng.uniform(0, 0.1, 400)}
    >>> found = superior_ability(base, variants, hours, 1, seed=0, draws=200)
    >>> found.best, found.p_value < 0.05
    ('good', True)

    References
    ----------
    Hansen (2005), sec. 2.
    """
    table = _table({"": loss_benchmark, **losses}, ts_event, horizon_bars)
    base, rest = table[:, 0], table[:, 1:]
    names = list(losses)
    if not names:
        raise InvalidValue("the test needs >= 1 variant", 0, "give the losses of the variants")
    if len(table) == 0:
        return _no_ability(None, None, 0, TOO_FEW)
    means = rest.mean(axis=0) - base.mean()
    best = int(np.argmin(means))
    differs = np.abs(rest - base[:, None]).max(axis=0) > NOTHING
    if not differs.any():
        return _no_ability(names[best], 0.0, 0, IDENTICAL)
    if len(table) / horizon_bars < FEWEST_INDEPENDENT:
        return _no_ability(names[best], float(means[best]), int(differs.sum()), TOO_FEW)
    rest = rest[:, differs]
    block = ceil(mean_block(base[:, None] - rest, horizon_bars))
    test = _arch().SPA(base, rest, block_size=block, reps=draws, bootstrap="stationary", seed=seed)
    test.compute()
    lower, consistent, upper = (float(test.pvalues[kind]) for kind in ("lower", "consistent", "upper"))
    return SuperiorAbility(
        p_value=consistent,
        p_lower=lower,
        p_upper=upper,
        best=names[best],
        best_difference=float(means[best]),
        variants=rest.shape[1],
    )


def confidence_set(
    losses: Mapping[str, ArrayLike],
    ts_event: ArrayLike,
    horizon_bars: int,
    seed: int,
    *,
    level: float = SET_LEVEL,
    draws: int = SPA_DRAWS,
) -> ConfidenceSet:
    """Return the set of variants that holds the best one with the stated chance.

    Variants are dropped, worst first, as long as equal losses of the rest are rejected (range statistic).

    Parameters
    ----------
    losses
        Shape (N,) each, by variant.
    ts_event, horizon_bars, seed, draws
        As in `superior_ability`.
    level
        In (0, 1).

    Raises
    ------
    InvalidValue, UsageError
        As in `superior_ability`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base, hours = rng.uniform(size=400), np.arange(400)
    >>> variants = {"good": base - rng.uniform(0, 0.1, 400), "same": base, "twin": base}
    >>> confidence_set(variants, hours, 1, seed=0, draws=200).included
    ('good',)

    References
    ----------
    Hansen, Lunde and Nason (2011), sec. 3.1.2.
    """
    if not losses:
        raise InvalidValue("the set needs >= 1 variant", 0, "give the losses of the variants")
    if not 0.0 < level < 1.0:
        raise InvalidValue("level must lie in (0, 1)", level, "use .9")
    table = _table(losses, ts_event, horizon_bars)
    names = list(losses)
    everybody = ConfidenceSet(
        included=tuple(names), p_values=dict.fromkeys(names, 1.0), level=level, reason=TOO_FEW
    )
    if len(table) / horizon_bars < FEWEST_INDEPENDENT:
        return everybody
    first_of = _twins(table)
    distinct = np.unique(first_of)
    if len(distinct) == 1:
        return ConfidenceSet(
            included=everybody.included, p_values=everybody.p_values, level=level, reason=IDENTICAL
        )
    unlike = table[:, distinct]
    block = ceil(mean_block(unlike - unlike.mean(axis=1, keepdims=True), horizon_bars))
    test = _arch().MCS(unlike, 1.0 - level, draws, block, "R", "stationary", seed=seed)
    test.compute()
    found = {int(distinct[k]): float(p) for k, p in test.pvalues["Pvalue"].items()}
    p_values = {name: found[int(first)] for name, first in zip(names, first_of, strict=True)}
    kept = {int(distinct[k]) for k in test.included}
    included = tuple(name for name, first in zip(names, first_of, strict=True) if int(first) in kept)
    return ConfidenceSet(included=included, p_values=p_values, level=level)


def _arch() -> ModuleType:
    """Import arch only when asked: it brings pandas and statsmodels, and takes seconds."""
    try:
        from arch import bootstrap
    except ModuleNotFoundError as error:
        raise missing_package("the comparison of many variants", error) from None
    return bootstrap


def _table(losses: Mapping[str, ArrayLike], ts_event: ArrayLike, horizon_bars: int) -> FloatArray:
    if horizon_bars < 1:
        raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
    columns = [mean_by_timestamp(loss, ts_event)[1] for loss in losses.values()]
    return np.column_stack(columns)


def _twins(table: FloatArray) -> NDArray[np.int64]:
    """For each column the first one equal to it: equal columns differ by 0 with no error to divide by."""
    first = np.arange(table.shape[1])
    for k in range(table.shape[1]):
        for j in range(k):
            if first[j] == j and float(np.abs(table[:, j] - table[:, k]).max()) <= NOTHING:
                first[k] = j
                break
    return first


def _no_ability(best: str | None, gain: float | None, variants: int, reason: str) -> SuperiorAbility:
    return SuperiorAbility(
        p_value=None,
        p_lower=None,
        p_upper=None,
        best=best,
        best_difference=gain,
        variants=variants,
        reason=reason,
    )
