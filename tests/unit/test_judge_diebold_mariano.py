"""The Diebold-Mariano test has the variance, the size and the silence that it promises."""

import os
from math import ceil, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from consilium.domain import HOUR_NS, InvalidValue
from consilium.training.judge import diebold_mariano, long_run_variance, loss_by_month, mean_test

SOAK = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"


def overlapping(length: int, horizon: int, seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=length + horizon - 1)
    return np.convolve(noise, np.ones(horizon), mode="valid")


def remembering(length: int, phi: float, seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=length + 200)
    result: NDArray[np.float64] = lfilter([1.0], [1.0, -phi], noise)[200:]
    return result


@pytest.mark.parametrize("bandwidth", [1, 2, 7, 59, 60])
def test_the_variance_is_the_weighted_sum_of_autocovariances(bandwidth: int) -> None:
    x = overlapping(60, 3, seed=0)
    centred = x - x.mean()
    covariance = [float(centred[k:] @ centred[: 60 - k]) / 60 for k in range(60)]
    expected = covariance[0] + 2 * sum((1 - k / bandwidth) * covariance[k] for k in range(1, bandwidth))
    assert long_run_variance(x, bandwidth) == pytest.approx(expected, rel=1e-10)


def test_the_statistic_is_that_of_statsmodels() -> None:
    linear: Any = pytest.importorskip("statsmodels.api")
    x = overlapping(500, 4, seed=1) + 0.3
    test = mean_test(x, horizon_bars=4)
    lags = {"maxlags": test.bandwidth - 1, "use_correction": False}
    fitted = linear.OLS(x, np.ones(500)).fit(cov_type="HAC", cov_kwds=lags)
    assert test.standard_error == pytest.approx(float(fitted.bse[0]), rel=1e-9)
    assert test.statistic == pytest.approx(float(fitted.tvalues[0]), rel=1e-9)


def test_the_bandwidth_is_the_larger_of_the_overlap_and_the_root_rule() -> None:
    assert mean_test(overlapping(900, 1, 0), 1).bandwidth == 39 == ceil(1.3 * sqrt(900))
    assert mean_test(overlapping(900, 1, 0), 100).bandwidth == 99


@pytest.mark.promise("002", "a difference that is not there is called one in 3 to 7.5 % of the worlds")
@pytest.mark.parametrize(
    ("length", "horizon", "phi"),
    [(500, 1, 0.0), (600, 6, 0.0), (1_000, 10, 0.0), (3_600, 24, 0.0), (1_000, 1, 0.3), (3_600, 1, 0.6)],
)
def test_the_size_holds_for_overlap_and_memory(length: int, horizon: int, phi: float) -> None:
    seeds = range(20_000 if SOAK else 2_000)
    tests = [
        mean_test(remembering(length, phi, s) if phi else overlapping(length, horizon, s), horizon)
        for s in seeds
    ]
    for rejected in ([t.rejects for t in tests], [t.rejects_one_sided for t in tests]):
        assert 0.03 <= np.mean(rejected) <= 0.075


def test_a_naive_standard_error_would_reject_a_third() -> None:
    naive = [
        abs(x.mean()) > 1.96 * x.std() / sqrt(len(x)) for x in (overlapping(600, 6, s) for s in range(400))
    ]
    assert 0.34 <= np.mean(naive) <= 0.72


def test_an_effect_is_found_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    other, hours = rng.uniform(size=2_000), np.arange(2_000)
    noise = rng.normal(scale=0.1, size=2_000)
    better, worse = (diebold_mariano(other + noise + s, other, hours, 1) for s in (-0.02, 0.02))
    assert better.rejects
    assert better.rejects_one_sided
    assert worse.rejects
    assert not worse.rejects_one_sided
    assert better.p_better is not None
    assert worse.p_better is not None
    assert better.p_better < 1e-6 < 0.999 < worse.p_better


def test_timestamps_weigh_equally_and_rows_may_come_in_any_order() -> None:
    rng = np.random.default_rng(3)
    ts = np.repeat(np.arange(300), 5)[:-3]
    ours, other = rng.uniform(size=(2, len(ts)))
    order = rng.permutation(len(ts))
    there = diebold_mariano(ours, other, ts, 2)
    again = diebold_mariano(ours[order], other[order], ts[order], 2)
    assert there.statistic == pytest.approx(again.statistic, rel=1e-12)
    per_ts = [float((ours - other)[ts == t].mean()) for t in range(300)]
    assert there.mean == pytest.approx(np.mean(per_ts))


def test_identical_losses_have_no_statistic() -> None:
    loss = np.random.default_rng(0).uniform(size=500)
    test = diebold_mariano(loss, loss + 1e-15, np.arange(500), 1)
    assert test.reason == "identical forecasts"
    assert test.statistic is test.p_value is test.p_better is test.critical is test.half_width is None
    assert not test.rejects
    assert not test.rejects_one_sided


def test_too_short_a_series_has_no_statistic() -> None:
    assert mean_test([0.3], 1).reason == "too few independent outcomes"
    assert mean_test(np.zeros(0), 1).mean is None
    assert mean_test(np.arange(30.0), 31).reason == "too few independent outcomes"


def test_a_constant_difference_has_no_error_to_divide_by() -> None:
    test = mean_test(np.full(200, -0.25), 1)
    assert test.mean == -0.25
    assert test.statistic is None
    assert test.reason == "a constant difference has no error"


def test_losses_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidValue, match="one shape"):
        diebold_mariano([0.1], [0.1, 0.2], [0], 1)
    with pytest.raises(InvalidValue, match="values must be finite"):
        diebold_mariano([0.1, np.nan], [0.1, 0.2], [0, 1], 1)
    with pytest.raises(InvalidValue, match="horizon_bars must be >= 1; got 0"):
        mean_test(np.arange(9.0), 0)


def test_a_difference_of_one_month_shows_in_that_month_only() -> None:
    hours = np.arange(24 * (31 + 28 + 31)) * HOUR_NS
    rng = np.random.default_rng(0)
    other = rng.uniform(size=len(hours))
    inside = (hours >= 31 * 24 * HOUR_NS) & (hours < 59 * 24 * HOUR_NS)
    ours = other + rng.normal(scale=0.05, size=len(hours)) - 0.02 * inside
    january, february, march = loss_by_month(ours, other, hours, 1)
    assert [m.month for m in (january, february, march)] == ["1970-01", "1970-02", "1970-03"]
    assert [m.n_timestamps for m in (january, february, march)] == [744, 672, 744]
    assert february.high is not None
    assert february.high < 0.0
    for quiet in (january, march):
        assert quiet.low is not None
        assert quiet.high is not None
        assert quiet.low < 0.0 < quiet.high


def test_a_month_with_too_few_outcomes_has_a_mean_and_no_interval() -> None:
    hours = np.arange(24 * 31) * HOUR_NS
    loss = np.random.default_rng(0).uniform(size=len(hours))
    (only,) = loss_by_month(loss, np.zeros(len(hours)), hours, 24)
    assert only.mean_difference == pytest.approx(loss.mean())
    assert only.low is only.high is None
    assert only.reason == "too few independent outcomes"


def test_months_without_rows_and_losses_that_do_not_fit() -> None:
    assert loss_by_month([], [], [], 1) == ()
    with pytest.raises(InvalidValue, match="one shape"):
        loss_by_month([0.1], [0.1, 0.2], [0], 1)
    with pytest.raises(InvalidValue, match="horizon_bars must be >= 1"):
        loss_by_month([0.1], [0.1], [0], 0)


def test_a_month_of_equal_forecasts_is_at_zero_whatever_rounding_leaves() -> None:
    hours = np.arange(1_440) * HOUR_NS
    ours = np.random.default_rng(0).uniform(size=1_440)
    nudged = np.where(np.arange(1_440) < 744, ours + 1e-17 + 1e-16 * ours, 0.9 * ours)
    first, second = loss_by_month(nudged, ours, hours, 1)[:2]
    assert first.mean_difference == 0.0
    assert second.mean_difference < 0.0
