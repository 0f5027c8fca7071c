"""Fills from the recorded spot book of BTCUSDT against plain loops over the columns of the files."""

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from consilium.domain import Fill, Instrument, Order, OrderKind, Side
from consilium.market.book.sources import load_book, load_trades
from consilium.trading.book.broker import BookBroker
from consilium.trading.book.execution import BookExecution

pytestmark = pytest.mark.shared
MS = 1_000_000
DUST = 1e-12
LATENCY_MS = 50
LEVELS = 20

Level = tuple[float, float]


class Snapshot(NamedTuple):
    ts: int
    bids: list[Level]
    asks: list[Level]


Print = tuple[int, float, float, bool]

TAKERS = [
    (200, "BUY", 0.01, None),
    (900, "SELL", 0.5, None),
    (1_500, "BUY", 3.0, None),
    (2_100, "SELL", 8.0, None),
    (2_800, "BUY", 12.0, None),
    (3_500, "SELL", 0.2, None),
    (4_200, "BUY", 2.0, -1.0),
    (5_000, "SELL", 1.0, 0.5),
    (5_700, "BUY", 25.0, None),
    (6_100, "SELL", 40.0, None),
]
"""Row whose time the order has, side, quantity, and for a limit its distance beyond the touch."""

MAKERS = [
    (300, "BUY", 0.05, 1.0),
    (1_200, "BUY", 0.4, 0.0),
    (1_800, "SELL", 0.3, 1.0),
    (2_400, "BUY", 1.0, 0.25),
    (2_700, "BUY", 0.3, 1.0),
    (4_500, "SELL", 2.0, 0.5),
    (4_800, "BUY", 0.5, 1.0),
    (5_100, "SELL", 0.3, 0.75),
]
"""Row, side, quantity and share of the level that stands before an order at the touch."""


@pytest.fixture(scope="module")
def files() -> tuple[Path, Path]:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "books"
    found = tuple(folder / f"binance_spot_btcusdt_{kind}_20240808.parquet" for kind in ("l20", "trades"))
    if not all(path.exists() for path in found):
        pytest.skip("shared data is absent: books")
    return found[0], found[1]


@pytest.fixture(scope="module")
def record(files: tuple[Path, Path]) -> tuple[list[Snapshot], list[Print]]:
    """The files as plain lists: times in ms, bids and asks as pairs, trades with who bought."""
    books = []
    for row in pl.read_parquet(files[0]).iter_rows(named=True):
        bids = [(row[f"bid_px_{j}"], row[f"bid_qty_{j}"]) for j in range(1, LEVELS + 1)]
        asks = [(row[f"ask_px_{j}"], row[f"ask_qty_{j}"]) for j in range(1, LEVELS + 1)]
        books.append(Snapshot(row["exch_ms"], bids, asks))
    trades = [
        (row["exch_ms"], row["price"], row["qty"], not row["buyer_is_maker"])
        for row in pl.read_parquet(files[1]).iter_rows(named=True)
    ]
    return books, trades


@pytest.fixture(scope="module")
def broker_of(files: tuple[Path, Path]) -> Callable[[float], BookBroker]:
    book, trades = load_book(files[0]), load_trades(files[1])

    def made(queue: float) -> BookBroker:
        broker = BookBroker(1e8, BookExecution(latency_ns=LATENCY_MS * MS, queue_ahead=queue))
        terms = Instrument(symbol="BTCUSDT", maker_fee=0.0002, taker_fee=0.0005)
        broker.attach(terms, book, trades)
        return broker

    return made


def _left(snapshot: Snapshot, trades: list[Print], until: int, buy: bool) -> list[Level]:
    """The side that a taker meets at a time: the newest book, less what traded after it."""
    ts, bids, asks = snapshot
    side = list(asks if buy else bids)
    for when, price, size, taker_buy in trades:
        if when <= ts:
            continue
        if when > until:
            break
        kept = []
        for level, quantity in side:
            better = level < price if buy else level > price
            if taker_buy == buy:
                left = 0.0 if better else quantity - size if level == price else quantity
            else:
                left = 0.0 if better or level == price else quantity
            kept.append((level, max(left, 0.0)))
        side = kept
    return side


def _taken(
    books: list[Snapshot], trades: list[Print], ts: int, buy: bool, wanted: float, limit: float
) -> list[Level]:
    newest = books[0]
    for snapshot in books:
        if snapshot[0] > ts:
            break
        newest = snapshot
    got = []
    for price, size in _left(newest, trades, ts, buy):
        if price > limit if buy else price < limit:
            break
        quantity = min(size, wanted)
        if quantity > 0.0:
            got.append((price, quantity))
            wanted -= quantity
        if wanted <= 0.0:
            break
    return got


@pytest.mark.promise("004", "a backtest fills by walking the recorded book, level by level, after latency")
@pytest.mark.parametrize("case", range(len(TAKERS)))
def test_a_taker_gets_from_the_real_book_what_plain_loops_find(
    case: int,
    record: tuple[list[Snapshot], list[Print]],
    broker_of: Callable[[float], BookBroker],
) -> None:
    row, side, wanted, beyond = TAKERS[case]
    books, trades = record
    sent, bids, asks = books[row]
    buy = side == "BUY"
    limit = None
    if beyond is not None:
        limit = round(asks[0][0] + beyond, 2) if buy else round(bids[0][0] - beyond, 2)
    broker = broker_of(1.0)
    held = 100.0
    if not buy:
        first = Order(
            order_id="first", symbol="BTCUSDT", side=Side.BUY, quantity=held, ts_event=books[10][0] * MS
        )
        broker.submit(first)
        broker.advance(sent * MS)
        wanted = min(wanted, broker.positions()["BTCUSDT"].quantity)
    broker.submit(
        Order(
            order_id="a",
            symbol="BTCUSDT",
            side=Side(side),
            kind=OrderKind.MARKET if limit is None else OrderKind.LIMIT,
            quantity=wanted,
            limit_price=limit,
            tif="IOC",
            ts_event=sent * MS,
        )
    )
    said = broker.advance((sent + 2_000) * MS)
    got = [(f.price, f.quantity) for f in said if isinstance(f, Fill) and f.order_id == "a"]
    worst = (inf if buy else 0.0) if limit is None else limit
    expected = _taken(books, trades, sent + LATENCY_MS, buy, wanted, worst)
    assert [price for price, _ in got] == [price for price, _ in expected]
    assert [quantity for _, quantity in got] == pytest.approx(
        [quantity for _, quantity in expected], abs=1e-9
    )
    for fill in (f for f in said if isinstance(f, Fill) and f.order_id == "a"):
        assert fill.ts_event == (sent + LATENCY_MS) * MS
        assert fill.fee == pytest.approx(0.0005 * fill.price * fill.quantity, abs=1e-8)


def _waited(
    books: list[Snapshot], trades: list[Print], ts: int, buy: bool, price: float, wanted: float, share: float
) -> list[tuple[int, float]]:
    """Time and quantity of the fills of an order that rests at a price, by going through the record once."""
    at = max(k for k, snapshot in enumerate(books) if snapshot[0] <= ts)
    ahead = share * dict(books[at].bids if buy else books[at].asks).get(price, 0.0)
    events = [(snapshot[0], 1, k) for k, snapshot in enumerate(books) if snapshot[0] > ts]
    events += [(trade[0], 0, k) for k, trade in enumerate(trades) if trade[0] > ts]
    got = []
    for when, kind, k in sorted(events):
        if wanted <= 1e-12 or when > ts + 60_000:
            break
        if kind == 1:
            own, other = (books[k][1], books[k][2]) if buy else (books[k][2], books[k][1])
            shown = dict(own).get(price)
            inside = price >= own[-1][0] if buy else price <= own[-1][0]
            if shown is not None:
                ahead = min(ahead, shown)
            elif inside:
                ahead = 0.0
            for level, size in other:
                if (level <= price if buy else level >= price) and wanted > 0.0:
                    quantity = min(size, wanted)
                    got.append((when, quantity))
                    wanted -= quantity
            continue
        _, level, size, taker_buy = trades[k]
        if taker_buy == buy or (level > price if buy else level < price):
            continue
        if level != price:
            ahead = 0.0
        before = min(ahead, size)
        ahead -= before
        quantity = min(size - before, wanted)
        if quantity > DUST:
            got.append((when, quantity))
            wanted -= quantity
    return got


@pytest.mark.promise("004", "a resting order fills only after the queue before it has traded")
@pytest.mark.parametrize("case", range(len(MAKERS)))
def test_a_resting_order_gets_from_the_real_record_what_plain_loops_find(
    case: int,
    record: tuple[list[Snapshot], list[Print]],
    broker_of: Callable[[float], BookBroker],
) -> None:
    row, side, wanted, share = MAKERS[case]
    books, trades = record
    sent = books[row].ts
    buy = side == "BUY"
    broker = broker_of(share)
    if not buy:
        first = Order(
            order_id="first", symbol="BTCUSDT", side=Side.BUY, quantity=5.0, ts_event=books[10][0] * MS
        )
        broker.submit(first)
        broker.advance(sent * MS)
    arrival = sent + LATENCY_MS
    newest = [snapshot for snapshot in books if snapshot[0] <= arrival][-1]
    price = newest.bids[0][0] if buy else newest.asks[0][0]
    order = Order(
        order_id="a",
        symbol="BTCUSDT",
        side=Side(side),
        kind=OrderKind.LIMIT,
        quantity=wanted,
        limit_price=price,
        ts_event=sent * MS,
    )
    broker.submit(order)
    said = broker.advance((arrival + 60_000) * MS)
    got = [(f.ts_event // MS, f.quantity) for f in said if isinstance(f, Fill) and f.order_id == "a"]
    expected = _waited(books, trades, arrival, buy, price, wanted, share)
    assert [when for when, _ in got] == [when for when, _ in expected]
    assert [quantity for _, quantity in got] == pytest.approx(
        [quantity for _, quantity in expected], abs=1e-9
    )
    assert {f.price for f in said if isinstance(f, Fill) and f.order_id == "a"} <= {price}


def test_the_cases_by_hand_hold_parts_of_several_levels_and_of_several_trades(
    record: tuple[list[Snapshot], list[Print]],
) -> None:
    books, trades = record
    several = filled = 0
    for row, side, wanted, beyond in TAKERS:
        if beyond is None:
            got = _taken(
                books,
                trades,
                books[row][0] + LATENCY_MS,
                side == "BUY",
                wanted,
                inf if side == "BUY" else 0.0,
            )
            several += len(got) > 1
            filled += len(got)
    assert several >= 4
    assert filled >= 10
    waited = []
    for row, side, wanted, share in MAKERS:
        newest = [snapshot for snapshot in books if snapshot[0] <= books[row][0] + LATENCY_MS][-1]
        price = (newest.bids if side == "BUY" else newest.asks)[0][0]
        arrival = books[row][0] + LATENCY_MS
        waited.append(len(_waited(books, trades, arrival, side == "BUY", price, wanted, share)))
    assert sum(count > 0 for count in waited) >= 6
    assert min(waited) == 0
    assert max(waited) > 1
