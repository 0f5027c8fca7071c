"""Books rebuilt from recorded streams of the exchange equal what the exchange said besides."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from conftest import SHARED_DATA
from consilium.market.book.rebuild import Rebuilt, rebuild
from consilium.market.book.sources import load_book, load_trades
from consilium.market.book.streams import Recorded, read_recording

BOOKS = SHARED_DATA / "books"
SIDES = ("bid_price", "bid_size", "ask_price", "ask_size")
# Recording, diffs from the snapshot on, rows of the file of levels that fall into the recording.
RECORDINGS = [("binance_spot_btcusdt", 3449, 3448), ("binance_usdm_btcusdt", 6547, 6545)]

pytestmark = pytest.mark.shared


@cache
def _lines(path: Path) -> tuple[Recorded, ...]:
    return tuple(read_recording(path))


@cache
def _rebuilt(path: Path) -> Rebuilt:
    """Rebuild with the snapshot put first, so that each diff makes a row of its own."""
    return rebuild(sorted(_lines(path), key=lambda line: not line.is_snapshot), "BTCUSDT", venue="binance")


def recorded(name: str) -> Path:
    path = BOOKS / "raw" / f"{name}_20240808.jsonl.gz"
    if not path.exists():
        pytest.skip(f"shared data is absent: {path.name}")
    return path


def rebuilt(name: str) -> Rebuilt:
    return _rebuilt(recorded(name))


@pytest.mark.parametrize(("name", "diffs", "rows"), RECORDINGS)
def test_best_prices_of_every_rebuilt_book_equal_the_exchanges(name: str, diffs: int, rows: int) -> None:
    found = rebuilt(name)
    audit = found.audit
    assert found.counts["applied"] == len(found.books) == diffs
    assert audit.compared == diffs
    assert (audit.wrong, audit.unknown, audit.late) == (0, 0, 0)


@pytest.mark.promise("004", "raw order book data with 20 levels")
@pytest.mark.parametrize(("name", "diffs", "rows"), RECORDINGS)
def test_twenty_levels_of_every_row_equal_the_given_files(name: str, diffs: int, rows: int) -> None:
    books = rebuilt(name).books
    given = load_book(BOOKS / f"{name}_l20_20240808.parquet")
    within = given.ts_event <= books.ts_event[-1]
    assert within.sum() == rows
    at = np.searchsorted(books.ts_event, given.ts_event[within])
    assert np.array_equal(books.ts_event[at], given.ts_event[within])
    for side in SIDES:
        assert np.array_equal(getattr(books, side)[at], getattr(given, side)[within]), side


@pytest.mark.parametrize(("name", "diffs", "rows"), RECORDINGS)
def test_the_streams_hold_no_fault_and_one_session(name: str, diffs: int, rows: int) -> None:
    found = rebuilt(name)
    faults = {key for key, n in found.counts.items() if n and key not in ("applied", "synchronised", "late")}
    assert faults <= {"shallow"}
    assert np.all(found.books.session == 0)


@pytest.mark.parametrize(("name", "diffs", "rows"), RECORDINGS)
def test_a_snapshot_that_comes_after_its_diffs_gives_the_same_books(name: str, diffs: int, rows: int) -> None:
    found = rebuild(_lines(recorded(name))[:20_000], "BTCUSDT").books
    whole = rebuilt(name).books
    # Diffs that waited for the snapshot are applied at once and make one row.
    at = np.searchsorted(whole.ts_event, found.ts_event)
    assert at[-1] + 1 - len(found) <= 1
    for side in SIDES:
        assert np.array_equal(getattr(found, side), getattr(whole, side)[at]), side


@pytest.mark.parametrize(("name", "diffs", "rows"), RECORDINGS)
def test_trades_equal_the_given_files(name: str, diffs: int, rows: int) -> None:
    trades = rebuilt(name).trades
    given = load_trades(BOOKS / f"{name}_trades_20240808.parquet").slice(0, len(trades))
    assert np.array_equal(trades.ts_event, given.ts_event)
    assert np.array_equal(trades.price, given.price)
    assert np.array_equal(trades.size, given.size)
    assert np.array_equal(trades.taker_buy, given.taker_buy)


LEVEL_FILES = [
    ("binance_spot_btcusdt", 6492),
    ("binance_spot_ethusdt", 6468),
    ("binance_usdm_btcusdt", 6545),
    ("binance_usdm_ethusdt", 6579),
    ("binance_coinm_btcusd_perp", 44770),
]


@pytest.mark.parametrize(("name", "rows"), LEVEL_FILES)
def test_every_given_file_of_levels_loads(name: str, rows: int) -> None:
    path = BOOKS / f"{name}_l20_20240808.parquet"
    if not path.exists():
        pytest.skip(f"shared data is absent: {path.name}")
    books = load_book(path)
    assert (len(books), books.levels, books.session[-1]) == (rows, 20, 0)
    assert f"{books.venue}_{books.symbol.lower()}" == name
