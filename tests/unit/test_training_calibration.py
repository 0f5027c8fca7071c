"""Temperature and bias on a chronological slice, and the verdict `no_skill`."""

import json
from math import isinf

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from consilium.domain import InvalidValue, log_loss
from consilium.training.calibration import (
    Calibrator,
    calibrate,
    class_prior,
    fit_calibrator,
    timestamp_weights,
)

PRIOR = np.array([0.28, 0.44, 0.28])


def _draw(p: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    drawn = (rng.random(len(p))[:, None] > p.cumsum(axis=1)[:, :2]).sum(axis=1)
    return np.asarray(drawn, dtype=np.int64)


def _informative(n: int, rng: np.random.Generator, width: float = 0.5) -> NDArray[np.float64]:
    e = np.exp(np.log(PRIOR) + rng.normal(0.0, width, (n, 3)))
    p: NDArray[np.float64] = np.asarray(e / e.sum(axis=1, keepdims=True))
    return p


def _soften(p: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    q = p**power
    softened: NDArray[np.float64] = np.asarray(q / q.sum(axis=1, keepdims=True))
    return softened


def test_a_calibrated_forecast_stays_nearly_the_same() -> None:
    rng = np.random.default_rng(1)
    p = _informative(20_000, rng)
    made = fit_calibrator(p, _draw(p, rng), PRIOR)
    assert made.slope == pytest.approx(1.0, abs=0.06)
    assert np.abs(made.apply(p) - p).max() < 0.03


@pytest.mark.parametrize("power", [0.5, 2.0, 4.0])
def test_too_timid_and_too_sure_forecasts_get_their_temperature_back(power: float) -> None:
    rng = np.random.default_rng(2)
    p = _informative(20_000, rng)
    made = fit_calibrator(_soften(p, power), _draw(p, rng), PRIOR)
    assert made.temperature == pytest.approx(power, rel=0.1)
    assert np.abs(made.apply(_soften(p, power)) - p).mean() < 0.01


def test_noise_shrinks_to_the_prior_and_loses_nearly_nothing_to_climatology() -> None:
    losses = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise, fresh = rng.dirichlet([1.0, 1.0, 1.0], 1_000), rng.dirichlet([1.0, 1.0, 1.0], 1_000)
        truth, later = (_draw(np.tile(PRIOR, (1_000, 1)), rng) for _ in range(2))
        made = fit_calibrator(noise, truth, PRIOR)
        emitted = made.apply(fresh)
        assert np.abs(emitted.mean(axis=0) - PRIOR).max() < 0.05
        climatology = np.tile(PRIOR, (1_000, 1))
        losses.append(log_loss(emitted, later).mean() - log_loss(climatology, later).mean())
        third = log_loss(np.full((1_000, 3), 1 / 3), later).mean()
        assert log_loss(emitted, later).mean() < third
    # Three fitted parameters cost 3 / 2n = 0.0015 nats in expectation without the ridge.
    assert np.mean(losses) < 0.003


def test_temperature_alone_would_end_at_one_third_and_lose() -> None:
    rng = np.random.default_rng(3)
    noise = rng.dirichlet([1.0, 1.0, 1.0], 4_000)
    truth = _draw(np.tile(PRIOR, (4_000, 1)), rng)
    made = fit_calibrator(noise, truth, PRIOR)
    alone = Calibrator(slope=made.slope, bias=(0.0, 0.0, 0.0))
    assert log_loss(made.apply(noise), truth).mean() < log_loss(alone.apply(noise), truth).mean() - 0.01


def test_the_optimum_is_that_of_a_search_without_gradients() -> None:
    rng = np.random.default_rng(4)
    p = _soften(_informative(400, rng), 1.7)
    y = _draw(p, rng)
    target = np.log(PRIOR) - np.log(PRIOR).mean()

    def objective(theta: NDArray[np.float64]) -> float:
        a, b = theta[0], np.array([theta[1], theta[2], -theta[1] - theta[2]])
        z = np.log(p) * a + b
        q = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        off = b - (1 - a) * target
        return float(-np.log(q[np.arange(400), y]).mean() + 10.0 / 800.0 * off @ off)

    slow = minimize(
        objective,
        [1.0, 0.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 9_999},
    )
    made = fit_calibrator(p, y, PRIOR)
    assert made.slope == pytest.approx(slow.x[0], abs=1e-5)
    assert made.bias == pytest.approx((slow.x[1], slow.x[2], -slow.x[1] - slow.x[2]), abs=1e-5)


def test_a_model_that_errs_systematically_is_not_turned_around() -> None:
    rng = np.random.default_rng(5)
    p = _informative(5_000, rng, width=1.0)
    made = fit_calibrator(p[:, ::-1], _draw(p, rng), PRIOR)
    assert made.slope >= 0.0
    opposite = fit_calibrator(1.0 - p, _draw(p, rng), PRIOR)
    assert opposite.slope == 0.0
    assert isinf(opposite.temperature)


def test_a_sure_model_that_errs_gives_finite_distributions() -> None:
    p = np.tile([0.0, 0.0, 1.0], (200, 1))
    y = np.arange(200) % 3
    emitted = fit_calibrator(p, y, PRIOR).apply(p)
    assert np.all(np.isfinite(emitted))
    assert np.allclose(emitted.sum(axis=1), 1.0, atol=1e-12)
    assert np.allclose(emitted[0], 1 / 3, atol=0.03)


def test_many_symbols_at_one_time_count_as_one() -> None:
    rng = np.random.default_rng(6)
    p = _informative(300, rng)
    y = _draw(p, rng)
    once = fit_calibrator(p, y, PRIOR)
    ts = np.repeat(np.arange(300), 7)
    seven = fit_calibrator(
        np.repeat(p, 7, axis=0), np.repeat(y, 7), PRIOR, weights=timestamp_weights(ts), times=300
    )
    assert seven.slope == pytest.approx(once.slope, abs=1e-5)
    assert seven.bias == pytest.approx(once.bias, abs=1e-5)


def test_a_model_that_knows_something_is_skilled_and_noise_is_not() -> None:
    rng = np.random.default_rng(7)
    time = np.arange(2_000)
    p = _informative(2_000, rng)
    y = _draw(p, rng)
    knows = calibrate(p, y, time, time + 1, PRIOR)
    assert knows.skilled
    assert knows.judged_loss < knows.judged_climatology
    verdicts = [
        calibrate(rng.dirichlet([1.0, 1.0, 1.0], 2_000), y, time, time + 1, PRIOR).skilled for _ in range(20)
    ]
    assert sum(verdicts) <= 10


def test_a_model_as_good_as_climatology_has_no_skill() -> None:
    time = np.arange(1_000)
    y = np.tile([0, 1, 2, 1, 1], 200)
    prior = np.array([0.2, 0.6, 0.2])
    found = calibrate(np.tile(prior, (1_000, 1)), y, time, time + 1, prior)
    assert found.judged_loss >= found.judged_climatology - 1e-9
    assert not found.skilled


def test_skill_is_judged_only_on_what_the_trial_calibrator_has_not_seen() -> None:
    rng = np.random.default_rng(8)
    time = np.arange(400)
    p = _informative(400, rng)
    y = _draw(p, rng)
    changed = y.copy()
    # Rows 150 to 199 mature after the middle: they may not enter the trial fit.
    changed[150:200] = 0
    matured = np.where((time >= 150) & (time < 200), 300, time + 1)
    first, second = (calibrate(p, labels, time, matured, PRIOR) for labels in (y, changed))
    assert first.judged_loss == second.judged_loss
    assert first.calibrator != second.calibrator


def test_the_kept_calibrator_is_fitted_on_the_whole_slice() -> None:
    rng = np.random.default_rng(9)
    time = np.arange(400)
    p = _informative(400, rng)
    y = _draw(p, rng)
    found = calibrate(p, y, time, time + 1, PRIOR)
    assert found.calibrator == fit_calibrator(p, y, PRIOR, weights=timestamp_weights(time), times=400)


def test_overlapping_outcomes_count_for_less_against_the_prior() -> None:
    rng = np.random.default_rng(10)
    time = np.arange(400)
    p = np.tile(PRIOR, (400, 1))
    y = _draw(np.tile([0.5, 0.3, 0.2], (400, 1)), rng)
    # The model says the prior; a period unlike the training part pulls the bias away from it.
    apart, overlapping = (calibrate(p, y, time, time + span, PRIOR).calibrator for span in (1, 20))
    far, near = (np.abs(made.apply(p)[0] - PRIOR).max() for made in (apart, overlapping))
    assert near < 0.8 * far


def test_the_state_survives_json() -> None:
    made = Calibrator(slope=0.1 + 0.2, bias=(0.1, 0.2, -0.30000000000000004))
    assert Calibrator.from_state(json.loads(json.dumps(made.state()))) == made


def test_what_cannot_be_calibrated_is_refused() -> None:
    none = np.empty((0, 3))
    with pytest.raises(InvalidValue, match="at least 1 forecast"):
        fit_calibrator(none, np.empty(0, dtype=np.int64), PRIOR)
    with pytest.raises(InvalidValue, match="each class of the prior must be > 0"):
        fit_calibrator(np.tile(PRIOR, (3, 1)), np.zeros(3, dtype=np.int64), np.array([0.0, 0.5, 0.5]))
    time = np.arange(38)
    with pytest.raises(
        InvalidValue, match=">= 20 times with an outcome; got 19 and 19: give a longer history"
    ):
        calibrate(np.tile(PRIOR, (38, 1)), time % 3, time, time, PRIOR)
    with pytest.raises(InvalidValue, match=r"slope must lie in \[0, 10\]; got -1"):
        Calibrator(slope=-1.0, bias=(0.0, 0.0, 0.0))
    with pytest.raises(InvalidValue, match="with sum 0"):
        Calibrator(slope=1.0, bias=(0.0, 0.0, 1.0))


def test_a_class_that_never_came_keeps_a_share() -> None:
    assert np.all(class_prior(np.array([2, 2])) > 0)
    assert class_prior(np.array([2, 2])).sum() == pytest.approx(1.0)


def test_class_shares_that_drift_are_no_skill_of_a_model() -> None:
    """A forecast that knows nothing beats an outdated prior by its bias alone; that must not count."""
    rng = np.random.default_rng(8)
    n = 2_000
    y = rng.choice(3, n, p=[0.2, 0.6, 0.2])
    ts = np.arange(n)
    outdated = np.array([0.35, 0.3, 0.35])
    constant = calibrate(np.tile(outdated, (n, 1)), y, ts, ts + 1, outdated)
    assert not constant.skilled
    knowing = np.where(np.arange(3) == y[:, None], 0.5, 0.25)
    assert calibrate(knowing, y, ts, ts + 1, outdated).skilled
