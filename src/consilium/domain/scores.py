"""Proper scores of three-class forecasts, shared by ensemble, training and dao.

Letters: n forecasts, p of shape (n, 3) with columns (down, flat, up), y of shape (n,) with the realised
direction 0, 1 or 2.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain.checks import PROBABILITY_TOLERANCE
from consilium.domain.errors import InvalidValue

LOG_CLIP = 1e-15
"""Probabilities are clipped to this before taking logarithms, so that a certain error stays finite."""


def _checked(p: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    probabilities = np.atleast_2d(np.asarray(p, dtype=np.float64))
    outcomes = np.atleast_1d(np.asarray(y, dtype=np.int64))
    if probabilities.ndim != 2 or probabilities.shape[1] != 3 or len(probabilities) != len(outcomes):
        raise InvalidValue(
            "scores need p of shape (n, 3) and y of shape (n,)",
            f"{probabilities.shape} and {outcomes.shape}",
            "give one row (down, flat, up) for each outcome",
        )
    if not np.all(probabilities >= 0.0):
        raise InvalidValue("probabilities must be >= 0", float(np.min(probabilities)), "clip or renormalise")
    sums = probabilities.sum(axis=1)
    if len(sums) and not np.all(np.abs(sums - 1.0) <= PROBABILITY_TOLERANCE):
        worst = int(np.argmax(np.abs(sums - 1.0)))
        raise InvalidValue("probabilities must sum to 1", f"{sums[worst]:.6g} in row {worst}", "renormalise")
    if len(outcomes) and not (outcomes.min() >= 0 and outcomes.max() <= 2):
        raise InvalidValue("outcomes must be 0, 1 or 2", sorted(set(outcomes.tolist())), "use Direction")
    return probabilities, outcomes


def half_brier(p: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Half the Brier score of each forecast: ``1/2 sum_k (p_k - y_k)^2``, in [0, 1]; lower is better.

    Parameters
    ----------
    p
        Shape (n, 3) or (3,), rows sum to 1.
    y
        Shape (n,) or a scalar, values 0, 1, 2.

    Returns
    -------
    Shape (n,).

    Raises
    ------
    InvalidValue
        Wrong shapes, negative probabilities, rows that do not sum to 1, outcomes other than 0, 1, 2.

    Examples
    --------
    >>> half_brier([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], [2, 0]).tolist()
    [0.0, 1.0]

    References
    ----------
    Brier (1950), eq. 2, halved.
    """
    probabilities, outcomes = _checked(p, y)
    hit = probabilities[np.arange(len(outcomes)), outcomes]
    squares: NDArray[np.float64] = (probabilities**2).sum(axis=1)
    return np.maximum(0.5 * (squares - 2.0 * hit + 1.0), 0.0)


def brier(p: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Brier score of each forecast: ``sum_k (p_k - y_k)^2``, in [0, 2]; lower is better.

    See `half_brier` for parameters and errors.

    Examples
    --------
    >>> brier([1/3, 1/3, 1/3], 2).round(4).tolist()
    [0.6667]

    References
    ----------
    Brier (1950), eq. 2.
    """
    return 2.0 * half_brier(p, y)


def log_loss(p: ArrayLike, y: ArrayLike, clip: float = LOG_CLIP) -> NDArray[np.float64]:
    """Logarithmic score of each forecast: ``-ln p_y``, in nats; lower is better.

    Parameters
    ----------
    clip
        Lower bound of a probability, in (0, 1/3).

    Examples
    --------
    >>> log_loss([0.2, 0.3, 0.5], 2).round(4).tolist()
    [0.6931]

    References
    ----------
    Good (1952).
    """
    probabilities, outcomes = _checked(p, y)
    hit = probabilities[np.arange(len(outcomes)), outcomes]
    result: NDArray[np.float64] = -np.log(np.maximum(hit, clip))
    return result


def stated_directions(p: ArrayLike) -> NDArray[np.int64]:
    """Most probable direction of each forecast; any tie for the first place is FLAT.

    Parameters
    ----------
    p
        Shape (n, 3).

    Returns
    -------
    Shape (n,), values 0, 1, 2: `direction_of` for whole arrays.

    Examples
    --------
    >>> stated_directions([[0.2, 0.3, 0.5], [0.4, 0.2, 0.4]]).tolist()
    [2, 1]
    """
    probabilities = np.atleast_2d(np.asarray(p, dtype=np.float64))
    first = probabilities.argmax(axis=1)
    tied = (probabilities == probabilities.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return np.where(tied, 1, first).astype(np.int64)


def expected_calibration_error(p: ArrayLike, y: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error of the stated direction, with bins of equal mass, in [0, 1].

    ``ECE = sum_b n_b / n |accuracy_b - confidence_b|``, where the confidence is the largest probability.

    Parameters
    ----------
    bins
        Number of bins, >= 1; at most one bin for each forecast is used.

    Raises
    ------
    InvalidValue
        No forecasts, or ``bins`` < 1.

    Examples
    --------
    >>> expected_calibration_error([[0.0, 0.0, 1.0]] * 4, [2, 2, 2, 0], bins=1)
    0.25

    References
    ----------
    Naeini, Cooper, Hauskrecht (2015), eq. 2; equal-mass bins as in Nixon et al. (2019).
    """
    probabilities, outcomes = _checked(p, y)
    if bins < 1:
        raise InvalidValue("bins must be >= 1", bins, "use 15")
    if len(outcomes) == 0:
        raise InvalidValue(
            "the calibration error needs at least 1 forecast", 0, "give forecasts with outcomes"
        )
    confidence = probabilities.max(axis=1)
    right = (stated_directions(probabilities) == outcomes).astype(np.float64)
    # Forecasts of equal confidence share their mean, or the order of the rows would decide their bins.
    _, group, size = np.unique(confidence, return_inverse=True, return_counts=True)
    right = (np.bincount(group, weights=right) / size)[group]
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    gaps = [abs(float(right[part].mean()) - float(confidence[part].mean())) * len(part) for part in parts]
    return sum(gaps) / len(order)
