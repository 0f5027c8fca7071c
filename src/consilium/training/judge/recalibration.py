"""Is a confidence of 60 % right six times in ten? Slope and intercept of the stated confidence.

Letters: N rows, c the stated confidence, y 1 where the stated direction was right, L the log-odds.
"""

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
from consilium.training.judge.figures import Figure

FloatArray = NDArray[np.float64]
_CLIP = 1e-6
_STEPS = 50
_STEEPEST = 50.0


def recalibration(
    confidence: ArrayLike,
    right: ArrayLike,
    ts_event: ArrayLike,
    *,
    horizon_bars: int,
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Figure]:
    """Slope and intercept of Cox: ``L(P(right)) = intercept + slope L(c)`` by maximum likelihood.

    Calibrated: slope 1, intercept 0. A slope below 1 says that confidence is exaggerated, 0 that it carries
    no information; an intercept below 0 (at slope 1) that it is too high throughout.

    Intervals are those of the stationary bootstrap over whole timestamps, with one Newton step for each draw.

    Parameters
    ----------
    confidence
        Shape (N,), in [0, 1].
    right
        Shape (N,), whether the stated direction was realised.
    ts_event
        Shape (N,), UTC nanoseconds.
    horizon_bars
        h, >= 1.
    seed, draws
        Of the bootstrap.

    Returns
    -------
    Figures ``slope`` and ``intercept``; None with a reason where the confidence is constant, where everything
    or nothing was right, or where confidence separates right from wrong without exception.

    Raises
    ------
    InvalidValue
        Shapes that do not fit, a confidence outside [0, 1], a horizon below 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stated = rng.uniform(0.35, 0.95, size=4_000)
    >>> right = rng.uniform(size=4_000) < stated
    >>> found = recalibration(stated, right, np.arange(4_000), horizon_bars=1, seed=0)
    >>> found["slope"].low < 1.0 < found["slope"].high
    True

    References
    ----------
    Cox (1958), sec. 3; Van Calster et al. (2019) for the reading.
    """
    c, y, ts = _checked(confidence, right, ts_event)
    if horizon_bars < 1:
        raise InvalidValue("horizon_bars must be >= 1", horizon_bars, "give the label's horizon in bars")
    reason = _undefined(c, y)
    odds = np.log(np.clip(c, _CLIP, 1.0 - _CLIP) / (1.0 - np.clip(c, _CLIP, 1.0 - _CLIP)))
    design = np.column_stack([np.ones(len(c)), odds])
    fitted = None if reason else _fit(design, y)
    if fitted is None:
        reason = reason or "confidence separates right from wrong"
        nothing = Figure(value=None, low=None, high=None, n=len(c), reason=reason)
        return {"slope": nothing, "intercept": nothing}
    mean = 1.0 / (1.0 + np.exp(-design @ fitted))
    _, row_ts = np.unique(ts, return_inverse=True)
    weight = mean * (1.0 - mean)
    terms = [(y - mean), (y - mean) * odds, weight, weight * odds, weight * odds**2]
    sums: FloatArray = np.column_stack([np.bincount(row_ts, weights=term) for term in terms])
    ends: list[tuple[float | None, float | None]] = [(None, None), (None, None)]
    if len(sums) / horizon_bars < FEWEST_INDEPENDENT:
        reason = TOO_FEW
    else:
        block = mean_block(sums[:, :2], horizon_bars)
        moved = fitted + _newton(resampled_sums(sums, block, draws=draws, seed=seed))
        ends = [interval(moved[:, k]) or (None, None) for k in range(2)]
    return {
        name: Figure(value=float(fitted[k]), low=ends[k][0], high=ends[k][1], n=len(c), reason=reason)
        for name, k in (("slope", 1), ("intercept", 0))
    }


def _undefined(c: FloatArray, y: FloatArray) -> str | None:
    if len(c) == 0:
        return "no outcomes"
    if np.ptp(c) <= 1e-12:
        return "constant confidence"
    if np.ptp(y) == 0.0:
        return "always right" if y[0] else "never right"
    return None


def _fit(design: FloatArray, y: FloatArray) -> FloatArray | None:
    """Newton's method from the calibrated point; None where the likelihood has no maximum."""
    beta = np.array([0.0, 1.0])
    value = _likelihood(design, y, beta)
    for _ in range(_STEPS):
        mean = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -500.0, 500.0)))
        curvature = design.T @ (design * (mean * (1.0 - mean))[:, None])
        if not np.linalg.cond(curvature) < 1e12:
            return None
        step = np.linalg.solve(curvature, design.T @ (y - mean))
        # Halving keeps the likelihood from falling where the first guess is far off.
        while (after := _likelihood(design, y, beta + step)) < value - 1e-9 and np.abs(step).max() > 1e-12:
            step = step / 2.0
        beta, value = beta + step, after
        if np.abs(beta).max() > _STEEPEST:
            return None
        if np.abs(step).max() < 1e-10:
            break
    return beta


def _likelihood(design: FloatArray, y: FloatArray, beta: FloatArray) -> float:
    odds = design @ beta
    return float((y * odds - np.logaddexp(0.0, odds)).sum())


def _newton(sums: FloatArray) -> FloatArray:
    """Solve the 2 x 2 systems of all draws: the step from the fit to that of the draw, shape (draws, 2)."""
    score, score_odds, a, b, c = sums.T
    determinant = a * c - b * b
    determinant = np.where(np.abs(determinant) > 1e-12, determinant, np.nan)
    return (
        np.column_stack([(c * score - b * score_odds), (a * score_odds - b * score)]) / determinant[:, None]
    )


def _checked(
    confidence: ArrayLike, right: ArrayLike, ts_event: ArrayLike
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    c, y = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool).astype(np.float64)
    ts = np.asarray(ts_event, dtype=np.int64)
    if not (c.ndim == 1 and c.shape == y.shape == ts.shape):
        raise InvalidValue(
            "confidence, right and ts_event must have one shape (N,)",
            f"{c.shape}, {y.shape} and {ts.shape}",
            "give one value for each row",
        )
    if not np.all((c >= 0.0) & (c <= 1.0)):
        raise InvalidValue("confidence must lie in [0, 1]", "a value outside", "give a fraction")
    return c, y, ts
