"""Prior, persistence and logistic regression against figures worked out by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from consilium.domain import InvalidValue
from consilium.models.layers.forecaster import PRIOR_SHARE
from consilium.models.logistic import LogisticForecaster
from consilium.models.persistence import PersistenceForecaster
from consilium.models.prior import PriorForecaster


def test_the_prior_is_the_smoothed_share_of_each_class() -> None:
    y = np.array([0, 0, 1, 2, 2, 2, 2, 2, 2])
    p = PriorForecaster().fit(np.zeros((9, 1)), y).predict_proba(np.ones((2, 1)))
    np.testing.assert_allclose(p, [[7 / 30, 4 / 30, 19 / 30]] * 2, atol=1e-12)


def test_the_prior_counts_weights_as_rows() -> None:
    weighted = PriorForecaster().fit(np.zeros((3, 1)), [0, 1, 2], sample_weight=np.array([2.0, 1.0, 6.0]))
    repeated = PriorForecaster().fit(np.zeros((9, 1)), [0, 0, 1, 2, 2, 2, 2, 2, 2])
    np.testing.assert_allclose(weighted.prior_, repeated.prior_, atol=1e-15)


def test_equal_classes_are_a_tie_and_a_tie_is_flat() -> None:
    model = PriorForecaster().fit(np.zeros((3, 1)), [0, 1, 2])
    assert model.predict(np.zeros((1, 1))).tolist() == [1]


def test_persistence_is_the_table_of_what_followed_each_sign() -> None:
    returns = np.array([-1.0] * 4 + [0.0] * 2 + [1.0] * 4)
    y = np.array([0, 0, 0, 2, 1, 1, 2, 2, 2, 1])
    model = PersistenceForecaster(feature_names=("rsi_14", "return_1"))
    model.fit(np.column_stack([np.zeros(10), returns]), y)
    prior = (np.array([3, 3, 4]) + 1 / 3) / 11
    counts = np.array([[3, 0, 1], [0, 2, 0], [0, 1, 3]])
    table = (counts + prior) / (counts.sum(axis=1, keepdims=True) + 1)
    p = model.predict_proba(np.array([[9.0, -0.2], [9.0, 0.0], [9.0, 0.3]]))
    np.testing.assert_allclose(p, (1 - PRIOR_SHARE) * table + PRIOR_SHARE * prior, atol=1e-12)


def test_a_sign_never_seen_falls_back_to_the_prior() -> None:
    model = PersistenceForecaster(feature_names=("return_1",)).fit([[1.0], [2.0], [-1.0]], [2, 2, 0])
    np.testing.assert_allclose(model.predict_proba([[0.0]])[0], model.prior_, atol=1e-12)


def test_persistence_says_which_feature_it_lacks() -> None:
    with pytest.raises(InvalidValue, match="needs the feature return_1; got rsi_14"):
        PersistenceForecaster(feature_names=("rsi_14",)).fit([[1.0]], [2])
    with pytest.raises(InvalidValue, match="needs feature_names"):
        PersistenceForecaster().fit([[1.0]], [2])


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_is_scikit_learns_on_standardised_features(classes: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 4)) * [1.0, 100.0, 0.01, 3.0] + [0.0, 50.0, 0.0, -9.0]
    y = np.digitize(X[:, 0] + 0.5 * rng.standard_normal(400), [-0.5, 0.5][: classes - 1])
    scaler = StandardScaler().fit(X)
    peer = LogisticRegression(max_iter=1_000).fit(scaler.transform(X), y)
    model = LogisticForecaster().fit(X, y)
    q = np.zeros((400, 3))
    q[:, :classes] = peer.predict_proba(scaler.transform(X))
    expected = (1 - PRIOR_SHARE) * q + PRIOR_SHARE * model.prior_
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-9)


def test_logistic_does_not_mind_the_layout_in_memory() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 7)), rng.integers(0, 3, 300)
    model = LogisticForecaster().fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(np.asfortranarray(X)), model.predict_proba(X))
