import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss

from consilium.domain import InvalidValue, brier, expected_calibration_error, half_brier, log_loss

simplex = st.tuples(*[st.floats(0.001, 1.0)] * 3).map(np.array).map(lambda raw: raw / raw.sum())


@given(simplex, simplex)
def test_scores_are_proper(truth: np.ndarray, told: np.ndarray) -> None:
    for score in (half_brier, log_loss):
        honest = sum(truth[k] * score(truth, k)[0] for k in range(3))
        other = sum(truth[k] * score(told, k)[0] for k in range(3))
        assert honest <= other + 1e-12


@given(simplex, st.integers(0, 2))
def test_half_brier_lies_in_the_unit_interval_and_brier_is_twice_it(p: np.ndarray, y: int) -> None:
    assert 0.0 <= half_brier(p, y)[0] <= 1.0
    assert brier(p, y)[0] == 2 * half_brier(p, y)[0]


def test_log_loss_equals_an_outside_reference() -> None:
    rng = np.random.default_rng(3)
    p = rng.dirichlet([1, 2, 3], size=200)
    y = rng.integers(0, 3, size=200)
    assert log_loss(p, y).mean() == pytest.approx(sklearn_log_loss(y, p, labels=[0, 1, 2]), abs=1e-12)


def test_a_certain_error_costs_a_finite_amount() -> None:
    assert np.isfinite(log_loss([0.0, 0.0, 1.0], 0)[0])


def test_calibration_error_is_small_for_calibrated_and_large_for_boastful_forecasts() -> None:
    rng = np.random.default_rng(5)
    p = rng.dirichlet([2, 2, 2], size=20_000)
    y = np.array([rng.choice(3, p=row) for row in p])
    boastful = np.zeros_like(p)
    boastful[np.arange(len(p)), p.argmax(axis=1)] = 1.0
    assert expected_calibration_error(p, y) < 0.02
    assert expected_calibration_error(boastful, y) > 0.3


@pytest.mark.parametrize(
    ("p", "y"),
    [
        ([[0.5, 0.5]], [0]),
        ([[0.5, 0.6, 0.5]], [0]),
        ([[-0.1, 0.6, 0.5]], [0]),
        ([[0.2, 0.3, 0.5]], [3]),
        ([[0.2, 0.3, 0.5]], [0, 1]),
        ([[float("nan"), 0.5, 0.5]], [1]),
    ],
)
def test_what_is_no_distribution_is_refused(p: list[list[float]], y: list[int]) -> None:
    with pytest.raises(InvalidValue):
        half_brier(p, y)
