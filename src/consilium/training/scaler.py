"""Standardisation learned inside the fit part of a fold and applied unchanged to everything after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

WINSOR = 8.0
"""Standard deviations beyond which a scaled value is cut."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaler:
    """Column-wise ``clip((x - mean) / scale, -winsor, winsor)``.

    Parameters
    ----------
    mean, scale
        Shape (F,); scale > 0, it is 1 for a constant column.
    winsor
        Bound of the scaled values, > 0, or None for none.

    Examples
    --------
    >>> scaler = Scaler.fit(np.array([[0.0, 5.0], [2.0, 5.0]]))
    >>> scaler.transform(np.array([[4.0, 5.0], [1e9, 6.0]])).tolist()
    [[3.0, 0.0], [8.0, 1.0]]
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    winsor: float | None = WINSOR

    @classmethod
    def fit(cls, X: NDArray[np.float64], *, winsor: float | None = WINSOR) -> Self:
        """Learn mean and standard deviation (divisor n) of each column.

        Parameters
        ----------
        X
            Shape (n, F), finite, n >= 1.
        winsor
            Bound of the scaled values, > 0, or None.

        Raises
        ------
        InvalidValue
            No rows, values that are not finite, a bound that is not > 0.
        """
        if X.ndim != 2 or len(X) == 0:
            raise InvalidValue("a scaler needs X of shape (n, F) with n >= 1", X.shape, "give training rows")
        if winsor is not None and not winsor > 0:
            raise InvalidValue("winsor must be > 0 or None", winsor, "use 8")
        mean = X.mean(axis=0)
        if not np.all(np.isfinite(mean)):
            column = int(np.flatnonzero(~np.isfinite(mean))[0])
            raise InvalidValue(
                "features must be finite", f"{mean[column]} in column {column}", "drop such rows"
            )
        deviation = X.std(axis=0)
        # Rounding leaves a constant column a deviation near its last digit; dividing by it blows up noise.
        constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean))
        return cls(mean=mean, scale=np.where(constant, 1.0, deviation), winsor=winsor)

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale rows (n, F) or windows (n, window, F); the input stays as it is.

        Raises
        ------
        InvalidValue
            Another number of features.
        """
        if X.shape[-1] != len(self.mean):
            raise InvalidValue(
                f"X must have {len(self.mean)} features",
                X.shape[-1],
                "compute the features the scaler was fitted on",
            )
        scaled = X - self.mean
        scaled /= self.scale
        if self.winsor is not None:
            np.clip(scaled, -self.winsor, self.winsor, out=scaled)
        return scaled

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist(), "winsor": self.winsor}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what ``state`` wrote."""
        mean, scale = (np.asarray(state[name], dtype=np.float64) for name in ("mean", "scale"))
        if mean.ndim != 1 or mean.shape != scale.shape or not np.all(scale > 0):
            raise InvalidValue("a scaler needs as many scales > 0 as means", f"{mean.shape}", "train again")
        return cls(mean=mean, scale=scale, winsor=state["winsor"])
