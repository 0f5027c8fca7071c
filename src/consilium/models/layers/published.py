"""The border to TLOB's published code: it writes asks before bids and counts classes from up.

Each function is its own inverse, so the same call goes both ways.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

PUBLISHED_HORIZONS = (10, 20, 50, 100)
"""Snapshots ahead in the published code; here 10, 30 and 50."""


def swap_sides(books: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Turn (ask price, ask volume, bid price, bid volume) of each level into bids first, or back.

    Parameters
    ----------
    books
        Shape (..., 4 L).

    Raises
    ------
    InvalidValue
        The last axis is no multiple of 4.

    Examples
    --------
    >>> swap_sides(np.array([101.0, 5.0, 99.0, 7.0])).tolist()
    [99.0, 7.0, 101.0, 5.0]
    """
    if books.shape[-1] % 4:
        raise InvalidValue("books have 4 columns a level", books.shape, "give whole levels")
    levels = books.reshape(*books.shape[:-1], -1, 4)
    return levels[..., [2, 3, 0, 1]].reshape(books.shape)


def swap_classes(directions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn 0 up, 1 stationary, 2 down into DOWN 0, FLAT 1, UP 2, or back.

    Examples
    --------
    >>> swap_classes(np.array([0, 1, 2])).tolist()
    [2, 1, 0]
    """
    return 2 - directions


def swap_columns(scores: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Turn columns (up, stationary, down) of logits or probabilities into (down, flat, up), or back.

    Examples
    --------
    >>> swap_columns(np.array([[0.7, 0.2, 0.1]])).tolist()
    [[0.1, 0.2, 0.7]]
    """
    return scores[..., ::-1]
