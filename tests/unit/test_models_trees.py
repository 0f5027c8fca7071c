"""The boosted trees of seed 002."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import InvalidValue, log_loss
from consilium.models.lightgbm import LightGBMForecaster
from consilium.models.xgboost import XGBoostForecaster

TREES = (XGBoostForecaster, LightGBMForecaster)


def noisy(n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mostly noise: boosting on it overfits within a few rounds."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 5))
    return X, np.digitize(0.4 * X[:, 0] + rng.standard_normal(n), [-0.43, 0.43])


@pytest.mark.promise(
    "002", "LightGBM: num_leaves=31, max_depth=6, learning_rate=0.1, n_estimators=200, 3 classes"
)
@pytest.mark.parametrize("kind", TREES)
def test_seed_002s_settings_are_the_defaults_and_give_600_trees(kind: Any) -> None:
    X, y = noisy(900, 0)
    model = kind().fit(X, y)
    params = model.get_params()
    assert (params["rounds"], params["max_depth"], params["learning_rate"]) == (200, 6, 0.1)
    if kind is LightGBMForecaster:
        assert params["num_leaves"] == 31
    assert model.n_trees_ == 600


@pytest.mark.parametrize("kind", TREES)
def test_a_validation_slice_stops_the_growth_at_the_best_round(kind: Any) -> None:
    X, y = noisy(900, 0)
    later = noisy(400, 1)
    stopped = kind(early_stopping_rounds=10).fit(X, y, validation=later)
    whole = kind().fit(X, y)
    assert 0 < stopped.n_trees_ < 300
    assert log_loss(stopped.predict_proba(later[0]), later[1]).mean() < (
        log_loss(whole.predict_proba(later[0]), later[1]).mean()
    )
    same = kind(rounds=stopped.n_trees_ // 3).fit(X, y)
    np.testing.assert_array_equal(same.predict_proba(X), stopped.predict_proba(X))


@pytest.mark.parametrize("kind", TREES)
def test_a_saved_model_keeps_its_best_round(kind: Any, tmp_path: Any) -> None:
    X, y = noisy(900, 0)
    model = kind(early_stopping_rounds=10).fit(X, y, validation=noisy(400, 1))
    model.save(tmp_path)
    loaded = kind.load(tmp_path)
    assert loaded.n_trees_ == model.n_trees_
    far = noisy(3_000, 7)[0]
    np.testing.assert_array_equal(loaded.predict_proba(far), model.predict_proba(far))


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize(
    ("parameter", "value"),
    [("rounds", 0), ("max_depth", 0), ("learning_rate", 0.0), ("learning_rate", 1.5), ("seed", -1)],
)
def test_a_setting_outside_its_bound_is_refused(kind: Any, parameter: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=f"{parameter} of .* got {value}"):
        kind(**{parameter: value}).fit(*noisy(60, 0))
