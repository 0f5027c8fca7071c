"""The difference of two forecasters' losses: the test that decides, and the interval that is shown.

Letters: N rows, T distinct timestamps, h the horizon in bars, d_t the mean difference over the symbols of t.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import InvalidValue
from consilium.training.judge.bootstrap import (
    DRAWS,
    FEWEST_INDEPENDENT,
    TOO_FEW,
    interval,
    mean_block,
    resampled_sums,
)
from consilium.training.judge.diebold_mariano import IDENTICAL, DieboldMariano, mean_test
from consilium.training.judge.timestamps import NOTHING, mean_by_timestamp

BETTER, SAME, WORSE = "better", "not distinguishable", "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The mean difference of two losses over timestamps; negative is good for ours.

    Parameters
    ----------
    mean_difference
        Mean of d_t; None without outcomes.
    low, high
        Ends of the 95 % interval, for display; None where no interval can be given.
    n_timestamps
        T.
    word
        ``better``, ``not distinguishable`` or ``worse``, by the test.
    reason
        Why there is no test: ``too few independent outcomes`` or ``identical forecasts``; else None.
    test
        The Diebold-Mariano test; None where there is none.
    """

    mean_difference: float | None
    low: float | None
    high: float | None
    n_timestamps: int
    word: str
    reason: str | None = None
    test: DieboldMariano | None = None

    @property
    def smallest_visible(self) -> float | None:
        """Critical value times standard error: a smaller effect could not have been told from 0."""
        return None if self.test is None else self.test.half_width

    @property
    def p_value(self) -> float | None:
        """Two-sided p-value of the test; None where there is none."""
        return None if self.test is None else self.test.p_value


def _checked(
    loss_ours: ArrayLike, loss_other: ArrayLike, ts_event: ArrayLike, horizon_bars: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    ours, other = np.asarray(loss_ours, dtype=np.float64), np.asarray(loss_other, dtype=np.float64)
    ts = np.asarray(ts_event, dtype=np.int64)
    if not (ours.ndim == 1 and ours.shape == other.shape == ts.shape):
        raise InvalidValue(
            "losses and ts_event must have one shape (N,)",
            f"{ours.shape}, {other.shape} and {ts.shape}",
            "give one value for each row",
        )
    if not (np.all(np.isfinite(ours)) and np.all(np.isfinite(other))):
        raise InvalidValue("losses must be finite", "NaN or an infinity", "judge only matured rows")
    if horizon_bars < 1:
        raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
    return ours, other, ts


def compare_half_brier(
    loss_ours: ArrayLike,
    loss_other: ArrayLike,
    ts_event: ArrayLike,
    horizon_bars: int,
    seed: int,
    *,
    draws: int = DRAWS,
) -> Comparison:
    """Compare two forecasters by the mean over timestamps of ``d_t = mean_s (ours - other)``.

    ``better`` if the Diebold-Mariano statistic lies below minus its fixed-b critical value at 5 %, ``worse``
    if above it, else ``not distinguishable``. The 95 % interval is that of the stationary bootstrap; it is
    shown and decides nothing. Swapping the two changes the sign and nothing else.

    Parameters
    ----------
    loss_ours, loss_other
        Shape (N,), half-Brier of each row, finite.
    ts_event
        Shape (N,), UTC nanoseconds. The order of rows does not matter.
    horizon_bars
        h in bars, >= 1.
    seed
        Seed of the draws.
    draws
        Number of resamples, >= 1.

    Raises
    ------
    InvalidValue
        Shapes that do not fit, losses that are not finite, a horizon below 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> other, hours = rng.uniform(size=1_000), np.arange(1_000)
    >>> compare_half_brier(other - 0.01 * rng.uniform(size=1_000), other, hours, 1, seed=1).word
    'better'
    >>> compare_half_brier(other, other, hours, 1, seed=1).reason
    'identical forecasts'

    References
    ----------
    Diebold and Mariano (1995); Kiefer and Vogelsang (2005); Politis and Romano (1994) for the interval.
    """
    ours, other, ts = _checked(loss_ours, loss_other, ts_event, horizon_bars)
    if len(ts) == 0:
        return _without_interval(None, 0, TOO_FEW)
    difference = ours - other
    per_ts = mean_by_timestamp(difference, ts)[1]
    if float(np.abs(difference).max()) <= NOTHING:
        return _without_interval(0.0, len(per_ts), IDENTICAL)
    mean = float(per_ts.mean())
    if len(per_ts) / horizon_bars < FEWEST_INDEPENDENT:
        return _without_interval(mean, len(per_ts), TOO_FEW)
    test = mean_test(per_ts, horizon_bars)
    block = mean_block(per_ts, horizon_bars)
    drawn = resampled_sums(per_ts[:, None], block, draws=draws, seed=seed)[:, 0] / len(per_ts)
    low, high = interval(drawn) or (mean, mean)
    word = SAME if not test.rejects else BETTER if mean < 0.0 else WORSE
    return Comparison(
        mean_difference=mean,
        low=low,
        high=high,
        n_timestamps=len(per_ts),
        word=word,
        reason=test.reason,
        test=None if test.statistic is None else test,
    )


def _without_interval(mean: float | None, timestamps: int, reason: str) -> Comparison:
    return Comparison(
        mean_difference=mean, low=None, high=None, n_timestamps=timestamps, word=SAME, reason=reason
    )
