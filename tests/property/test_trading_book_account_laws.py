"""Laws of accounts on recorded books: all kinds of orders, spot and perpetuals, and whole backtests."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from book_worlds import MS, SYMBOL, fills, holed, listed, quantity, random_market
from consilium.app.backtest.book_fills import BookFills
from consilium.app.settings import Settings
from consilium.domain import Instrument, Liquidity, Order, OrderKind, Policy, Side
from consilium.market.book.bars import bars_from_trades
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading import BacktestResult, SignalSeries
from consilium.trading.backtest import prepare
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution
from consilium.trading.book.register import BookHappening, FundingPaid
from consilium.trading.book.run import RecordedMarket, run_on_books
from consilium.trading.book.service import EntryOrders

SEEDS = st.integers(0, 2**32 - 1)
CASH = 50_000.0
SECOND = 1_000 * MS


def _orders(rng: np.random.Generator, book: BookSeries, count: int = 40) -> list[Order]:
    made = []
    for k, row in enumerate(np.sort(rng.integers(0, len(book), count)).tolist()):
        side = Side.BUY if rng.random() < 0.5 else Side.SELL
        kind = OrderKind(rng.choice(["market", "limit", "stop", "stop"]))
        touch = book.bid_price[row, 0] if side is Side.BUY else book.ask_price[row, 0]
        away = 0.01 * int(rng.integers(-2, 6))
        price = float(np.round(touch - side.sign * away * (-1 if kind is OrderKind.STOP else 1), 2))
        limited = kind is OrderKind.LIMIT or (kind is OrderKind.STOP and rng.random() < 0.4)
        made.append(
            Order(
                order_id=f"o{k}",
                symbol=SYMBOL,
                side=side,
                kind=kind,
                quantity=float(np.round(rng.lognormal(1.0, 1.5), 3) + 0.001),
                limit_price=price if limited else None,
                stop_price=price if kind is OrderKind.STOP else None,
                tif="IOC" if rng.random() < 0.1 and kind is not OrderKind.STOP else "GTC",
                reduce_only=rng.random() < 0.3,
                ts_event=int(book.ts_event[row]),
            )
        )
    return made


def _played(
    seed: int, market: str, count: int = 40
) -> tuple[BookSeries, TradeSeries, list[Order], list[BookHappening], BookBroker]:
    rng = np.random.default_rng(seed)
    book, trades = holed(random_market(rng), rng)
    # no trade at the very time of a book, so that a fill's time tells which book it was taken from
    trades = replace(trades, ts_event=trades.ts_event + np.isin(trades.ts_event, book.ts_event))
    execution = BookExecution(
        latency_ns=int(rng.choice([0, 30 * MS])),
        queue_ahead=float(rng.choice([0, 1])),
        trigger=str(rng.choice(["trade", "book"])),
        leverage=float(rng.choice([1.0, 20.0])),
    )
    terms = Instrument(
        symbol=SYMBOL, market=market, maker_fee=-0.0001, taker_fee=0.0005, lot_size=0.001, maintenance=0.005
    )
    broker = listed(CASH, book, trades, execution, terms)
    orders = _orders(rng, book, count)
    said: list[BookHappening] = []
    for one in orders:
        said += broker.advance(one.ts_event)
        said += broker.submit(one)
    said += broker.advance(int(book.ts_event[-1]) + SECOND)
    return book, trades, [*orders, *broker.forced.values()], said, broker


@pytest.mark.promise("004", "cash, positions, fees and funding are conserved on recorded books")
@pytest.mark.parametrize("market", ["spot", "perp"])
@given(SEEDS)
@settings(max_examples=40)
def test_cash_and_position_are_what_fills_fees_and_funding_say(market: str, seed: int) -> None:
    _, _, orders, said, broker = _played(seed, market)
    signs = {one.order_id: one.side.sign for one in orders}
    funding = sum(h.amount for h in said if isinstance(h, FundingPaid))
    cash = CASH - sum(signs[f.order_id] * f.price * f.quantity + f.fee for f in fills(said)) - funding
    assert broker.cash == pytest.approx(cash, abs=1e-6)
    held = sum(signs[f.order_id] * f.quantity for f in fills(said))
    assert quantity(broker) == pytest.approx(held, abs=1e-9)
    if market == "spot":
        assert quantity(broker) >= 0.0
        assert broker.cash >= 0.0


@pytest.mark.promise("004", "a fill is never better than the book shows, nor more than is left of it")
@pytest.mark.parametrize("market", ["spot", "perp"])
@given(SEEDS)
@settings(max_examples=40)
def test_takers_get_no_better_price_and_no_more_than_trades_left_of_the_newest_book(
    market: str, seed: int
) -> None:
    book, trades, orders, said, _ = _played(seed, market)
    by_id = {one.order_id: one for one in orders}
    ours: dict[tuple[int, Side, float], float] = defaultdict(float)
    for fill in fills(said):
        if fill.liquidity is not Liquidity.TAKER:
            continue
        side = by_id[fill.order_id].side
        row = int(np.searchsorted(book.ts_event, fill.ts_event, side="right")) - 1
        offers = _side(book, row, side)
        assert side.sign * (fill.price - min(offers, key=lambda price: side.sign * price)) >= -1e-9
        ours[row, side, fill.price] += fill.quantity
        since = (trades.ts_event > book.ts_event[row]) & (trades.ts_event <= fill.ts_event)
        same = since & (trades.taker_buy == (side is Side.BUY))
        assert not (side.sign * (trades.price[same] - fill.price) > 1e-9).any(), "others went through there"
        taken = trades.size[same & (np.abs(trades.price - fill.price) < 1e-9)].sum()
        assert ours[row, side, fill.price] <= offers[fill.price] - taken + 1e-6


@pytest.mark.promise("004", "displayed size is sold to us once, however often a level changes")
@pytest.mark.parametrize("market", ["spot", "perp"])
@given(SEEDS)
@settings(max_examples=40)
def test_over_several_books_takers_get_what_was_shown_and_what_was_added_and_no_more(
    market: str, seed: int
) -> None:
    book, _, orders, said, _ = _played(seed, market, count=120)
    by_id = {one.order_id: one for one in orders}
    ours: dict[tuple[Side, float], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for fill in fills(said):
        if fill.liquidity is Liquidity.TAKER:
            row = int(np.searchsorted(book.ts_event, fill.ts_event, side="right")) - 1
            ours[by_id[fill.order_id].side, fill.price][row] += fill.quantity
    for (side, price), rows in ours.items():
        for first in rows:
            shown = before = _side(book, first, side)[price]
            got = rows[first]
            for row in range(first + 1, max(rows) + 1):
                offers = _side(book, row, side)
                if not offers or side.sign * (price - max(offers, key=lambda p: side.sign * p)) > 0.0:
                    continue
                shown += max(offers.get(price, 0.0) - before, 0.0)
                before = offers.get(price, 0.0)
                got += rows.get(row, 0.0)
                assert got <= shown + 1e-6


def _side(book: BookSeries, row: int, side: Side) -> dict[float, float]:
    """What a book offers to a side: size by price."""
    prices, sizes = (
        (book.ask_price[row], book.ask_size[row])
        if side is Side.BUY
        else (book.bid_price[row], book.bid_size[row])
    )
    return dict(zip(prices[sizes > 0].tolist(), sizes[sizes > 0].tolist(), strict=True))


@given(SEEDS)
@settings(max_examples=40)
def test_no_stop_is_set_off_by_less_than_its_price(seed: int) -> None:
    book, trades, orders, said, _ = _played(seed, "perp")
    first: dict[str, int] = {}
    for fill in fills(said):
        first.setdefault(fill.order_id, fill.ts_event)
    for one in orders:
        if one.kind is not OrderKind.STOP or one.order_id not in first:
            continue
        stop = one.stop_price or 0.0
        known = int(np.searchsorted(book.ts_event, first[one.order_id], side="right"))
        begin = max(int(np.searchsorted(book.ts_event, one.ts_event, side="right")) - 1, 0)
        best = (book.ask_price if one.side is Side.BUY else book.bid_price)[begin:known, 0]
        traded = trades.price[(trades.ts_event >= one.ts_event) & (trades.ts_event <= first[one.order_id])]
        reached = np.concatenate([best, traded])
        assert (one.side.sign * (reached - stop) >= -1e-9).any()


def _backtest(
    book: BookSeries, trades: TradeSeries, rng: np.random.Generator, cut: int | None = None
) -> tuple[BacktestResult, BookSeries]:
    bars = bars_from_trades(trades, SECOND)
    closes = bars.ts_close[(bars.ts_close >= book.ts_event[0]) & (bars.ts_close <= book.ts_event[-1])]
    signals = SignalSeries(
        symbol=SYMBOL,
        ts_event=closes,
        direction=rng.choice([0, 1, 2], len(closes)).astype(np.int8),
        actionable=rng.random(len(closes)) < 0.8,
    )
    execution = BookExecution(latency_ns=int(rng.choice([0, 30, 400])) * MS)
    shorts = bool(rng.random() < 0.5)
    entries = EntryOrders(kind=str(rng.choice(["market", "limit"])), shorts=shorts)  # type: ignore[arg-type]
    terms = Instrument(
        symbol=SYMBOL, market="perp" if shorts else "spot", lot_size=0.001, tick_size=0.01, taker_fee=0.0005
    )
    if cut is not None:
        bars = bars.slice(0, int(np.searchsorted(bars.ts_close, cut, side="right")))
        known = int(np.searchsorted(book.ts_event, cut, side="right"))
        book = book.slice(0, known)
        trades = trades.slice(0, int(np.searchsorted(trades.ts_event, cut, side="right")))
        inside = signals.ts_event <= cut
        signals = SignalSeries(
            symbol=SYMBOL,
            ts_event=signals.ts_event[inside],
            direction=signals.direction[inside],
            actionable=signals.actionable[inside],
        )
    result = run_on_books(
        {SYMBOL: RecordedMarket(book=book, trades=trades)},
        {SYMBOL: bars},
        [signals],
        policy=Policy(),
        horizon=3,
        execution=execution,
        entries=entries,
        limits=False,
        instruments={SYMBOL: terms},
        notional=float(rng.choice([100.0, 2_000.0])),
    )
    return result, book


def _market(rng: np.random.Generator) -> tuple[BookSeries, TradeSeries]:
    made = random_market(rng, 600)
    return made.book, made.trades


@given(SEEDS)
@settings(max_examples=25)
def test_equity_is_cash_and_position_at_the_mid_at_every_close(seed: int) -> None:
    rng = np.random.default_rng(seed)
    book, trades = _market(rng)
    result, _ = _backtest(book, trades, rng)
    sides = {one.order_id: one.side.sign for one in result.orders}
    cash, held, k = result.initial_cash, 0.0, 0
    for ts, equity in zip(result.ts.tolist(), result.equity.tolist(), strict=True):
        while k < len(result.fills) and result.fills[k].ts_event <= ts:
            fill = result.fills[k]
            if fill.ts_event == ts and fill.order_id in _sent_at(result, ts):
                break
            cash -= sides[fill.order_id] * fill.price * fill.quantity + fill.fee
            held += sides[fill.order_id] * fill.quantity
            k += 1
        row = int(np.searchsorted(book.ts_event, ts, side="right")) - 1
        mid = (book.bid_price[row, 0] + book.ask_price[row, 0]) / 2 if row >= 0 else 0.0
        assert equity == pytest.approx(cash + held * mid, abs=1e-6)


def _sent_at(result: BacktestResult, ts: int) -> set[str]:
    """Orders decided at an instant come after the account was valued at it."""
    return {order.order_id for order in result.orders if order.ts_event == ts}


@given(SEEDS)
@settings(max_examples=25)
def test_no_fill_and_no_equity_on_books_knows_what_comes_after(seed: int) -> None:
    book, trades = _market(np.random.default_rng(seed))
    whole, _ = _backtest(book, trades, np.random.default_rng(seed + 1))
    cut = int(whole.ts[len(whole.ts) // 2])
    part, _ = _backtest(book, trades, np.random.default_rng(seed + 1), cut)
    np.testing.assert_array_equal(part.equity, whole.equity[: len(part.equity)])
    assert part.fills == tuple(f for f in whole.fills if f.ts_event <= cut)


def _coarse_until(book: BookSeries, trades: TradeSeries, cut: int) -> tuple[BookSeries, TradeSeries]:
    """The same record in sizes of whole tenths up to a time, and in its own after it."""

    def coarse(sizes: np.ndarray, ts: np.ndarray) -> np.ndarray:
        found = np.where(sizes > 0.0, np.maximum(np.round(sizes, 1), 0.1), sizes)
        early = ts <= cut if sizes.ndim == 1 else (ts <= cut)[:, None]
        return np.where(early, found, sizes)

    return (
        replace(
            book,
            bid_size=coarse(book.bid_size, book.ts_event),
            ask_size=coarse(book.ask_size, book.ts_event),
        ),
        replace(trades, size=coarse(trades.size, trades.ts_event)),
    )


def _run_of_settings(book: BookSeries, trades: TradeSeries, cut: int | None, seed: int) -> BacktestResult:
    """Trade as a run of `--fills book` does, on all that is recorded or on what is known at a time."""
    if cut is not None:
        book = book.slice(0, int(np.searchsorted(book.ts_event, cut, side="right")))
        trades = trades.slice(0, int(np.searchsorted(trades.ts_event, cut, side="right")))
    bars = bars_from_trades(trades, SECOND)
    closes = bars.ts_close[(bars.ts_close >= book.ts_event[0]) & (bars.ts_close <= book.ts_event[-1])]
    rng = np.random.default_rng(seed)
    signals = SignalSeries(
        symbol=SYMBOL,
        ts_event=closes,
        direction=rng.integers(0, 3, 10_000)[: len(closes)].astype(np.int8),
        actionable=np.ones(len(closes), dtype=np.bool_),
    )
    start = int(bars.ts_close[2])
    fills = BookFills.of(
        {SYMBOL: RecordedMarket(book=book, trades=trades)},
        Settings.model_validate({"book": {"notional": 777.0}}),
        Policy(),
        3,
        start,
    )
    return fills.account(prepare({SYMBOL: bars}), [signals], limits=False, start_ts=start)


@pytest.mark.promise("004", "no fill from books knows the future, the terms of the market included")
@given(SEEDS)
@settings(max_examples=25)
def test_no_fill_of_a_run_knows_what_comes_after_not_even_by_the_lots(seed: int) -> None:
    book, trades = _market(np.random.default_rng(seed))
    cut = int((book.ts_event[0] + book.ts_event[-1]) // 2)
    book, trades = _coarse_until(book, trades, cut)
    whole = _run_of_settings(book, trades, None, seed)
    part = _run_of_settings(book, trades, cut, seed)
    end = int(part.ts[-1])
    np.testing.assert_array_equal(part.equity, whole.equity[: len(part.equity)])
    assert part.fills == tuple(f for f in whole.fills if f.ts_event <= end)
    assert part.fills


def test_the_worlds_of_these_laws_set_off_stops_and_liquidate() -> None:
    stopped = forced = made = 0
    for seed in range(30):
        _, _, orders, said, broker = _played(seed, "perp")
        kinds = {one.order_id: one.kind for one in orders}
        stopped += sum(kinds[f.order_id] is OrderKind.STOP for f in fills(said))
        made += sum(f.liquidity is Liquidity.MAKER for f in fills(said))
        forced += len(broker.forced)
    assert stopped > 50
    assert made > 50
