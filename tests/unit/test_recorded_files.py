"""Files of a recorder: exact, and refused in one line when they are damaged, foreign or out of place."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from consilium.domain.errors import DataProblem, UnknownName
from consilium.market.book.archive import read_trades, recorded_symbols
from consilium.market.book.recorded import RecordedFile, book_file
from consilium.market.book.sources import load_book, load_trades
from recorder_cases import (
    SYMBOL,
    VENUE,
    assert_same,
    exchange,
    feed,
    files,
    recorded_books,
    recorder,
    trade,
    true_books,
    true_trades,
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 books and 120 trades in files of 100."""
    folder = tmp_path_factory.mktemp("recorded")
    with recorder(folder, every=100) as kept:
        feed(kept, exchange(), 0, 300)
        for number in range(120):
            kept.take_trade(trade(number))
    return folder


@pytest.fixture
def copied(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "copy")


def test_each_file_can_be_read_alone(recorded: Path) -> None:
    for i, path in enumerate(files(recorded)):
        assert_same(RecordedFile(path).books(), true_books(exchange(), 100 * i, 100 * i + 100))
        alone = load_book(path)
        assert (alone.symbol, alone.venue, len(alone)) == (SYMBOL, VENUE, 100)
    path = files(recorded, "trades")[0]
    assert_same(RecordedFile(path).trades(), true_trades([trade(i) for i in range(100)]))
    assert len(load_trades(path)) == 100


def test_a_folder_is_read_as_one_series(recorded: Path) -> None:
    books, trades = load_book(recorded), load_trades(recorded, symbol=SYMBOL, venue=VENUE)
    true = true_books(exchange(), 0, 300)
    np.testing.assert_array_equal(books.ts_event, true.ts_event)
    known = np.where(true.bid_price > 0, true.bid_price / 1e8, np.nan)
    np.testing.assert_array_equal(books.bid_price, known)
    np.testing.assert_array_equal(books.ask_size, true.ask_size / 1e8)
    assert len(trades) == 120
    assert recorded_symbols(recorded) == [(VENUE, SYMBOL)]


def test_a_range_of_time_is_half_open(recorded: Path) -> None:
    ts = [diff.ts_event for diff in exchange().diffs]
    assert load_book(recorded, start=ts[99], end=ts[101]).ts_event.tolist() == ts[99:101]
    assert load_book(files(recorded)[0], start=ts[5]).ts_event.tolist() == ts[5:100]
    assert load_trades(recorded, end=trade(7).ts_event).ts_event.tolist() == [
        trade(i).ts_event for i in range(7)
    ]
    with pytest.raises(
        DataProblem, match=r"something of BTCUSDT must be recorded from 2100.*: widen the range"
    ):
        load_book(recorded, start=4_102_444_800 * 10**9)
    with pytest.raises(DataProblem, match="must be recorded from the beginning to 1970"):
        load_trades(recorded, end=5)


def test_a_large_file_is_read_by_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consilium.market.book.recorded.CHUNK", 1_000)
    rows = true_books(exchange(), 0, 2_500)
    path = tmp_path / "large.parquet"
    path.write_bytes(book_file(rows, venue=VENUE, symbol=SYMBOL))
    file = RecordedFile(path)
    assert_same(file.books(), rows)
    for first, last in ((0, 10), (995, 1_005), (1_000, 2_000), (2_100, 2_499), (7, 2_499)):
        found = file.books(int(rows.ts_event[first]), int(rows.ts_event[last]))
        assert_same(found, rows.slice(first, last))
    assert len(file.books(int(rows.ts_event[-1]) + 1)) == 0


def test_a_file_with_any_bit_turned_is_refused_with_its_name(recorded: Path, tmp_path: Path) -> None:
    path = files(recorded)[0]
    body, rng = path.read_bytes(), np.random.default_rng(1)
    for at in [0, 4, len(body) - 1, len(body) - 5, *rng.integers(0, len(body), 200).tolist()]:
        bad = tmp_path / path.name
        bad.write_bytes(body[:at] + bytes([body[at] ^ (1 << int(rng.integers(8)))]) + body[at + 1 :])
        with pytest.raises(DataProblem) as refused:
            load_book(bad)
        assert path.name in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_file_cut_short_is_refused_with_its_name(copied: Path) -> None:
    path = files(copied)[1]
    body = path.read_bytes()
    for size in (0, 3, 100, len(body) // 2, len(body) - 1):
        path.write_bytes(body[:size])
        for place in (copied, path):
            with pytest.raises(DataProblem) as refused:
                load_book(place)
            assert path.name in str(refused.value)
            assert "\n" not in str(refused.value)


def test_a_new_run_passes_over_a_damaged_file_and_says_so(copied: Path) -> None:
    path = files(copied)[-1]
    path.write_bytes(path.read_bytes()[:-3])
    with recorder(copied) as kept:
        feed(kept, exchange(), 150, 250)
        assert kept.counts["unreadable_files"] == 1
        assert kept.counts["old_books"] == 50
    path.unlink()
    assert_same(recorded_books(copied), true_books(exchange(), 0, 250), but=("session",))


def test_foreign_files_are_refused(copied: Path, recorded: Path, tmp_path: Path) -> None:
    foreign = files(copied)[0].with_name("0_1.parquet")
    foreign.write_bytes(b"PAR1 something else PAR1")
    with pytest.raises(DataProblem, match=r"0_1.parquet must be a file that `consilium collect` recorded"):
        load_book(copied)
    foreign.unlink()
    with recorder(tmp_path / "other", venue="elsewhere") as kept:
        feed(kept, exchange(), 0, 10)
    shutil.copy(files(tmp_path / "other")[0], foreign)
    with pytest.raises(DataProblem, match=r"must be of BTCUSDT at binance_spot; got BTCUSDT at elsewhere"):
        load_book(copied)
    foreign.unlink()
    with pytest.raises(DataProblem, match="must be a file of books; got trades"):
        load_book(files(recorded, "trades")[0])


def test_rows_that_are_there_twice_are_refused(copied: Path) -> None:
    path = files(copied)[1]
    shutil.copy(path, path.with_name(f"{path.stem}_2.parquet"))
    with pytest.raises(DataProblem, match="must follow one another"):
        load_book(copied)
    path = files(copied, "trades")[1]
    shutil.copy(path, path.with_name(f"{path.stem}_2.parquet"))
    with pytest.raises(DataProblem, match="must be recorded once"):
        read_trades(copied)


def test_books_of_two_depths_make_no_series(copied: Path) -> None:
    with recorder(copied, levels=10) as kept:
        feed(kept, exchange(), 300, 320)
    with pytest.raises(DataProblem, match=r"must all have the same levels; got \[10, 20\]"):
        load_book(copied)
    assert load_book(copied, start=exchange().diffs[300].ts_event).levels == 10


def test_a_symbol_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="must hold recorded books"):
        load_book(tmp_path)
    for venue in ("one", "two"):
        with recorder(tmp_path, venue=venue) as kept:
            feed(kept, exchange(), 0, 5)
    with pytest.raises(
        DataProblem, match="one recorded symbol must be named; got BTCUSDT at one, BTCUSDT at two"
    ):
        load_book(tmp_path)
    assert load_book(tmp_path, venue="two").venue == "two"
    with pytest.raises(UnknownName, match="did you mean 'BTCUSDT'"):
        load_book(tmp_path, symbol="BTCUSD")
