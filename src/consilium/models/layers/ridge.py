"""Ridge regression on class indicators, with the penalty and the probabilities from rows it has not seen.

Letters: n rows, D features, K classes, w weights; Z the rows, centred and scaled; Y the indicators.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

Rows = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

PENALTIES = tuple(10.0 ** (e / 2.0) for e in range(-4, 15))
"""Candidates from 0.01 to 10^7: the upper end leaves nothing but the prior."""

MAX_SHARPNESS = 100.0
_SHIFT_PENALTY = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class RidgeClassifier:
    """Fitted: ``p = softmax(a (Z W + c) + b)``, columns in the order of the classes in the training rows.

    Parameters
    ----------
    coef
        Shape (D, K), for rows as they come (centring and scaling are folded in).
    intercept
        Shape (K,).
    sharpness
        a in [0, 100].
    shift
        b, shape (K,), sum 0.
    penalty
        The chosen one.
    """

    coef: Floats
    intercept: Floats
    sharpness: float
    shift: Floats
    penalty: float

    def scores(self, X: Rows) -> Floats:
        """Return Z W + c, shape (n, K)."""
        # einsum adds in the same order for one row and for many; a matrix product does not.
        result: Floats = np.einsum("nd,dk->nk", X, self.coef, dtype=np.float64) + self.intercept
        return result

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
        coef=coef,
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
) -> tuple[float, Floats]:
    """Return a and b of ``softmax(a f + b)`` by least log-loss; b is held near the log-prior."""
    mass = weights / weights.sum()
    centred_prior = log_prior - log_prior.mean()

    def loss(theta: Floats) -> tuple[float, Floats]:
        shift = theta[1:]
        logits = theta[0] * scores + shift
        logs = log_softmax(logits, axis=1)
        gap = mass[:, None] * (np.exp(logs) - truth)
        away = shift - centred_prior
        value = -float(mass @ (logs * truth).sum(axis=1)) + _SHIFT_PENALTY * float(away @ away)
        slope = np.concatenate([[float((gap * scores).sum())], gap.sum(axis=0) + 2 * _SHIFT_PENALTY * away])
        return value, slope

    bounds = [(0.0, MAX_SHARPNESS)] + [(None, None)] * len(log_prior)
    start = np.concatenate([[1.0], centred_prior])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:] - found[1:].mean()
