"""Stops at the recorded exchange: what sets them off, what they then take, and stop limits."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from book_worlds import (
    MS,
    SYMBOL,
    BookRow,
    TradeRow,
    fills,
    hand_book,
    hand_trades,
    listed,
    play,
    quantity,
    reasons,
)
from consilium.domain import Instrument, Liquidity, Order, OrderKind, Side
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution

BUY, SELL = Side.BUY, Side.SELL
BIDS = [(100.0, 5.0), (99.0, 10.0), (98.0, 20.0)]
ASKS = [(101.0, 2.0), (102.0, 4.0), (103.0, 8.0)]
LOWER_BIDS, LOWER_ASKS = [(97.0, 6.0), (96.0, 6.0)], [(98.0, 6.0), (99.0, 6.0)]
FALLING: list[BookRow] = [
    *[(ms, BIDS, ASKS) for ms in range(0, 401, 100)],
    *[(ms, LOWER_BIDS, LOWER_ASKS) for ms in range(500, 1_001, 100)],
]
STILL: list[BookRow] = [(ms, BIDS, ASKS) for ms in range(0, 1_001, 100)]


def _broker(
    rows: Sequence[BookRow], trades: Sequence[TradeRow] = (), *, trigger: str = "trade", **terms: float
) -> BookBroker:
    instrument = Instrument(symbol=SYMBOL, **{"maker_fee": 0.0002, "taker_fee": 0.001, **terms})  # type: ignore[arg-type]
    execution = BookExecution(latency_ns=0, trigger=trigger)
    broker = listed(1e5, hand_book(rows), hand_trades(trades), execution, instrument)
    broker.advance(0)
    broker.submit(Order(order_id="before", symbol=SYMBOL, side=BUY, quantity=2.0, ts_event=0))
    broker.advance(1)
    return broker


def _stop(name: str, side: Side, size: float, price: float, ms: int = 100, **more: object) -> Order:
    return Order(
        order_id=name,
        symbol=SYMBOL,
        side=side,
        kind=OrderKind.STOP,
        quantity=size,
        stop_price=price,
        ts_event=ms * MS,
        **more,  # type: ignore[arg-type]
    )


def test_a_trade_at_the_stop_sets_it_off_and_it_takes_what_the_book_holds() -> None:
    said = play(
        _broker(STILL, [(250, 99.0, 1.0, SELL)]), [_stop("s", SELL, 2.0, 99.5, reduce_only=True)], 400
    )
    assert [(f.price, f.quantity, f.ts_event // MS) for f in fills(said, "s")] == [(99.0, 2.0, 250)]
    assert fills(said, "s")[0].liquidity is Liquidity.TAKER


def test_a_trade_above_the_stop_leaves_it_waiting() -> None:
    broker = _broker(STILL, [(250, 100.0, 1.0, SELL)])
    said = play(broker, [_stop("s", SELL, 2.0, 99.5, reduce_only=True)], 900)
    assert not fills(said, "s")
    assert list(broker.open_orders()) == ["s"]


def test_what_the_trade_that_sets_a_stop_off_took_is_not_there_for_it() -> None:
    trades = [(250, 98.0, 19.5, SELL)]
    said = play(_broker(STILL, trades), [_stop("s", SELL, 2.0, 99.5, reduce_only=True)], 280)
    assert [(f.price, f.quantity) for f in fills(said, "s")] == [(98.0, 0.5)]


def test_what_a_stop_does_not_get_between_two_books_it_gets_at_the_next() -> None:
    broker = _broker(STILL, [(250, 98.0, 19.5, SELL)])
    said = play(broker, [_stop("s", SELL, 2.0, 99.5, reduce_only=True)], 400)
    assert [(f.price, f.quantity, f.ts_event // MS) for f in fills(said, "s")] == [
        (98.0, 0.5, 250),
        (100.0, 1.5, 300),
    ]
    assert quantity(broker) == 0.0


def test_the_book_sets_a_stop_off_where_that_is_set() -> None:
    stop = _stop("s", SELL, 2.0, 98.5, reduce_only=True)
    assert not fills(play(_broker(FALLING), [stop], 1_000), "s")
    said = play(_broker(FALLING, trigger="book"), [stop], 1_000)
    assert [(f.price, f.ts_event // MS) for f in fills(said, "s")] == [(97.0, 500)]
    trades = [(250, 90.0, 0.1, SELL)]
    assert fills(play(_broker(FALLING, trades, trigger="book"), [stop], 1_000), "s")[0].ts_event == 500 * MS


def test_a_stop_that_is_reached_when_it_arrives_takes_at_once() -> None:
    said = play(_broker(STILL), [_stop("s", SELL, 2.0, 100.5, reduce_only=True)], 100)
    assert [(f.price, f.ts_event // MS) for f in fills(said, "s")] == [(100.0, 100)]


def test_a_buying_stop_opens_above_the_market() -> None:
    said = play(_broker(STILL, [(250, 102.0, 0.5, BUY)]), [_stop("b", BUY, 1.0, 101.5)], 400)
    assert [(f.price, f.quantity) for f in fills(said, "b")] == [(102.0, 1.0)]


def test_a_stop_limit_rests_at_its_limit_once_it_is_set_off() -> None:
    trades = [(250, 99.0, 1.0, SELL), (650, 99.6, 9.0, BUY)]
    stop = _stop("s", SELL, 2.0, 99.5, reduce_only=True, limit_price=99.6)
    rows = [(ms, [(99.0, 5.0)] if ms > 200 else BIDS, ASKS) for ms in range(0, 1_001, 100)]
    broker = _broker(rows, trades)
    said = play(broker, [stop], 1_000)
    assert [(f.price, f.liquidity, f.ts_event // MS) for f in fills(said, "s")] == [
        (99.6, Liquidity.MAKER, 650)
    ]


def test_a_stop_limit_takes_down_to_its_limit_and_no_further() -> None:
    stop = _stop("s", SELL, 2.0, 99.5, reduce_only=True, limit_price=99.0)
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (200, [(99.5, 0.5), (99.0, 0.5), (98.0, 9.0)], ASKS)]
    broker = _broker([*rows, (300, *rows[2][1:])], trigger="book")
    said = play(broker, [stop], 300)
    assert [(f.price, f.quantity) for f in fills(said, "s")] == [(99.5, 0.5), (99.0, 0.5)]
    assert broker.is_open("s")


def test_a_stop_without_a_position_left_is_cancelled_when_it_is_set_off() -> None:
    broker = _broker(STILL, [(250, 99.0, 1.0, SELL)])
    sell = Order(order_id="x", symbol=SYMBOL, side=SELL, quantity=2.0, ts_event=150 * MS)
    said = play(broker, [_stop("s", SELL, 2.0, 99.5, reduce_only=True), sell], 400)
    assert reasons(said)[-1] == ("s", "cancelled", "nothing_to_reduce")


def test_a_stop_set_off_while_the_book_is_stale_waits_for_the_next_book() -> None:
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (5_000, LOWER_BIDS, LOWER_ASKS)]
    said = play(
        _broker(rows, [(3_000, 99.0, 1.0, SELL)]), [_stop("s", SELL, 2.0, 99.5, reduce_only=True)], 6_000
    )
    assert [(f.price, f.ts_event // MS) for f in fills(said, "s")] == [(97.0, 5_000)]


def test_a_waiting_stop_that_opens_binds_its_cash() -> None:
    broker = _broker(STILL)
    free = broker.account.free
    play(broker, [_stop("b", BUY, 10.0, 105.0)], 200)
    assert broker.account.free == pytest.approx(free - 10.0 * 105.0 * 1.001)
    broker.cancel("b", 300 * MS)
    broker.advance(300 * MS)
    assert broker.account.free == pytest.approx(free)


def test_a_stop_cannot_be_immediate() -> None:
    said = play(_broker(STILL), [_stop("s", SELL, 2.0, 99.5, tif="IOC")], 200)
    assert reasons(said)[-1] == ("s", "rejected", "unsupported_tif")


def test_a_trade_of_the_other_side_tells_that_no_level_stands_at_its_price() -> None:
    sell = Order(order_id="x", symbol=SYMBOL, side=SELL, quantity=2.0, ts_event=260 * MS)
    said = play(_broker(STILL, [(250, 99.0, 0.1, BUY)]), [sell], 290)
    assert [(f.price, f.quantity) for f in fills(said, "x")] == [(98.0, 2.0)]
    said = play(_broker(STILL, [(250, 99.0, 0.1, BUY)]), [replace(sell, ts_event=310 * MS)], 390)
    assert [f.price for f in fills(said, "x")] == [100.0], "the next book says what is there"
