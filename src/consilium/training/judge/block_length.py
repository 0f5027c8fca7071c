"""How long a block must be so that a resampled series keeps its memory.

Letters: T observations, R(k) the autocovariance at lag k, rho(k) = R(k) / R(0), b the mean block length.
"""

from math import ceil, log10, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue

SHORTEST = 10
"""Below this many observations there is nothing to estimate a memory from: the length is 1."""


def optimal_block_length(series: ArrayLike) -> float:
    """Mean block length of the stationary bootstrap that estimates the variance of a mean best.

    ``b = (2 G^2 / D)^(1/3) T^(1/3)`` with ``G = sum_k lambda(k/M) |k| R(k)``, ``D = 2 g(0)^2``,
    ``g(0) = sum_k lambda(k/M) R(k)``, the flat-top window ``lambda(t) = 1`` for ``|t| <= 1/2``, then
    ``2 (1 - |t|)``, and M twice the lag after which rho stays within ``2 sqrt(log10(T) / T)``.

    Parameters
    ----------
    series
        Shape (T,), finite, in time order.

    Returns
    -------
    A length in observations, in [1, min(3 sqrt(T), T / 3)]; 1 for a constant or very short series.

    Raises
    ------
    InvalidValue
        The series is not one-dimensional or not finite.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=2_000)
    >>> walk = np.convolve(noise, np.ones(24) / 24, mode="valid")
    >>> optimal_block_length(noise) < 5 < 24 < optimal_block_length(walk)
    True

    References
    ----------
    Politis and White (2004), sec. 3; Patton, Politis and White (2009), eq. 4 (D of the stationary bootstrap).
    """
    x = np.asarray(series, dtype=np.float64)
    if x.ndim != 1 or not np.all(np.isfinite(x)):
        raise InvalidValue(
            "a block length needs a finite series of shape (T,)", x.shape, "drop what is not finite"
        )
    count = len(x)
    if count < SHORTEST or np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return 1.0
    run = max(5, ceil(sqrt(log10(count))))
    covariance = _autocovariance(x, min(ceil(sqrt(count)) + run, count - 1))
    window = _window(covariance, run, count)
    lags = np.arange(1, window + 1)
    weights = np.where(lags <= window / 2, 1.0, 2.0 * (1.0 - lags / window)) * covariance[1 : window + 1]
    spread = 2.0 * float((weights * lags).sum())
    density = float(covariance[0] + 2.0 * weights.sum())
    longest = max(1.0, float(ceil(min(3.0 * sqrt(count), count / 3.0))))
    if density == 0.0:
        return longest
    return float(np.clip((spread**2 / density**2 * count) ** (1.0 / 3.0), 1.0, longest))


def _autocovariance(x: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    centred = x - x.mean()
    count = len(centred)
    return np.array([centred[k:] @ centred[: count - k] for k in range(lags + 1)]) / count


def _window(covariance: NDArray[np.float64], run: int, count: int) -> int:
    """Return M: twice the first lag from which ``run`` correlations in a row are insignificant."""
    last = len(covariance) - 1
    small = np.abs(covariance[1:] / covariance[0]) < 2.0 * sqrt(log10(count) / count)
    # As in the authors' own program the lag is the first of the insignificant run, not the one before it.
    runs = np.convolve(small, np.ones(run, dtype=int), mode="valid") if len(small) >= run else np.zeros(0)
    first = np.flatnonzero(runs == run)
    return min(2 * (int(first[0]) + 1), last) if len(first) else last
