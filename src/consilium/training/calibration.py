"""Calibration of three-class forecasts on a chronological slice, and the verdict `no_skill`.

Letters: p (n, 3) raw probabilities (down, flat, up); z = ln p; y (n,) outcomes; T temperature; a = 1 / T;
b (3,) bias with sum 0; c the training prior's logarithm less its mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue, log_loss
from consilium.training.splits import MIN_TIMES

CLIP = 1e-6
"""Raw probabilities are clipped to this before the logarithm: a sure model that errs must stay curable."""

RIDGE = 10.0
"""Weight of the prior on the bias, in independent timestamps."""

NOTHING = 1e-5
"""Losses closer than this are equal: two fits of one forecast differ by the optimiser's last digits."""

MAX_SLOPE = 10.0
"""Upper bound of 1 / T: a model is sharpened at most so much."""

# Columns span the biases with sum 0.
BASIS = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]).T / np.sqrt([2.0, 6.0])


def class_prior(y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Climatology: class shares with one pseudo-count each, ``(n_k + 1) / (n + 3)``, so that none is 0.

    Examples
    --------
    >>> class_prior(np.array([0, 2, 2])).round(3).tolist()
    [0.333, 0.167, 0.5]
    """
    counts = np.bincount(y, minlength=3).astype(np.float64) + 1.0
    prior: NDArray[np.float64] = counts / counts.sum()
    return prior


def timestamp_weights(ts_event: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights that give each timestamp the same mass, whatever its number of symbols; they sum to 1.

    Examples
    --------
    >>> timestamp_weights(np.array([1, 1, 2])).tolist()
    [0.25, 0.25, 0.5]
    """
    times, where, counts = np.unique(ts_event, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1.0 / (counts[where] * len(times))
    return weights


def independent_times(ts_event: NDArray[np.int64], ts_matured: NDArray[np.int64]) -> float:
    """Count the timestamps that do not overlap: their number over the steps that an outcome spans.

    Examples
    --------
    >>> bars = np.arange(12)
    >>> independent_times(bars, bars + 1), independent_times(bars, bars + 4)
    (12.0, 3.0)
    """
    times = np.unique(ts_event)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    span = float(np.median(ts_matured - ts_event)) / step
    return len(times) / max(span, 1.0)


def _logits(p: NDArray[np.float64]) -> NDArray[np.float64]:
    # bare ufuncs: of one row, as a service asks, clip, mean, max and sum take three times as long
    z = np.log(np.minimum(np.maximum(p, CLIP), 1.0))
    centred: NDArray[np.float64] = z - np.add.reduce(z, axis=1, keepdims=True) / z.shape[1]
    return centred


def _softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(z - np.maximum.reduce(z, axis=1, keepdims=True))
    p: NDArray[np.float64] = e / np.add.reduce(e, axis=1, keepdims=True)
    return p


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrator:
    """``p' = softmax(z / T + b)`` with z = ln p.

    Parameters
    ----------
    slope
        1 / T, in [0, 10]; at 0 every forecast becomes softmax(b).
    bias
        b, sum 0.

    Examples
    --------
    >>> same = Calibrator(slope=1.0, bias=(0.0, 0.0, 0.0))
    >>> same.apply(np.array([[0.2, 0.3, 0.5]])).round(6).tolist()
    [[0.2, 0.3, 0.5]]
    """

    slope: float
    bias: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not 0.0 <= self.slope <= MAX_SLOPE:
            raise InvalidValue(f"slope must lie in [0, {MAX_SLOPE:g}]", self.slope, "calibrate again")
        if not all(isfinite(v) for v in self.bias) or abs(sum(self.bias)) > 1e-6:
            raise InvalidValue("bias must be three finite numbers with sum 0", self.bias, "calibrate again")

    @property
    def temperature(self) -> float:
        """T, infinite for slope 0."""
        return 1.0 / self.slope if self.slope > 0 else inf

    def apply(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate raw probabilities, shape (n, 3); rows of the result sum to 1."""
        return _softmax(self.slope * _logits(p) + np.asarray(self.bias))

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"slope": self.slope, "bias": list(self.bias)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what ``state`` wrote."""
        down, flat, up = (float(v) for v in state["bias"])
        return cls(slope=float(state["slope"]), bias=(down, flat, up))


class _Objective:
    """What `fit_calibrator` minimises, over theta: a, and b in a basis of what sums to 0."""

    def __init__(
        self,
        p: NDArray[np.float64],
        y: NDArray[np.int64],
        prior: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
        strength: float,
    ) -> None:
        self._z = _logits(p)
        self._w = np.full(len(p), 1.0 / len(p)) if weights is None else weights
        self._target = np.log(prior) - np.log(prior).mean()
        self._strength = strength
        self._hit = np.zeros_like(self._z)
        self._hit[np.arange(len(y)), y] = 1.0

    def loss(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return value and gradient."""
        z, w, target, strength = self._z, self._w, self._target, self._strength
        a, b = theta[0], BASIS @ theta[1:]
        logits = a * z + b
        q = _softmax(logits)
        off = b - (1.0 - a) * target
        top = logits.max(axis=1)
        log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        value = w @ (log_sum - (logits * self._hit).sum(axis=1)) + 0.5 * strength * off @ off
        error = w[:, None] * (q - self._hit)
        slope = (error * z).sum() + strength * (off @ target)
        bias = BASIS.T @ (error.sum(axis=0) + strength * off)
        return float(value), np.concatenate([[slope], bias])


def fit_calibrator(
    p: NDArray[np.float64],
    y: NDArray[np.int64],
    prior: NDArray[np.float64],
    *,
    weights: NDArray[np.float64] | None = None,
    times: float | None = None,
    ridge: float = RIDGE,
) -> Calibrator:
    """Fit temperature and bias by penalised maximum likelihood.

    ``min over a in [0, 10], sum b = 0 of -sum_i w_i ln softmax(a z_i + b)[y_i]
    + ridge / (2 times) |b - (1 - a) c|^2``

    Both terms are convex in (a, b), so the optimum is the only one. The ridge pulls b towards the log-prior
    as far as the temperature takes the forecast's own information away: at a = 0 the target is the prior
    itself (temperature alone would end at 1/3), at a = 1 it is 0, so that a calibrated forecast stays.

    Parameters
    ----------
    p
        Shape (n, 3), raw probabilities, n >= 1.
    y
        Shape (n,), outcomes 0, 1, 2.
    prior
        Shape (3,), class prior of the training part, each > 0.
    weights
        Shape (n,), sum 1; default equal.
    times
        Number of independent observations behind the rows, > 0; default n.
    ridge
        Weight of the prior in observations, >= 0.

    Raises
    ------
    InvalidValue
        No rows, or a prior with a class at 0.

    References
    ----------
    Guo et al. (2017), sec. 4.2, vector scaling with one common slope; ridge as in Kull et al. (2019), ODIR.
    """
    # Only fitting needs an optimiser, and its import takes 50 MB that serving does not have.
    from scipy.optimize import minimize

    if len(p) == 0:
        raise InvalidValue("calibration needs at least 1 forecast", 0, "give a longer calibration slice")
    if not np.all(prior > 0):
        raise InvalidValue("each class of the prior must be > 0", prior.tolist(), "use class_prior")
    objective = _Objective(p, y, prior, weights, ridge / (len(p) if times is None else times))
    found = minimize(
        objective.loss,
        np.array([1.0, 0.0, 0.0]),
        jac=True,
        # L-BFGS-B was measured to stop far from the optimum where the bound is active, and 25 times slower.
        method="SLSQP",
        bounds=[(0.0, MAX_SLOPE), (None, None), (None, None)],
        options={"maxiter": 500, "ftol": 1e-14},
    )
    down, flat, up = (float(v) for v in BASIS @ found.x[1:])
    return Calibrator(slope=min(MAX_SLOPE, max(0.0, float(found.x[0]))), bias=(down, flat, up))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a calibration slice told of a model.

    Parameters
    ----------
    calibrator
        Fitted on the whole slice.
    skilled
        False: the model emits climatology.
    judged_loss, judged_climatology
        Log-loss on the later half: of the model, calibrated on the earlier half, and of the better of two
        climatologies; nats, means of timestamp means.
    """

    calibrator: Calibrator
    skilled: bool
    judged_loss: float
    judged_climatology: float


def _mean_loss(p: NDArray[np.float64], y: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    return float(weights @ log_loss(p, y))


def _halves(
    ts_event: NDArray[np.int64], ts_matured: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cut a slice at the middle of its times; the earlier half knows no outcome of the later one."""
    times = np.unique(ts_event)
    middle = times[len(times) // 2] if len(times) else 0
    early = (ts_event < middle) & (ts_matured < middle)
    late = ts_event >= middle
    n_early, n_late = len(np.unique(ts_event[early])), len(np.unique(ts_event[late]))
    if min(n_early, n_late) < MIN_TIMES:
        raise InvalidValue(
            f"each half of a calibration slice needs >= {MIN_TIMES} times with an outcome",
            f"{n_early} and {n_late}",
            "give a longer history, fewer folds or a larger calibration_fraction",
        )
    return early, late


def calibrate(
    p: NDArray[np.float64],
    y: NDArray[np.int64],
    ts_event: NDArray[np.int64],
    ts_matured: NDArray[np.int64],
    prior: NDArray[np.float64],
    *,
    ridge: float = RIDGE,
) -> Calibration:
    """Judge a model's skill on a calibration slice and calibrate it.

    A calibrator fitted on the earlier half of the times (without rows whose outcome is known only later) is
    scored on the later half. A model whose log-loss there is not below that of the training prior, or not
    below that of the prior moved to the class shares of the earlier half, has `no_skill`. The calibrator that
    is kept is fitted on the whole slice.

    Parameters
    ----------
    p, y
        Raw probabilities (n, 3) and outcomes (n,) of the slice, in the order of time.
    ts_event, ts_matured
        Shape (n,), UTC nanoseconds of forecast and of outcome.
    prior
        Shape (3,), class prior of the training part.
    ridge
        As in `fit_calibrator`.

    Raises
    ------
    InvalidValue
        Fewer than 20 times in a half of the slice.
    """
    early, late = _halves(ts_event, ts_matured)

    def fitted(forecasts: NDArray[np.float64], rows: NDArray[np.bool_]) -> Calibrator:
        weights = timestamp_weights(ts_event[rows])
        times = independent_times(ts_event[rows], ts_matured[rows])
        return fit_calibrator(forecasts[rows], y[rows], prior, weights=weights, times=times, ridge=ridge)

    # Newer class shares alone beat older ones where they drift; that is no skill of a model.
    unskilled = np.broadcast_to(prior, p.shape)
    candidates = (
        fitted(p, early).apply(p[late]),
        unskilled[late],
        fitted(unskilled, early).apply(unskilled[late]),
    )
    late_weights = timestamp_weights(ts_event[late])
    loss, *others = (_mean_loss(forecast, y[late], late_weights) for forecast in candidates)
    climatology = min(others)
    return Calibration(
        calibrator=fitted(p, np.ones(len(y), dtype=np.bool_)),
        skilled=loss < climatology - NOTHING,
        judged_loss=loss,
        judged_climatology=climatology,
    )
