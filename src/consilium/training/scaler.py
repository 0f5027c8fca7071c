"""Standardisation learned inside the fit part of a fold and applied unchanged to everything after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

WINSOR = 8.0
"""Standard deviations beyond which a scaled value is cut."""

NEVER_SEEN = 1e300
"""Scale of a column of which the fit part held no value: whatever comes later is 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaler:
    """Column-wise ``clip((x - mean) / scale, -winsor, winsor)``.

    Columns that may be masked (those of books) are learned from the values that are there; a masked value
    becomes 0. One more column then says of each row whether they were all there: 1, or 0 where masked.

    Parameters
    ----------
    mean, scale
        Shape (F,); scale > 0, it is 1 for a constant column.
    winsor
        Bound of the scaled values, > 0, or None for none.
    maskable
        Shape (F,), columns that may be masked, which is NaN; None for none.

    Examples
    --------
    >>> scaler = Scaler.fit(np.array([[0.0, 5.0], [2.0, 5.0]]))
    >>> scaler.transform(np.array([[4.0, 5.0], [1e9, 6.0]])).tolist()
    [[3.0, 0.0], [8.0, 1.0]]
    >>> book = Scaler.fit(np.array([[0.0, 5.0], [2.0, np.nan], [4.0, 7.0]]), maskable=np.array([False, True]))
    >>> book.transform(np.array([[2.0, 7.0], [2.0, np.nan]])).tolist()
    [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    winsor: float | None = WINSOR
    maskable: NDArray[np.bool_] | None = None

    @classmethod
    def fit(
        cls,
        X: NDArray[np.float64],
        *,
        winsor: float | None = WINSOR,
        maskable: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Learn mean and standard deviation (divisor n) of each column.

        Parameters
        ----------
        X
            Shape (n, F), finite but for masked values, n >= 1.
        winsor
            Bound of the scaled values, > 0, or None.
        maskable
            Shape (F,), columns in which NaN masks a value; None for none.

        Raises
        ------
        InvalidValue
            No rows, values that are not finite, a bound that is not > 0.
        """
        if X.ndim != 2 or len(X) == 0:
            raise InvalidValue("a scaler needs X of shape (n, F) with n >= 1", X.shape, "give training rows")
        if winsor is not None and not winsor > 0:
            raise InvalidValue("winsor must be > 0 or None", winsor, "use 8")
        if maskable is not None and not maskable.any():
            maskable = None
        mean, deviation = X.mean(axis=0), X.std(axis=0)
        masked = [] if maskable is None else np.flatnonzero(maskable & np.isnan(mean)).tolist()
        for column in masked:
            there = X[~np.isnan(X[:, column]), column]
            mean[column] = there.mean() if len(there) else 0.0
            deviation[column] = there.std() if len(there) else NEVER_SEEN
        if not np.all(np.isfinite(mean)):
            column = int(np.flatnonzero(~np.isfinite(mean))[0])
            raise InvalidValue(
                "features must be finite", f"{mean[column]} in column {column}", "drop such rows"
            )
        # Rounding leaves a constant column a deviation near its last digit; dividing by it blows up noise.
        constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean))
        scale = np.where(constant, 1.0, deviation)
        return cls(mean=mean, scale=scale, winsor=winsor, maskable=maskable)

    def has_seen(self) -> bool:
        """Tell whether the fit part held a value of every column."""
        return bool(np.all(self.scale < NEVER_SEEN))

    def transform(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale rows (n, F) or windows (n, window, F); the input stays as it is.

        Returns
        -------
        The same shape; with maskable columns F + 1 columns, the last of which is the mask.

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
        if self.maskable is None:
            return scaled
        there = ~np.isnan(X[..., self.maskable])
        scaled[..., self.maskable] = np.where(there, scaled[..., self.maskable], 0.0)
        return np.concatenate((scaled, there.all(axis=-1, keepdims=True)), axis=-1)

    def parts(self, columns: int) -> tuple["Scaler", "Scaler"]:
        """Return the scalers of the first so many columns and of the others; not where columns are masked.

        Raises
        ------
        InvalidValue
            Columns may be masked: their flag belongs to all of them.
        """
        if self.maskable is not None:
            raise InvalidValue("a scaler is split where no column is masked", "a mask", "scale all columns")
        first, rest = (
            Scaler(mean=self.mean[part], scale=self.scale[part], winsor=self.winsor)
            for part in (slice(None, columns), slice(columns, None))
        )
        return first, rest

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        columns = [] if self.maskable is None else np.flatnonzero(self.maskable).tolist()
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "winsor": self.winsor,
            "maskable": columns,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what ``state`` wrote."""
        mean, scale = (np.asarray(state[name], dtype=np.float64) for name in ("mean", "scale"))
        if mean.ndim != 1 or mean.shape != scale.shape or not np.all(scale > 0):
            raise InvalidValue("a scaler needs as many scales > 0 as means", f"{mean.shape}", "train again")
        columns = np.asarray(state.get("maskable", ()), dtype=np.int64)
        maskable = np.isin(np.arange(len(mean)), columns) if len(columns) else None
        return cls(mean=mean, scale=scale, winsor=state["winsor"], maskable=maskable)
