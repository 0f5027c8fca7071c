"""Measures of a forecast as functions of sums over timestamps, so that a resample is one matrix product.

Letters: N rows (one outcome each), p of shape (N, 3), y the realised direction, q the stated direction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from consilium.domain import half_brier, log_loss, stated_directions

FloatArray = NDArray[np.float64]
ECE_BINS = 15
_ROUNDING = 12
"""Scores are compared to 12 decimals: what pooling adds in the last bits is no difference of opinion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure: what is summed for each row, and how the sums become the value.

    Parameters
    ----------
    columns
        Shape (N, k), the terms that are summed over rows.
    value
        Takes sums of shape (B, k) and numbers of rows of shape (B,), gives shape (B,); NaN where undefined.
    undefined
        Why the measure has no value on these rows; None if it has.
    fixed
        Why the measure is exactly 0 whatever the rows; None if it is not.
    recentre
        The draws are biased against the value by construction; their interval is moved back onto it.
    """

    columns: FloatArray
    value: Callable[[FloatArray, FloatArray], FloatArray]
    undefined: str | None = None
    fixed: str | None = None
    recentre: bool = False


def measures(
    p: FloatArray, y: NDArray[np.int64], realised_return: FloatArray, spoke: NDArray[np.bool_]
) -> dict[str, Measure]:
    """All measures of one forecaster; parameters as in `forecast_figures`.

    Examples
    --------
    >>> p, y = np.array([[0.2, 0.2, 0.6], [0.6, 0.2, 0.2]]), np.array([2, 2])
    >>> table = measures(p, y, np.array([0.1, 0.2]), np.array([True, True]))
    >>> accuracy = table["accuracy"]
    >>> accuracy.value(accuracy.columns.sum(axis=0, keepdims=True), np.array([2.0])).tolist()
    [0.5]
    """
    stated = stated_directions(p)
    right = (stated == y).astype(np.float64)
    confusion = np.zeros((len(y), 9))
    confusion[np.arange(len(y)), 3 * y + stated] = 1.0
    present = np.union1d(y, stated)
    constant = None
    if len(np.unique(stated)) == 1:
        constant = "constant forecast: one direction is always stated"
    elif len(np.unique(y)) == 1:
        constant = "one direction is always realised"
    return {
        "log_loss": Measure(columns=log_loss(p, y)[:, None], value=_mean),
        "brier": Measure(columns=2.0 * half_brier(p, y)[:, None], value=_mean),
        "ece": Measure(columns=_gaps(p.max(axis=1), right), value=_ece, recentre=True),
        "mcc": Measure(columns=confusion, value=lambda sums, _: _mcc(sums), fixed=constant),
        "macro_f1": Measure(columns=confusion, value=lambda sums, _: _macro_f1(sums, present)),
        "ic": _information(p[:, 2] - p[:, 0], realised_return),
        "accuracy": Measure(columns=right[:, None], value=_mean),
        "coverage": Measure(columns=spoke.astype(np.float64)[:, None], value=_mean),
    }


def _mean(sums: FloatArray, rows: FloatArray) -> FloatArray:
    result: FloatArray = sums[:, 0] / rows
    return result


def _ece(sums: FloatArray, rows: FloatArray) -> FloatArray:
    result: FloatArray = np.abs(sums).sum(axis=1) / rows
    return result


def _gaps(confidence: FloatArray, right: FloatArray) -> FloatArray:
    """Right minus confidence, in the column of its bin; equal confidences share their bins evenly."""
    count = len(confidence)
    _, group, size = np.unique(confidence, return_inverse=True, return_counts=True)
    end = np.cumsum(size)
    begin = end - size
    parts = np.array_split(np.arange(count), min(ECE_BINS, count))
    columns = np.empty((count, len(parts)))
    for b, part in enumerate(parts):
        overlap = np.minimum(end, part[-1] + 1) - np.maximum(begin, part[0])
        share = np.maximum(overlap, 0) / size
        columns[:, b] = (right - confidence) * share[group]
    return columns


def _mcc(sums: FloatArray) -> FloatArray:
    """R_K of Gorodkin (2004), eq. 8: covariance of stated and realised over their spreads; 0 for 0/0."""
    table = sums.reshape(-1, 3, 3)
    rows = table.sum(axis=(1, 2))
    realised, stated = table.sum(axis=2), table.sum(axis=1)
    covariance = np.trace(table, axis1=1, axis2=2) * rows - (realised * stated).sum(axis=1)
    spread = (rows**2 - (realised**2).sum(axis=1)) * (rows**2 - (stated**2).sum(axis=1))
    result: FloatArray = np.zeros_like(covariance)
    np.divide(covariance, np.sqrt(spread), out=result, where=spread > 0.0)
    return result


def _macro_f1(sums: FloatArray, present: NDArray[np.int64]) -> FloatArray:
    """Mean over the classes that were realised or stated; one that a resample lost counts as 0."""
    table = sums.reshape(-1, 3, 3)
    hits = np.diagonal(table, axis1=1, axis2=2)
    both = table.sum(axis=2) + table.sum(axis=1)
    scores = np.divide(2.0 * hits, both, out=np.zeros_like(both), where=both > 0.0)
    result: FloatArray = scores[:, present].mean(axis=1)
    return result


def _information(score: FloatArray, realised_return: FloatArray) -> Measure:
    """Spearman's correlation: Pearson's on ranks over all rows, which the resamples keep."""
    score = np.round(score, _ROUNDING)
    undefined = None
    if np.ptp(score) == 0.0:
        undefined = "constant forecast"
    elif np.ptp(realised_return) == 0.0:
        undefined = "constant returns"
    count = len(score)
    a = (rankdata(score) - (count + 1) / 2) / count
    b = (rankdata(realised_return) - (count + 1) / 2) / count
    return Measure(
        columns=np.column_stack([a, b, a * a, b * b, a * b]), value=_correlation, undefined=undefined
    )


def _correlation(sums: FloatArray, rows: FloatArray) -> FloatArray:
    a, b, aa, bb, ab = (sums / rows[:, None]).T
    spread = (aa - a * a) * (bb - b * b)
    result: FloatArray = np.full_like(spread, np.nan)
    np.divide(ab - a * b, np.sqrt(np.maximum(spread, 0.0)), out=result, where=spread > 1e-18)
    return result
