from collections.abc import Sequence

import numpy as np
import pytest

from consilium.domain import DAY_NS, HOUR_NS, Direction, Policy
from consilium.market.candles import CandleSeries
from consilium.trading import BacktestResult, CostModel, Stranding, run_backtest
from consilium.trading.tape import Tape
from trading_bars import signals

UP = Direction.UP
PLAIN = CostModel(half_spread=0.0, impact_coefficient=0.0, fee_scale=0.0)


def bars_at(
    hours: Sequence[int] | range,
    symbol: str = "AAA",
    *,
    close: dict[int, float] | None = None,
    bars_per_day: float = 24.0,
    interval_ns: int = HOUR_NS,
) -> CandleSeries:
    """Quiet bars at 100 that open at the given hours, but for the closes that are told by hour."""
    price = np.array([(close or {}).get(h, 100.0) for h in hours])
    opened = np.full(len(price), 100.0)
    return CandleSeries(
        symbol=symbol,
        interval_ns=interval_ns,
        ts_open=np.asarray(hours, dtype=np.int64) * HOUR_NS,
        open=opened,
        high=np.maximum(opened, price) + 1,
        low=np.minimum(opened, price) - 1,
        close=price,
        volume=np.full(len(price), 1e7),
        bars_per_day=bars_per_day,
    )


def trade(
    panel: Sequence[CandleSeries],
    ups: dict[str, list[int]],
    *,
    horizon: int = 2,
    policy: Policy | None = None,
) -> BacktestResult:
    """Run the panel with an actionable UP at the close of each named bar, by position."""
    moves = [signals(bars, dict.fromkeys(ups[bars.symbol], UP)) for bars in panel if bars.symbol in ups]
    return run_backtest(
        {bars.symbol: bars for bars in panel}, moves, policy=policy or Policy(), horizon=horizon, costs=PLAIN
    )


def fills_of(result: BacktestResult, symbol: str) -> list[float]:
    """Hours at which orders of a symbol filled."""
    ours = {order.order_id for order in result.orders if order.symbol == symbol}
    return [fill.ts_event / HOUR_NS for fill in result.fills if fill.order_id in ours]


def withdrawn(result: BacktestResult) -> list[tuple[str, float]]:
    entries = {order.order_id for order in result.orders if not order.reduce_only}
    return [
        (event.reason, event.ts_event / HOUR_NS)
        for event in result.order_events
        if event.order_id in entries and event.status == "cancelled"
    ]


def test_an_entry_on_the_last_bar_of_a_delisted_symbol_gives_its_slot_back() -> None:
    gone, lives = bars_at(range(50)), bars_at(range(120), "BBB")
    result = trade([gone, lives], {"AAA": [49], "BBB": [50, 60]}, policy=Policy(max_positions=1))
    assert withdrawn(result) == [("no_next_bar", 51.0)]
    assert fills_of(result, "BBB") == [51.0, 53.0, 61.0, 63.0], "free again in the instant it was given up"
    assert result.rejections == {"no_next_bar": 1}


def test_an_entry_never_fills_after_a_gap() -> None:
    bars = bars_at([*range(50), *range(290, 400)])
    result = trade([bars], {"AAA": [49]})
    assert result.fills == ()
    assert withdrawn(result) == [("no_next_bar", 290.0)]
    assert result.rejections == {"no_next_bar": 1}


def test_one_missing_bar_is_enough_round_the_clock() -> None:
    panel = [bars_at([*range(50), *range(51, 60)]), bars_at(range(60), "BBB")]
    assert withdrawn(trade(panel, {"AAA": [49]})) == [("no_next_bar", 51.0)]
    assert withdrawn(trade(panel[:1], {"AAA": [49]})) == [("no_next_bar", 51.0)]


def test_after_a_withdrawn_entry_the_symbol_trades_again() -> None:
    result = trade([bars_at([*range(50), *range(60, 90)])], {"AAA": [49, 55]})
    assert fills_of(result, "AAA") == [66.0, 68.0]


def office(days: Sequence[int] | range) -> list[int]:
    """Hours of a market that opens at 9 and closes at 16."""
    return [day * 24 + hour for day in days for hour in range(9, 16)]


def test_an_entry_at_the_close_of_a_session_fills_at_the_next_sessions_open() -> None:
    stock = bars_at(office([0, 1, 2, 3, 4, 7, 8]), bars_per_day=7.0)
    coin = bars_at(range(9 * 24), "COIN")
    result = trade([stock, coin], {"AAA": [27, 34]}, horizon=1)
    assert fills_of(result, "AAA")[:2] == [4 * 24 + 9, 4 * 24 + 10]
    assert fills_of(result, "AAA")[2:] == [7 * 24 + 9, 7 * 24 + 10], "over the weekend as well"
    assert result.rejections == {}


def test_a_session_market_is_waited_for_no_longer_than_five_days() -> None:
    last = 4 * 24 + 16
    stock, coin = bars_at(office([0, 1, 2, 3, 4, 20]), bars_per_day=7.0), bars_at(range(24 * 24), "COIN")
    result = trade([stock, coin], {"AAA": [34]})
    assert withdrawn(result) == [("no_next_bar", last + 1 + 5 * 24.0)]
    assert result.fills == ()


def test_weekends_that_were_seen_are_closing_hours_though_a_day_has_all_its_bars() -> None:
    days = [day * 24 for day in range(60) if day % 7 < 5]
    daily = bars_at(days, interval_ns=DAY_NS, bars_per_day=1.0)
    assert fills_of(trade([daily], {"AAA": [24]}), "AAA")[0] == 35 * 24
    assert Tape("AAA", DAY_NS, 1.0).expected(1) == DAY_NS - 1, "none was seen yet"


def crash(first: int) -> CandleSeries:
    """Round the clock; opens at half from the given bar on: a position in it breaks the drawdown limit."""
    quiet = bars_at(range(120), "BBB")
    half = np.where(np.arange(120) >= first, 0.5, 1.0)
    columns = {name: getattr(quiet, name) * half for name in ("open", "high", "low", "close")}
    return CandleSeries(
        symbol="BBB",
        interval_ns=HOUR_NS,
        ts_open=quiet.ts_open,
        volume=quiet.volume,
        bars_per_day=24.0,
        **columns,
    )


def test_a_halt_withdraws_the_entries_that_wait() -> None:
    panel = [bars_at([*range(33), *range(37, 120)], bars_per_day=7.0), crash(34)]
    without = trade(panel[:1], {"AAA": [32]}, horizon=24)
    assert fills_of(without, "AAA")[0] == 37.0, "closing hours are waited for"
    result = trade(panel, {"AAA": [32], "BBB": [31]}, horizon=24, policy=Policy(max_daily_risk=0.2))
    assert result.halts == (35 * HOUR_NS,)
    assert withdrawn(result) == [("halted", 35.0)]
    assert fills_of(result, "AAA") == []
    assert result.rejections == {"halted": 1}


@pytest.mark.parametrize(("opens", "filled"), [(93, [93.0]), (94, [])])
def test_a_bar_that_opened_before_the_halt_has_filled_its_entry(opens: int, filled: list[float]) -> None:
    slow = bars_at([*range(0, 90, 3), *range(opens, 120, 3)], interval_ns=3 * HOUR_NS, bars_per_day=4.0)
    policy = Policy(max_daily_risk=0.2)
    result = trade([slow, crash(93)], {"AAA": [29], "BBB": [90]}, horizon=24, policy=policy)
    assert result.halts[0] == 94 * HOUR_NS
    assert fills_of(result, "AAA") == filled
    assert withdrawn(result) == ([] if filled else [("halted", 94.0)])


def test_a_stranded_position_frees_its_slot_and_its_risk_and_keeps_its_value() -> None:
    gone = bars_at(range(50), close={48: 101.0, 49: 101.0})
    result = trade(
        [gone, bars_at(range(120), "BBB")],
        {"AAA": [45], "BBB": [52, 53, 60]},
        horizon=20,
        policy=Policy(max_positions=1, max_daily_risk=0.03),
    )
    assert result.stranded == (Stranding(symbol="AAA", ts_event=54 * HOUR_NS),)
    assert fills_of(result, "BBB")[0] == 54.0, "the slot is free in the instant that it is written down"
    assert result.rejections == {"max_positions": 1}, "three missing bars are not yet enough"
    assert result.positions["AAA"].margin == pytest.approx(50.0 * 101.0)
    assert result.equity[-1] == pytest.approx(10_000.0 + 50.0)


def test_exposure_still_counts_what_is_stranded() -> None:
    result = trade(
        [bars_at(range(50)), bars_at(range(120), "BBB")],
        {"AAA": [45], "BBB": [60]},
        horizon=20,
        policy=Policy(max_exposure=0.52),
    )
    assert len(result.stranded) == 1
    assert result.rejections == {"max_exposure": 1}


def test_a_stranded_position_comes_back_with_its_bars() -> None:
    panel = [bars_at([*range(50), *range(60, 90)]), bars_at(range(120), "BBB"), bars_at(range(120), "CCC")]
    result = trade(
        panel,
        {"AAA": [45], "BBB": [55], "CCC": [62, 80]},
        horizon=8,
        policy=Policy(max_positions=1, max_daily_risk=0.2),
    )
    assert result.stranded == (Stranding(symbol="AAA", ts_event=54 * HOUR_NS, ts_resumed=61 * HOUR_NS),)
    assert [(t.symbol, t.ts_exit / HOUR_NS) for t in result.trades] == [
        ("AAA", 64.0),
        ("BBB", 64.0),
        ("CCC", 89.0),
    ]
    assert result.rejections == {"max_positions": 1}, "back at 61, it counts at 62 beside the other one"


def test_nights_strand_nobody() -> None:
    stock, coin = bars_at(office([0, 1, 2, 3, 4, 7, 8, 9]), bars_per_day=7.0), bars_at(range(240), "COIN")
    result = trade([stock, coin], {"AAA": [33]}, horizon=99)
    assert result.positions.keys() == {"AAA"}
    assert result.stranded == ()


def test_what_is_expected_is_the_same_of_bars_pushed_and_bars_laid_in() -> None:
    for bars in (
        bars_at([*range(50), *range(80, 10_000)]),
        bars_at([h for h in range(12_000) if h % 168 < 120]),
        bars_at(office(range(50)), bars_per_day=7.0),
    ):
        laid, pushed = Tape.of_series(bars), Tape(bars.symbol, bars.interval_ns, bars.bars_per_day)
        again = laid.rewound()
        for i in range(len(bars)):
            laid.i = again.i = i
            pushed.push(bars.candle(i))
            assert pushed.expected(3) == laid.expected(3) == again.expected(3)
