"""Figures known by hand, and against the references of the field."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef

from consilium.domain import HOUR_NS, InvalidValue, expected_calibration_error, stated_directions
from consilium.training.judge import FIGURES, Figure, forecast_figures, reliability

HOURS, SYMBOLS = 400, 3
TS = np.repeat(np.arange(HOURS) * HOUR_NS, SYMBOLS)


def world(seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=HOURS * SYMBOLS)
    return y, (y - 1) * 0.01 + rng.uniform(-0.004, 0.004, size=len(y))


def noisy_forecast(y: NDArray[np.int64], seed: int = 1) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([2.0, 2.0, 2.0], size=len(y))
    p = 0.8 * p + 0.2 * np.eye(3)[y]
    result: NDArray[np.float64] = p / p.sum(axis=1, keepdims=True)
    return result


def judged(p: NDArray[np.float64], seed: int = 0, **options: object) -> dict[str, Figure]:
    y, returns = world()
    settings: dict[str, object] = {"horizon_bars": 1, "seed": seed, "draws": 300, **options}
    return forecast_figures(p, y, returns, TS, **settings)  # type: ignore[arg-type]


def test_a_perfect_forecaster_has_the_figures_known_by_hand() -> None:
    y, _ = world()
    figures = forecast_figures(np.eye(3)[y], y, y - 1.0, TS, horizon_bars=1, seed=0, draws=200)
    for name, value in {"log_loss": 0, "brier": 0, "ece": 0, "mcc": 1, "macro_f1": 1, "accuracy": 1}.items():
        assert figures[name] == Figure(value=value, low=value, high=value, n=len(y)), name
    assert figures["ic"].value == pytest.approx(1.0)


def test_a_uniform_forecaster_has_the_figures_known_by_hand() -> None:
    y, _ = world()
    figures = judged(np.full((len(y), 3), 1 / 3))
    flat = float((y == 1).mean())
    assert figures["log_loss"].value == pytest.approx(np.log(3))
    assert figures["brier"].value == pytest.approx(2 / 3)
    assert figures["accuracy"].value == pytest.approx(flat)
    assert figures["ece"].value == pytest.approx(abs(flat - 1 / 3))
    assert figures["mcc"].as_dict() == {
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
        "n": len(y),
        "reason": "constant forecast: one direction is always stated",
    }
    assert figures["ic"] == Figure(value=None, low=None, high=None, n=len(y), reason="constant forecast")


def test_a_forecaster_that_is_always_wrong_has_a_negative_mcc() -> None:
    y, _ = world()
    figures = judged(np.eye(3)[(y + 1) % 3])
    assert figures["accuracy"].value == 0.0
    assert figures["mcc"].value == pytest.approx(-0.5, abs=0.01)


def test_figures_agree_with_the_references() -> None:
    y, returns = world()
    p = noisy_forecast(y)
    stated = stated_directions(p)
    figures = judged(p)
    assert figures["mcc"].value == pytest.approx(matthews_corrcoef(y, stated), abs=1e-12)
    assert figures["macro_f1"].value == pytest.approx(f1_score(y, stated, average="macro"), abs=1e-12)
    assert figures["ic"].value == pytest.approx(spearmanr(p[:, 2] - p[:, 0], returns)[0], abs=1e-12)
    assert figures["ece"].value == pytest.approx(expected_calibration_error(p, y), abs=1e-12)


def test_the_calibration_error_agrees_with_the_domain_when_forecasts_repeat() -> None:
    y, _ = world()
    p = np.round(noisy_forecast(y), 1)
    p[:, 1] = 1.0 - p[:, 0] - p[:, 2]
    p = np.abs(p) / np.abs(p).sum(axis=1, keepdims=True)
    assert judged(p)["ece"].value == pytest.approx(expected_calibration_error(p, y), abs=1e-12)


def test_a_class_that_is_neither_stated_nor_realised_is_left_out_of_the_mean() -> None:
    y = np.tile([0, 2], 100)
    p = np.tile([[0.6, 0.1, 0.3], [0.5, 0.1, 0.4], [0.3, 0.1, 0.6], [0.3, 0.1, 0.6]], (50, 1))
    figures = forecast_figures(p, y, y - 1.0, np.arange(200), horizon_bars=1, seed=0, draws=50)
    assert figures["macro_f1"].value == pytest.approx(f1_score(y, stated_directions(p), average="macro"))


def test_the_keys_are_the_promised_ones_in_order() -> None:
    y, _ = world()
    assert tuple(judged(noisy_forecast(y))) == FIGURES
    assert FIGURES == ("log_loss", "brier", "ece", "mcc", "macro_f1", "ic", "accuracy", "coverage")


def test_every_interval_holds_its_value() -> None:
    y, _ = world()
    for name, figure in judged(noisy_forecast(y)).items():
        assert figure.low is not None, name
        assert figure.low <= figure.value <= figure.high, name  # type: ignore[operator]
        assert figure.n == len(y)


def test_coverage_is_the_share_of_rows_on_which_it_spoke() -> None:
    y, _ = world()
    spoke = np.arange(len(y)) % 4 == 0
    assert judged(noisy_forecast(y), spoke=spoke)["coverage"].value == 0.25
    assert judged(noisy_forecast(y))["coverage"].value == 1.0


@pytest.mark.parametrize(("horizon", "given"), [(4, True), (5, False)])
def test_below_one_hundred_independent_timestamps_there_is_no_interval(horizon: int, given: bool) -> None:
    y, _ = world()
    for name, figure in judged(noisy_forecast(y), horizon_bars=horizon).items():
        assert figure.value is not None, name
        assert (figure.low is not None) is given, name
        assert figure.reason == (None if given else "too few independent outcomes"), name


def test_symbols_of_one_hour_are_no_independent_evidence() -> None:
    y, returns = world()
    p = noisy_forecast(y)
    once = judged(p)["log_loss"]
    copies = 4
    repeated = forecast_figures(
        np.repeat(p, copies, axis=0),
        np.repeat(y, copies),
        np.repeat(returns, copies),
        np.repeat(TS, copies),
        horizon_bars=1,
        seed=0,
        draws=300,
    )["log_loss"]
    assert repeated.low == pytest.approx(once.low)
    assert repeated.high == pytest.approx(once.high)


def test_a_forecast_that_differs_in_the_last_bits_only_is_constant() -> None:
    y, _ = world()
    p = np.full((len(y), 3), 1 / 3) + np.random.default_rng(0).normal(size=(len(y), 3)) * 1e-16
    assert judged(p)["ic"].reason == "constant forecast"


def test_constant_returns_have_no_rank_correlation() -> None:
    y, _ = world()
    figures = forecast_figures(noisy_forecast(y), y, np.zeros(len(y)), TS, horizon_bars=1, seed=0, draws=20)
    assert figures["ic"].reason == "constant returns"


def test_without_outcomes_every_figure_is_null_with_a_reason() -> None:
    figures = forecast_figures(np.zeros((0, 3)), [], [], [], horizon_bars=1, seed=0)
    assert tuple(figures) == FIGURES
    assert {figure.reason for figure in figures.values()} == {"no outcomes"}


def test_shapes_and_values_that_do_not_fit_are_refused() -> None:
    y, returns = world()
    p = noisy_forecast(y)
    with pytest.raises(InvalidValue, match="one value for each row"):
        forecast_figures(p, y[:-1], returns, TS, horizon_bars=1, seed=0)
    with pytest.raises(InvalidValue, match="realised_return must be finite"):
        forecast_figures(p, y, np.where(y == 0, np.nan, returns), TS, horizon_bars=1, seed=0)
    with pytest.raises(InvalidValue, match="horizon_bars must be >= 1; got 0"):
        forecast_figures(p, y, returns, TS, horizon_bars=0, seed=0)
    with pytest.raises(InvalidValue, match="sum to 1"):
        forecast_figures(p * 2, y, returns, TS, horizon_bars=1, seed=0)
    with pytest.raises(InvalidValue, match="outcomes must be 0, 1 or 2"):
        forecast_figures(p, np.where(y == 0, -1, y), returns, TS, horizon_bars=1, seed=0)


def test_a_calibrated_forecaster_lies_on_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([3.0, 3.0, 3.0], size=30_000)
    y = (rng.uniform(size=(30_000, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    for curve in reliability(p, y).values():
        assert len(curve.predicted) == 10
        assert np.abs(np.array(curve.predicted) - np.array(curve.observed)).max() < 0.03
        assert list(curve.predicted) == sorted(curve.predicted)
    assert sum(reliability(p, y)["all"].count) == 90_000


def test_equal_forecasts_share_one_point_of_the_calibration_curve() -> None:
    y, _ = world()
    curve = reliability(np.full((len(y), 3), 1 / 3), y)["flat"]
    assert curve.count == (len(y),)
    assert curve.observed[0] == pytest.approx((y == 1).mean())


def test_the_calibration_curve_of_nothing_is_empty() -> None:
    assert reliability(np.zeros((0, 3)), [])["up"].as_dict() == {"predicted": [], "observed": [], "count": []}


def test_the_calibration_curve_refuses_what_does_not_fit() -> None:
    with pytest.raises(InvalidValue, match="bins must be >= 1; got 0"):
        reliability([[0.2, 0.3, 0.5]], [2], bins=0)
    with pytest.raises(InvalidValue, match="y must have shape"):
        reliability([[0.2, 0.3, 0.5]], [2, 1])
