"""Ridge regression on class indicators, with the penalty and the probabilities from rows it has not seen.

Letters: n rows, D features, K classes, w weights; Z the rows, centred and scaled; Y the indicators.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from consilium.models.layers.linear import linear_scores

Rows = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

PENALTIES = tuple(10.0 ** (e / 2.0) for e in range(-4, 15))
"""Candidates from 0.01 to 10^7: the upper end leaves nothing but the prior."""

MAX_SHARPNESS = 100.0
_SHIFT_PENALTY = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class RidgeClassifier:
    """Fitted: ``p_k = softmax_k(a_k (Z W + c)_k + b_k)``, columns in the order of y.

    Parameters
    ----------
    coef
        Shape (K, D), for rows as they come (centring and scaling are folded in).
    intercept
        Shape (K,).
    sharpness
        a, shape (K,), each in [0, 100]; one for each class, because FLAT lies between the others and
        its score says less.
    shift
        b, shape (K,), sum 0.
    penalty
        The chosen one.
    """

    coef: Floats
    intercept: Floats
    sharpness: Floats
    shift: Floats
    penalty: float

    def scores(self, X: Rows) -> Floats:
        """Return Z W + c, shape (n, K)."""
        return linear_scores(X, self.coef, self.intercept)

    def distribution(self, X: Rows) -> Floats:
        """Return probabilities, shape (n, K)."""
        result: Floats = softmax(self.sharpness * self.scores(X) + self.shift, axis=1)
        return result


def fit_ridge(
    X: Rows, y: Labels, weights: Floats, validation: tuple[Rows, Labels] | None = None
) -> RidgeClassifier:
    """Fit weights, penalty and probabilities.

    ``W = (Z' diag(w) Z + penalty I)^-1 Z' diag(w) Y``. The penalty with the least squared error, and then
    a and b with the least log-loss, are found on the validation rows, or without them on leave-one-out
    scores, which cost no refit: ``y_i - (y_i - f_i) / (1 - h_ii)``.

    Parameters
    ----------
    X
        Shape (n, D).
    y
        Shape (n,), values 0 .. K - 1, each present, K >= 2.
    weights
        Shape (n,), > 0.
    validation
        Rows and labels of a later slice; labels may lack classes.

    References
    ----------
    Hastie, Tibshirani, Friedman (2009), eq. 3.44 and 7.64; Rifkin, Lippert (2007) for leave-one-out.
    """
    target = np.eye(int(y.max()) + 1)[y]
    mass = weights / weights.sum()
    mean, centre = mass @ X, mass @ target
    scale = np.sqrt(mass @ (X - mean) ** 2)
    scale = np.where(scale > 1e-12, scale, 1.0)
    root = np.sqrt(weights)[:, None]
    table = root * ((X - mean) / scale)
    left, singular, right = _thin_svd(table)
    projected = left.T @ (root * (target - centre))
    if validation is None:
        held_out = _leave_one_out(left, singular, projected, target, centre, weights)
        truth, held_weights = target, weights
    else:
        rotated = ((validation[0] - mean) / scale) @ right.T
        held_out = [
            rotated @ ((singular / (singular**2 + p))[:, None] * projected) + centre for p in PENALTIES
        ]
        truth = np.eye(target.shape[1])[validation[1]]
        held_weights = np.ones(len(truth))
    errors = [float(held_weights @ ((f - truth) ** 2).sum(axis=1)) for f in held_out]
    best = int(np.argmin(errors))
    sharpness, shift = _fit_probabilities(held_out[best], truth, held_weights, np.log(centre))
    coef = right.T @ ((singular / (singular**2 + PENALTIES[best]))[:, None] * projected) / scale[:, None]
    return RidgeClassifier(
        coef=coef.T,
        intercept=centre - mean @ coef,
        sharpness=sharpness,
        shift=shift,
        penalty=PENALTIES[best],
    )


def _thin_svd(table: Floats) -> tuple[Floats, Floats, Floats]:
    """Return U, s, V' with ``table = U s V'`` from the smaller of the two Gram matrices."""
    tall = table.shape[0] >= table.shape[1]
    values, vectors = np.linalg.eigh(table.T @ table if tall else table @ table.T)
    kept = values > values[-1] * 1e-10
    singular = np.sqrt(values[kept])
    vectors = vectors[:, kept]
    if tall:
        return (table @ vectors) / singular, singular, vectors.T
    return vectors, singular, (vectors.T @ table) / singular[:, None]


def _leave_one_out(
    left: Floats, singular: Floats, projected: Floats, target: Floats, centre: Floats, weights: Floats
) -> list[Floats]:
    """Return the scores of each row by the fit without it, for each penalty."""
    root = np.sqrt(weights)[:, None]
    squares = left**2
    result = []
    for penalty in PENALTIES:
        shrink = singular**2 / (singular**2 + penalty)
        fitted = left @ (shrink[:, None] * projected) / root + centre
        leverage = (squares @ shrink + weights / weights.sum())[:, None]
        residual = (target - fitted) / np.maximum(1.0 - leverage, 1e-6)
        result.append(target - residual)
    return result


def _fit_probabilities(
    scores: Floats, truth: Floats, weights: Floats, log_prior: Floats
) -> tuple[Floats, Floats]:
    """Return a and b of ``softmax(a f + b)`` by least log-loss; b is held near the log-prior."""
    width = len(log_prior)
    mass = weights / weights.sum()
    centred_prior = log_prior - log_prior.mean()
    # Around their mean, scores leave b to be the log-odds of the average row.
    middle = mass @ scores

    def loss(theta: Floats) -> tuple[float, Floats]:
        sharpness, shift = theta[:width], theta[width:]
        logits = sharpness * (scores - middle) + shift
        logs = log_softmax(logits, axis=1)
        gap = mass[:, None] * (np.exp(logs) - truth)
        away = shift - centred_prior
        value = -float(mass @ (logs * truth).sum(axis=1)) + _SHIFT_PENALTY * float(away @ away)
        slope = np.concatenate(
            [(gap * (scores - middle)).sum(axis=0), gap.sum(axis=0) + 2 * _SHIFT_PENALTY * away]
        )
        return value, slope

    bounds = [(0.0, MAX_SHARPNESS)] * width + [(None, None)] * width
    start = np.concatenate([np.ones(width), centred_prior])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    shift = found[width:] - found[:width] * middle
    return found[:width], shift - shift.mean()
