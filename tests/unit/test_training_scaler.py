"""Standardisation inside the fit part."""

import json

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.training.scaler import Scaler


@pytest.mark.promise("002", "StandardScaler normalization")
def test_training_columns_get_mean_zero_and_deviation_one() -> None:
    X = np.random.default_rng(1).normal([3.0, -2.0], [5.0, 0.1], (500, 2))
    scaled = Scaler.fit(X).transform(X)
    assert np.allclose(scaled.mean(axis=0), 0.0, atol=1e-12)
    assert np.allclose(scaled.std(axis=0), 1.0, atol=1e-12)


def test_windows_are_scaled_as_their_rows_are() -> None:
    X = np.random.default_rng(2).normal(size=(60, 3))
    scaler = Scaler.fit(X)
    assert np.array_equal(scaler.transform(X.reshape(6, 10, 3)), scaler.transform(X).reshape(6, 10, 3))


def test_a_constant_column_becomes_zero_and_not_noise() -> None:
    X = np.column_stack([np.full(50, 0.1 + 0.2), np.arange(50.0)])
    assert np.all(np.abs(Scaler.fit(X).transform(X)[:, 0]) < 1e-12)


def test_extremes_are_cut_only_when_asked() -> None:
    X = np.random.default_rng(3).normal(size=(100, 1))
    far = np.array([[1e6], [-1e6]])
    assert Scaler.fit(X, winsor=4.0).transform(far).tolist() == [[4.0], [-4.0]]
    assert Scaler.fit(X, winsor=None).transform(far)[0, 0] > 1e5


def test_the_state_survives_json_bit_for_bit() -> None:
    X = np.random.default_rng(4).normal(size=(80, 4))
    scaler = Scaler.fit(X)
    again = Scaler.from_state(json.loads(json.dumps(scaler.state())))
    assert np.array_equal(again.transform(X), scaler.transform(X))


def test_what_cannot_be_scaled_is_refused() -> None:
    with pytest.raises(InvalidValue, match="n >= 1"):
        Scaler.fit(np.empty((0, 2)))
    with pytest.raises(InvalidValue, match="features must be finite; got nan in column 1"):
        Scaler.fit(np.array([[1.0, np.nan]]))
    with pytest.raises(InvalidValue, match="winsor must be > 0"):
        Scaler.fit(np.ones((2, 2)), winsor=0.0)
    with pytest.raises(InvalidValue, match="X must have 2 features; got 3"):
        Scaler.fit(np.ones((2, 2))).transform(np.ones((2, 3)))
    with pytest.raises(InvalidValue, match="as many scales"):
        Scaler.from_state({"mean": [0.0], "scale": [0.0], "winsor": 8.0})


BOOK = np.array([False, True, True])


def test_masked_columns_are_zero_after_scaling_and_a_flag_says_so() -> None:
    X = np.array([[1.0, 5.0, 2.0], [2.0, np.nan, np.nan], [3.0, 9.0, 4.0]])
    scaled = Scaler.fit(X, maskable=BOOK).transform(X)
    assert scaled.shape == (3, 4)
    assert scaled[1].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert scaled[:, 1].tolist() == [-1.0, 0.0, 1.0]
    assert scaled[:, 3].tolist() == [1.0, 0.0, 1.0]


def test_a_mask_changes_nothing_of_the_other_columns_and_of_rows_without_one() -> None:
    X = np.random.default_rng(6).normal(size=(50, 3))
    plain, flagged = Scaler.fit(X), Scaler.fit(X, maskable=BOOK)
    assert np.array_equal(flagged.transform(X)[:, :3], plain.transform(X))
    assert np.all(flagged.transform(X)[:, 3] == 1.0)


def test_windows_carry_a_flag_for_each_step() -> None:
    X = np.random.default_rng(7).normal(size=(60, 3))
    X[7:20, 1:] = np.nan
    scaler = Scaler.fit(X, maskable=BOOK)
    assert np.array_equal(scaler.transform(X.reshape(6, 10, 3)), scaler.transform(X).reshape(6, 10, 4))


def test_a_column_that_training_never_saw_stays_zero_whatever_comes_later() -> None:
    X = np.random.default_rng(8).normal(size=(50, 3))
    X[:, 1:] = np.nan
    scaler = Scaler.fit(X, maskable=BOOK)
    assert not scaler.has_seen()
    assert np.all(np.abs(scaler.transform(np.full((2, 3), 1e6))[:, 1:3]) < 1e-200)


def test_nan_outside_the_maskable_columns_is_still_refused() -> None:
    with pytest.raises(InvalidValue, match="column 0"):
        Scaler.fit(np.array([[np.nan, 1.0, 1.0], [1.0, 2.0, 2.0]]), maskable=BOOK)


def test_the_mask_survives_json() -> None:
    X = np.random.default_rng(9).normal(size=(50, 3))
    X[3:9, 1:] = np.nan
    scaler = Scaler.fit(X, maskable=BOOK)
    again = Scaler.from_state(json.loads(json.dumps(scaler.state())))
    assert np.array_equal(again.transform(X), scaler.transform(X))
