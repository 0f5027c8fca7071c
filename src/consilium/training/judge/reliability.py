"""Calibration curves: how often events forecast with chance p happen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue

CLASSES = ("down", "flat", "up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Points of one calibration curve.

    Parameters
    ----------
    predicted
        Mean forecast probability of each bin, ascending.
    observed
        Frequency of the event in each bin.
    count
        Number of forecasts in each bin.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    count: tuple[int, ...]

    def as_dict(self) -> dict[str, list[float] | list[int]]:
        """Return plain JSON."""
        return {
            "predicted": list(self.predicted),
            "observed": list(self.observed),
            "count": list(self.count),
        }


def reliability(probabilities: ArrayLike, y: ArrayLike, bins: int = 10) -> dict[str, Reliability]:
    """Calibration curves of each class, and of all classes together, with bins of about equal mass.

    Parameters
    ----------
    probabilities
        Shape (n, 3), columns (down, flat, up).
    y
        Shape (n,), realised direction 0, 1, 2.
    bins
        Largest number of bins, >= 1. Equal forecasts share a bin, so there may be fewer.

    Returns
    -------
    Curves under ``down``, ``flat``, ``up`` and ``all``; empty ones without forecasts.

    Raises
    ------
    InvalidValue
        ``bins`` < 1, or shapes that do not fit.

    Examples
    --------
    >>> curves = reliability([[0.25, 0.25, 0.5]] * 4, [2, 2, 2, 0])
    >>> curves["up"]
    Reliability(predicted=(0.5,), observed=(0.75,), count=(4,))

    References
    ----------
    Murphy and Winkler (1977).
    """
    p = np.asarray(probabilities, dtype=np.float64).reshape(-1, 3)
    realised = np.asarray(y, dtype=np.int64)
    if bins < 1:
        raise InvalidValue("bins must be >= 1", bins, "use 10")
    if realised.shape != (len(p),):
        raise InvalidValue(f"y must have shape ({len(p)},)", realised.shape, "give one outcome for each row")
    happened = realised[:, None] == np.arange(3)
    curves = {name: _curve(p[:, k], happened[:, k], bins) for k, name in enumerate(CLASSES)}
    return {**curves, "all": _curve(p.ravel(), happened.ravel(), bins)}


def _curve(p: NDArray[np.float64], happened: NDArray[np.bool_], bins: int) -> Reliability:
    if len(p) == 0:
        return Reliability(predicted=(), observed=(), count=())
    edges = np.quantile(p, np.arange(1, bins) / bins)
    bin_of = np.searchsorted(edges, p, side="right")
    count = np.bincount(bin_of, minlength=bins)
    filled = count > 0
    size = count[filled]
    predicted = np.bincount(bin_of, weights=p, minlength=bins)[filled] / size
    observed = np.bincount(bin_of, weights=happened, minlength=bins)[filled] / size
    return Reliability(
        predicted=tuple(predicted.tolist()), observed=tuple(observed.tolist()), count=tuple(size.tolist())
    )
