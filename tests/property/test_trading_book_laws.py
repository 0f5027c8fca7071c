"""Laws of fills from books, on random markets with holes and random orders."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from book_worlds import MS, SYMBOL, fills, holed, listed, quantity, random_market, reasons
from consilium.domain import Fill, Instrument, Liquidity, Order, OrderKind, Policy, Side
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading import BacktestResult, SignalSeries
from consilium.trading.book.backtest import run_book_backtest
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.register import BookHappening
from consilium.trading.portfolio import Portfolio

SEEDS = st.integers(0, 2**32 - 1)
LATENCIES = (0, 30 * MS, 250 * MS)
CASH = 50_000.0


def _orders(rng: np.random.Generator, book: BookSeries, count: int = 40) -> list[Order]:
    rows = np.sort(rng.integers(0, len(book), count))
    made = []
    for k, row in enumerate(rows.tolist()):
        side = Side.BUY if rng.random() < 0.6 else Side.SELL
        market = rng.random() < 0.4
        touch = book.bid_price[row, 0] if side is Side.BUY else book.ask_price[row, 0]
        limit = float(np.round(touch - side.sign * 0.01 * int(rng.integers(-2, 6)), 2))
        made.append(
            Order(
                order_id=f"o{k}",
                symbol=SYMBOL,
                side=side,
                kind=OrderKind.MARKET if market else OrderKind.LIMIT,
                quantity=float(np.round(rng.lognormal(1.0, 1.5), 3) + 0.001),
                limit_price=None if market else limit,
                tif="IOC" if rng.random() < 0.2 else "GTC",
                reduce_only=side is Side.SELL and rng.random() < 0.5,
                ts_event=int(book.ts_event[row]),
            )
        )
    return made


def _world(seed: int) -> tuple[BookSeries, TradeSeries, list[Order], BookExecution, np.random.Generator]:
    rng = np.random.default_rng(seed)
    book, trades = holed(random_market(rng), rng)
    execution = BookExecution(
        latency_ns=int(rng.choice(LATENCIES)),
        max_age_ns=int(rng.choice([20 * MS, 1_000 * MS])),
        queue_ahead=float(rng.choice([0, 0.5, 1])),
    )
    return book, trades, _orders(rng, book), execution, rng


def _instrument() -> Instrument:
    return Instrument(symbol=SYMBOL, maker_fee=-0.0001, taker_fee=0.0005, lot_size=0.001, tick_size=0.01)


def _run(
    book: BookSeries, trades: TradeSeries, orders: Sequence[Order], execution: BookExecution
) -> tuple[list[BookHappening], BookBroker, Portfolio]:
    """Send orders, withdraw every third a second later, and keep a second set of books beside."""
    broker, portfolio = listed(CASH, book, trades, execution, _instrument()), Portfolio(CASH)
    sides = {one.order_id: one.side.sign for one in orders}
    said: list[BookHappening] = []

    def hear(happenings: Sequence[BookHappening]) -> None:
        for happening in happenings:
            said.append(happening)
            if isinstance(happening, Fill):
                portfolio.apply(SYMBOL, sides[happening.order_id], happening)

    ahead = [(one.ts_event, 0, one) for one in orders]
    ahead += [(one.ts_event + 1_000 * MS, 1, one) for one in orders[::3]]
    for ts, what, one in sorted(ahead, key=lambda item: item[:2]):
        hear(broker.advance(ts))
        hear(broker.submit(one) if what == 0 else broker.cancel(one.order_id, ts))
        assert portfolio.cash == broker.cash
    hear(broker.advance(int(book.ts_event[-1]) + 2_000 * MS))
    return said, broker, portfolio


def _row(book: BookSeries, ts: int) -> int:
    return int(np.searchsorted(book.ts_event, ts, side="right")) - 1


@given(SEEDS)
def test_cash_and_position_are_conserved_in_both_sets_of_books(seed: int) -> None:
    book, trades, orders, execution, _ = _world(seed)
    said, broker, portfolio = _run(book, trades, orders, execution)
    assert portfolio.cash == broker.cash
    held = portfolio.holdings[SYMBOL].quantity if SYMBOL in portfolio.holdings else 0.0
    assert held == quantity(broker)
    signs = {one.order_id: one.side.sign for one in orders}
    cash = CASH - sum(signs[f.order_id] * f.price * f.quantity + f.fee for f in fills(said))
    assert broker.cash == pytest.approx(cash, abs=1e-6)
    assert quantity(broker) == pytest.approx(
        sum(signs[f.order_id] * f.quantity for f in fills(said)), abs=1e-9
    )
    assert broker.cash >= 0.0
    assert quantity(broker) >= 0.0


@given(SEEDS)
def test_no_order_is_filled_before_the_latency_or_beyond_its_quantity_or_limit(seed: int) -> None:
    book, trades, orders, execution, _ = _world(seed)
    said, _, _ = _run(book, trades, orders, execution)
    for one in orders:
        own = fills(said, one.order_id)
        assert sum(f.quantity for f in own) <= one.quantity * (1 + 1e-12)
        for fill in own:
            assert fill.ts_event >= one.ts_event + execution.latency_ns
            if one.limit_price is not None:
                assert one.side.sign * (one.limit_price - fill.price) >= -1e-9
                if fill.liquidity is Liquidity.MAKER:
                    assert fill.price == pytest.approx(one.limit_price)


@given(SEEDS)
def test_a_market_order_pays_no_better_than_the_touch_and_takes_no_more_than_was_there(seed: int) -> None:
    book, trades, orders, execution, _ = _world(seed)
    said, _, _ = _run(book, trades, orders, execution)
    for one in orders:
        taken = [f for f in fills(said, one.order_id) if f.liquidity is Liquidity.TAKER]
        if not taken:
            continue
        row = _row(book, taken[0].ts_event)
        assert {f.ts_event for f in taken} == {one.ts_event + execution.latency_ns}
        buys = one.side is Side.BUY
        prices, sizes = (
            (book.ask_price[row], book.ask_size[row]) if buys else (book.bid_price[row], book.bid_size[row])
        )
        average = sum(f.price * f.quantity for f in taken) / sum(f.quantity for f in taken)
        assert one.side.sign * (average - prices[0]) >= -1e-9
        for fill in taken:
            assert fill.quantity <= sizes[prices == fill.price].sum() + 1e-9


@given(SEEDS)
def test_at_no_time_are_the_takers_of_one_book_given_more_than_it_shows(seed: int) -> None:
    book, trades, orders, execution, _ = _world(seed)
    said, _, _ = _run(book, trades, orders, execution)
    signs = {one.order_id: one.side for one in orders}
    total: dict[tuple[int, Side, float], float] = defaultdict(float)
    for fill in fills(said):
        if fill.liquidity is Liquidity.TAKER:
            total[_row(book, fill.ts_event), signs[fill.order_id], fill.price] += fill.quantity
    for (row, side, price), taken in total.items():
        prices, sizes = (
            (book.ask_price[row], book.ask_size[row])
            if side is Side.BUY
            else (book.bid_price[row], book.bid_size[row])
        )
        assert taken <= sizes[prices == price].sum() + 1e-9


@given(SEEDS)
def test_nothing_fills_on_a_stale_book(seed: int) -> None:
    book, trades, orders, execution, _ = _world(seed)
    said, _, _ = _run(book, trades, orders, execution)
    for fill in fills(said):
        age = fill.ts_event - int(book.ts_event[_row(book, fill.ts_event)])
        assert 0 <= age <= execution.max_age_ns


@given(SEEDS)
def test_of_two_orders_at_one_price_the_later_is_never_filled_before_the_earlier_is_done(seed: int) -> None:
    rng = np.random.default_rng(seed)
    book, trades = holed(random_market(rng), rng)
    row = int(rng.integers(1, 100))
    side = Side.BUY
    limit = float(np.round(book.bid_price[row, 0] - 0.01 * int(rng.integers(0, 4)), 2))
    orders = [
        Order(
            order_id=name,
            symbol=SYMBOL,
            side=side,
            kind=OrderKind.LIMIT,
            limit_price=limit,
            quantity=float(rng.integers(1, 30)),
            ts_event=int(book.ts_event[row + later]),
        )
        for name, later in (("first", 0), ("second", int(rng.integers(0, 60))))
    ]
    execution = BookExecution(latency_ns=0, queue_ahead=float(rng.choice([0, 0.5, 1])))
    broker = listed(CASH, book, trades, execution)
    said: list[BookHappening] = []
    for one in orders:
        said += broker.advance(one.ts_event)
        said += broker.submit(one)
    said += broker.advance(int(book.ts_event[-1]))
    accepted = [name for name, status, _ in reasons(said) if status == "accepted"]
    made = [f for f in fills(said) if f.liquidity is Liquidity.MAKER]
    if accepted == ["first", "second"] and any(f.order_id == "second" for f in made):
        position = next(k for k, f in enumerate(fills(said)) if f in made and f.order_id == "second")
        before = sum(f.quantity for f in fills(said)[:position] if f.order_id == "first")
        assert before == pytest.approx(orders[0].quantity)


@given(SEEDS)
def test_further_back_in_the_queue_is_never_filled_earlier(seed: int) -> None:
    rng = np.random.default_rng(seed)
    book, trades = holed(random_market(rng), rng)
    row = int(rng.integers(1, 200))
    limit = float(np.round(book.bid_price[row, 0] - 0.01 * int(rng.integers(0, 3)), 2))
    one = Order(
        order_id="a",
        symbol=SYMBOL,
        side=Side.BUY,
        kind=OrderKind.LIMIT,
        limit_price=limit,
        quantity=float(rng.integers(1, 30)),
        ts_event=int(book.ts_event[row]),
    )
    courses = []
    for share in (0.0, 0.3, 1.0):
        broker = listed(CASH, book, trades, BookExecution(latency_ns=0, queue_ahead=share))
        broker.advance(one.ts_event)
        broker.submit(one)
        got = fills(broker.advance(int(book.ts_event[-1])))
        at = np.array([f.ts_event for f in got], dtype=np.int64)
        sizes = np.array([0.0, *(f.quantity for f in got)])
        courses.append(np.cumsum(sizes)[np.searchsorted(at, book.ts_event, side="right")])
    assert (courses[0] >= courses[1] - 1e-9).all()
    assert (courses[1] >= courses[2] - 1e-9).all()


def _signals(rng: np.random.Generator, book: BookSeries) -> SignalSeries:
    rows = np.sort(rng.choice(len(book), 40, replace=False))
    return SignalSeries(
        symbol=SYMBOL,
        ts_event=book.ts_event[rows],
        direction=rng.choice([0, 2, 2], len(rows)).astype(np.int8),
        actionable=np.ones(len(rows), dtype=np.bool_),
    )


def _backtest(
    book: BookSeries, trades: TradeSeries, signals: SignalSeries, execution: BookExecution, entry: OrderKind
) -> BacktestResult:
    return run_book_backtest(
        book,
        trades,
        [signals],
        policy=Policy(),
        horizon=15,
        entry=entry,
        execution=execution,
        instrument=_instrument(),
    )


@pytest.mark.parametrize("entry", [OrderKind.MARKET, OrderKind.LIMIT])
@given(SEEDS)
def test_equity_is_cash_and_position_at_the_mid_after_every_snapshot(entry: OrderKind, seed: int) -> None:
    book, trades, _, execution, rng = _world(seed)
    result = _backtest(book, trades, _signals(rng, book), execution, entry)
    sides = {one.order_id: one.side.sign for one in result.orders}
    cash, held, k = result.initial_cash, 0.0, 0
    mids = book.mid
    for i, ts in enumerate(result.ts.tolist()):
        while k < len(result.fills) and result.fills[k].ts_event <= ts:
            fill = result.fills[k]
            cash -= sides[fill.order_id] * fill.price * fill.quantity + fill.fee
            held += sides[fill.order_id] * fill.quantity
            k += 1
        assert result.equity[i] == pytest.approx(cash + held * mids[i], abs=1e-6)
    assert k == len(result.fills)
    assert held >= -1e-9


@pytest.mark.parametrize("entry", [OrderKind.MARKET, OrderKind.LIMIT])
@given(SEEDS)
def test_no_fill_and_no_equity_knows_what_comes_after(entry: OrderKind, seed: int) -> None:
    book, trades, _, execution, rng = _world(seed)
    signals = _signals(rng, book)
    whole = _backtest(book, trades, signals, execution, entry)
    cut = int(rng.integers(20, len(book)))
    end = int(book.ts_event[cut - 1])
    known = int(np.searchsorted(trades.ts_event, end, side="right"))
    part = _backtest(book.slice(0, cut), trades.slice(0, known), signals, execution, entry)
    np.testing.assert_array_equal(part.equity, whole.equity[:cut])
    assert part.fills == tuple(f for f in whole.fills if f.ts_event <= end)
