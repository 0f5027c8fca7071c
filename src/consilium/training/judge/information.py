"""Does the forecast rank the symbols of one instant, and how steadily? The ICIR."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue
from consilium.training.judge.bootstrap import (
    DRAWS,
    FEWEST_INDEPENDENT,
    TOO_FEW,
    interval,
    mean_block,
    resampled_sums,
)
from consilium.training.judge.figures import Figure

FloatArray = NDArray[np.float64]
FEWEST_SYMBOLS = 5
_ROUNDING = 12


def information_by_timestamp(
    score: ArrayLike, realised_return: ArrayLike, ts_event: ArrayLike
) -> tuple[NDArray[np.int64], FloatArray]:
    """Rank correlation over the symbols of each timestamp.

    Parameters
    ----------
    score
        Shape (N,), p_up - p_down.
    realised_return
        Shape (N,), finite.
    ts_event
        Shape (N,), UTC nanoseconds.

    Returns
    -------
    Timestamps with at least 5 symbols and without a constant side, ascending, and their IC.

    Raises
    ------
    InvalidValue
        Shapes that do not fit, values that are not finite.

    Examples
    --------
    >>> times, ic = information_by_timestamp([1, 2, 3, 4, 5, 9], [1, 2, 3, 5, 4, 0], [7, 7, 7, 7, 7, 8])
    >>> times.tolist(), ic.round(6).tolist()
    ([7], [0.9])

    References
    ----------
    Spearman (1904); Grinold and Kahn (2000), ch. 6.
    """
    s, r = np.asarray(score, dtype=np.float64), np.asarray(realised_return, dtype=np.float64)
    ts = np.asarray(ts_event, dtype=np.int64)
    if not (s.ndim == 1 and s.shape == r.shape == ts.shape and np.all(np.isfinite(s) & np.isfinite(r))):
        raise InvalidValue(
            "score, realised_return and ts_event must be finite, one shape (N,)",
            f"{s.shape}, {r.shape} and {ts.shape}",
            "give one value for each row",
        )
    times, group, size = np.unique(ts, return_inverse=True, return_counts=True)
    a, b = (_ranks(x, group) - (size[group] + 1) / 2.0 for x in (np.round(s, _ROUNDING), r))
    ab, aa, bb = (np.bincount(group, weights=x, minlength=len(times)) for x in (a * b, a * a, b * b))
    kept = (size >= FEWEST_SYMBOLS) & (aa > 0.0) & (bb > 0.0)
    return times[kept], ab[kept] / np.sqrt(aa[kept] * bb[kept])


def icir(
    score: ArrayLike,
    realised_return: ArrayLike,
    ts_event: ArrayLike,
    *,
    horizon_bars: int,
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Figure]:
    """Mean IC over timestamps and the ICIR, ``mean(IC_t) / sd(IC_t)``, not annualised.

    Parameters
    ----------
    score, realised_return, ts_event
        As in `information_by_timestamp`.
    horizon_bars
        h, >= 1.
    seed, draws
        Of the bootstrap over timestamps.

    Returns
    -------
    Figures ``mean_ic`` and ``icir``; None with a reason where no timestamp has 5 symbols.

    Raises
    ------
    InvalidValue
        As in `information_by_timestamp`; a horizon below 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ts, score = np.repeat(np.arange(300), 10), rng.normal(size=3_000)
    >>> found = icir(score, 0.2 * score + rng.normal(size=3_000), ts, horizon_bars=1, seed=0, draws=200)
    >>> found["icir"].low > 0.0
    True

    References
    ----------
    Grinold and Kahn (2000), ch. 6.
    """
    if horizon_bars < 1:
        raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
    times, ic = information_by_timestamp(score, realised_return, ts_event)
    if len(times) < 2 or np.ptp(ic) == 0.0:
        few = f"fewer than 2 timestamps with {FEWEST_SYMBOLS} symbols that differ"
        nothing = Figure(value=None, low=None, high=None, n=len(times), reason=few)
        return {"mean_ic": nothing, "icir": nothing}
    values = float(ic.mean()), float(ic.mean() / ic.std())
    ends: list[tuple[float | None, float | None]] = [(None, None), (None, None)]
    reason = None
    if len(times) / horizon_bars < FEWEST_INDEPENDENT:
        reason = TOO_FEW
    else:
        sums = resampled_sums(
            np.column_stack([ic, ic * ic]), mean_block(ic, horizon_bars), draws=draws, seed=seed
        )
        mean, square = (sums / len(ic)).T
        spread = np.sqrt(np.maximum(square - mean**2, 0.0))
        ratio = np.divide(mean, spread, out=np.full_like(mean, np.nan), where=spread > 0.0)
        ends = [interval(mean) or (None, None), interval(ratio) or (None, None)]
    return {
        name: Figure(value=value, low=low, high=high, n=len(times), reason=reason)
        for name, value, (low, high) in zip(("mean_ic", "icir"), values, ends, strict=True)
    }


def _ranks(x: FloatArray, group: NDArray[np.intp]) -> FloatArray:
    """Ranks 1 .. of each group's values; equal ones share their mean rank."""
    order = np.lexsort((x, group))
    ordered, groups = x[order], group[order]
    new = np.ones(len(x), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (groups[1:] != groups[:-1])
    begin = np.flatnonzero(new)
    end = np.append(begin[1:], len(x))
    tie = np.cumsum(new) - 1
    first = np.searchsorted(groups, groups, side="left")
    ranks = np.empty(len(x))
    ranks[order] = (begin + end + 1)[tie] / 2.0 - first
    return ranks
