"""Contributions add up to the margin, and those of inputs without influence are 0."""

from typing import Any

import numpy as np
import pytest

from consilium.domain import Direction, InvalidValue
from consilium.models import make_forecaster
from consilium.models.explain import explain_prediction, integrate_gradients
from serving_cases import Floats, fitted, signal


@pytest.mark.promise("002", "feature importance: contributions of each feature to a tree model's margin")
@pytest.mark.parametrize("name", ["xgboost", "lightgbm", "logistic"])
def test_contributions_add_up_to_the_margin_and_margins_to_the_forecast(name: str) -> None:
    forecaster = fitted(name)
    for row in signal(12, seed=8)[0]:
        found = [explain_prediction(forecaster, row, direction=Direction(k)) for k in range(3)]
        assert max(abs(one.gap) for one in found) < 1e-5
        margins = np.array([one.margin for one in found])
        q = np.exp(margins - margins.max())
        p = 0.999 * q / q.sum() + 0.001 * forecaster.prior_
        assert np.abs(p - forecaster.predict_proba(row[None])[0]).max() < 1e-6
        stated = explain_prediction(forecaster, row)
        assert stated.direction == int(np.argmax(p))


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_what_moves_the_market_contributes_and_noise_hardly_does(name: str) -> None:
    forecaster = fitted(name, n=3_000)
    rows = signal(200, seed=8)[0]
    total = np.abs([explain_prediction(forecaster, row).contributions for row in rows]).mean(axis=0)
    assert total[0] > total[1] > 4.0 * total[2:].max()


def test_a_constant_feature_contributes_nothing_and_one_class_explains_itself() -> None:
    X, y = signal(400)
    X[:, 2] = 1.0
    for name in ("xgboost", "lightgbm", "logistic"):
        found = explain_prediction(make_forecaster(name).fit(X, y), X[0])
        assert found.contributions[2] == 0.0
        alone = explain_prediction(make_forecaster(name).fit(X, np.full(400, 2)), X[0])
        assert (alone.method, alone.gap) == ("constant", 0.0)
        assert not alone.contributions.any()


def test_what_cannot_be_explained_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidValue, match=r"xgboost explains a finite row of shape \(6,\); got \(5,\)"):
        explain_prediction(fitted("xgboost"), np.zeros(5))
    with pytest.raises(InvalidValue, match="only trees, logistic regression and networks"):
        explain_prediction(fitted("prior"), np.zeros(6))
    X, y = signal(300)
    two = make_forecaster("logistic").fit(X, np.where(y == 1, 0, y))
    with pytest.raises(InvalidValue, match="must have been seen in training; got FLAT"):
        explain_prediction(two, X[0], direction=Direction.FLAT)


def test_integrated_gradients_add_up_on_a_function_with_kinks() -> None:
    rng = np.random.default_rng(0)
    W, v = rng.standard_normal((4, 9)), rng.standard_normal(9)

    def gradients(points: Floats) -> tuple[Floats, Floats]:
        inner = points @ W
        return np.maximum(inner, 0.0) @ v, ((inner > 0.0) * v) @ W.T

    x, baseline = rng.standard_normal(4), rng.standard_normal(4)
    found, base, margin = integrate_gradients(gradients, x, baseline)
    assert abs(margin - base - found.sum()) <= 1e-3 * np.abs(found).sum() + 1e-6
    assert margin == pytest.approx(float(np.maximum(x @ W, 0.0) @ v))
    assert base == pytest.approx(float(np.maximum(baseline @ W, 0.0) @ v), abs=1e-4)
    with pytest.raises(InvalidValue, match="a baseline must be finite and of the row's shape"):
        integrate_gradients(gradients, x, np.zeros(3))


def test_a_switch_that_is_off_only_at_the_baseline_belongs_to_the_base() -> None:
    def gradients(points: Floats) -> tuple[Floats, Floats]:
        on = (np.abs(points).sum(axis=1) > 0.0).astype(float)
        return points.sum(axis=1) + 5.0 * on, np.ones_like(points)

    found, base, margin = integrate_gradients(gradients, np.array([1.0, 2.0]))
    assert found == pytest.approx([1.0, 2.0])
    assert base == pytest.approx(5.0, abs=1e-4)
    assert margin == 8.0


SMALL: dict[str, dict[str, Any]] = {
    "nhits": {"window": 12, "hidden_size": 16},
    "patchtst": {"window": 12, "patch_len": 4, "d_model": 8, "num_heads": 2, "num_layers": 1, "ff_dim": 8},
    "cnn_lstm": {"window": 12, "input_features": 6, "channels": (4, 4), "lstm_hidden": 6},
}


@pytest.mark.promise("004", "integrated gradients of the networks are complete")
@pytest.mark.parametrize("name", SMALL)
def test_integrated_gradients_of_a_network_are_complete(name: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    forecaster = make_forecaster(name, seed=0, epochs=3, **SMALL[name])
    rng = np.random.default_rng(0)
    y = np.arange(96) % 3
    X = rng.standard_normal((96, 12, 6)) + (y - 1)[:, None, None] * np.eye(6)[0]
    forecaster.fit(X, y)
    for row in X[:4]:
        found = explain_prediction(forecaster, row)
        assert found.method == "integrated_gradients"
        assert found.contributions.shape == (12, 6)
        assert abs(found.gap) <= 2e-3 * np.abs(found.contributions).sum() + 1e-5
        assert found.by_feature().shape == (6,)
        other = explain_prediction(forecaster, row, baseline=X[5])
        assert abs(other.gap) <= 2e-3 * np.abs(other.contributions).sum() + 1e-5
