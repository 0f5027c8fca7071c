"""One exam for every broker: candles and recorded books keep the same promises about orders."""

from typing import Any

import pytest

from broker_worlds import CASH, KINDS, Played, is_broker, play, when, wish
from consilium.domain import DAY_NS, Liquidity

STILL = [100.0] * 6
FALL = [100.0, 100.0, 99.0, 95.0, 95.0, 95.0]
RISE = [100.0, 100.0, 101.0, 105.0, 105.0, 105.0]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _bought(kind: str, path: list[float], *orders: Any, quantity: float = 2.0, **terms: Any) -> Played:
    return play(kind, path, [wish("first", "BUY", quantity, 0), *orders], **terms)


def test_it_has_the_port_of_all_brokers(kind: str) -> None:
    assert is_broker(play(kind, STILL, []).broker)


def test_a_market_order_is_filled_near_the_price_and_its_cost_leaves_the_cash(kind: str) -> None:
    done = play(kind, STILL, [wish("a", "BUY", 2.0, 1)])
    (fill,) = done.fills("a")
    assert fill.price == pytest.approx(100.01)
    assert fill.fee == pytest.approx(2.0 * 100.01 * 0.001, abs=1e-8)
    assert fill.liquidity is Liquidity.TAKER
    assert fill.ts_event >= when(1)
    assert done.held == 2.0
    assert done.broker.cash == pytest.approx(CASH - 2.0 * fill.price - fill.fee, abs=1e-8)
    assert done.broker.open_orders() == {}


def test_cash_and_position_follow_from_the_fills(kind: str) -> None:
    orders = [
        wish("limit", "BUY", 1.0, 1, kind="limit", limit_price=99.5),
        wish("sell", "SELL", 1.5, 3),
        wish("more", "BUY", 0.25, 4),
    ]
    done = _bought(kind, FALL, *orders)
    signs = {"first": 1, "limit": 1, "sell": -1, "more": 1}
    fills = [fill for name in signs for fill in done.fills(name)]
    assert len(fills) == 4
    cash = CASH - sum(signs[f.order_id] * f.price * f.quantity + f.fee for f in fills)
    assert done.broker.cash == pytest.approx(cash, abs=1e-7)
    assert done.held == pytest.approx(sum(signs[f.order_id] * f.quantity for f in fills))


def test_spot_is_long_or_flat(kind: str) -> None:
    assert _bought(kind, STILL, wish("a", "SELL", 2.5, 2)).ends("a") == [("rejected", "spot_is_long_or_flat")]
    assert play(kind, STILL, [wish("a", "SELL", 1.0, 1)]).held == 0.0


def test_a_reduce_only_order_is_cut_to_the_position_or_refused(kind: str) -> None:
    done = _bought(kind, STILL, wish("a", "SELL", 9.0, 2, reduce_only=True))
    assert done.quantity("a") == 2.0
    assert done.held == 0.0
    refused = ("rejected", "nothing_to_reduce")
    assert play(kind, STILL, [wish("a", "SELL", 1.0, 1, reduce_only=True)]).ends("a") == [refused]
    assert play(kind, STILL, [wish("a", "BUY", 1.0, 1, reduce_only=True)]).ends("a") == [refused]


def test_an_id_is_used_once(kind: str) -> None:
    done = play(kind, STILL, [wish("a", "BUY", 1.0, 1), wish("a", "BUY", 1.0, 3)])
    assert done.ends("a") == [("rejected", "duplicate_order_id")]
    assert done.held == 1.0


def test_a_symbol_must_be_known(kind: str) -> None:
    done = play(kind, STILL, [wish("a", "BUY", 1.0, 1, symbol="OTHER")])
    assert done.ends("a") == [("rejected", "unknown_symbol")]


def test_quantities_are_whole_lots_and_less_than_one_is_refused(kind: str) -> None:
    done = play(kind, STILL, [wish("a", "BUY", 1.7, 1), wish("b", "BUY", 0.4, 1)], lot_size=0.5)
    assert done.quantity("a") == 1.5
    assert done.ends("b") == [("rejected", "below_lot")]


def test_the_smallest_value_binds_what_opens_and_never_what_closes(kind: str) -> None:
    done = play(kind, STILL, [wish("a", "BUY", 0.1, 1)], min_notional=50.0)
    assert done.ends("a") == [("rejected", "below_min_notional")]
    orders = [wish("most", "SELL", 1.9, 2), wish("rest", "SELL", 0.1, 3, reduce_only=True)]
    assert _bought(kind, STILL, *orders, min_notional=50.0).quantity("rest") == pytest.approx(0.1)


def test_a_buy_that_cash_cannot_pay_is_refused_and_open_buys_promise_theirs(kind: str) -> None:
    assert play(kind, STILL, [wish("a", "BUY", 101.0, 1)]).ends("a") == [("rejected", "insufficient_cash")]
    orders = [
        wish("a", "BUY", 60.0, 1, kind="limit", limit_price=90.0),
        wish("b", "BUY", 60.0, 1, kind="limit", limit_price=90.0),
    ]
    assert play(kind, STILL, orders).ends("b") == [("rejected", "insufficient_cash")]


def test_a_time_in_force_that_it_does_not_know_is_refused(kind: str) -> None:
    done = play(kind, STILL, [wish("a", "BUY", 1.0, 1, tif="GTD")])
    assert done.ends("a") == [("rejected", "unsupported_tif")]


def test_a_selling_stop_waits_above_its_price_and_sells_at_market_below(kind: str) -> None:
    stop = wish("s", "SELL", 2.0, 1, kind="stop", stop_price=97.0, reduce_only=True)
    assert not _bought(kind, STILL, stop).fills("s")
    done = _bought(kind, FALL, stop)
    (fill,) = done.fills("s")
    assert fill.price <= 97.0
    assert fill.liquidity is Liquidity.TAKER
    assert when(2) <= fill.ts_event <= when(3)
    assert done.held == 0.0


def test_a_buying_stop_opens_when_the_price_rises_to_it(kind: str) -> None:
    stop = wish("s", "BUY", 1.0, 1, kind="stop", stop_price=103.0)
    assert not play(kind, STILL, [stop]).fills("s")
    (fill,) = play(kind, RISE, [stop]).fills("s")
    assert fill.price >= 103.0
    assert fill.liquidity is Liquidity.TAKER


def test_a_stop_sells_no_more_than_is_left(kind: str) -> None:
    stop = wish("s", "SELL", 2.0, 1, kind="stop", stop_price=97.0, reduce_only=True)
    done = _bought(kind, FALL, stop, wish("half", "SELL", 1.5, 1))
    assert done.quantity("s") == 0.5
    assert done.held == 0.0


def test_a_resting_limit_fills_at_its_price_and_pays_the_maker_fee(kind: str) -> None:
    limit = wish("l", "BUY", 1.0, 1, kind="limit", limit_price=98.0)
    assert not play(kind, STILL, [limit]).fills("l")
    (fill,) = play(kind, FALL, [limit]).fills("l")
    assert fill.price == 98.0
    assert fill.liquidity is Liquidity.MAKER
    assert fill.fee == pytest.approx(98.0 * 0.0002, abs=1e-8)


def test_a_limit_that_crosses_takes_at_no_worse_than_its_price(kind: str) -> None:
    (fill,) = play(kind, STILL, [wish("l", "BUY", 1.0, 1, kind="limit", limit_price=100.5)]).fills("l")
    assert fill.price == pytest.approx(100.01)
    assert fill.liquidity is Liquidity.TAKER


def test_an_immediate_limit_that_does_not_cross_is_cancelled(kind: str) -> None:
    done = play(kind, FALL, [wish("l", "BUY", 1.0, 1, kind="limit", limit_price=98.0, tif="IOC")])
    assert done.ends("l") == [("cancelled", "immediate_or_cancel")]
    assert not done.fills("l")


def test_an_order_for_the_day_expires_when_the_day_ends(kind: str) -> None:
    day = [100.0] * 30
    done = play(kind, day, [wish("l", "BUY", 1.0, 1, kind="limit", limit_price=98.0, tif="DAY")])
    assert done.ends("l") == [("expired", "day_over")]
    (event,) = (h for h in done.happened if getattr(h, "reason", "") == "day_over")
    assert event.ts_event == (when(1) // DAY_NS + 1) * DAY_NS


def test_an_order_is_withdrawn_once(kind: str) -> None:
    limit = wish("l", "BUY", 1.0, 1, kind="limit", limit_price=98.0)
    done = play(kind, [100.0, 100.0, 100.0, 95.0], [limit], cancels=[(2, "l"), (3, "l"), (3, "x")])
    assert done.ends("l") == [
        ("cancelled", "cancelled_by_owner"),
        ("rejected", "cancel_of_cancelled_order"),
    ]
    assert done.ends("x") == [("rejected", "cancel_of_unknown_order")]
    assert not done.fills("l")


def test_prices_are_rounded_away_from_the_market(kind: str) -> None:
    limit = wish("l", "BUY", 1.0, 1, kind="limit", limit_price=98.9)
    (fill,) = play(kind, FALL, [limit], tick_size=0.5).fills("l")
    assert fill.price == 98.5


def test_what_waits_is_told(kind: str) -> None:
    done = play(kind, STILL, [wish("l", "BUY", 1.0, 1, kind="limit", limit_price=98.0)])
    assert list(done.broker.open_orders()) == ["l"]
    assert done.broker.is_open("l")
