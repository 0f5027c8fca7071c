from math import sqrt

import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from consilium.domain import DAY_NS, HOUR_NS, InvalidValue
from consilium.trading.metrics import (
    buy_and_hold,
    daily_returns,
    max_drawdown,
    sharpe_error,
    sharpe_ratio,
    sortino_ratio,
)
from trading_bars import series


def test_days_without_a_close_are_flat() -> None:
    ts = np.array([1, 2, 5]) * DAY_NS
    np.testing.assert_allclose(daily_returns(ts, np.array([100.0, 101.0, 102.01])), [0, 0.01, 0, 0, 0.01])


def test_midnight_belongs_to_the_day_it_ends() -> None:
    ts = np.array([DAY_NS - HOUR_NS, DAY_NS, DAY_NS + HOUR_NS, 2 * DAY_NS])
    np.testing.assert_allclose(daily_returns(ts, np.array([100.0, 110.0, 50.0, 121.0])), [0.1, 0.1])


def test_daily_returns_compound_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    ts = np.cumsum(rng.integers(1, 40, 500)) * HOUR_NS
    equity = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 500)))
    assert np.prod(1 + daily_returns(ts, equity)) == pytest.approx(equity[-1] / equity[0])


def test_ratios_are_the_textbooks() -> None:
    rng = np.random.default_rng(1)
    r = rng.normal(0.001, 0.01, 200)
    sharpe = r.mean() / r.std(ddof=1) * sqrt(365)
    assert sharpe_ratio(r) == pytest.approx(sharpe)
    downside = sqrt(sum(min(x, 0.0) ** 2 for x in r) / len(r))
    assert sortino_ratio(r) == pytest.approx(r.mean() / downside * sqrt(365))


def test_the_error_of_the_sharpe_ratio_is_what_repeated_samples_show() -> None:
    rng = np.random.default_rng(2)
    samples = 0.002 + 0.01 * rng.standard_t(8, (4_000, 250)) / sqrt(8 / 6)
    spread = np.std([sharpe_ratio(s) or 0.0 for s in samples])
    claimed = np.median([sharpe_error(s) or 0.0 for s in samples])
    assert claimed == pytest.approx(spread, rel=0.05)


def test_the_error_counts_skewness_and_fat_tails_by_the_formula() -> None:
    r = np.random.default_rng(3).exponential(0.01, 400) - 0.007
    sr = r.mean() / r.std(ddof=1)
    inside = 1 - skew(r) * sr + (kurtosis(r, fisher=False) - 1) / 4 * sr**2
    assert skew(r) > 1
    assert sharpe_error(r) == pytest.approx(sqrt(inside / 399) * sqrt(365))


def test_thirty_days_are_enough_for_every_ratio() -> None:
    enough = np.tile([0.01, -0.005], 15)
    assert None not in (sharpe_ratio(enough), sharpe_error(enough), sortino_ratio(enough))
    assert sharpe_ratio(enough[:29]) is sortino_ratio(enough[:29]) is None


def test_the_error_on_thirty_calm_days_is_about_three_and_a_half() -> None:
    assert sharpe_error(np.tile([0.01, -0.01], 15)) == pytest.approx(sqrt(365 / 29))
    assert sqrt(365 / 29) == pytest.approx(3.5, abs=0.1)


def test_below_thirty_days_there_is_no_ratio() -> None:
    short = np.tile([0.01, -0.005], 14)
    assert sharpe_ratio(short) is sharpe_error(short) is sortino_ratio(short) is None


def test_returns_that_do_not_vary_have_no_ratio() -> None:
    assert sharpe_ratio(np.zeros(60)) is sharpe_error(np.zeros(60)) is sortino_ratio(np.zeros(60)) is None


def test_the_drawdown_is_from_the_running_peak() -> None:
    assert max_drawdown(np.array([100.0, 80.0, 120.0, 60.0, 130.0])) == 0.5
    assert max_drawdown(np.array([1.0, 2.0, 3.0])) == 0.0


def test_figures_need_one_value_a_time() -> None:
    with pytest.raises(InvalidValue, match="one length"):
        daily_returns(np.array([1, 2]), np.array([1.0]))


def test_buy_and_hold_pays_once_and_then_follows_equal_weights() -> None:
    up = series([(100 + k, 101 + k, 99 + k, 100 + k) for k in range(5)], symbol="A")
    still = series([(50, 51, 49, 50)] * 5, symbol="B", start=2)
    ts, equity = buy_and_hold({"A": up, "B": still}, initial_cash=1_000.0)
    paid = 1.0001 * 1.001
    assert ts.tolist() == [h * HOUR_NS for h in range(1, 8)]
    assert equity[0] == pytest.approx(500.0 / paid + 500.0)
    assert equity[-1] == pytest.approx(500.0 / paid * 1.04 + 500.0 / paid)
