"""The book broker by hand: what an order gets from a recorded book, and what it does not."""

import tracemalloc
from collections.abc import Sequence

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
    order,
    play,
    reasons,
)
from consilium.domain import Instrument, InvalidValue, Liquidity, Side
from consilium.domain.ports import Broker
from consilium.market.simulator import simulate_book
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import FRONT, BookExecution

BUY, SELL = Side.BUY, Side.SELL
BIDS = [(100.0, 5.0), (99.0, 10.0), (98.0, 20.0)]
ASKS = [(101.0, 2.0), (102.0, 4.0), (103.0, 8.0)]
STILL = [(ms, BIDS, ASKS) for ms in range(0, 1_001, 100)]
AT_ONCE = BookExecution(latency_ns=0)


def _broker(
    rows: Sequence[BookRow] = STILL,
    trades: Sequence[TradeRow] = (),
    *,
    session: Sequence[int] | None = None,
    execution: BookExecution = AT_ONCE,
    cash: float = 10_000.0,
    **terms: float | str,
) -> BookBroker:
    instrument = Instrument(symbol=SYMBOL, **{"maker_fee": 0.0002, "taker_fee": 0.001, **terms})  # type: ignore[arg-type]
    book = hand_book(rows, session=session)
    return listed(cash, book, hand_trades(trades), execution, instrument)


def _holding(quantity: float, trades: Sequence[TradeRow] = ()) -> BookBroker:
    """A broker that bought at time 0."""
    broker = _broker(trades=trades, cash=1e6)
    broker.advance(0)
    broker.submit(order("before", BUY, quantity, 0))
    broker.advance(1)
    return broker


def test_the_broker_has_the_port_of_all_brokers() -> None:
    assert isinstance(_broker(), Broker)


def test_a_market_order_walks_the_levels_and_pays_the_taker_fee() -> None:
    said = play(_broker(), [order("a", BUY, 5.0, 100)], 200)
    assert [(f.price, f.quantity) for f in fills(said)] == [(101.0, 2.0), (102.0, 3.0)]
    assert [f.fee for f in fills(said)] == [0.202, 0.306]
    assert {f.liquidity for f in fills(said)} == {Liquidity.TAKER}
    assert reasons(said) == [("a", "accepted", "")]


def test_a_market_order_takes_no_more_than_the_recorded_depth_and_says_so() -> None:
    said = play(_broker(), [order("a", BUY, 20.0, 100)], 300)
    assert sum(f.quantity for f in fills(said)) == 14.0
    assert reasons(said)[-1] == ("a", "cancelled", "beyond_recorded_depth")


def test_an_order_meets_the_book_as_it_stands_after_the_latency() -> None:
    later = [(101.5, 9.0), (102.0, 4.0)]
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (140, BIDS, later), (160, BIDS, ASKS)]
    said = play(_broker(rows, execution=BookExecution(latency_ns=50 * MS)), [order("a", BUY, 1.0, 100)], 200)
    assert [(f.price, f.ts_event) for f in fills(said)] == [(101.5, 150 * MS)]


def test_a_stale_book_fills_nothing_and_says_so() -> None:
    broker = _broker([(0, BIDS, ASKS)], execution=BookExecution(latency_ns=0, max_age_ns=300 * MS))
    said = play(broker, [order("late", BUY, 1.0, 301)], 400)
    assert reasons(said) == [("late", "rejected", "stale_book")]
    fresh = _broker([(0, BIDS, ASKS)], execution=BookExecution(latency_ns=0, max_age_ns=300 * MS))
    assert fills(play(fresh, [order("in time", BUY, 1.0, 300)], 400))


def test_an_order_before_the_first_book_meets_none() -> None:
    said = play(_broker([(500, BIDS, ASKS)]), [order("early", BUY, 1.0, 100)], 600)
    assert reasons(said) == [("early", "rejected", "stale_book")]


def test_what_we_took_is_gone_until_the_record_says_something_new_of_it() -> None:
    fresh = [(101.0, 3.0), *ASKS[1:]]
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (200, BIDS, fresh)]
    orders = [order("a", BUY, 2.0, 0), order("b", BUY, 1.0, 100), order("c", BUY, 1.0, 200)]
    said = play(_broker(rows), orders, 300)
    assert [f.price for f in fills(said)] == [101.0, 102.0, 101.0]


def test_a_limit_order_that_crosses_takes_up_to_its_limit_and_rests_with_the_remainder() -> None:
    broker = _broker()
    said = play(broker, [order("a", BUY, 5.0, 100, limit=101.0)], 200)
    assert [(f.price, f.quantity, f.liquidity) for f in fills(said)] == [(101.0, 2.0, Liquidity.TAKER)]
    assert broker.is_open("a")


def test_an_ioc_order_does_not_rest() -> None:
    said = play(_broker(), [order("a", BUY, 5.0, 100, limit=101.0, tif="IOC")], 200)
    assert reasons(said)[-1] == ("a", "cancelled", "immediate_or_cancel")


def test_a_trade_at_the_price_fills_only_after_all_that_stand_before() -> None:
    trades = [(150, 100.0, 4.0, SELL), (250, 100.0, 3.0, SELL), (260, 100.0, 9.0, SELL)]
    said = play(_broker(trades=trades), [order("a", BUY, 3.0, 100, limit=100.0)], 300)
    assert [(f.price, f.quantity, f.ts_event // MS) for f in fills(said)] == [
        (100.0, 2.0, 250),
        (100.0, 1.0, 260),
    ]
    assert {f.liquidity for f in fills(said)} == {Liquidity.MAKER}
    assert fills(said)[0].fee == 0.04


@pytest.mark.parametrize(("share", "filled"), [(FRONT, 4.0), (0.5, 1.5), (1.0, 0.0)])
def test_the_place_in_the_queue_is_a_setting(share: float, filled: float) -> None:
    execution = BookExecution(latency_ns=0, queue_ahead=share)
    broker = _broker(trades=[(150, 100.0, 4.0, SELL)], execution=execution)
    said = play(broker, [order("a", BUY, 9.0, 100, limit=100.0)], 190)
    assert sum(f.quantity for f in fills(said)) == filled


def test_a_trade_through_the_price_fills_up_to_its_size() -> None:
    said = play(_broker(trades=[(150, 98.0, 4.0, SELL)]), [order("a", BUY, 9.0, 100, limit=99.0)], 190)
    assert [(f.price, f.quantity) for f in fills(said)] == [(99.0, 4.0)]


def test_a_trade_of_a_buyer_fills_no_bid() -> None:
    broker = _broker(trades=[(150, 100.0, 50.0, BUY), (160, 98.0, 50.0, BUY)])
    assert not fills(play(broker, [order("a", BUY, 9.0, 100, limit=100.0)], 190))


def test_a_trade_before_the_order_has_arrived_moves_nothing() -> None:
    trades = [(50, 100.0, 5.0, SELL), (100, 100.0, 5.0, SELL), (140, 100.0, 5.0, SELL)]
    execution = BookExecution(latency_ns=50 * MS)
    said = play(_broker(trades=trades, execution=execution), [order("a", BUY, 1.0, 100, limit=100.0)], 400)
    assert not fills(said)


def test_a_level_that_shrinks_leaves_no_more_before_us_than_it_shows() -> None:
    thin = [(100.0, 1.0), *BIDS[1:]]
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (200, thin, ASKS), (300, BIDS, ASKS)]
    said = play(_broker(rows, [(350, 100.0, 3.0, SELL)]), [order("a", BUY, 9.0, 100, limit=100.0)], 400)
    assert sum(f.quantity for f in fills(said)) == 2.0


def test_a_trade_counts_before_the_book_of_the_same_time_which_shows_what_it_left() -> None:
    left = [(100.0, 1.0), *BIDS[1:]]
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (200, left, ASKS), (300, left, ASKS)]
    trades = [(200, 100.0, 4.0, SELL), (250, 100.0, 1.5, SELL)]
    said = play(_broker(rows, trades), [order("a", BUY, 9.0, 100, limit=100.0)], 300)
    assert [(f.quantity, f.ts_event // MS) for f in fills(said)] == [(0.5, 250)]


def test_an_order_inside_the_spread_stands_first() -> None:
    said = play(_broker(trades=[(150, 100.5, 1.0, SELL)]), [order("a", BUY, 9.0, 100, limit=100.5)], 190)
    assert [(f.price, f.quantity) for f in fills(said)] == [(100.5, 1.0)]


def test_an_order_below_the_recorded_levels_does_not_know_its_queue_until_it_sees_it() -> None:
    deeper = [(98.0, 1.0), (97.0, 6.0), (96.0, 1.0)]
    trades = [(150, 97.0, 50.0, SELL), (250, 97.0, 7.0, SELL)]
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (200, deeper, ASKS), (300, deeper, ASKS)]
    said = play(_broker(rows, trades), [order("a", BUY, 9.0, 100, limit=97.0)], 300)
    assert [(f.quantity, f.ts_event // MS) for f in fills(said)] == [(1.0, 250)]


def test_a_book_that_crosses_a_resting_order_fills_it_at_its_price_up_to_what_is_there() -> None:
    lower = [(99.5, 2.0), (100.0, 1.0), (101.0, 5.0)]
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (200, [(99.0, 1.0)], lower), (300, [(99.0, 1.0)], lower)]
    said = play(_broker(rows), [order("a", BUY, 9.0, 100, limit=100.0)], 300)
    assert [(f.price, f.quantity, f.ts_event // MS) for f in fills(said)] == [
        (100.0, 2.0, 200),
        (100.0, 1.0, 200),
    ]
    assert {f.liquidity for f in fills(said)} == {Liquidity.MAKER}


def test_after_a_gap_a_resting_order_stands_behind_its_whole_level() -> None:
    trades = [(150, 100.0, 4.0, SELL), (950, 100.0, 4.0, SELL)]
    rows = [(0, BIDS, ASKS), (100, BIDS, ASKS), (900, BIDS, ASKS), (1_000, BIDS, ASKS)]
    wish = order("a", BUY, 9.0, 100, limit=100.0)
    assert not fills(play(_broker(rows, trades, session=[0, 0, 1, 1]), [wish], 1_000))
    assert sum(f.quantity for f in fills(play(_broker(rows, trades), [wish], 1_000))) == 3.0


def test_a_trade_while_the_book_is_stale_fills_nothing_and_is_counted() -> None:
    execution = BookExecution(latency_ns=0, max_age_ns=200 * MS)
    broker = _broker([(0, BIDS, ASKS), (900, BIDS, ASKS)], [(500, 99.0, 50.0, SELL)], execution=execution)
    assert not fills(play(broker, [order("a", BUY, 1.0, 0, limit=100.0)], 600))
    assert broker.passed_over == {"stale_book": 1}


def test_of_two_orders_at_one_price_the_earlier_is_filled_first() -> None:
    orders = [order("a", BUY, 2.0, 100, limit=100.0), order("b", BUY, 2.0, 110, limit=100.0)]
    said = play(_broker(trades=[(150, 100.0, 8.0, SELL)]), orders, 190)
    assert [(f.order_id, f.quantity) for f in fills(said)] == [("a", 2.0), ("b", 1.0)]


def test_of_two_prices_the_better_is_filled_first() -> None:
    orders = [order("low", BUY, 2.0, 100, limit=99.0), order("high", BUY, 2.0, 110, limit=100.0)]
    said = play(_broker(trades=[(150, 98.5, 3.0, SELL)]), orders, 190)
    assert [(f.order_id, f.quantity) for f in fills(said)] == [("high", 2.0), ("low", 1.0)]


def test_a_withdrawal_takes_as_long_as_an_order() -> None:
    broker = _broker(trades=[(130, 98.0, 1.0, SELL), (160, 98.0, 1.0, SELL)], execution=BookExecution())
    broker.advance(0)
    broker.submit(order("a", BUY, 5.0, 0, limit=100.0))
    broker.advance(100 * MS)
    assert broker.cancel("a", 100 * MS) == []
    said = broker.advance(400 * MS)
    assert [f.ts_event // MS for f in fills(said)] == [130]
    assert reasons(said) == [("a", "cancelled", "cancelled_by_owner")]
    assert broker.cancel("a", 400 * MS)[0].reason == "cancel_of_cancelled_order"
    assert broker.cancel("b", 400 * MS)[0].reason == "cancel_of_unknown_order"


def test_a_sale_walks_the_bids_and_rests_among_the_asks() -> None:
    broker = _holding(8.0, trades=[(150, 102.0, 5.0, BUY)])
    said = play(broker, [order("s", SELL, 6.0, 100), order("r", SELL, 2.0, 110, limit=102.0)], 190)
    assert [(f.price, f.quantity) for f in fills(said, "s")] == [(100.0, 5.0), (99.0, 1.0)]
    assert [(f.price, f.quantity) for f in fills(said, "r")] == [(102.0, 1.0)]
    assert broker.positions()[SYMBOL].quantity == 1.0


def test_spot_is_long_or_flat_and_resting_sales_are_promised() -> None:
    broker = _holding(3.0)
    said = play(
        broker,
        [
            order("too much", SELL, 3.5, 100),
            order("rests", SELL, 2.0, 100, limit=103.0),
            order("promised", SELL, 2.0, 100),
            order("cut", SELL, 2.0, 100, reduce_only=True),
            order("nothing", SELL, 2.0, 100, reduce_only=True),
        ],
        100,
    )
    assert [(name, reason) for name, _, reason in reasons(said) if reason] == [
        ("too much", "spot_is_long_or_flat"),
        ("promised", "spot_is_long_or_flat"),
        ("nothing", "nothing_to_reduce"),
    ]
    assert sum(f.quantity for f in fills(said, "cut")) == 1.0


def test_a_buy_that_cash_cannot_pay_is_rejected_and_resting_buys_are_promised() -> None:
    broker = _broker(cash=1_000.0)
    orders = [
        order("a", BUY, 9.0, 100, limit=100.0),
        order("b", BUY, 1.0, 110, limit=100.0),
        order("c", BUY, 0.9, 120),
    ]
    said = play(broker, orders, 130)
    assert reasons(said) == [
        ("a", "accepted", ""),
        ("b", "rejected", "insufficient_cash"),
        ("c", "accepted", ""),
    ]
    assert broker.cash > 900.0


def test_a_market_order_that_walks_beyond_the_cash_is_cut() -> None:
    broker = _broker(cash=205.0 * 1.001 + 101 * 0.001, lot_size=0.1)
    said = play(broker, [order("a", BUY, 2.0, 0)], 0)
    assert sum(f.quantity for f in fills(said)) == 2.0
    broker = _broker([(0, BIDS, [(101.0, 1.0), (150.0, 5.0)])], cash=210.0, lot_size=0.1)
    said = play(broker, [order("a", BUY, 2.0, 0)], 0)
    assert sum(f.quantity for f in fills(said)) == pytest.approx(1.7)
    assert reasons(said)[-1] == ("a", "cancelled", "insufficient_cash")
    assert broker.cash >= 0.0


def test_cash_that_ends_inside_a_level_buys_no_dust_at_the_next() -> None:
    said = play(_broker(cash=250.0), [order("a", BUY, 2.0, 0), order("b", BUY, 0.4, 0)], 0)
    assert [f.price for f in fills(said)] == [101.0, 102.0]
    levels = [(101.0, 1.0), (150.0, 1.0), (151.0, 1.0), (152.0, 1.0)]
    said = play(_broker([(0, BIDS, levels)], cash=310.0), [order("a", BUY, 3.0, 0)], 0)
    assert [f.price for f in fills(said)] == [101.0, 150.0, 151.0]


def test_quantities_are_whole_lots_and_limits_are_rounded_away_from_the_market() -> None:
    broker = _broker(trades=[(150, 100.5, 1.0, SELL)], lot_size=0.5, tick_size=1.0)
    said = play(broker, [order("a", BUY, 1.7, 100), order("b", BUY, 1.0, 100, limit=100.9)], 190)
    assert sum(f.quantity for f in fills(said, "a")) == 1.5
    assert not fills(said, "b")


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"tif": "GTD"}, "unsupported_tif"),
        ({"reduce_only": True}, "nothing_to_reduce"),
        ({"quantity": 0.001}, "below_lot"),
        ({"quantity": 0.01}, "below_min_notional"),
    ],
)
def test_an_order_that_cannot_be_is_rejected_with_a_reason(wish: dict[str, object], reason: str) -> None:
    broker = _broker(lot_size=0.01, min_notional=10.0)
    one = order("a", BUY, wish.pop("quantity", 1.0), 100, **wish)  # type: ignore[arg-type]
    assert reasons(play(broker, [one], 200)) == [("a", "rejected", reason)]


def test_an_id_is_used_once_and_a_symbol_must_be_known() -> None:
    broker = _broker()
    play(broker, [order("a", BUY, 1.0, 100)], 200)
    assert reasons(broker.submit(order("a", BUY, 1.0, 200))) == [("a", "rejected", "duplicate_order_id")]


def test_orders_must_come_in_the_order_of_time() -> None:
    broker = _broker()
    broker.advance(500 * MS)
    with pytest.raises(InvalidValue, match="order of time"):
        broker.submit(order("a", BUY, 1.0, 400))


def test_a_rebate_is_paid_to_the_maker() -> None:
    broker = _broker(trades=[(150, 98.0, 1.0, SELL)], maker_fee=-0.0001)
    play(broker, [order("a", BUY, 1.0, 100, limit=100.0)], 190)
    assert broker.cash == 10_000.0 - 100.0 + 0.01


def test_contracts_paid_in_the_coin_are_refused() -> None:
    with pytest.raises(InvalidValue, match="paid in the coin"):
        _broker(market="perp", venue="binance_coinm")


@pytest.mark.parametrize(("name", "value"), [("latency_ns", -1), ("max_age_ns", 0), ("queue_ahead", 1.5)])
def test_settings_outside_their_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=name):
        BookExecution(**{name: value})  # type: ignore[arg-type]


def test_a_listed_market_holds_no_second_copy_of_its_record() -> None:
    made = simulate_book(snapshots=5_000, seed=1)
    broker = BookBroker(1e4)
    tracemalloc.start()
    try:
        broker.attach(Instrument(symbol="SIM00"), made.book, made.trades)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < len(made.book)
