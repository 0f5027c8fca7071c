"""Were the signals well timed? Those who know are found, and chance is found as often as chance is."""

import os

import numpy as np
import pytest

from consilium.app.backtest.economics import Economics
from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.economics_luck import TOO_FEW_BARS, timing
from consilium.app.settings import Costs, Settings
from consilium.domain import Direction
from consilium.market.candles import CandleSeries
from consilium.market.simulator import simulate
from consilium.trading.positions import AskedPositions, asked_positions
from consilium.trading.signals import SignalSeries
from consilium.training.judge.permutation import BarReturns, permutation_test
from economics_cases import by_chance, case, knowing
from trading_bars import signals as signals_at

SOAK = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"


def market(seed: int, *, symbols: int = 2, bars: int = 800) -> dict[str, CandleSeries]:
    return simulate(symbols=symbols, bars=bars, seed=seed, kind="garch").series


def economics(panel: dict[str, CandleSeries], horizon: int) -> Economics:
    request = BacktestRequest.checked(settings=Settings(), horizon=horizon)
    return Economics(request, panel, min(int(series.ts_close[30]) for series in panel.values()))


def tossed(panel: dict[str, CandleSeries], seed: int, often: float) -> list[SignalSeries]:
    """UP and DOWN by chance, in runs as forecasts have them."""
    rng = np.random.default_rng(seed)
    return [
        SignalSeries(
            symbol=symbol,
            ts_event=series.ts_close,
            direction=np.repeat(rng.choice(np.array([0, 2], dtype=np.int8), len(series)), 3)[: len(series)],
            actionable=rng.random(len(series)) < often,
        )
        for symbol, series in panel.items()
    ]


def share_of_chance_found(worlds: int, *, symbols: int, horizon: int, often: float) -> float:
    found = 0
    for seed in range(worlds):
        panel = market(seed, symbols=symbols)
        told = timing(economics(panel, horizon), tossed(panel, 10_000 + seed, often), seed=seed)
        found += told["p_value"] <= 0.05
    return found / worlds


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_signals_that_know_the_next_bar_are_not_luck(seed: int) -> None:
    world = case(market(seed))
    known = timing(world.economics, knowing(world, lambda r: r > 0.004)["edge"].signals, seed=seed)
    assert known["p_value"] < 0.01
    assert known["net_return"] > known["high"] > known["median"]


def test_signals_by_chance_are_found_about_as_often_as_chance_allows() -> None:
    # 60 worlds at 5 %: 10 or more have a chance of 0.1 %
    assert share_of_chance_found(60, symbols=2, horizon=2, often=0.08) < 10 / 60


def rising(seed: int, late: int, *, symbols: int = 10, bars: int = 800) -> AskedPositions:
    """Positions in episodes, without timing, in a market that rises; some symbols begin in its middle."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.001, 0.01, (bars, 1)) + rng.normal(0.0, 0.005, (bars, symbols))
    positions, t = np.zeros((bars, symbols)), 1
    while t < bars - 10:
        positions[t : t + 6] = rng.random(symbols) < 0.6
        t += 6 + int(rng.integers(2, 12))
    live = np.ones((bars, symbols), dtype=np.bool_)
    live[: bars // 2, :late] = False
    return AskedPositions(
        ts=np.arange(bars),
        positions=np.where(live, positions, 0.0),
        returns=np.where(live, returns, 0.0),
        live=live,
        symbols=tuple(str(k) for k in range(symbols)),
    )


@pytest.mark.long
@pytest.mark.parametrize("late", [0, 3, 5])
def test_symbols_that_begin_late_are_no_timing(late: int) -> None:
    # with a return of 0 before they begin, 5 of 10 late symbols were found in 20 worlds of 100
    worlds, found = 600 if SOAK else 60, 0
    for seed in range(worlds):
        asked = rising(seed, late)
        account = BarReturns(asked.returns_anywhere(), cost=0.0011)
        found += permutation_test(asked.positions, account, block=24, seed=seed).p_value <= 0.05
    assert found / worlds <= 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / worlds)


def test_a_panel_with_late_symbols_is_told_no_better_than_it_is() -> None:
    panel = market(3, symbols=4, bars=600)
    late = panel | {name: panel[name].slice(300, 600) for name in list(panel)[:2]}
    said = tossed(late, 3, 0.2)
    own = economics(late, 2)
    asked = asked_positions(own.tapes, said, horizon=2, start_ts=own.start_ts)
    told = timing(own, said, seed=1)
    account = BarReturns(asked.returns_anywhere(), cost=told["cost"])
    fair = permutation_test(asked.positions, account, block=told["block"], seed=1)
    assert (told["p_value"], told["median"]) == (fair.p_value, fair.median)
    unfair = permutation_test(
        asked.positions, BarReturns(asked.returns, cost=told["cost"]), block=told["block"], seed=1
    )
    # what the positions earned where they were is the same either way
    assert told["net_return"] == pytest.approx(unfair.net_return, abs=1e-12)
    assert told["median"] != pytest.approx(unfair.median, abs=1e-6)


@pytest.mark.long
@pytest.mark.parametrize(
    ("symbols", "horizon", "often"),
    [(1, 1, 0.05), (2, 4, 0.08), (6, 4, 0.3)],
    ids=["one", "two", "never flat"],
)
def test_signals_by_chance_are_found_in_five_worlds_of_a_hundred(
    symbols: int, horizon: int, often: float
) -> None:
    worlds = 600 if SOAK else 100
    share = share_of_chance_found(worlds, symbols=symbols, horizon=horizon, often=often)
    spread = 3.3 * np.sqrt(0.05 * 0.95 / worlds)
    assert 0.05 - spread <= share <= 0.05 + spread


def test_the_cost_of_a_change_holds_fee_half_spread_and_impact() -> None:
    panel = market(1)
    told = timing(economics(panel, 1), tossed(panel, 1, 0.1), seed=1)
    assert 0.0011 < told["cost"] < 0.01
    dear = Settings(costs=Costs(taker_fee=0.002, impact_coefficient=0.0, half_spread=0.0005))
    request = BacktestRequest.checked(settings=dear, horizon=1)
    without = timing(Economics(request, panel, 0), tossed(panel, 1, 0.1), seed=1)
    assert without["cost"] == pytest.approx(0.0025)


def test_a_block_is_longer_than_four_horizons_and_a_day() -> None:
    panel = market(1)
    assert timing(economics(panel, 1), tossed(panel, 1, 0.1), seed=1)["block"] == 24
    assert timing(economics(panel, 10), tossed(panel, 1, 0.1), seed=1)["block"] == 40


def test_without_a_position_the_p_value_is_one_however_short_the_history() -> None:
    for bars in (800, 60):
        panel = market(1, bars=bars)
        assert timing(economics(panel, 1), [], seed=1)["p_value"] == 1.0


def test_a_history_too_short_to_permute_has_words_and_no_p_value() -> None:
    (series,) = market(1, symbols=1, bars=70).values()
    told = timing(
        economics({series.symbol: series}, 1),
        [signals_at(series, {40: Direction.UP, 44: Direction.UP})],
        seed=1,
    )
    assert told["p_value"] is None
    assert told["reason"] == f"{TOO_FEW_BARS}: 40, 48 are needed"


def test_the_same_seed_gives_the_same_p_value_and_symbols_move_together() -> None:
    world = case(market(4))
    said = by_chance(world, 5)["edge"].signals
    assert timing(world.economics, said, seed=1) == timing(world.economics, said, seed=1)
    assert timing(world.economics, said, seed=1) == timing(world.economics, said[::-1], seed=1)
