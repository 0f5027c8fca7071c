"""Figures of fills from books, by hand, and the account that answers the exchange order by order."""

from collections.abc import Sequence

import numpy as np
import pytest

from book_worlds import MS, SYMBOL, BookRow, TradeRow, hand_book, hand_trades
from consilium.domain import DataProblem, Instrument, InvalidValue, Policy, Side
from consilium.market.candles import CandleSeries
from consilium.trading import BacktestResult, SignalSeries
from consilium.trading.backtest import prepare
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.figures import FillFigures, fill_figures
from consilium.trading.book.run import RecordedMarket, run_on_books
from consilium.trading.book.service import EntryOrders
from consilium.trading.execution import CostModel

WARM = 20
SECOND = 1_000
BIDS = [(99.5, 5.0), (99.0, 50.0)]
ASKS = [(100.5, 5.0), (101.0, 50.0)]
TERMS = Instrument(symbol=SYMBOL, maker_fee=0.0, taker_fee=0.001)


def _bars(count: int = 40) -> CandleSeries:
    """Seconds of open 100, a range of 4, so an average true range of 4 and a stop 8 away."""
    flat = np.full(count, 100.0)
    return CandleSeries(
        symbol=SYMBOL,
        interval_ns=SECOND * MS,
        ts_open=np.arange(count) * SECOND * MS,
        open=flat,
        high=flat + 2.0,
        low=flat - 2.0,
        close=flat,
        volume=np.full(count, 1e6),
    )


def _rows(count: int = 40) -> list[BookRow]:
    return [(ms, BIDS, ASKS) for ms in range(0, count * SECOND, 100)]


def _run(
    moves: dict[int, int],
    rows: Sequence[BookRow] | None = None,
    trades: Sequence[TradeRow] = ((0, 100.5, 0.001, Side.BUY),),
    *,
    terms: Instrument = TERMS,
    latency_ms: int = 50,
    scale: float = 1.0,
    **more: object,
) -> tuple[BacktestResult, dict[str, FillFigures]]:
    """Signals by ms; returns the account and its figures."""
    market = RecordedMarket(book=hand_book(rows or _rows()), trades=hand_trades(trades))
    signals = SignalSeries(
        symbol=SYMBOL,
        ts_event=np.array(sorted(moves), dtype=np.int64) * MS,
        direction=np.array([moves[ms] for ms in sorted(moves)], dtype=np.int8),
        actionable=np.ones(len(moves), dtype=np.bool_),
    )
    settings: dict[str, object] = {"notional": 1_000.0, "horizon": 5, **more}
    result = run_on_books(
        {SYMBOL: market},
        {SYMBOL: _bars()},
        [signals],
        policy=Policy(),
        limits=False,
        instruments={SYMBOL: terms},
        execution=BookExecution(latency_ns=latency_ms * MS).scaled(scale),
        **settings,  # type: ignore[arg-type]
    )
    costs = CostModel(impact_coefficient=0.0)
    return result, fill_figures(result, {SYMBOL: market}, prepare({SYMBOL: _bars()}), costs, {SYMBOL: terms})


def test_an_entry_walks_the_asks_and_the_horizon_sells_to_the_bids() -> None:
    result, figures = _run({20 * SECOND: 2})
    at = [(f.ts_event // MS, f.price, f.quantity) for f in result.fills]
    assert at == [
        (20_050, 100.5, 5.0),
        (20_050, 101.0, 5.0),
        (25_050, 99.5, 5.0),
        (25_050, 99.0, 5.0),
    ]
    assert figures["entry"].slippage == pytest.approx(0.0075)
    assert figures["exit"].slippage == pytest.approx(0.0075)
    assert figures["entry"].waiting_slippage == 0.0
    assert figures["entry"].beyond_candles == pytest.approx(100.75 / 100.01 - 1.0)
    assert figures["entry"].seconds_first == figures["entry"].seconds_last == 0.05
    assert figures["all"].maker_share == 0.0
    assert figures["all"].slippage_cost == pytest.approx(2 * (5 * 0.5 + 5 * 1.0))
    assert (figures["stop"].orders, figures["stop"].unfilled) == (1, 1)


def test_signals_may_come_between_closes() -> None:
    result, _ = _run({20_340: 2})
    assert [f.ts_event // MS for f in result.fills][::2] == [20_390, 25_390]


def test_an_entry_at_a_limit_makes_and_a_part_of_it_counts_as_a_part() -> None:
    trades = [(20_500, 99.5, 8.0, Side.SELL)]
    result, figures = _run(
        {20 * SECOND: 2},
        trades=trades,
        entries=EntryOrders(kind="limit", patience_ns=1_000 * MS),  # type: ignore[arg-type]
    )
    assert (result.fills[0].price, result.fills[0].quantity) == (99.5, 3.0)
    assert (figures["entry"].in_part, figures["entry"].maker_share) == (1, 1.0)
    assert figures["entry"].slippage == pytest.approx(-0.005)
    assert figures["entry"].seconds_first == 0.5
    reasons = [event.reason for event in result.order_events if event.order_id == result.orders[0].order_id]
    assert reasons == ["", "patience_over"]


def test_the_protective_stop_waits_at_the_exchange_and_sells() -> None:
    low: list[BookRow] = [
        (ms, *((BIDS, ASKS) if ms < 22_000 else ([(91.0, 50.0)], [(92.0, 50.0)])))
        for ms in range(0, 40_000, 100)
    ]
    trades = [(21_950, 92.0, 100.0, Side.SELL)]
    result, figures = _run({20 * SECOND: 2}, low, trades)
    stop = next(order for order in result.orders if order.kind.value == "stop")
    assert stop.stop_price == pytest.approx(100.75 - 8.0)
    sold = [f for f in result.fills if f.order_id == stop.order_id]
    assert [(f.price, f.ts_event // MS) for f in sold] == [(91.0, 22_000)]
    assert figures["stop"].slippage == pytest.approx(1 - 91.0 / 92.75)
    assert len(result.trades) == 1


def test_what_the_depth_does_not_hold_is_sold_at_the_next_books() -> None:
    thin: list[BookRow] = [
        (ms, BIDS if ms < 24_000 else [(99.5, 3.0 + 0.1 * (ms // 100 % 2))], ASKS)
        for ms in range(0, 40_000, 100)
    ]
    result, _ = _run({20 * SECOND: 2}, thin)
    sold = [f.quantity for f in result.fills[2:]]
    assert sum(sold) == pytest.approx(10.0)
    assert max(sold) <= 3.1
    assert not result.positions


def test_an_opposite_signal_closes_and_without_shorts_opens_nothing() -> None:
    result, _ = _run({20 * SECOND: 2, 22 * SECOND: 0, 24 * SECOND: 0})
    assert [f.ts_event // MS for f in result.fills][2] == 22_050
    assert len(result.fills) == 4


def test_down_opens_a_short_in_a_perpetual_where_shorts_are_asked_for() -> None:
    terms = Instrument(symbol=SYMBOL, market="perp", taker_fee=0.0)
    result, _ = _run({20 * SECOND: 0, 22 * SECOND: 2}, terms=terms, entries=EntryOrders(shorts=True))
    assert [o.side.value for o in result.orders if o.kind.value == "market"] == ["SELL", "BUY"]
    (trade,) = result.trades
    assert trade.quantity == -10.0
    assert trade.net_pnl == pytest.approx(10.0 * (99.25 - 100.75))
    stop = next(order for order in result.orders if order.kind.value == "stop")
    assert stop.side is Side.BUY
    assert stop.stop_price == pytest.approx(99.25 + 8.0)
    spot, _ = _run({20 * SECOND: 0}, entries=EntryOrders(shorts=True))
    assert not spot.fills


def test_a_repeated_signal_begins_the_horizon_again() -> None:
    result, _ = _run({20 * SECOND: 2, 23 * SECOND: 2})
    assert result.fills[2].ts_event == 28_050 * MS


def test_multiples_of_costs_multiply_fees_and_what_taking_costs() -> None:
    once, figures = _run({20 * SECOND: 2})
    thrice, _ = _run({20 * SECOND: 2}, scale=3.0)
    assert thrice.fees == pytest.approx(3 * once.fees + 2 * figures["all"].slippage_cost)


def test_signals_outside_the_books_are_refused() -> None:
    with pytest.raises(DataProblem, match="cover"):
        _run({39 * SECOND: 2}, _rows(30))
    assert not _run({10 * SECOND: 2})[0].fills, "no true range yet"


def test_an_order_while_the_books_are_silent_is_rejected_as_stale() -> None:
    rows = [row for row in _rows() if not 19_000 < row[0] < 24_000]
    result, _ = _run({21 * SECOND: 2}, rows)
    assert result.rejections == {"stale_book": 1}
    assert not result.fills


def test_entries_are_market_or_limit_orders() -> None:
    with pytest.raises(InvalidValue, match="market or a limit"):
        EntryOrders(kind="stop")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="patience"):
        EntryOrders(patience_ns=0)


def test_a_signal_before_the_start_stays_out_and_one_after_the_books_is_left_out() -> None:
    second = SECOND * MS
    assert not _run({24_500: 2}, start_ts=25 * second, delay_ns=second)[0].orders
    late, _ = _run({25_500: 2, 39_800: 0}, start_ts=25 * second, delay_ns=second)
    assert [o.ts_event // MS for o in late.orders if not o.reduce_only] == [26_500]
    assert not any(o.ts_event >= 40 * second for o in late.orders)
