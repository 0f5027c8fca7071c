"""Logistic regression by Newton's method, with a ridge towards any point."""

from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MOST_STEPS = 50
ENOUGH = 1e-10
"""Twice what a step may still gain in the objective when it is taken for the last one."""


def sigmoid(z: FloatArray) -> FloatArray:
    """``1 / (1 + exp(-z))`` without overflow.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return _sigmoid(z, np.exp(-np.abs(z)))


def _sigmoid(z: FloatArray, e: FloatArray) -> FloatArray:
    result: FloatArray = np.where(z >= 0.0, 1.0, e) / (1.0 + e)
    return result


def chance(z: float) -> float:
    """`sigmoid` of one number.

    Examples
    --------
    >>> chance(0.0), chance(-1000.0), chance(1000.0)
    (0.5, 0.0, 1.0)
    """
    e = exp(-abs(z))
    return (1.0 if z >= 0.0 else e) / (1.0 + e)


def fit_logistic(
    X: FloatArray, y: FloatArray, weight: FloatArray, ridge: FloatArray, centre: FloatArray
) -> FloatArray:
    """Fit ``P(y = 1) = sigmoid(X b)``.

    Minimises ``-sum_i w_i [y_i z_i - ln(1 + exp z_i)] + 1/2 sum_j r_j (b_j - centre_j)^2``, ``z = X b``;
    convex, and strictly so where every ``r_j > 0``. Steps that do not descend are halved.

    Parameters
    ----------
    X
        Shape (n, k); a column of ones is the intercept.
    y
        Shape (n,), values in [0, 1].
    weight
        Shape (n,), >= 0.
    ridge, centre
        Shape (k,): strength of the pull, >= 0, and where it pulls to.

    Returns
    -------
    b, shape (k,).

    Examples
    --------
    >>> one = np.ones((4, 1))
    >>> b = fit_logistic(one, np.array([1.0, 1.0, 1.0, 0.0]), np.ones(4), np.zeros(1), np.zeros(1))
    >>> round(float(sigmoid(b)[0]), 6)
    0.75

    References
    ----------
    Bishop (2006), eq. 4.92 to 4.99.
    """
    # Column after column in memory: each product reads them from end to end.
    X = np.asfortranarray(X)
    b = centre
    value, z, e = _objective(X, y, weight, ridge, centre, b)
    for _ in range(MOST_STEPS):
        p = _sigmoid(z, e)
        slope = X.T @ (weight * (p - y)) + ridge * (b - centre)
        curve = (X * (weight * p * (1.0 - p))[:, None]).T @ X + np.diag(ridge + 1e-12)
        step = np.linalg.solve(curve, slope)
        if float(slope @ step) < ENOUGH:
            # So near the bottom the last step is as good as exact, and rounding hides whether it descends.
            return b - step
        size = 1.0
        while size > 1e-8:
            tried = b - size * step
            found = _objective(X, y, weight, ridge, centre, tried)
            if found.value <= value:
                break
            size /= 2
        else:
            break
        b, (value, z, e) = tried, found
    return b


class _Found(NamedTuple):
    """The objective at a point, ``z = X b`` there, and ``exp(-|z|)``."""

    value: float
    z: FloatArray
    e: FloatArray


def _objective(
    X: FloatArray, y: FloatArray, weight: FloatArray, ridge: FloatArray, centre: FloatArray, b: FloatArray
) -> _Found:
    z = X @ b
    e = np.exp(-np.abs(z))
    losses = np.maximum(z, 0.0) + np.log1p(e) - y * z
    return _Found(float(weight @ losses + 0.5 * ridge @ (b - centre) ** 2), z, e)
