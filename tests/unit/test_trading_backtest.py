import numpy as np
import pytest

from consilium.domain import HOUR_NS, DataProblem, Direction, Policy, UnknownName
from consilium.market.candles import CandleSeries
from consilium.trading import (
    CostModel,
    SignalSeries,
    buy_and_hold,
    measure,
    prepare,
    run_backtest,
    run_unit_book,
)
from consilium.trading.twin import twin_search
from trading_bars import QUIET, WARM, consensus, series, signals, warmed

UP, DOWN = Direction.UP, Direction.DOWN
PLAIN = CostModel(impact_coefficient=0.0)


def wandering(n: int, symbol: str, seed: int, start: int = 0) -> CandleSeries:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    return series(list(zip(opened, high, low, close, strict=True)), symbol=symbol, start=start, volume=1e5)


def coin_flips(panel: dict[str, CandleSeries], seed: int = 5) -> list[SignalSeries]:
    rng = np.random.default_rng(seed)
    return [
        SignalSeries(
            symbol=name,
            ts_event=bars.ts_close,
            direction=rng.integers(0, 3, len(bars)).astype(np.int8),
            actionable=rng.random(len(bars)) < 0.3,
        )
        for name, bars in panel.items()
    ]


def test_a_round_trip_pays_spread_and_fees_to_the_cent() -> None:
    bars = warmed([(100.0, 103.0, 99.0, 102.0), (102.0, 104.0, 101.0, 103.0), (105.0, 106.0, 104.0, 105.0)])
    result = run_backtest(
        {"BTCUSDT": bars}, [signals(bars, {WARM - 1: UP})], policy=Policy(), horizon=2, costs=PLAIN
    )
    bought, sold = 100.0 * 1.0001, 105.0 * 0.9999
    expected = 50 * (sold - bought) - 50 * 0.001 * (bought + sold)
    assert result.trades[0].net_pnl == pytest.approx(expected, abs=1e-8)
    assert result.equity[-1] == pytest.approx(10_000 + expected, abs=1e-8)
    assert result.fees == pytest.approx(50 * 0.001 * (bought + sold), abs=1e-8)
    assert result.traded_value == pytest.approx(50 * (bought + sold))
    assert result.ts.tolist() == bars.ts_close.tolist()


def test_without_signals_nothing_happens_and_the_return_is_zero() -> None:
    result = run_backtest({"BTCUSDT": warmed([QUIET] * 50)}, [], policy=Policy(), horizon=2)
    assert set(result.equity.tolist()) == {10_000.0}
    figures = measure(result)
    assert (figures.net_return, figures.trades, figures.win_rate, figures.sharpe) == (0.0, 0, None, None)


def test_an_open_position_is_valued_at_the_end_and_not_sold() -> None:
    bars = warmed([QUIET, (100.0, 111.0, 99.0, 110.0)])
    result = run_backtest({"BTCUSDT": bars}, [signals(bars, {WARM - 1: UP})], policy=Policy(), horizon=9)
    assert result.trades == ()
    assert result.positions["BTCUSDT"].quantity == pytest.approx(50.0)
    assert result.equity[-1] > 10_400
    assert [e.reason for e in result.order_events if e.status == "cancelled"] == ["cancelled_by_owner"]


def test_limits_hold_entries_back_and_limits_off_lets_them_go() -> None:
    panel = {s: warmed([QUIET] * 4, symbol=s) for s in "ABCDEFG"}
    moves = [signals(bars, {WARM - 1: UP}) for bars in panel.values()]
    kept = run_backtest(panel, moves, policy=Policy(max_positions=2), horizon=9, initial_cash=1e5)
    free = run_backtest(
        panel, moves, policy=Policy(max_positions=2), horizon=9, initial_cash=1e5, limits=False
    )
    assert list(kept.positions) == ["A", "B"]
    assert kept.rejections == {"max_positions": 5}
    assert len(free.positions) == 2, "cash for two positions at 2 % risk and a stop 4 % away"
    assert free.rejections == {"insufficient_cash": 5}


def test_the_drawdown_limit_halts_and_is_counted() -> None:
    fall = [(100.0 - 3 * k, 101.0 - 3 * k, 96.0 - 3 * k, 97.0 - 3 * k) for k in range(12)]
    panel = {s: warmed([*fall, *[(64.0, 65.0, 63.0, 64.0)] * 30], symbol=s) for s in "ABCDE"}
    moves = [signals(bars, dict.fromkeys(range(WARM - 1, len(bars)), UP)) for bars in panel.values()]
    policy = Policy(max_daily_risk=1.0, max_risk_per_trade=0.05)
    kept = run_backtest(panel, moves, policy=policy, horizon=2)
    free = run_backtest(panel, moves, policy=policy, horizon=2, limits=False)
    assert [ts / HOUR_NS for ts in kept.halts] == [24.0, 28.0], "the close at 00:00 ends the day of the first"
    assert kept.rejections["max_drawdown"] > 0
    assert free.halts == ()
    assert "max_drawdown" not in free.rejections
    assert free.equity.min() < kept.equity.min()


def test_symbols_may_start_and_end_at_different_times_and_have_gaps() -> None:
    whole = wandering(200, "B", 2)
    keep = np.r_[0:80, 95:200]
    gapped = CandleSeries(
        symbol="B",
        interval_ns=HOUR_NS,
        **{c: getattr(whole, c)[keep] for c in ("ts_open", "open", "high", "low", "close", "volume")},
        bars_per_day=24.0,
    )
    panel = {"A": wandering(150, "A", 1), "B": gapped, "C": wandering(100, "C", 3, start=100)}
    result = run_backtest(panel, coin_flips(panel), policy=Policy(), horizon=5)
    assert result.bars == 150 + 185 + 100
    assert len(result.ts) == 200
    assert {t.symbol for t in result.trades} == {"A", "B", "C"}


def test_a_symbol_that_ends_while_held_is_named() -> None:
    panel = {"A": warmed([QUIET], symbol="A"), "B": warmed([QUIET] * 9, symbol="B")}
    result = run_backtest(panel, [signals(panel["A"], {WARM - 1: UP})], policy=Policy(), horizon=2)
    assert [(s.symbol, s.ts_resumed) for s in result.stranded] == [("A", None)]


def test_the_order_of_symbols_and_signals_does_not_matter() -> None:
    panel = {s: wandering(150, s, k) for k, s in enumerate("ABC")}
    flips = coin_flips(panel)
    one = run_backtest(panel, flips, policy=Policy(), horizon=3)
    two = run_backtest(dict(reversed(panel.items())), flips[::-1], policy=Policy(), horizon=3)
    assert one.fills == two.fills
    assert one.orders == two.orders
    np.testing.assert_array_equal(one.equity, two.equity)


def test_a_panel_laid_out_once_gives_the_same_runs() -> None:
    panel = {s: wandering(150, s, k) for k, s in enumerate("ABC")}
    tapes, flips = prepare(panel), coin_flips(panel)
    runs = [run_backtest(p, flips, policy=Policy(), horizon=3) for p in (panel, tapes, tapes)]
    assert runs[0].fills == runs[1].fills == runs[2].fills


def test_consensuses_and_columns_give_the_same_run() -> None:
    bars = wandering(120, "A", 4)
    moves = {i: UP if i % 3 else DOWN for i in range(20, 110, 4)}
    loose = [consensus("A", int(bars.ts_close[i]), move) for i, move in moves.items()]
    one = run_backtest({"A": bars}, [signals(bars, moves)], policy=Policy(), horizon=3)
    two = run_backtest({"A": bars}, reversed(loose), policy=Policy(), horizon=3)
    assert one.fills == two.fills
    assert one.fills


def test_one_bar_later_is_one_bar_later() -> None:
    bars = wandering(120, "A", 4)
    moves = dict.fromkeys(range(20, 100, 9), UP)
    late = run_backtest({"A": bars}, [signals(bars, moves)], policy=Policy(), horizon=3, delay=1)
    moved = signals(bars, {i + 1: move for i, move in moves.items()})
    assert late.fills == run_backtest({"A": bars}, [moved], policy=Policy(), horizon=3).fills
    assert late.fills


def test_bars_before_the_start_only_warm_up() -> None:
    bars = wandering(120, "A", 4)
    flips = coin_flips({"A": bars})
    start = int(bars.ts_close[60])
    late = run_backtest({"A": bars}, flips, policy=Policy(), horizon=3, start_ts=start)
    assert late.ts[0] == start
    assert late.fills[0].ts_event >= start
    assert late.equity[0] == 10_000.0


def test_a_signal_before_the_start_stays_out_however_late_it_comes() -> None:
    bars = wandering(120, "A", 4)
    said, start = [signals(bars, {59: UP, 80: UP})], int(bars.ts_close[60])
    late = run_backtest({"A": bars}, said, policy=Policy(), horizon=3, start_ts=start, delay=1)
    assert next(o.ts_event for o in late.orders) == int(bars.ts_close[81])
    found = twin_search(
        {"A": bars}, [said], policy=Policy(), horizon=3, start_ts=start, delay=1, compiled=False
    )
    assert found.trades.tolist() == [len(late.trades)] == [1]


def test_what_cannot_be_run_is_refused() -> None:
    bars = warmed([QUIET])
    up = signals(bars, {3: UP})
    with pytest.raises(UnknownName, match="symbol must be one of ETHUSDT"):
        run_backtest({"ETHUSDT": warmed([QUIET], symbol="ETHUSDT")}, [up], policy=Policy(), horizon=1)
    with pytest.raises(DataProblem, match="two of BTCUSDT"):
        run_backtest({"BTCUSDT": bars}, [up, up], policy=Policy(), horizon=1)
    with pytest.raises(DataProblem, match="at least one bar"):
        run_backtest({}, [], policy=Policy(), horizon=1)
    with pytest.raises(DataProblem, match="start earlier"):
        run_backtest({"BTCUSDT": bars}, [], policy=Policy(), horizon=1, start_ts=10**18)
    with pytest.raises(DataProblem, match="ascending"):
        signals(bars, {3: UP}).__class__(
            symbol="X",
            ts_event=np.array([2, 1]),
            direction=np.array([2, 2]),
            actionable=np.array([True, True]),
        )


def test_progress_is_told_and_ends_at_the_end() -> None:
    told: list[tuple[int, int]] = []
    run_backtest(
        {"A": wandering(250, "A", 4)},
        [],
        policy=Policy(),
        horizon=3,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (250, 250)
    assert len(told) <= 125


def test_always_long_is_buy_and_hold() -> None:
    rise = [(100.0 + k, 101.5 + k, 99.5 + k, 101.0 + k) for k in range(60)]
    bars = warmed(rise)
    moves = dict.fromkeys(range(WARM - 1, len(bars)), UP)
    book = run_unit_book({"BTCUSDT": bars}, [signals(bars, moves)], horizon=5, costs=PLAIN, notional=1_000.0)
    _, held = buy_and_hold(
        {"BTCUSDT": bars}, costs=PLAIN, initial_cash=1_001.0, start_ts=int(bars.ts_close[WARM - 1])
    )
    assert book.trades == 0
    assert book.net_return * 1_000.0 == pytest.approx(held[-1] - 1_001.0, abs=0.2)
    assert book.net_return > 0.59


def test_a_unit_book_keeps_its_size_whatever_it_loses() -> None:
    bars = wandering(600, "A", 8)
    book = run_unit_book({"A": bars}, coin_flips({"A": bars}), horizon=4)
    orders = [o for o in book.result.orders if o.cause_id.startswith("consensus")]
    closes = dict(zip(bars.ts_close.tolist(), bars.close.tolist(), strict=True))
    assert len(orders) > 20
    for order in orders:
        assert order.quantity * closes[order.ts_event] == pytest.approx(1_000.0)
    profit = book.result.equity[-1] - book.result.initial_cash
    assert book.net_return == pytest.approx(profit / 1_000.0)
    assert book.daily.sum() == pytest.approx(book.net_return, abs=1e-6)
    assert book.sharpe is None


def test_a_silent_model_has_a_book_of_zeros() -> None:
    book = run_unit_book({"A": wandering(60 * 24, "A", 8)}, [], horizon=4)
    assert (book.net_return, book.trades, book.fees, book.sharpe, book.win_rate) == (0.0, 0, 0.0, None, None)
