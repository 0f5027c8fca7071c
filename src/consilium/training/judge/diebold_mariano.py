"""Is the mean difference of two losses 0? The Diebold-Mariano test with fixed-b critical values.

Letters: T timestamps, d_t the mean loss difference over the symbols of t, h the horizon in bars, M the
bandwidth, b = M / T.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue
from consilium.training.judge.bootstrap import TOO_FEW
from consilium.training.judge.fixed_b import fixed_b_critical, fixed_b_p_value
from consilium.training.judge.timestamps import NOTHING, mean_by_timestamp

IDENTICAL = "identical forecasts"


@dataclass(frozen=True, slots=True, kw_only=True)
class DieboldMariano:
    """The test of one mean loss difference; negative is good for ours.

    The decision is by the published critical value. `p_value` is computed from the distribution itself; at
    the critical value it is .0475 to .05, so a p-value just below .05 may go with "not rejected".

    Parameters
    ----------
    mean
        Mean of d_t; None without outcomes.
    standard_error
        Square root of the Bartlett long-run variance over T; None where there is no statistic.
    statistic
        mean / standard_error; None where there is none.
    bandwidth
        M in timestamps.
    timestamps
        T.
    reason
        Why there is no statistic; None if there is one.
    """

    mean: float | None
    standard_error: float | None
    statistic: float | None
    bandwidth: int
    timestamps: int
    reason: str | None = None

    @property
    def b(self) -> float:
        """Bandwidth over T."""
        return self.bandwidth / self.timestamps

    @property
    def critical(self) -> float | None:
        """What the statistic must exceed, on two sides at 5 %."""
        return None if self.statistic is None else fixed_b_critical(self.b)

    @property
    def p_value(self) -> float | None:
        """Two-sided p-value."""
        if self.statistic is None:
            return None
        return fixed_b_p_value(self.statistic, self.b, self.timestamps)

    @property
    def p_better(self) -> float | None:
        """One-sided p-value against "ours is not better"."""
        if self.statistic is None or self.p_value is None:
            return None
        return self.p_value / 2.0 if self.statistic < 0.0 else 1.0 - self.p_value / 2.0

    @property
    def rejects(self) -> bool:
        """Whether the two differ, two-sided at 5 %."""
        return self.statistic is not None and abs(self.statistic) > fixed_b_critical(self.b)

    @property
    def rejects_one_sided(self) -> bool:
        """Whether ours is better, one-sided at 5 %."""
        if self.statistic is None:
            return False
        return self.statistic < -fixed_b_critical(self.b, two_sided=False)

    @property
    def half_width(self) -> float | None:
        """Critical value times standard error: a smaller mean would not have been told from 0."""
        if self.standard_error is None or self.critical is None:
            return None
        return self.critical * self.standard_error


def diebold_mariano(
    loss_ours: ArrayLike, loss_other: ArrayLike, ts_event: ArrayLike, horizon_bars: int
) -> DieboldMariano:
    """Test whether two forecasters lose the same on average, over timestamps.

    Parameters
    ----------
    loss_ours, loss_other
        Shape (N,), loss of each row, finite.
    ts_event
        Shape (N,), UTC nanoseconds. The order of rows does not matter.
    horizon_bars
        h in bars, >= 1.

    Raises
    ------
    InvalidValue
        Shapes that do not fit, losses that are not finite, a horizon below 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> other, hours = rng.uniform(size=1_000), np.arange(1_000)
    >>> test = diebold_mariano(other + rng.normal(-0.01, 0.1, size=1_000), other, hours, 1)
    >>> round(test.statistic, 2), round(test.critical, 2), round(test.p_value, 4), test.rejects
    (-3.16, 2.09, 0.0038, True)
    >>> diebold_mariano(other, other, hours, 1).reason
    'identical forecasts'

    References
    ----------
    Diebold and Mariano (1995), sec. 1.1; Kiefer and Vogelsang (2005); Lazarus, Lewis, Stock and Watson
    (2018) for the bandwidth 1.3 sqrt(T).
    """
    ours, other = np.asarray(loss_ours, dtype=np.float64), np.asarray(loss_other, dtype=np.float64)
    if ours.shape != other.shape or ours.ndim != 1:
        raise InvalidValue(
            "losses must have one shape (N,)", f"{ours.shape} and {other.shape}", "give one for each row"
        )
    difference = mean_by_timestamp(ours - other, ts_event)[1]
    identical = len(ours) > 0 and float(np.abs(ours - other).max()) <= NOTHING
    return mean_test(np.zeros_like(difference) if identical else difference, horizon_bars)


def mean_test(difference: ArrayLike, horizon_bars: int) -> DieboldMariano:
    """Test whether the mean of a series is 0: the Diebold-Mariano test once rows are timestamps.

    ``t = mean(d) / sqrt(V / T)``, ``V = R(0) + 2 sum_(k<M) (1 - k/M) R(k)``, M the larger of h - 1 and
    1.3 sqrt(T), rounded up.

    Parameters
    ----------
    difference
        Shape (T,), finite, in the order of time.
    horizon_bars
        h in bars, >= 1.

    Examples
    --------
    >>> mean_test(np.tile([-1.0, 1.0], 50), horizon_bars=1).statistic
    0.0
    """
    d = np.asarray(difference, dtype=np.float64)
    if d.ndim != 1 or not np.all(np.isfinite(d)):
        raise InvalidValue("a test needs a finite series of shape (T,)", d.shape, "drop what is not finite")
    if horizon_bars < 1:
        raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
    count = len(d)
    bandwidth = max(horizon_bars - 1, ceil(1.3 * sqrt(count)))
    if count < 2 or bandwidth >= count:
        return _none(float(d.mean()) if count else None, bandwidth, count, TOO_FEW)
    if float(np.abs(d).max()) <= NOTHING:
        return _none(0.0, bandwidth, count, IDENTICAL)
    mean = float(d.mean())
    variance = long_run_variance(d, bandwidth)
    if variance <= NOTHING**2:
        return _none(mean, bandwidth, count, "a constant difference has no error")
    error = sqrt(variance / count)
    return DieboldMariano(
        mean=mean, standard_error=error, statistic=mean / error, bandwidth=bandwidth, timestamps=count
    )


def long_run_variance(series: NDArray[np.float64], bandwidth: int) -> float:
    """Bartlett estimate ``R(0) + 2 sum_(k<M) (1 - k/M) R(k)``, as sums of squared partial sums.

    ``2 / (M T) (sum_t S_t^2 - sum_t S_t S_(t+M))`` with S the partial sums of the centred series: the same
    number in T steps, and never negative.

    Parameters
    ----------
    series
        Shape (T,).
    bandwidth
        M in [1, T].

    Examples
    --------
    >>> long_run_variance(np.array([1.0, -1.0, 1.0, -1.0]), 1)
    1.0

    References
    ----------
    Newey and West (1987); Kiefer and Vogelsang (2005), for the form in partial sums.
    """
    count = len(series)
    # Zeros before the first sum and after the last let every pair M apart be counted, also over the ends.
    sums = np.concatenate([np.zeros(bandwidth), np.cumsum(series - series.mean()), np.zeros(bandwidth)])
    steps = sums[bandwidth:] - sums[:-bandwidth]
    return float(steps @ steps) / (bandwidth * count)


def _none(mean: float | None, bandwidth: int, timestamps: int, reason: str) -> DieboldMariano:
    return DieboldMariano(
        mean=mean,
        standard_error=None,
        statistic=None,
        bandwidth=bandwidth,
        timestamps=timestamps,
        reason=reason,
    )
