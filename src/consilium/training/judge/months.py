"""The loss difference month by month: was it there all the time, or once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from consilium.domain import InvalidValue
from consilium.training.judge.bootstrap import FEWEST_INDEPENDENT, TOO_FEW
from consilium.training.judge.diebold_mariano import mean_test
from consilium.training.judge.timestamps import mean_by_timestamp

ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The mean loss difference of one calendar month (UTC); negative is good for ours.

    Parameters
    ----------
    month
        As ``2025-03``.
    mean_difference
        Mean of d_t.
    low, high
        Ends of its 95 % interval, mean -+ critical value x standard error; None where there is none.
    n_timestamps
        Timestamps of the month.
    reason
        Why there is no interval; None if there is one.
    """

    month: str
    mean_difference: float
    low: float | None
    high: float | None
    n_timestamps: int
    reason: str | None = None


def loss_by_month(
    loss_ours: ArrayLike, loss_other: ArrayLike, ts_event: ArrayLike, horizon_bars: int
) -> tuple[Month, ...]:
    """Mean loss difference of each calendar month, with its fixed-b interval.

    Parameters
    ----------
    loss_ours, loss_other
        Shape (N,), loss of each row, finite.
    ts_event
        Shape (N,), UTC nanoseconds.
    horizon_bars
        h, >= 1; a month with fewer than 100 independent timestamps has no interval.

    Returns
    -------
    The months with rows, in the order of time. The intervals are not corrected for their number: about one
    month in twenty lies off by chance.

    Raises
    ------
    InvalidValue
        Shapes that do not fit, losses that are not finite, a horizon below 1.

    Examples
    --------
    >>> hours = np.arange(1_440) * 3_600 * 10**9
    >>> ours, other = np.random.default_rng(0).uniform(size=(2, 1_440))
    >>> for month in loss_by_month(ours, other, hours, 1):
    ...     print(month.month, month.n_timestamps, month.reason)
    1970-01 744 None
    1970-02 672 None
    1970-03 24 too few independent outcomes

    References
    ----------
    Kiefer and Vogelsang (2005); Giacomini and Rossi (2010) for why one mean over all time may hide it.
    """
    ours, other = np.asarray(loss_ours, dtype=np.float64), np.asarray(loss_other, dtype=np.float64)
    if ours.shape != other.shape or ours.ndim != 1:
        raise InvalidValue(
            "losses must have one shape (N,)", f"{ours.shape} and {other.shape}", "give one for each row"
        )
    if horizon_bars < 1:
        raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
    times, difference = mean_by_timestamp(ours - other, ts_event)
    month_of = times.astype("datetime64[ns]").astype("datetime64[M]")
    months = np.unique(month_of)
    return tuple(_month(str(month), difference[month_of == month], horizon_bars) for month in months)


def _month(name: str, difference: np.ndarray[tuple[int, ...], np.dtype[np.float64]], horizon: int) -> Month:
    count = len(difference)
    # Equal forecasts differ by rounding alone, and a month of these is neither below 0 nor above.
    mean = float(difference.mean()) if np.abs(difference).max() > ROUNDING else 0.0
    if count / horizon < FEWEST_INDEPENDENT:
        return Month(
            month=name, mean_difference=mean, low=None, high=None, n_timestamps=count, reason=TOO_FEW
        )
    test = mean_test(difference, horizon)
    half = test.half_width
    return Month(
        month=name,
        mean_difference=mean,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        n_timestamps=count,
        reason=test.reason,
    )
