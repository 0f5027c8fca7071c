"""Linear scores whose bits depend on nothing but the row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def linear_scores(
    X: NDArray[np.floating[Any]], coef: NDArray[np.float64], intercept: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``X coef' + intercept``, shape (n, K), with the same bits for a row alone and among others.

    A matrix product adds in an order that changes with the number of rows and the layout in memory, so
    that live and backtest forecasts, or those before and after saving, would differ in the last digit.

    Parameters
    ----------
    X
        Shape (n, F).
    coef
        Shape (K, F).
    intercept
        Shape (K,).

    Examples
    --------
    >>> linear_scores(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5])).tolist()
    [[11.5]]
    """
    scores = np.empty((len(X), len(coef)))
    for k, row in enumerate(coef):
        scores[:, k] = np.multiply(X, row, order="C").sum(axis=1) + intercept[k]
    return scores
