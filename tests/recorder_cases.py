"""What a recorder is fed in tests, and what it must give back."""

from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np

from book_exchange import START_NS, STEP_NS, KnownExchange, known_exchange
from consilium.domain.time import SECOND_NS
from consilium.market.book.archive import day_files, recorded_symbols, symbol_folder
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import TradeMessage
from consilium.market.book.recorded import RecordedFile
from consilium.market.book.scaled_rows import Rows, ScaledBooks, ScaledTrades, joined
from consilium.market.collector.recording import Recorder

SYMBOL = "BTCUSDT"
VENUE = "binance_spot"
LEVELS = 20


def recorder(folder: Path, **options: object) -> Recorder:
    """A recorder that any disk has room for; a second passes whenever it looks at its clock."""
    ticks = count(step=SECOND_NS)
    usual = {"venue": VENUE, "now": lambda: 0, "clock": lambda: next(ticks), "min_free_bytes": 0}
    return Recorder(folder, **usual | options)  # type: ignore[arg-type]


@cache
def exchange(diffs: int = 2_500, seed: int = 1) -> KnownExchange:
    return known_exchange(seed, diffs=diffs)


def kept_books(known: KnownExchange, first: int = 0, stop: int | None = None) -> Iterator[BookKeeper]:
    """A keeper that follows the exchange from one diff to another, after each of them."""
    keeper = BookKeeper(known.symbol, levels=LEVELS)
    begin = known.diffs[first].previous
    keeper.take_snapshot(known.snapshot(begin, 1_000))
    for diff in known.diffs[first:stop]:
        assert keeper.take_diff(diff)
        yield keeper


def feed(into: Recorder, known: KnownExchange, first: int = 0, stop: int | None = None) -> None:
    for keeper in kept_books(known, first, stop):
        into.take_book(keeper)


def trade(number: int, *, ts: int | None = None, symbol: str = SYMBOL, late_ns: int = 0) -> TradeMessage:
    """A trade whose columns all follow from its number."""
    ts = START_NS + number * STEP_NS // 4 if ts is None else ts
    price, size = (10_000 + number % 7) * 10_000, 1 + number % 11
    return TradeMessage(symbol, ts, ts + 1_000_000 + late_ns, number, price, size, number % 2 == 0)


def true_books(known: KnownExchange, first: int = 0, stop: int | None = None) -> ScaledBooks:
    """The rows that the exchange's own dictionaries give, session left at 0."""
    diffs = known.diffs[first:stop]
    sides = np.zeros((2, len(diffs), LEVELS, 2), dtype=np.int64)
    for i, diff in enumerate(diffs):
        for side, levels in zip(sides, known.top(diff.last, LEVELS), strict=True):
            side[i, : len(levels)] = np.abs(levels)
    whole = np.full(len(diffs), LEVELS, dtype=np.int64)
    return ScaledBooks(
        ts_event=np.array([diff.ts_event for diff in diffs], dtype=np.int64),
        ts_local=np.array([diff.ts_local for diff in diffs], dtype=np.int64),
        session=0 * whole,
        update=np.array([diff.last for diff in diffs], dtype=np.int64),
        certain=whole,
        bid_price=sides[0, ..., 0],
        bid_size=sides[0, ..., 1],
        ask_price=sides[1, ..., 0],
        ask_size=sides[1, ..., 1],
    )


def true_trades(trades: list[TradeMessage]) -> ScaledTrades:
    columns = np.array([t[1:] for t in trades], dtype=np.int64).reshape(-1, 6).T
    names = ("ts_event", "ts_local", "trade_id", "price", "size", "taker_buy")
    return ScaledTrades(**dict(zip(names, columns, strict=True)))


def files(folder: Path, kind: str = "books") -> list[Path]:
    return sorted(folder.glob(f"{kind}/venue=*/symbol=*/day=*/*.parquet"))


def recorded_books(folder: Path) -> ScaledBooks:
    """All rows on the disk, each column as it was taken."""
    return joined([file.books() for file in _files(folder, "books")])


def recorded_trades(folder: Path) -> ScaledTrades:
    return joined([file.trades() for file in _files(folder, "trades")])


def _files(folder: Path, kind: str) -> Iterator[RecordedFile]:
    for venue, symbol in recorded_symbols(folder, kind):
        for day in sorted(symbol_folder(folder, kind, venue, symbol).glob("day=*")):
            yield from day_files(day, venue, symbol)


def assert_same(found: Rows, expected: Rows, *, but: tuple[str, ...] = ()) -> None:
    """Every column is equal, bit for bit."""
    assert len(found) == len(expected)
    for column in fields(expected):
        if column.name not in but:
            np.testing.assert_array_equal(
                getattr(found, column.name), getattr(expected, column.name), err_msg=column.name
            )
