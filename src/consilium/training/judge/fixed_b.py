"""The distribution of a t-statistic whose variance is a Bartlett sum with bandwidth M = b T.

A normal table takes the variance for known. With fixed b the estimated variance stays random in the limit:
``t -> W(1) / sqrt(Q(b))``, where Q(b) is a quadratic form of a Brownian bridge, independent of W(1).

Letters: T timestamps, M bandwidth, b = M / T, lambda_j eigenvalues of the demeaned Bartlett kernel over T.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

LEVEL = 0.05
_BARTLETT = {
    0.10: (1.2816, 1.3040, 0.5135, -0.3386),
    0.05: (1.6449, 2.1859, 0.3142, -0.3427),
    0.025: (1.9600, 2.9694, 0.4160, -0.5324),
    0.01: (2.3263, 4.1618, 0.5368, -0.9060),
}
_GRID = 512
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_SINE = np.sin(np.pi / 4.0 * (_NODES + 1.0)) ** 2


def fixed_b_critical(b: float, level: float = LEVEL, *, two_sided: bool = True) -> float:
    """Critical value of the t-statistic, ``a0 + a1 b + a2 b^2 + a3 b^3``.

    At 5 % on two sides ``1.96 + 2.97 b + .416 b^2 - .532 b^3``.

    Parameters
    ----------
    b
        Bandwidth over T, in (0, 1].
    level
        Chance of a false rejection: .20, .10, .05 or .02 on two sides; .10, .05, .025 or .01 on one side.
        No other polynomials are published; `fixed_b_p_value` has no such limit.
    two_sided
        False for the one-sided test.

    Raises
    ------
    InvalidValue
        b outside (0, 1], or a level without a polynomial.

    Examples
    --------
    >>> round(fixed_b_critical(0.02), 3), round(fixed_b_critical(1.0), 3)
    (2.02, 4.813)
    >>> round(fixed_b_critical(0.02, two_sided=False), 3)
    1.689

    References
    ----------
    Kiefer and Vogelsang (2005), table 1, Bartlett.
    """
    _check_share(b)
    tail = level / 2.0 if two_sided else level
    known = [key for key in _BARTLETT if abs(key - tail) < 1e-9]
    if not known:
        raise InvalidValue(
            f"level must be one of {', '.join(f'{(1 + two_sided) * key:g}' for key in _BARTLETT)}",
            level,
            "use .05, or fixed_b_p_value for any level",
        )
    return float(np.polynomial.polynomial.polyval(b, _BARTLETT[known[0]]))


def fixed_b_p_value(statistic: float, b: float, timestamps: int) -> float:
    """Chance, without effect, of a t-statistic at least as far from 0: the two-sided p-value.

    ``p = 2/pi int_0^(pi/2) prod_j (1 + t^2 lambda_j / sin^2 a)^(-1/2) da``: the normal tail in Craig's form,
    averaged over Q(b) by the moment generating function of a quadratic form. No simulation is needed. For
    independent normal differences and T <= 512 it is exact; above, the kernel on 512 points stands for it.

    Parameters
    ----------
    statistic
        t, finite.
    b
        Bandwidth over T, in (0, 1].
    timestamps
        T, >= 2.

    Raises
    ------
    InvalidValue
        A parameter outside its bound.

    Examples
    --------
    >>> round(fixed_b_p_value(2.019, 0.02, 3_600), 3)
    0.049
    >>> round(fixed_b_p_value(0.0, 0.02, 3_600), 12)
    1.0

    References
    ----------
    Kiefer and Vogelsang (2005) for the limit; Craig (1991) for the integral.
    """
    _check_share(b)
    if timestamps < 2:
        raise InvalidValue("timestamps must be >= 2", timestamps, "give a longer series")
    if not np.isfinite(statistic):
        raise InvalidValue("the statistic must be finite", statistic, "drop what is not finite")
    eigenvalues = _eigenvalues(round(b, 6), min(timestamps, _GRID))
    ratio = statistic**2 * eigenvalues[None, :] / _SINE[:, None]
    return min(1.0, float(_WEIGHTS @ np.exp(-0.5 * np.log1p(ratio).sum(axis=1)) / 2.0))


@lru_cache(maxsize=64)
def _eigenvalues(b: float, points: int) -> NDArray[np.float64]:
    lags = np.abs(np.subtract.outer(np.arange(points), np.arange(points)))
    kernel = np.maximum(0.0, 1.0 - lags / max(1.0, b * points)) / points
    kernel -= kernel.mean(axis=0)
    kernel -= kernel.mean(axis=1, keepdims=True)
    values: NDArray[np.float64] = np.maximum(np.linalg.eigvalsh((kernel + kernel.T) / 2.0), 0.0)
    return values


def _check_share(b: float) -> None:
    if not 0.0 < b <= 1.0:
        raise InvalidValue("b must lie in (0, 1]", b, "give the bandwidth over the number of timestamps")
