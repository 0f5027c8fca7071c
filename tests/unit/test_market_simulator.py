"""The simulator is an instrument: its strength and its habits are measured here."""

import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from consilium.domain.errors import InvalidValue, UnknownName
from consilium.market.candles import COLUMNS
from consilium.market.checks import RawBars, check_bars
from consilium.market.simulator import KINDS, Habits, Simulation, simulate


def _ic(simulation: Simulation) -> float:
    """Mean over symbols of corr(x_t, standardised return of the next bar)."""
    found = [
        np.corrcoef(simulation.signal[name][:-1], simulation.shock[name][1:])[0, 1]
        for name in simulation.series
    ]
    return float(np.mean(found))


def _log_returns(simulation: Simulation) -> list[np.ndarray]:
    return [np.diff(np.log(series.open)) for series in simulation.series.values()]


def _autocorrelation(values: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("planted", [-0.06, 0.0, 0.03, 0.06])
def test_the_measured_ic_is_the_planted_one_within_sampling_error(kind: str, planted: float) -> None:
    simulation = simulate(symbols=20, bars=6000, seed=11, signal_ic=planted, kind=kind)
    # The signals are independent between symbols, so the mean of 20 has this standard error.
    standard_error = 1 / np.sqrt(20 * 6000)
    assert abs(_ic(simulation) - planted) < 3.5 * standard_error


@pytest.mark.parametrize("kind", KINDS)
def test_the_signal_can_be_seen_in_volume_and_earned_from_the_next_open(kind: str) -> None:
    simulation = simulate(symbols=20, bars=6000, seed=5, signal_ic=0.1, kind=kind)
    found = []
    for series in simulation.series.values():
        usual = np.convolve(np.log(series.volume), np.ones(20) / 20)[: len(series)]
        surprise = (np.log(series.volume) - usual)[20:-2]
        earned = np.log(series.open[2:] / series.open[1:-1])[20:]
        found.append(np.corrcoef(surprise, earned)[0, 1])
    assert 0.05 < np.mean(found) < 0.1


def test_without_a_signal_volume_says_nothing_about_the_next_return() -> None:
    simulation = simulate(symbols=20, bars=6000, seed=5, kind="garch")
    found = [
        np.corrcoef(np.log(s.volume[:-2]), np.log(s.open[2:] / s.open[1:-1]))[0, 1]
        for s in simulation.series.values()
    ]
    assert abs(np.mean(found)) < 0.01


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_returns_have_the_stylised_facts(seed: int) -> None:
    for returns in _log_returns(simulate(symbols=6, bars=8000, seed=seed)):
        z = (returns - returns.mean()) / returns.std()
        assert np.mean(z**4) - 3 > 1
        assert all(_autocorrelation(np.abs(returns), lag) > 0.05 for lag in range(1, 11))
        # Fat tails and clusters widen the sampling error of a plain autocorrelation well beyond 1/sqrt(n).
        assert abs(_autocorrelation(returns, 1)) < 0.1
    means = [_autocorrelation(r, 1) for r in _log_returns(simulate(symbols=30, bars=8000, seed=seed))]
    assert abs(np.mean(means)) < 0.02


def test_a_random_walk_has_none_of_them() -> None:
    for returns in _log_returns(simulate(symbols=6, bars=8000, seed=2, kind="random_walk")):
        z = (returns - returns.mean()) / returns.std()
        assert abs(np.mean(z**4) - 3) < 0.35
        assert all(abs(_autocorrelation(np.abs(returns), lag)) < 0.05 for lag in range(1, 11))


@pytest.mark.parametrize("kind", ["garch", "random_walk"])
def test_returns_have_the_long_run_deviation_that_was_asked_for(kind: str) -> None:
    habits = Habits(volatility=0.02, tail_df=np.inf)
    simulation = simulate(symbols=8, bars=20_000, seed=6, kind=kind, habits=habits)
    variance = np.mean([np.mean(returns**2) for returns in _log_returns(simulation)])
    assert np.sqrt(variance) == pytest.approx(0.02, rel=0.05)


def test_symbols_move_together_as_told() -> None:
    simulation = simulate(symbols=2, bars=8000, seed=3, kind="random_walk", habits=Habits(correlation=0.7))
    first, second = _log_returns(simulation)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bars_pass_the_checks(kind: str) -> None:
    for series in simulate(symbols=3, bars=3000, seed=9, kind=kind).series.values():
        bars = RawBars(
            symbol=series.symbol,
            row=np.arange(1, len(series) + 1),
            ts=series.ts_open,
            values=np.column_stack([getattr(series, name) for name in COLUMNS]),
        )
        assert check_bars(bars) == []
        assert_array_equal(series.open[1:], series.close[:-1])


def test_extremes_follow_the_law_of_a_brownian_bridge() -> None:
    # E[max of W on [0, 1]] = sqrt(2 / pi) for free Brownian motion, in units of the bar's deviation.
    series = simulate(bars=40_000, seed=4, kind="random_walk").series["SIM00"]
    highest = np.log(series.high / series.open) / Habits().volatility
    lowest = np.log(series.open / series.low) / Habits().volatility
    assert np.mean(highest) == pytest.approx(np.sqrt(2 / np.pi), abs=0.015)
    assert np.mean(lowest) == pytest.approx(np.sqrt(2 / np.pi), abs=0.015)


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    first, again, other = (simulate(symbols=2, bars=200, seed=s).series["SIM01"] for s in (1, 1, 2))
    assert_array_equal(first.close, again.close)
    assert not np.array_equal(first.close, other.close)


@pytest.mark.parametrize("kind", KINDS)
def test_more_bars_leave_the_earlier_ones_as_they_were(kind: str) -> None:
    short = simulate(symbols=3, bars=150, seed=8, kind=kind, signal_ic=0.1)
    long = simulate(symbols=3, bars=400, seed=8, kind=kind, signal_ic=0.1)
    for name in short.series:
        for column in ("ts_open", *COLUMNS):
            assert_array_equal(
                getattr(short.series[name], column), getattr(long.series[name], column)[:150], err_msg=column
            )
        assert_array_equal(short.signal[name], long.signal[name][:150])
    assert_array_equal(short.regime, long.regime[:150])


def test_all_regimes_are_visited_and_storms_are_wilder() -> None:
    simulation = simulate(bars=20_000, seed=1)
    returns = np.log(simulation.series["SIM00"].close / simulation.series["SIM00"].open)
    calm, normal, storm = (returns[simulation.regime == g].std() for g in range(3))
    assert calm < normal < storm


def test_thirty_symbols_of_six_thousand_bars_take_less_than_two_seconds() -> None:
    begun = time.process_time()
    simulate(symbols=30, bars=6000, seed=1)
    assert time.process_time() - begun < 2


def test_wrong_numbers_are_refused_with_their_bound() -> None:
    with pytest.raises(InvalidValue, match="bars must be >= 1; got 0"):
        simulate(bars=0, seed=1)
    with pytest.raises(InvalidValue, match=r"signal_ic must lie in \[-1, 1\]; got 2"):
        simulate(bars=5, seed=1, signal_ic=2)
    with pytest.raises(UnknownName, match="did you mean 'garch'"):
        simulate(bars=5, seed=1, kind="garh")
    with pytest.raises(InvalidValue, match="alpha"):
        Habits(alpha=0.5, beta=0.5)
    with pytest.raises(InvalidValue, match="tail_df must be > 2"):
        Habits(tail_df=2)
    with pytest.raises(InvalidValue, match="different names"):
        simulate(bars=5, seed=1, symbols=["A", "A"])
