from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consilium.domain import DAY_NS, HOUR_NS, Instrument, Policy
from consilium.market.candles import CandleSeries
from consilium.trading import CostModel
from consilium.trading.twin import twin_backtest
from trading_bars import QUIET, series, signals, warmed
from twin_cases import BOOK, DOWN, UP, both, engines, told, trade


@engines
def test_a_signal_fills_at_the_next_open_against_us_and_pays_the_fee(compiled: bool) -> None:
    costs = CostModel(half_spread=0.001, impact_coefficient=0.0)
    result = trade([(101.0, 102.0, 100.0, 101.0)], {19: UP}, compiled=compiled, costs=costs)
    assert told(result) == [(20, 1, 101.101, 10.0)]
    assert result.fees == pytest.approx(1.01101)
    assert result.held == {"BTCUSDT": 10.0}
    assert result.equity[-1] == pytest.approx(10_000 - 1.01101 - 1.01)


@engines
def test_impact_grows_with_the_square_root_of_our_share_of_a_day(compiled: bool) -> None:
    moved = [(100.0, 101.0, 99.0, 101.0), (101.0, 102.0, 100.0, 100.0), QUIET, QUIET]
    costs = CostModel(half_spread=0.0)
    small, large = (
        trade(moved, {22: UP}, compiled=compiled, costs=costs, notional=notional, initial_cash=1e6)
        for notional in (1e3, 4e3)
    )
    paid = [float(result.fills.price[0]) - 100.0 for result in (small, large)]
    assert paid[1] == pytest.approx(2.0 * paid[0])
    assert paid[0] > 0.0


@engines
def test_no_more_than_the_participation_is_filled_and_the_rest_is_dropped(compiled: bool) -> None:
    result = trade([QUIET, QUIET], {19: UP}, compiled=compiled, volume=400.0)
    assert told(result) == [(20, 1, 100.0, 4.0)]


@engines
def test_a_stop_of_two_true_ranges_works_in_the_bar_of_the_entry(compiled: bool) -> None:
    result = trade([(100.0, 101.0, 96.0, 97.0)], {19: UP}, compiled=compiled)
    assert told(result) == [(20, 1, 100.0, 10.0), (20, -1, 96.0, 10.0)]
    assert (result.trades, result.wins, result.held) == (1, 0, {})


@engines
def test_a_gapped_stop_fills_at_the_open(compiled: bool) -> None:
    result = trade([QUIET, (90.0, 91.0, 89.0, 90.0)], {19: UP}, compiled=compiled)
    assert told(result)[1] == (21, -1, 90.0, 10.0)


@engines
def test_the_horizon_ends_a_position_at_the_next_open(compiled: bool) -> None:
    rows = [QUIET, QUIET, QUIET, (103.0, 104.0, 102.0, 103.0)]
    result = trade(rows, {19: UP}, compiled=compiled)
    assert told(result) == [(20, 1, 100.0, 10.0), (23, -1, 103.0, 10.0)]
    assert (result.trades, result.wins) == (1, 1)


@engines
def test_an_up_while_long_starts_the_horizon_again_without_a_trade(compiled: bool) -> None:
    result = trade([QUIET] * 6, {19: UP, 21: UP}, compiled=compiled)
    assert [bar for bar, *_ in told(result)] == [20, 25]


@engines
def test_a_down_closes_and_opens_nothing(compiled: bool) -> None:
    result = trade([QUIET] * 6, {19: UP, 20: DOWN, 23: DOWN}, compiled=compiled)
    assert [bar for bar, *_ in told(result)] == [20, 21]


@engines
def test_what_could_not_be_sold_for_want_of_volume_is_sent_again(compiled: bool) -> None:
    thin = [(*QUIET, 300.0), (*QUIET, 0.0), (*QUIET, 500.0), (*QUIET, 1e6)]
    result = trade([QUIET, *thin], {19: UP, 20: DOWN}, compiled=compiled)
    assert told(result)[1:] == [(21, -1, 100.0, 3.0), (23, -1, 100.0, 5.0), (24, -1, 100.0, 2.0)]


@engines
def test_a_true_range_that_is_unknown_or_zero_opens_nothing(compiled: bool) -> None:
    assert len(trade([QUIET] * 3, {5: UP}, compiled=compiled).fills) == 0
    bars = series([(100.0, 100.0, 100.0, 100.0)] * 30)
    still = twin_backtest({"BTCUSDT": bars}, [signals(bars, {20: UP})], compiled=compiled, **BOOK)
    assert len(still.fills) == 0


@engines
def test_the_account_mode_sizes_by_risk_and_halts_after_a_drawdown(compiled: bool) -> None:
    crash = [QUIET, (80.0, 81.0, 79.0, 80.0), *[QUIET] * 40]
    ups = dict.fromkeys(range(19, 60), UP)
    policy = Policy(max_drawdown=0.05, max_position_usd=1e6)
    result = trade(crash, ups, compiled=compiled, limits=True, notional=None, policy=policy)
    assert told(result)[0] == (20, 1, 100.0, 50.0)
    assert result.halts == 1
    # the close at midnight, which ends bar 23, still belongs to the day of the halt
    assert result.fills.bar[2] == 25


def broken_off(bars: CandleSeries, at: int, gap_ns: int) -> CandleSeries:
    """The same bars, from index ``at`` on so much later."""
    return CandleSeries(
        symbol=bars.symbol,
        interval_ns=bars.interval_ns,
        ts_open=bars.ts_open + gap_ns * (np.arange(len(bars)) >= at),
        open=bars.open,
        high=bars.high,
        low=bars.low,
        close=bars.close,
        volume=bars.volume,
        bars_per_day=bars.bars_per_day,
    )


@engines
@pytest.mark.parametrize(
    ("gap_ns", "session", "filled"),
    [
        (0, 24.0, [20]),
        (HOUR_NS - 1, 24.0, [20]),
        (HOUR_NS, 24.0, []),
        (5 * DAY_NS, 6.5, [20]),
        (5 * DAY_NS + HOUR_NS, 6.5, []),
    ],
)
def test_an_entry_lives_for_one_expected_bar(
    compiled: bool, gap_ns: int, session: float, filled: list[int]
) -> None:
    bars = broken_off(replace(warmed([QUIET]), bars_per_day=session), 20, gap_ns)
    assert both({"BTCUSDT": bars}, {19: UP}, compiled=compiled) == filled


@engines
def test_an_entry_that_was_withdrawn_leaves_room_for_the_next(compiled: bool) -> None:
    bars = broken_off(warmed([QUIET] * 3), 20, DAY_NS)
    assert both({"BTCUSDT": bars}, {19: UP, 20: UP}, compiled=compiled) == [21]


@engines
@pytest.mark.parametrize(("minutes", "filled"), [(-1, [20]), (0, []), (29, []), (30, [20])])
def test_a_bar_of_another_symbol_ends_the_wait_for_a_bar_that_is_late(
    compiled: bool, minutes: int, filled: list[int]
) -> None:
    minute = HOUR_NS // 60
    bars = broken_off(warmed([QUIET]), 20, 30 * minute)
    other = broken_off(warmed([], symbol="OTHER"), 19, HOUR_NS + minutes * minute)
    assert both({"BTCUSDT": bars}, {19: UP}, compiled=compiled) == [20]
    assert both({"BTCUSDT": bars, "OTHER": other}, {19: UP}, compiled=compiled) == filled


@engines
def test_a_position_lives_on_through_a_hole(compiled: bool) -> None:
    bars = broken_off(warmed([QUIET] * 6), 22, 9 * DAY_NS)
    other = warmed([QUIET] * 300, symbol="OTHER")
    assert both({"BTCUSDT": bars, "OTHER": other}, {19: UP}, compiled=compiled) == [20, 23]


@engines
def test_an_open_that_gaps_away_is_bought_only_as_far_as_cash_goes(compiled: bool) -> None:
    gap = [(125.0, 126.0, 124.0, 125.0)]
    result = trade(gap, {19: UP}, compiled=compiled, notional=10_000.0)
    assert told(result) == [(20, 1, 125.0, 80.0)]
    assert 0.0 <= result.equity[-1] - 80.0 * 125.0 < 1e-6


@engines
def test_what_cash_leaves_of_an_entry_may_be_too_small_to_trade(compiled: bool) -> None:
    gap = [(170.0, 171.0, 169.0, 170.0)]
    left = []
    for least in (840.0, 860.0):
        lots = {"BTCUSDT": Instrument(symbol="BTCUSDT", lot_size=1.0, min_notional=least)}
        words: dict[str, Any] = {"instruments": lots, "initial_cash": 1_000.0, "notional": 1_000.0}
        left.append(told(trade(gap, {19: UP}, compiled=compiled, **words)))
    assert left == [[(20, 1, 170.0, 5.0)], []]


@engines
def test_an_entry_that_cash_pays_less_than_a_tenth_of_is_refused(compiled: bool) -> None:
    tenth = [
        len(trade([QUIET] * 2, {19: UP}, compiled=compiled, notional=n).fills) for n in (99_000.0, 101_000.0)
    ]
    assert tenth == [1, 0]


@engines
@pytest.mark.parametrize(
    ("limit", "quantity"),
    [
        ({"max_exposure": 0.3}, 30.0),
        ({"max_leverage": 0.2}, 20.0),
        ({"max_daily_risk": 0.01}, 25.0),
        ({"max_position_usd": 1_500.0}, 15.0),
        ({"max_risk_per_trade": 0.001}, 2.5),
        ({"max_daily_risk": 0.001}, 0.0),
        ({"max_positions": 0}, 0.0),
    ],
)
def test_each_limit_binds_by_itself(compiled: bool, limit: dict[str, Any], quantity: float) -> None:
    policy = Policy(**limit)
    sized = trade([QUIET] * 2, {19: UP}, compiled=compiled, limits=True, notional=None, policy=policy)
    assert sum(sized.fills.quantity) == pytest.approx(quantity)
    # a fixed size is not cut to a limit: the gate refuses what breaks it
    for fixed, fills in ((quantity - 0.1, 1), (quantity + 0.1, 0)):
        if quantity > 0.0:
            notional = fixed * 100.0
            done = trade(
                [QUIET] * 2, {19: UP}, compiled=compiled, limits=True, notional=notional, policy=policy
            )
            assert len(done.fills) == fills


@engines
@pytest.mark.parametrize(("days", "halts"), [(29, 1), (30, 0), (31, 0)])
def test_a_peak_counts_for_thirty_days(compiled: bool, days: int, halts: int) -> None:
    high, mid, low = ((p, p + 1.0, p - 1.0, p) for p in (110.0, 107.0, 104.0))
    rows = [QUIET, *[high] * 10, *[mid] * 24 * (days - 1), *[mid] * 20, *[low] * 4]
    policy = Policy(max_drawdown=0.04, max_risk_per_trade=1.0, max_daily_risk=1.0, stop_multiplier=9.0)
    words: dict[str, Any] = {"limits": True, "notional": 8_500.0, "horizon": 10_000, "policy": policy}
    result = trade(rows, {19: UP}, compiled=compiled, **words)
    assert (len(result.fills), result.halts) == (1, halts)


@engines
@pytest.mark.parametrize("flag", ["entry", "strategy_exit", "protective_stop"])
def test_each_capability_that_is_off_stays_off(compiled: bool, flag: str) -> None:
    policy = Policy(**{flag: False})  # type: ignore[arg-type]
    rows = [QUIET, (100.0, 101.0, 95.0, 96.0), *[QUIET] * 6]
    with_it = trade(rows, {19: UP, 22: UP}, compiled=compiled)
    without = trade(rows, {19: UP, 22: UP}, compiled=compiled, policy=policy)
    assert told(without) != told(with_it)
