from math import log, sqrt

import numpy as np
import pytest

from consilium.domain import HOUR_NS, Broker, Instrument, InvalidValue, Order
from consilium.trading.broker import PaperBroker
from consilium.trading.execution import CostModel
from consilium.trading.tape import Tape
from trading_bars import QUIET, Exchange, fills, reasons


def test_the_paper_broker_fills_the_brokers_port() -> None:
    assert isinstance(PaperBroker(1.0), Broker)


def test_a_market_order_fills_at_the_next_open_plus_half_a_spread_with_the_fee_to_the_cent() -> None:
    exchange = Exchange()
    assert reasons(exchange.order("BUY", 2.0)) == [("accepted", "")]
    (fill,) = fills(exchange.bar(110.0, 112.0, 109.0, 111.0))
    assert fill.price == pytest.approx(110.0 * 1.0001)
    assert fill.fee == pytest.approx(0.220022, abs=1e-8)
    assert fill.ts_event == HOUR_NS
    assert exchange.broker.cash == pytest.approx(10_000 - 220.022 - 0.220022, abs=1e-8)


def test_a_sale_gets_less_than_the_open() -> None:
    exchange = Exchange().bought(2.0)
    exchange.order("SELL", 2.0)
    (fill,) = fills(exchange.bar(110.0, 112.0, 109.0, 111.0))
    assert fill.price == pytest.approx(110.0 * 0.9999)
    assert exchange.broker.positions() == {}


def test_impact_is_sigma_times_the_root_of_our_share_of_the_day() -> None:
    exchange = Exchange(cash=1e6)
    closes = [100.0, 102.0, 99.0, 101.0, 100.0]
    for c in closes:
        exchange.bar(c, c, c, c, 1_000.0)
    returns = np.diff(np.log([100.0, *closes]))
    volume_day = (1e6 + 5 * 1_000.0) / 6 * 24
    exchange.order("BUY", 5.0)
    (fill,) = fills(exchange.bar(100.0, 100.0, 100.0, 100.0, 500.0))
    expected = 100.0 * (1 + 0.0001 + float(np.std(returns, ddof=1)) * sqrt(24) * sqrt(5.0 / volume_day))
    assert fill.price == pytest.approx(expected, rel=1e-12)
    assert fill.price > 100.0 * (1 + 0.0001) + 1e-4
    assert log(fill.price / 100.0) < 0.01


def test_at_most_one_percent_of_the_volume_is_ours_and_the_rest_is_cancelled() -> None:
    exchange = Exchange()
    exchange.order("BUY", 3.0)
    events = exchange.bar(*QUIET, 200.0)
    assert [f.quantity for f in fills(events)] == [2.0]
    assert reasons(events) == [("cancelled", "participation")]
    assert exchange.broker.open_orders() == {}


def test_two_orders_share_the_one_percent() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.5)
    exchange.order("BUY", 1.5)
    assert [f.quantity for f in fills(exchange.bar(*QUIET, 200.0))] == [1.5, 0.5]


def test_a_bar_without_volume_fills_nothing() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.0)
    assert reasons(exchange.bar(*QUIET, 0.0)) == [("cancelled", "participation")]
    assert exchange.broker.cash == 10_000.0


def test_a_stop_fills_at_its_price_less_costs() -> None:
    exchange = Exchange().bought(2.0)
    exchange.order("SELL", 2.0, kind="stop", stop_price=95.0, reduce_only=True)
    assert exchange.bar(100.0, 101.0, 95.5, 96.0) == []
    (fill,) = fills(exchange.bar(96.0, 97.0, 90.0, 91.0))
    assert fill.price == pytest.approx(95.0 * (1 - 0.0001), rel=1e-3)
    assert fill.price < 95.0
    assert fill.liquidity == "taker"


def test_a_stop_that_gaps_fills_at_the_worse_open() -> None:
    exchange = Exchange(costs=CostModel(impact_coefficient=0.0)).bought(2.0)
    exchange.order("SELL", 2.0, kind="stop", stop_price=95.0, reduce_only=True)
    (fill,) = fills(exchange.bar(90.0, 96.0, 89.0, 95.0))
    assert fill.price == pytest.approx(90.0 * 0.9999)


def test_a_buy_stop_fills_at_the_worse_of_stop_and_open() -> None:
    exchange = Exchange(costs=CostModel(impact_coefficient=0.0))
    exchange.order("BUY", 1.0, kind="stop", stop_price=105.0)
    exchange.order("BUY", 1.0, kind="stop", stop_price=112.0)
    first, second = fills(exchange.bar(110.0, 113.0, 109.0, 111.0))
    assert [first.price, second.price] == pytest.approx([110.0 * 1.0001, 112.0 * 1.0001])


def test_both_barriers_in_one_bar_mean_the_stop() -> None:
    exchange = Exchange(costs=CostModel(impact_coefficient=0.0)).bought(2.0)
    exchange.order("SELL", 2.0, kind="limit", limit_price=105.0, reduce_only=True)
    exchange.order("SELL", 2.0, kind="stop", stop_price=95.0, reduce_only=True)
    events = exchange.bar(100.0, 110.0, 90.0, 100.0)
    assert [f.price for f in fills(events)] == [pytest.approx(95.0 * 0.9999)]
    assert reasons(events) == [("cancelled", "nothing_to_reduce")]


def test_a_touch_is_enough_for_a_stop() -> None:
    exchange = Exchange().bought(2.0)
    exchange.order("SELL", 2.0, kind="stop", stop_price=95.0, reduce_only=True)
    assert fills(exchange.bar(100.0, 101.0, 95.01, 100.0)) == []
    (fill,) = fills(exchange.bar(100.0, 101.0, 95.0, 100.0))
    assert fill.price == pytest.approx(95.0 * 0.9999)


def test_a_touch_is_enough_for_a_stop_that_buys() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.0, kind="stop", stop_price=105.0)
    assert fills(exchange.bar(100.0, 104.99, 99.0, 100.0)) == []
    (fill,) = fills(exchange.bar(100.0, 105.0, 99.0, 100.0))
    assert fill.price == pytest.approx(105.0 * 1.0001)


def test_a_resting_limit_that_gaps_fills_at_the_better_open_as_maker() -> None:
    exchange = Exchange(instrument=Instrument(symbol="BTCUSDT", maker_fee=0.0002, taker_fee=0.001))
    exchange.order("BUY", 1.0, kind="limit", limit_price=95.0)
    assert exchange.bar(*QUIET) == []
    (fill,) = fills(exchange.bar(90.0, 96.0, 89.0, 95.0))
    assert (fill.price, fill.liquidity) == (90.0, "maker")
    assert fill.fee == pytest.approx(0.018)


def test_a_touch_does_not_fill_a_limit_and_a_trade_through_does() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.0, kind="limit", limit_price=95.0)
    assert exchange.bar(100.0, 101.0, 95.0, 96.0) == []
    assert exchange.bar(95.0, 96.0, 95.0, 96.0) == []
    (fill,) = fills(exchange.bar(96.0, 97.0, 94.99, 95.0))
    assert fill.price == 95.0


def test_a_limit_that_the_market_meets_at_once_takes_but_never_beyond_its_price() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.0, kind="limit", limit_price=100.005)
    (fill,) = fills(exchange.bar(*QUIET))
    assert (fill.price, fill.liquidity) == (100.005, "taker")


def test_what_is_left_of_a_resting_limit_keeps_waiting() -> None:
    exchange = Exchange()
    exchange.order("BUY", 3.0, kind="limit", limit_price=99.5)
    assert [f.quantity for f in fills(exchange.bar(*QUIET, 200.0))] == [2.0]
    assert [f.quantity for f in fills(exchange.bar(*QUIET, 200.0))] == [1.0]
    assert exchange.broker.open_orders() == {}
    assert reasons(exchange.broker.cancel("1", 0)) == [("rejected", "cancel_of_filled_order")]


def test_an_immediate_order_does_not_wait() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.0, kind="limit", limit_price=99.5, tif="IOC")
    assert reasons(exchange.bar(*QUIET)) == [("cancelled", "immediate_or_cancel")]


def test_a_day_order_expires_at_midnight() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.0, kind="limit", limit_price=50.0, tif="DAY")
    for _ in range(23):
        assert exchange.bar(*QUIET) == []
    assert reasons(exchange.bar(*QUIET)) == [("expired", "day_over")]


def test_reduce_only_never_flips_a_position() -> None:
    exchange = Exchange().bought(2.0)
    exchange.order("SELL", 5.0, reduce_only=True)
    events = exchange.bar(*QUIET)
    assert [f.quantity for f in fills(events)] == [2.0]
    assert reasons(events) == [("cancelled", "nothing_to_reduce")]
    assert exchange.broker.positions() == {}


def test_two_sales_of_the_whole_position_sell_it_once() -> None:
    exchange = Exchange().bought(2.0)
    exchange.order("SELL", 2.0)
    exchange.order("SELL", 2.0)
    events = exchange.bar(*QUIET)
    assert [f.quantity for f in fills(events)] == [2.0]
    assert reasons(events) == [("cancelled", "nothing_to_reduce")]


@pytest.mark.parametrize(
    ("side", "quantity", "more", "reason"),
    [
        ("SELL", 2.5, {}, "spot_is_long_or_flat"),
        ("BUY", 1.0, {"reduce_only": True}, "nothing_to_reduce"),
        ("BUY", 98.0, {}, "insufficient_cash"),
        ("BUY", 0.04, {}, "below_min_notional"),
        ("BUY", 0.009, {}, "below_lot"),
        ("BUY", 1.0, {"tif": "GTD"}, "unsupported_tif"),
    ],
)
def test_an_order_that_cannot_be_is_rejected_with_its_reason(
    side: str, quantity: float, more: dict[str, object], reason: str
) -> None:
    exchange = Exchange(instrument=Instrument(symbol="BTCUSDT", lot_size=0.01, min_notional=5.0)).bought(2.0)
    assert reasons(exchange.order(side, quantity, **more)) == [("rejected", reason)]
    assert reasons(exchange.broker.cancel("2", 0)) == [("rejected", "cancel_of_rejected_order")]
    assert exchange.bar(*QUIET) == []


def test_a_reduce_only_order_may_be_smaller_than_the_smallest_value() -> None:
    exchange = Exchange(instrument=Instrument(symbol="BTCUSDT", min_notional=5.0)).bought(2.0)
    exchange.order("SELL", 0.01, reduce_only=True)
    assert [f.quantity for f in fills(exchange.bar(*QUIET))] == [0.01]


def test_orders_before_any_bar_and_for_strangers_are_rejected() -> None:
    broker = PaperBroker(1_000.0)
    broker.attach(Instrument(symbol="BTCUSDT"), Tape("BTCUSDT", HOUR_NS))
    for symbol, reason in (("BTCUSDT", "no_price"), ("ETHUSDT", "unknown_symbol")):
        order = Order(order_id=symbol, symbol=symbol, side="BUY", quantity=1.0, ts_event=0)  # type: ignore[arg-type]
        assert reasons(broker.submit(order)) == [("rejected", reason)]


def test_the_same_id_twice_is_rejected_and_the_first_order_lives() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.0)
    exchange.ids = 0
    assert reasons(exchange.order("BUY", 1.0)) == [("rejected", "duplicate_order_id")]
    assert len(fills(exchange.bar(*QUIET))) == 1


def test_open_buys_promise_their_cash() -> None:
    exchange = Exchange()
    exchange.order("BUY", 60.0)
    assert reasons(exchange.order("BUY", 60.0)) == [("rejected", "insufficient_cash")]
    exchange.broker.cancel("1", HOUR_NS)
    assert reasons(exchange.order("BUY", 60.0)) == [("accepted", "")]


def test_a_gap_that_cash_cannot_follow_cuts_the_fill() -> None:
    exchange = Exchange()
    exchange.order("BUY", 99.0)
    events = exchange.bar(110.0, 111.0, 109.0, 110.0)
    assert reasons(events) == [("cancelled", "insufficient_cash")]
    (fill,) = fills(events)
    assert fill.quantity == pytest.approx(10_000 / (110.0 * 1.0001 * 1.001))
    assert 0.0 <= exchange.broker.cash < 1e-6


def test_lots_and_ticks_round_against_us() -> None:
    exchange = Exchange(instrument=Instrument(symbol="BTCUSDT", lot_size=0.5, tick_size=0.25))
    exchange.order("BUY", 1.7)
    (fill,) = fills(exchange.bar(*QUIET))
    assert (fill.quantity, fill.price) == (1.5, 100.25)
    exchange.order("SELL", 1.5, kind="stop", stop_price=95.1, reduce_only=True)
    assert exchange.broker.lane("BTCUSDT").orders[0].price == 95.0


@pytest.mark.parametrize(
    ("order_id", "reason"), [("7", "cancel_of_unknown_order"), ("1", "cancel_of_filled_order")]
)
def test_cancelling_what_does_not_wait_is_rejected(order_id: str, reason: str) -> None:
    exchange = Exchange().bought(1.0)
    assert reasons(exchange.broker.cancel(order_id, 0)) == [("rejected", reason)]
    assert exchange.broker.open_orders() == {}


def test_a_cancelled_order_never_fills() -> None:
    exchange = Exchange()
    exchange.order("BUY", 1.0)
    assert reasons(exchange.broker.cancel("1", 5)) == [("cancelled", "cancelled_by_owner")]
    assert exchange.bar(*QUIET) == []
    assert exchange.broker.open_orders() == {}


def test_perpetuals_are_refused() -> None:
    with pytest.raises(InvalidValue, match="trades market spot; got perp of BTCUSDT"):
        PaperBroker(1.0).attach(Instrument(symbol="BTCUSDT", market="perp"), Tape("BTCUSDT", HOUR_NS))
