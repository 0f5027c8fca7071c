"""From rows of many symbols to one number for each timestamp, which is the unit of evidence."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue

FloatArray = NDArray[np.float64]
NOTHING = 1e-12
"""Losses that differ by less are equal: pooling equal forecasts changes the last bits."""


def mean_by_timestamp(values: ArrayLike, ts_event: ArrayLike) -> tuple[NDArray[np.int64], FloatArray]:
    """Mean over the symbols of each timestamp: ``d_t = mean_s d_(s,t)``.

    Parameters
    ----------
    values
        Shape (N,) or (N, k), finite.
    ts_event
        Shape (N,), UTC nanoseconds, in any order.

    Returns
    -------
    The distinct timestamps, ascending, shape (T,), and the means, shape (T,) or (T, k).

    Raises
    ------
    InvalidValue
        Shapes that do not fit, or values that are not finite.

    Examples
    --------
    >>> times, means = mean_by_timestamp([1.0, 3.0, 5.0], [7, 7, 2])
    >>> times.tolist(), means.tolist()
    ([2, 7], [5.0, 2.0])
    """
    x, ts = np.asarray(values, dtype=np.float64), np.asarray(ts_event, dtype=np.int64)
    if x.ndim not in (1, 2) or ts.shape != x.shape[:1]:
        raise InvalidValue(
            "values and ts_event must have one number of rows",
            f"{x.shape} and {ts.shape}",
            "give one timestamp for each row",
        )
    if not np.all(np.isfinite(x)):
        raise InvalidValue("values must be finite", "NaN or an infinity", "judge only matured rows")
    times, row_ts, count = np.unique(ts, return_inverse=True, return_counts=True)
    columns = np.atleast_2d(x.T)
    sums = np.array([np.bincount(row_ts, weights=column, minlength=len(times)) for column in columns])
    means = (sums / np.maximum(count, 1)).T.reshape(len(times), *x.shape[1:])
    return times, means
