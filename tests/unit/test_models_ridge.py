"""Ridge: leave-one-out without a refit equals leave-one-out by refit."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from consilium.domain import expected_calibration_error, log_loss
from consilium.models.layers.ridge import PENALTIES, _leave_one_out, _thin_svd, fit_ridge


@pytest.mark.parametrize(("n", "width"), [(30, 4), (12, 40)])
def test_leave_one_out_equals_fitting_without_the_row(n: int, width: int) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, width)), np.arange(n) % 3
    weights = rng.uniform(0.5, 2.0, n)
    target = np.eye(3)[y]
    mass = weights / weights.sum()
    mean, centre = mass @ X, mass @ target
    root = np.sqrt(weights)[:, None]
    left, singular, _ = _thin_svd(root * (X - mean))
    projected = left.T @ (root * (target - centre))
    scores = _leave_one_out(left, singular, projected, target, centre, weights)
    for index in (3, 8, 12):
        penalty = PENALTIES[index]
        for row in (0, 5):
            kept = np.arange(n) != row
            w = weights[kept]
            m, c = w @ X[kept] / w.sum(), w @ target[kept] / w.sum()
            Z = X[kept] - m
            coef = np.linalg.solve(
                Z.T @ (w[:, None] * Z) + penalty * np.eye(width), Z.T @ (w[:, None] * (target[kept] - c))
            )
            np.testing.assert_allclose(scores[index][row], (X[row] - m) @ coef + c, atol=1e-8)


def test_scores_are_the_ridge_of_the_chosen_penalty() -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 6)) * [1, 10, 0.1, 1, 1, 1] + 3.0
    y = np.digitize(X[:, 0] + rng.standard_normal(200), [2.0, 4.0])
    model = fit_ridge(X, y, np.ones(200))
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    target = np.eye(3)[y]
    coef = np.linalg.solve(Z.T @ Z + model.penalty * np.eye(6), Z.T @ (target - target.mean(axis=0)))
    np.testing.assert_allclose(model.scores(X), Z @ coef + target.mean(axis=0), atol=1e-9)
    assert model.shift.sum() == pytest.approx(0.0, abs=1e-12)


def test_where_one_class_is_rare_the_shift_stays_near_the_prior() -> None:
    rng = np.random.default_rng(5)
    y = np.array([1] * 57 + [0] * 2 + [2])
    p = fit_ridge(rng.standard_normal((60, 3)), y, np.ones(60)).distribution(rng.standard_normal((500, 3)))
    np.testing.assert_allclose(p.mean(axis=0), np.bincount(y) / 60, atol=0.002)


def test_probabilities_are_calibrated_on_rows_not_seen() -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((13_000, 30))
    y = np.digitize(X[:, 0] + rng.standard_normal(13_000), [-0.6, 0.6])
    p = fit_ridge(X[:3_000], y[:3_000], np.ones(3_000)).distribution(X[3_000:])
    truth = y[3_000:]
    assert expected_calibration_error(p, truth) < 0.05
    oracle = LogisticRegression().fit(X[:3_000, :1], y[:3_000]).predict_proba(X[3_000:, :1])
    prior = np.tile(np.bincount(y) / len(y), (10_000, 1))
    kept = log_loss(prior, truth).mean() - log_loss(p, truth).mean()
    assert kept > 0.95 * (log_loss(prior, truth).mean() - log_loss(oracle, truth).mean())
