"""The figures of a forecaster, each with its interval.

Letters: N outcomes, T distinct timestamps, h the horizon in bars.
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
from consilium.training.judge.measures import FloatArray, Measure, measures

FIGURES = ("log_loss", "brier", "ece", "mcc", "macro_f1", "ic", "accuracy", "coverage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure with its 95 % interval.

    Parameters
    ----------
    value
        The figure; None where it is undefined.
    low, high
        Ends of the interval; None where no interval can be given.
    n
        Number of outcomes it rests on.
    reason
        Why something is None or fixed; None if all is given.

    Examples
    --------
    >>> Figure(value=None, low=None, high=None, n=20, reason="constant forecast").as_dict()
    {'value': None, 'low': None, 'high': None, 'n': 20, 'reason': 'constant forecast'}
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None = None

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Return plain JSON; the reason only where there is one."""
        plain: dict[str, float | int | str | None] = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
        }
        return plain if self.reason is None else {**plain, "reason": self.reason}


def forecast_figures(
    probabilities: ArrayLike,
    direction: ArrayLike,
    realised_return: ArrayLike,
    ts_event: ArrayLike,
    *,
    spoke: ArrayLike | None = None,
    horizon_bars: int,
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Figure]:
    """Figures of one forecaster on outcomes it did not know, with 95 % intervals.

    ``log_loss`` mean of -ln p_y; ``brier`` mean of sum_k (p_k - y_k)^2 (the full score, in [0, 2]);
    ``ece`` expected calibration error of the stated direction in 15 bins of equal mass; ``mcc`` R_K;
    ``macro_f1`` mean F1 over the classes realised or stated; ``ic`` rank correlation (Pearson's of ranks over
    all rows) of p_up - p_down with the realised return; ``accuracy`` share of rows whose stated direction was
    realised; ``coverage`` share of rows on which the forecaster spoke. All rows count in all figures, silent
    ones too.

    Intervals are percentiles of the stationary bootstrap over whole timestamps; those of ``ece``, which is
    biased upward by noise, are moved back onto the value, so they tell its noise and not its bias.

    Parameters
    ----------
    probabilities
        Shape (N, 3), columns (down, flat, up).
    direction
        Shape (N,), realised direction 0, 1, 2.
    realised_return
        Shape (N,), log return over the horizon, finite.
    ts_event
        Shape (N,), UTC nanoseconds; equal for the symbols of one bar. The order of rows does not matter.
    spoke
        Shape (N,), True where the forecaster had something to say (skilled and not abstaining; for the
        consensus: actionable); None means always.
    horizon_bars
        h in bars, >= 1.
    seed
        Seed of the draws.
    draws
        Number of resamples, >= 1.

    Returns
    -------
    The figures by name, in the order of ``FIGURES``. Below T / h = 100 the intervals are None with the reason
    ``too few independent outcomes``.

    Raises
    ------
    InvalidValue
        Shapes that do not fit, probabilities that are none, returns that are not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, hours = rng.integers(3, size=400), np.arange(400) * 3_600 * 10**9
    >>> figures = forecast_figures(np.full((400, 3), 1 / 3), y, y - 1.0, hours, horizon_bars=2, seed=1)
    >>> round(figures["log_loss"].value, 4), figures["ic"].reason
    (1.0986, 'constant forecast')

    References
    ----------
    Gorodkin (2004), eq. 8 (R_K); Naeini, Cooper, Hauskrecht (2015), eq. 2 (ECE); Politis and Romano (1994).
    """
    p, y, returns, ts, said = _checked(probabilities, direction, realised_return, ts_event, spoke)
    if horizon_bars < 1:
        raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
    if len(y) == 0:
        nothing = Figure(value=None, low=None, high=None, n=0, reason="no outcomes")
        return dict.fromkeys(FIGURES, nothing)
    table = measures(p, y, returns, said)
    _, row_ts = np.unique(ts, return_inverse=True)
    rows = np.bincount(row_ts).astype(np.float64)
    columns = np.column_stack([measure.columns for measure in table.values()])
    sums = np.column_stack([np.bincount(row_ts, weights=column) for column in columns.T])
    drawn = None
    if len(rows) / horizon_bars >= FEWEST_INDEPENDENT:
        block = mean_block(_memory(table, row_ts, rows), horizon_bars)
        drawn = resampled_sums(np.column_stack([sums, rows]), block, draws=draws, seed=seed)
    figures, first = {}, 0
    for name, measure in table.items():
        place = slice(first, first + measure.columns.shape[1])
        resamples = None if drawn is None else measure.value(drawn[:, place], drawn[:, -1])
        total = measure.value(sums[:, place].sum(axis=0, keepdims=True), np.array([float(len(y))]))
        figures[name] = _figure(measure, float(total[0]), resamples, len(y))
        first = place.stop
    return figures


def _figure(measure: Measure, value: float, resamples: FloatArray | None, n: int) -> Figure:
    if measure.undefined is not None:
        return Figure(value=None, low=None, high=None, n=n, reason=measure.undefined)
    if measure.fixed is not None:
        return Figure(value=0.0, low=0.0, high=0.0, n=n, reason=measure.fixed)
    if resamples is None:
        return Figure(value=value, low=None, high=None, n=n, reason=TOO_FEW)
    if measure.recentre:
        resamples = np.maximum(resamples - (resamples.mean() - value), 0.0)
    ends = interval(resamples)
    if ends is None:
        return Figure(value=value, low=None, high=None, n=n, reason="undefined in every resample")
    return Figure(value=value, low=ends[0], high=ends[1], n=n)


def _memory(table: dict[str, Measure], row_ts: NDArray[np.intp], rows: FloatArray) -> FloatArray:
    """Means over symbols of log-loss, Brier, hits and rank products: the longest memory sets the block."""
    terms = [table[name].columns[:, -1] for name in ("log_loss", "brier", "accuracy", "ic")]
    return np.column_stack([np.bincount(row_ts, weights=term) / rows for term in terms])


def _checked(
    probabilities: ArrayLike,
    direction: ArrayLike,
    realised_return: ArrayLike,
    ts_event: ArrayLike,
    spoke: ArrayLike | None,
) -> tuple[FloatArray, NDArray[np.int64], FloatArray, NDArray[np.int64], NDArray[np.bool_]]:
    p = np.asarray(probabilities, dtype=np.float64).reshape(-1, 3)
    y = np.asarray(direction, dtype=np.int64)
    returns = np.asarray(realised_return, dtype=np.float64)
    ts = np.asarray(ts_event, dtype=np.int64)
    said = np.ones(len(p), dtype=bool) if spoke is None else np.asarray(spoke, dtype=bool)
    shapes = [a.shape for a in (y, returns, ts, said)]
    if any(shape != (len(p),) for shape in shapes):
        raise InvalidValue(
            f"direction, realised_return, ts_event and spoke must have shape ({len(p)},)",
            ", ".join(map(str, shapes)),
            "give one value for each row of probabilities",
        )
    if not np.all(np.isfinite(returns)):
        raise InvalidValue("realised_return must be finite", "NaN or an infinity", "judge only matured rows")
    return p, y, returns, ts, said
