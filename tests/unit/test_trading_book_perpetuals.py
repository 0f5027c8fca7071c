"""Perpetuals at the recorded exchange: shorts, margin, funding, liquidation."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from book_worlds import (
    MS,
    SYMBOL,
    BookRow,
    fills,
    hand_book,
    hand_trades,
    listed,
    order,
    play,
    quantity,
    reasons,
)
from consilium.domain import HOUR_NS, Funding, Instrument, InvalidValue, Policy, Side
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.register import FundingPaid
from consilium.trading.portfolio import Portfolio
from consilium.trading.risk import Entry, RiskGate

BUY, SELL = Side.BUY, Side.SELL
MAINTENANCE = 0.01


def _rows(mids: Sequence[float], step_ms: int = 100) -> list[BookRow]:
    return [(k * step_ms, [(mid - 0.5, 50.0)], [(mid + 0.5, 50.0)]) for k, mid in enumerate(mids)]


def _broker(
    rows: Sequence[BookRow],
    *,
    cash: float = 1_000.0,
    leverage: float = 10.0,
    fee: float = 0.0,
    funding: Sequence[Funding] = (),
    rate: float = 0.0001,
    **terms: object,
) -> BookBroker:
    instrument = Instrument(
        symbol=SYMBOL,
        market="perp",
        maker_fee=fee,
        taker_fee=fee,
        maintenance=MAINTENANCE,
        **terms,  # type: ignore[arg-type]
    )
    execution = BookExecution(latency_ns=0, leverage=leverage, max_age_ns=100 * HOUR_NS, funding_rate=rate)
    return listed(cash, hand_book(rows), hand_trades(), execution, instrument, funding)


def test_a_short_gains_what_the_price_falls() -> None:
    broker = _broker(_rows([100.0, 100.0, 90.0, 90.0]))
    play(broker, [order("s", SELL, 5.0, 0), order("c", BUY, 5.0, 200, reduce_only=True)], 300)
    assert quantity(broker) == 0.0
    assert broker.cash == pytest.approx(1_000.0 + 5.0 * (99.5 - 90.5))


def test_a_position_turns_through_zero_in_one_order() -> None:
    broker = _broker(_rows([100.0] * 4))
    play(broker, [order("b", BUY, 2.0, 0), order("s", SELL, 5.0, 100)], 200)
    held = broker.positions()[SYMBOL]
    assert held.quantity == -3.0
    assert held.entry_price == 99.5
    assert broker.cash == pytest.approx(1_000.0 - 2.0 * 100.5 + 5.0 * 99.5)


def test_an_order_needs_its_margin_and_not_its_value() -> None:
    broker = _broker(_rows([100.0] * 4))
    said = play(broker, [order("a", BUY, 50.0, 0), order("b", SELL, 120.0, 100)], 200)
    assert sum(f.quantity for f in fills(said, "a")) == 50.0
    assert reasons(said)[-1] == ("b", "rejected", "insufficient_margin")
    refused = play(_broker(_rows([100.0] * 4)), [order("a", BUY, 100.0, 0)], 200)
    assert reasons(refused) == [("a", "rejected", "insufficient_margin")]
    assert broker.account.free >= 0.0


def test_leverage_of_one_asks_for_the_whole_value() -> None:
    said = play(_broker(_rows([100.0] * 4), leverage=1.0), [order("a", SELL, 10.1, 0)], 200)
    assert reasons(said) == [("a", "rejected", "insufficient_margin")]


def test_a_reduce_only_order_closes_a_short_and_opens_nothing() -> None:
    broker = _broker(_rows([100.0] * 4))
    said = play(broker, [order("s", SELL, 3.0, 0), order("c", BUY, 9.0, 100, reduce_only=True)], 200)
    assert sum(f.quantity for f in fills(said, "c")) == 3.0
    assert quantity(broker) == 0.0


def test_equity_is_what_came_in_and_what_the_price_did() -> None:
    broker = _broker(_rows([100.0, 100.0, 97.0, 97.0]), fee=0.001)
    said = play(broker, [order("s", SELL, 5.0, 0), order("t", SELL, 1.0, 100, limit=97.0)], 300)
    paid = sum(f.fee for f in fills(said))
    gain = sum(f.quantity * (f.price - 97.0) for f in fills(said))
    assert broker.account.equity == pytest.approx(1_000.0 + gain - paid)


def test_a_long_is_liquidated_at_the_mark_of_the_formula() -> None:
    broker = _broker(_rows([100.0, 100.0, 92.5, 90.0, 90.0]), cash=200.0)
    said = play(broker, [order("a", BUY, 10.0, 0)], 150)
    entry, margin = 100.5, 100.5
    price = (10.0 * entry - margin) / (10.0 * (1.0 - MAINTENANCE))
    assert broker.account.liquidation_price(SYMBOL) == pytest.approx(price)
    assert 90.0 < price < 92.5
    said = broker.advance(250 * MS)
    assert not fills(said)
    said = broker.advance(400 * MS)
    (fill,) = fills(said)
    assert fill.order_id in broker.forced
    assert (fill.price, fill.quantity, fill.ts_event) == (89.5, 10.0, 300 * MS)
    assert quantity(broker) == 0.0


def test_a_short_is_liquidated_above_and_its_orders_are_withdrawn() -> None:
    broker = _broker(_rows([100.0, 100.0, 110.0, 110.0]), cash=200.0)
    said = play(broker, [order("s", SELL, 10.0, 0), order("l", SELL, 1.0, 100, limit=150.0)], 300)
    assert quantity(broker) == 0.0
    assert ("l", "cancelled", "liquidation") in reasons(said)
    assert [f.price for f in fills(said) if f.order_id in broker.forced] == [110.5]


def test_a_liquidation_that_the_depth_does_not_hold_goes_on_at_the_next_book() -> None:
    thin = [(k * 100, [(89.5, 4.0 + 2.0 * k)], [(90.5, 50.0)]) for k in range(1, 4)]
    broker = _broker([*_rows([100.0]), *thin], cash=200.0)
    play(broker, [order("a", BUY, 10.0, 0)], 300)
    assert [one.quantity for one in broker.forced.values()] == [10.0, 4.0, 2.0]
    assert quantity(broker) == 0.0


def test_tiers_of_maintenance_move_the_liquidation() -> None:
    tiers = ((0.0, 0.004, 0.0), (500.0, 0.02, 8.0))
    broker = _broker(_rows([100.0] * 3), tiers=tiers)
    play(broker, [order("a", BUY, 10.0, 0)], 100)
    expected = (1_005.0 - 100.5 - 8.0) / (10.0 * 0.98)
    assert broker.account.liquidation_price(SYMBOL) == pytest.approx(expected)


def test_funding_is_paid_by_longs_on_the_position_at_that_time() -> None:
    funding = [Funding(symbol=SYMBOL, ts_event=150 * MS, rate=0.001, mark=101.0)]
    for side, sign in ((BUY, 1), (SELL, -1)):
        broker = _broker(_rows([100.0] * 4), funding=funding)
        said = play(broker, [order("a", side, 2.0, 0), order("b", side, 2.0, 200)], 300)
        (paid,) = [h for h in said if isinstance(h, FundingPaid)]
        assert paid.amount == pytest.approx(sign * 2.0 * 101.0 * 0.001)
        price = 100.5 if side is BUY else 99.5
        assert broker.cash == pytest.approx(1_000.0 - sign * 4.0 * price - paid.amount)


def test_without_a_record_funding_is_paid_every_eight_hours() -> None:
    hour = HOUR_NS // MS
    broker = _broker(_rows([100.0] * 20, step_ms=hour), rate=0.0002)
    said = play(broker, [order("a", BUY, 2.0, 0)], 19 * hour)
    paid = [h for h in said if isinstance(h, FundingPaid)]
    assert [h.ts_event // HOUR_NS for h in paid] == [8, 16]
    assert paid[0].amount == pytest.approx(2.0 * 100.0 * 0.0002)
    flat = play(_broker(_rows([100.0] * 20, step_ms=hour)), [], 19 * hour)
    assert not flat


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValue, match="leverage"):
        BookExecution(leverage=0.5)
    twice = [Funding(symbol=SYMBOL, ts_event=1, rate=0.0, mark=1.0)] * 2
    with pytest.raises(InvalidValue, match="ascending"):
        _broker(_rows([100.0]), funding=twice)
    broker = _broker(_rows([100.0]))
    other = hand_book(_rows([100.0]))
    with pytest.raises(InvalidValue, match="one account"):
        broker.attach(Instrument(symbol=SYMBOL), other, hand_trades())


def test_portfolio_and_exchange_tell_one_margin() -> None:
    for side in (BUY, SELL):
        broker = _broker(_rows([100.0, 100.0, 103.0, 103.0]))
        (fill,) = fills(play(broker, [order("a", side, 20.0, 0)], 200))
        portfolio = Portfolio(1_000.0, broker.account.leverage)
        portfolio.apply(SYMBOL, side.sign, fill)
        portfolio.mark(SYMBOL, 103.0)
        assert portfolio.positions() == broker.positions()
        assert portfolio.margin == pytest.approx(20.0 * fill.price / 10.0)


def test_the_limit_of_exposure_binds_the_margin_of_a_perpetual() -> None:
    wide = Policy(max_position_usd=1e9, max_leverage=1e3, max_daily_risk=1.0, max_risk_per_trade=1.0)
    entry = Entry(quantity=50.0, price=100.0, distance=0.1, stop_distance=0.1)
    buy = order("a", BUY, 50.0, 0)
    for leverage, most, allowed in ((10.0, 0.6, True), (10.0, 0.4, False), (None, 0.6, False)):
        gate = RiskGate(replace(wide, max_exposure=most))
        assert gate.check(buy, Portfolio(1_000.0, leverage), entry, (0.0, 0.0)) is allowed
        assert gate.refusals["max_exposure"] == (not allowed)
