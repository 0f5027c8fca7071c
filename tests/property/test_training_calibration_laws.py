"""Laws of calibration on arbitrary forecasts and outcomes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from consilium.domain import log_loss
from consilium.training.calibration import class_prior, fit_calibrator, timestamp_weights


@st.composite
def _slices(
    draw: st.DrawFn,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Forecasts of any sharpness, zeros and ones included, outcomes of any frequency, and another prior."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 200))
    p = rng.dirichlet(np.full(3, draw(st.sampled_from([0.01, 0.3, 1.0, 30.0]))), n)
    y = rng.choice(3, n, p=rng.dirichlet([0.5, 0.5, 0.5]))
    return p, y, class_prior(rng.choice(3, 50, p=rng.dirichlet([1.0, 1.0, 1.0])))


@given(_slices())
def test_calibrated_rows_are_distributions(
    made: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]],
) -> None:
    p, y, prior = made
    calibrator = fit_calibrator(p, y, prior)
    emitted = calibrator.apply(p)
    assert np.all(emitted > 0)
    assert np.allclose(emitted.sum(axis=1), 1.0, atol=1e-12)
    assert abs(sum(calibrator.bias)) < 1e-9


@given(_slices())
def test_calibration_never_does_worse_on_its_own_slice_than_doing_nothing_or_the_prior(
    made: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]],
) -> None:
    p, y, prior = made
    clipped = np.clip(p, 1e-6, 1.0)
    clipped /= clipped.sum(axis=1, keepdims=True)
    fitted = log_loss(fit_calibrator(p, y, prior).apply(p), y).mean()
    # Both alternatives are admissible at no cost: (a, b) = (1, 0) and (0, c).
    assert fitted <= log_loss(clipped, y).mean() + 1e-6
    assert fitted <= log_loss(np.tile(prior, (len(p), 1)), y).mean() + 1e-6


def test_one_row_against_a_far_prior_reaches_the_optimum() -> None:
    """Found by the law above: the optimiser then in use stopped half-way."""
    p, prior = (
        np.array([[0.22672066, 0.34616552, 0.42711382]]),
        np.array([0.54716981, 0.26415094, 0.18867925]),
    )
    fitted = fit_calibrator(p, np.array([0]), prior)
    assert log_loss(fitted.apply(p), [0])[0] <= log_loss(prior, 0)[0] + 1e-6


@given(_slices(), st.permutations([0, 1, 2]))
def test_renaming_the_classes_renames_the_result(
    made: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]], order: list[int]
) -> None:
    p, y, prior = made
    plain = fit_calibrator(p, y, prior).apply(p)
    renamed = fit_calibrator(p[:, order], np.argsort(order)[y], prior[order]).apply(p[:, order])
    assert np.allclose(renamed, plain[:, order], atol=1e-4)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=100))
def test_each_time_has_the_same_weight(times: list[int]) -> None:
    ts = np.array(sorted(times))
    weights = timestamp_weights(ts)
    sums = [weights[ts == t].sum() for t in np.unique(ts)]
    assert np.allclose(sums, 1.0 / len(sums))
