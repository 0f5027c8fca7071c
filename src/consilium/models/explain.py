"""Why a forecaster said what it said: contributions of its inputs that add up to the margin.

Letters: m_k the margin (logit) of class k, b_k its base, x the input, x' a baseline, phi_i the contribution
of input i.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Direction, InvalidValue

Floats = NDArray[np.float64]
Gradients = Callable[[Floats], tuple[Floats, Floats]]

LEAST_STEPS, MOST_STEPS = 32, 1024
TOLERANCE = 1e-3
"""Part of the contributions' total size that their sum may miss before steps are doubled."""
START = 1e-6
"""Where the path begins, so that a switch which is off only at the very baseline belongs to the base."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribution:
    """Contributions to one margin: ``m_k = b_k + sum_i phi_i``.

    Parameters
    ----------
    method
        ``tree_shap``, ``linear``, ``integrated_gradients``, or ``constant`` for a model that saw one class.
    direction
        The class k that is explained.
    base
        b_k: the margin of the average row, or at the baseline.
    contributions
        phi, of the shape of one row: (F,) or (window, F).
    margin
        m_k of the row.
    """

    method: str
    direction: Direction
    base: float
    contributions: Floats
    margin: float

    @property
    def gap(self) -> float:
        """What the contributions miss: ``m_k - b_k - sum phi``; 0 but for rounding and integration."""
        return self.margin - self.base - float(self.contributions.sum())

    def by_feature(self) -> Floats:
        """Return the contribution of each feature over the whole window, shape (F,)."""
        return self.contributions if self.contributions.ndim == 1 else self.contributions.sum(axis=0)


def explain_prediction(
    forecaster: Any, row: Floats, *, direction: Direction | None = None, baseline: Floats | None = None
) -> Attribution:
    """Explain the margin of one direction for one row.

    Trees: exact TreeSHAP of their own library. Logistic regression: ``coef (x - mean) / scale``. Networks:
    integrated gradients along the straight path from a baseline, with Gauss-Legendre points that are doubled
    until the contributions add up.

    Parameters
    ----------
    forecaster
        Fitted, in its native form (a graph has no gradients).
    row
        Shape (F,) or (window, F), scaled as the forecaster reads it, finite.
    direction
        Which margin; the most probable direction if not given.
    baseline
        Of integrated gradients, of the shape of the row; zeros (the average row) if not given.

    Raises
    ------
    InvalidValue
        A row of another shape, or a forecaster that has no margins to explain.

    Examples
    --------
    >>> from consilium.models import make_forecaster
    >>> X = np.linspace(-1.0, 1.0, 300)[:, None] * [1.0, 0.0]
    >>> model = make_forecaster("xgboost", rounds=20).fit(X, np.digitize(X[:, 0], [-0.3, 0.3]))
    >>> found = explain_prediction(model, np.array([0.9, 0.0]))
    >>> found.direction.name, bool(found.contributions[0] > 1.0), float(found.contributions[1])
    ('UP', True, 0.0)
    >>> abs(found.gap) < 1e-5
    True

    References
    ----------
    Lundberg et al. (2020), TreeSHAP; Sundararajan, Taly, Yan (2017), eq. 1.
    """
    x = np.asarray(row, dtype=np.float64)
    shape: tuple[int, ...] = (forecaster.n_features_in_,)
    if forecaster.window > 1:
        shape = (forecaster.window, *shape)
    if x.shape != shape or not np.isfinite(x).all():
        raise InvalidValue(
            f"{forecaster.name} explains a finite row of shape {shape}", x.shape, "give one row, scaled"
        )
    p = forecaster.predict_proba(x[np.newaxis])[0]
    k = Direction(int(np.argmax(p))) if direction is None else Direction(direction)
    if len(getattr(forecaster, "present_", (0, 1))) < 2:
        level = float(np.log(forecaster.prior_[k]))
        return Attribution(
            method="constant", direction=k, base=level, contributions=np.zeros(shape), margin=level
        )
    if hasattr(forecaster, "network_"):
        return _integrated(_network_gradients(forecaster, int(k)), x, k, baseline)
    explained = {"xgboost": _xgboost, "lightgbm": _lightgbm, "logistic": _logistic}.get(forecaster.name)
    if explained is None:
        raise InvalidValue(
            "only trees, logistic regression and networks can be explained", forecaster.name, "choose one"
        )
    method, contributions, base, margin = explained(forecaster, x, int(k))
    return Attribution(method=method, direction=k, base=base, contributions=contributions, margin=margin)


def _xgboost(forecaster: Any, x: Floats, k: int) -> tuple[str, Floats, float, float]:
    import xgboost as xgb

    data = xgb.DMatrix(x[np.newaxis], nthread=1)
    parts = forecaster.booster_.predict(data, pred_contribs=True, strict_shape=True)[0, k]
    margin = forecaster.booster_.predict(data, output_margin=True)[0, k]
    found = np.asarray(parts, dtype=np.float64)
    return "tree_shap", found[:-1], float(found[-1]), float(margin)


def _lightgbm(forecaster: Any, x: Floats, k: int) -> tuple[str, Floats, float, float]:
    parts = forecaster.booster_.predict(x[np.newaxis], pred_contrib=True, num_threads=1)
    found = np.asarray(parts, dtype=np.float64).reshape(-1, len(x) + 1)[k]
    margin = forecaster.booster_.predict(x[np.newaxis], raw_score=True, num_threads=1)[0, k]
    return "tree_shap", found[:-1], float(found[-1]), float(margin)


def _logistic(forecaster: Any, x: Floats, k: int) -> tuple[str, Floats, float, float]:
    place = np.flatnonzero(forecaster.present_ == k)
    if len(place) == 0:
        raise InvalidValue("a direction must have been seen in training", Direction(k).name, "choose another")
    coef, base = forecaster.coef_[place[0]], float(forecaster.intercept_[place[0]])
    found: Floats = coef * (x - forecaster.mean_) / forecaster.scale_
    return "linear", found, base, base + float(found.sum())


def integrate_gradients(
    gradients: Gradients, x: Floats, baseline: Floats | None = None, *, tolerance: float = TOLERANCE
) -> tuple[Floats, float, float]:
    """Return contributions ``(x - x') integral_0^1 dm/dx (x' + a (x - x')) da``, the base and the margin.

    Parameters
    ----------
    gradients
        From points (n, ...) to margins (n,) and their gradients (n, ...).
    x, baseline
        Of one shape; zeros for no baseline.
    tolerance
        Steps are doubled from 32 to at most 1,024 until the sum misses less than this part of the
        contributions' total size.

    Examples
    --------
    >>> def square(points):
    ...     return (points**2).sum(axis=1), 2.0 * points
    >>> found, base, margin = integrate_gradients(square, np.array([1.0, 2.0]))
    >>> found.round(4).tolist(), round(margin, 6)
    ([1.0, 4.0], 5.0)
    """
    start = np.zeros_like(x) if baseline is None else np.asarray(baseline, dtype=np.float64)
    if start.shape != x.shape or not np.isfinite(start).all():
        raise InvalidValue("a baseline must be finite and of the row's shape", start.shape, "leave it out")
    away = x - start
    (base, margin), _ = gradients(np.stack([start + START * away, x]))
    steps = LEAST_STEPS
    while True:
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        slopes = np.zeros_like(x)
        for chunk in range(0, steps, LEAST_STEPS):
            part = slice(chunk, chunk + LEAST_STEPS)
            at = ((nodes[part] + 1.0) / 2.0).reshape(-1, *([1] * x.ndim))
            slopes += np.tensordot(weights[part] / 2.0, gradients(start + at * away)[1], axes=1)
        found: Floats = away * slopes
        missed = abs(float(margin - base) - float(found.sum()))
        if missed <= tolerance * float(np.abs(found).sum()) + 1e-6 or steps >= MOST_STEPS:
            return found, float(base), float(margin)
        steps *= 2


def _integrated(gradients: Gradients, x: Floats, k: Direction, baseline: Floats | None) -> Attribution:
    found, base, margin = integrate_gradients(gradients, x, baseline)
    return Attribution(
        method="integrated_gradients", direction=k, base=base, contributions=found, margin=margin
    )


def _network_gradients(forecaster: Any, k: int) -> Gradients:
    """Return the function of margins and gradients of a network; the only place here that needs torch."""
    import torch

    network: Any = forecaster.network_.eval()

    def gradients(points: Floats) -> tuple[Floats, Floats]:
        given = torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32)).requires_grad_()
        # Recurrent layers keep what their way back needs only while gradients are asked for.
        with torch.enable_grad():
            margins = network(given)[network.primary][:, k]
            (slopes,) = torch.autograd.grad(margins.sum(), given)
        return margins.detach().double().numpy(), slopes.double().numpy()

    return gradients
