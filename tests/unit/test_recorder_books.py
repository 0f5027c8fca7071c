"""A recorder keeps the newest books in memory and all of them on the disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from book_exchange import START_NS, STEP_NS
from consilium.domain.errors import DataProblem, InvalidValue, OutputProblem, UnknownName
from consilium.domain.time import DAY_NS, MINUTE_NS
from consilium.market.book.archive import read_books, read_trades
from consilium.market.book.checks import require_enough_books
from consilium.market.book.keeper import BookKeeper, Top
from consilium.market.book.messages import DepthSnapshot, Diff
from consilium.market.book.tensor import to_normalized_tensor
from consilium.market.collector.gap_log import read_gaps
from consilium.market.collector.port import Gap
from consilium.market.collector.ring import BookRing
from recorder_cases import (
    SYMBOL,
    VENUE,
    assert_same,
    exchange,
    feed,
    files,
    kept_books,
    recorded_books,
    recorder,
    trade,
    true_books,
)


def _book_at(keeper: BookKeeper, ts: int, number: int) -> BookKeeper:
    assert keeper.take_diff(
        Diff(keeper.symbol, ts, ts, number, number, number - 1, False, [(100, number)], [])
    )
    return keeper


def _quiet_keeper(symbol: str = SYMBOL) -> BookKeeper:
    keeper = BookKeeper(symbol, levels=1, clock_tolerance_ns=10**18)
    keeper.take_snapshot(DepthSnapshot(symbol, 0, 0, [(99, 1)], [(-200, 1)], True, True))
    return keeper


def test_the_largest_sizes_are_recorded_to_the_last_digit(tmp_path: Path) -> None:
    most = 2**63 - 1
    keeper = BookKeeper(SYMBOL, levels=1)
    keeper.take_snapshot(DepthSnapshot(SYMBOL, 0, 0, [(99, most)], [(-most, 1)], True, True))
    with recorder(tmp_path, levels=2) as kept:
        for number in range(1, 4):
            assert keeper.take_diff(
                Diff(SYMBOL, number, number, number, number, number - 1, False, [(98, 1 + number % 2)], [])
            )
            kept.take_book(keeper)
    found = recorded_books(tmp_path)
    assert found.bid_size[:, 0].tolist() == [most] * 3
    assert found.ask_price[:, 0].tolist() == [most] * 3


def test_a_new_run_knows_the_time_of_the_newest_book(tmp_path: Path) -> None:
    with recorder(tmp_path) as kept:
        assert kept.newest(SYMBOL) is None
        feed(kept, exchange(), 0, 30)
    with recorder(tmp_path) as again:
        assert again.newest(SYMBOL) == kept.newest(SYMBOL) == exchange().diffs[29].ts_event


def test_one_symbol_that_cannot_be_written_does_not_cost_the_others_their_rows(tmp_path: Path) -> None:
    kept = recorder(tmp_path)
    kept.take_trade(trade(1, symbol="AAA")._replace(size=2**63))
    kept.take_trade(trade(1, symbol="ZZZ"))
    feed(kept, exchange(), 0, 30)
    with pytest.raises(OverflowError):
        kept.close()
    assert len(recorded_books(tmp_path)) == 30
    assert len(read_trades(tmp_path, symbol="ZZZ")) == 1
    recorder(tmp_path).close()


def test_a_file_that_waited_for_others_is_written_though_nothing_comes(tmp_path: Path) -> None:
    clock = Clock()
    with recorder(tmp_path, every=10, clock=clock) as kept:
        for number in range(1, 11):
            kept.take_trade(trade(number, symbol="AAA"))
            kept.take_trade(trade(number, symbol="BBB"))
        feed(kept, exchange(), 0, 12)
        assert (len(files(tmp_path)), len(files(tmp_path, "trades"))) == (0, 1)
        kept.write_due()
        assert (len(files(tmp_path)), len(files(tmp_path, "trades"))) == (0, 1)
        for _ in range(2):
            clock.now += 10**9
            kept.write_due()
        assert (len(files(tmp_path)), len(files(tmp_path, "trades"))) == (1, 2)
        clock.now += 10**9
        kept.write_due()
        assert kept.buffered == 2


def test_rows_of_a_day_that_is_over_are_written_though_nothing_comes(tmp_path: Path) -> None:
    wall = Clock()
    with recorder(tmp_path, now=wall) as kept:
        feed(kept, exchange(), 0, 3)
        for number in (1, 2, 5):
            kept.take_trade(trade(number))
        midnight = (START_NS // DAY_NS + 1) * DAY_NS
        for wall.now in (midnight - 1, midnight - DAY_NS):
            kept.write_due()
            assert kept.buffered == 6
        wall.now = midnight + MINUTE_NS
        kept.write_due()
        assert kept.buffered == 0
        assert kept.counts["missing_trades"] == 2


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


@pytest.mark.promise("004", "get_latest_sequence() gives to_normalized_tensor() of shape (100, 20, 4)")
def test_the_newest_hundred_books_make_a_tensor(tmp_path: Path) -> None:
    with recorder(tmp_path) as kept:
        feed(kept, exchange(), 0, 150)
        books = kept.get_latest_sequence(SYMBOL)
    assert len(books) == 100
    assert to_normalized_tensor(books, -1).shape == (100, 20, 4)
    assert books.ts_event[-1] == exchange().diffs[149].ts_event
    read = read_books(tmp_path)
    for name in ("ts_event", "bid_price", "bid_size", "ask_price", "ask_size"):
        np.testing.assert_array_equal(getattr(read.slice(50, 150), name), getattr(books, name))


def test_a_sequence_is_refused_until_it_has_come(tmp_path: Path) -> None:
    with recorder(tmp_path) as kept:
        with pytest.raises(UnknownName, match="symbol must be one of"):
            kept.get_latest_sequence(SYMBOL)
        feed(kept, exchange(), 0, 99)
        with pytest.raises(DataProblem, match=r"newest 100 books of BTCUSDT .* got 99 books: wait"):
            kept.get_latest_sequence(SYMBOL)
        assert len(kept.get_latest_sequence(SYMBOL, 99)) == 99


@pytest.mark.promise("004", "a ring buffer of 10,000 snapshots")
def test_the_ring_holds_the_newest_ten_thousand_books() -> None:
    ring = BookRing(SYMBOL, levels=2)
    size = ring._sides.nbytes + ring._rows.nbytes
    for i in range(10_123):
        top = Top([(10_000 + i, 1 + i), (9_000, 5)], [(-20_000 - i, 2 + i)])
        lost = ring.add(i, i + 1, 0, i, 2, top)
        assert lost == (i >= 10_000)
    assert (len(ring), ring.unwritten, ring.written) == (10_000, 10_000, 123)
    rows = ring.rows(ring.total - 10_000, ring.total)
    np.testing.assert_array_equal(rows.ts_event, np.arange(123, 10_123))
    np.testing.assert_array_equal(rows.bid_price[:, 0], np.arange(10_123, 20_123))
    np.testing.assert_array_equal(rows.ask_price, np.stack([np.arange(20_123, 30_123), np.zeros(10_000)], 1))
    assert ring._sides.nbytes + ring._rows.nbytes == size


@pytest.mark.promise("004", "a parquet file every 1,000 snapshots")
def test_a_file_is_written_every_thousand_books(tmp_path: Path) -> None:
    with recorder(tmp_path, every=1_000) as kept:
        feed(kept, exchange(), 0, 2_350)
        assert [path.stem.split("_")[1] for path in files(tmp_path)] == ["1000", "1000"]
        assert kept.buffered == 350
        assert_same(recorded_books(tmp_path), true_books(exchange(), 0, 2_000))
        kept.flush()
        assert kept.buffered == 0
    assert kept.counts["books"] == 2_350
    assert kept.counts["files"] == len(files(tmp_path)) == 3
    assert kept.counts["bytes_books"] == sum(path.stat().st_size for path in files(tmp_path))
    assert_same(recorded_books(tmp_path), true_books(exchange(), 0, 2_350))
    first = files(tmp_path)[0]
    assert first.relative_to(tmp_path) == Path(
        f"books/venue={VENUE}/symbol={SYMBOL}/day=2023-11-14/{START_NS + STEP_NS}_1000.parquet"
    )
    said = pl.read_parquet_metadata(first)["consilium"]
    for name, value in {"format": 1, "scale": 10**8, "venue": VENUE, "symbol": SYMBOL, "levels": 20}.items():
        assert json.loads(said)[name] == value


def test_files_that_fall_due_at_once_are_written_one_after_another(tmp_path: Path) -> None:
    clock = Clock()
    keepers = {symbol: _quiet_keeper(symbol) for symbol in ("A", "B", "C")}
    with recorder(tmp_path, levels=1, every=10, clock=clock) as kept:
        for number in range(1, 16):
            written = kept.counts["files"]
            for keeper in keepers.values():
                kept.take_book(_book_at(keeper, number, number))
            assert kept.counts["files"] - written == (1 if 10 <= number <= 12 else 0)
            clock.now += 20_000_000
        # a clock that stands still holds nothing up for ever, and who wrote last not at all
        for number in range(16, 32):
            for keeper in keepers.values():
                kept.take_book(_book_at(keeper, number, number))
        assert kept.counts["files"] == 9
    for symbol in keepers:
        assert len(read_books(tmp_path, symbol)) == 31


@pytest.mark.promise("004", "at least 1,000 snapshots before training")
def test_training_is_refused_below_a_thousand_books(tmp_path: Path) -> None:
    with recorder(tmp_path) as kept:
        feed(kept, exchange(), 0, 1_000)
    books = read_books(tmp_path)
    require_enough_books(books)
    with pytest.raises(DataProblem, match="training needs >= 1000 books of BTCUSDT; got 999: record longer"):
        require_enough_books(books.slice(1, None))


def test_each_day_has_its_own_files(tmp_path: Path) -> None:
    midnight = 20_000 * DAY_NS
    keeper = _quiet_keeper()
    with recorder(tmp_path, levels=1) as kept:
        for number, ts in enumerate((midnight - 2, midnight - 1, midnight, midnight + DAY_NS), 1):
            kept.take_book(_book_at(keeper, ts, number))
        assert kept.buffered == 1
    days = [path.parent.name for path in files(tmp_path)]
    assert days == ["day=2024-10-03", "day=2024-10-04", "day=2024-10-05"]
    assert [path.name for path in files(tmp_path)] == [
        f"{midnight - 2}_2.parquet", f"{midnight}_1.parquet", f"{midnight + DAY_NS}_1.parquet",
    ]  # fmt: skip
    assert recorded_books(tmp_path).update.tolist() == [1, 2, 3, 4]
    assert len(read_books(tmp_path, start=midnight - 1, end=midnight + DAY_NS)) == 2


def test_books_of_one_instant_are_all_kept_whatever_the_files_are_called(tmp_path: Path) -> None:
    keeper = _quiet_keeper()
    with recorder(tmp_path, levels=1) as kept:
        for number in range(1, 6):
            kept.take_book(_book_at(keeper, 7, number))
            kept.flush()
    assert len(files(tmp_path)) == 5
    books = recorded_books(tmp_path)
    assert books.update.tolist() == [1, 2, 3, 4, 5]
    assert books.bid_size[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_a_new_run_goes_on_after_the_last_row_in_a_new_session(tmp_path: Path) -> None:
    with recorder(tmp_path) as first:
        feed(first, exchange(), 0, 300)
    before = {path: path.read_bytes() for path in files(tmp_path)}
    with recorder(tmp_path) as second:
        feed(second, exchange(), 200, 500)
        assert second.counts["old_books"] == 100
    assert {path: path.read_bytes() for path in before} == before
    books = recorded_books(tmp_path)
    assert_same(books, true_books(exchange(), 0, 500), but=("session",))
    assert np.unique(books.session, return_counts=True)[1].tolist() == [300, 200]
    (gap,) = read_gaps(tmp_path)
    assert (gap["kind"], gap["cause"], gap["symbol"]) == ("books", "restart", SYMBOL)
    assert (gap["ts_event_begin"], gap["ts_event_end"]) == (books.ts_event[299], books.ts_event[300])
    assert gap["ts_end"] == books.ts_local[300]


def test_a_gap_begins_a_session_and_is_logged(tmp_path: Path) -> None:
    gap = Gap(symbol=SYMBOL, cause="disconnected", ts_begin=5, ts_event_begin=4)
    over = replace(gap, cause="gap", ts_end=8, ts_event_end=7)
    with recorder(tmp_path) as kept:
        for i, keeper in enumerate(kept_books(exchange(), 0, 20)):
            if i == 10:
                kept.take_gap(gap)
                assert read_gaps(tmp_path) == []
                kept.take_gap(over)
            kept.take_book(keeper)
        assert len(read_gaps(tmp_path)) == 1
        kept.take_gap(gap)
    assert recorded_books(tmp_path).session.tolist() == [0] * 10 + [1] * 10
    closed, still_open = read_gaps(tmp_path)
    assert closed == {
        "kind": "books", "venue": VENUE, "symbol": SYMBOL, "cause": "gap",
        "ts_begin": 5, "ts_end": 8, "ts_event_begin": 4, "ts_event_end": 7,
    }  # fmt: skip
    assert still_open["cause"] == "disconnected"
    assert still_open["ts_end"] is still_open["ts_event_end"] is None


def test_a_new_synchronisation_begins_a_session(tmp_path: Path) -> None:
    known = exchange()
    with recorder(tmp_path) as kept:
        keeper = BookKeeper(SYMBOL, levels=20)
        for first, stop in ((0, 10), (15, 25)):
            keeper.take_snapshot(known.snapshot(known.diffs[first].previous, 1_000))
            for diff in known.diffs[first:stop]:
                keeper.take_diff(diff)
                kept.take_book(keeper)
            keeper.distrust()
            kept.take_book(keeper)
    books = recorded_books(tmp_path)
    assert books.session.tolist() == [0] * 10 + [1] * 10
    assert kept.counts["books"] == 20


def test_a_book_dated_back_is_left_out_and_counted(tmp_path: Path) -> None:
    keeper, earlier = _quiet_keeper(), _quiet_keeper()
    with recorder(tmp_path, levels=1) as kept:
        kept.take_book(_book_at(keeper, 50, 1))
        kept.take_book(_book_at(earlier, 40, 1))
        kept.take_book(keeper)
        kept.take_book(_book_at(keeper, 60, 2))
    assert kept.counts["old_books"] == 2
    assert recorded_books(tmp_path).ts_event.tolist() == [50, 60]


def test_what_a_killed_run_left_is_taken_away_and_counted(tmp_path: Path) -> None:
    with recorder(tmp_path) as first:
        feed(first, exchange(), 0, 10)
        gap = Gap(symbol=SYMBOL, cause="gap", ts_begin=5, ts_event_begin=4, ts_end=8, ts_event_end=7)
        first.take_gap(gap)
    day = files(tmp_path)[0].parent
    (day / ".1_2.parquet.0123.part").write_bytes(b"PAR1 half a file")
    (tmp_path / ".status.json.0123.part").write_bytes(b'{"pid": ')
    with (tmp_path / "gaps.jsonl").open("ab") as log:
        log.write(b'{"kind": "boo')
    assert len(read_gaps(tmp_path)) == 1
    assert len(read_books(tmp_path)) == 10
    with recorder(tmp_path) as second:
        assert second.counts["leftovers"] == 3
        feed(second, exchange(), 20, 30)
    assert list(tmp_path.rglob(".*.part")) == []
    assert [gap["cause"] for gap in read_gaps(tmp_path)] == ["gap", "restart"]


def test_two_recorders_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with recorder(tmp_path), pytest.raises(OutputProblem, match="one recorder at a time"):
        recorder(tmp_path)
    recorder(tmp_path).close()


def test_several_symbols_lie_apart_and_names_may_hold_anything(tmp_path: Path) -> None:
    with recorder(tmp_path, venue="a/b c", levels=1) as kept:
        for symbol in ("BTC/USDT:USDT", "..", "x=y"):
            keeper = BookKeeper(symbol, levels=1)
            keeper.take_snapshot(DepthSnapshot(symbol, 0, 0, [(99, 1)], [(-200, 1)], True, True))
            keeper.take_diff(Diff(symbol, 5, 5, 1, 1, 0, False, [(100, 3)], []))
            kept.take_book(keeper)
        assert kept.symbols == ["..", "BTC/USDT:USDT", "x=y"]
    assert len(files(tmp_path)) == 3
    for symbol in kept.symbols:
        assert (read_books(tmp_path, symbol).symbol, read_books(tmp_path, symbol).venue) == (symbol, "a/b c")


@pytest.mark.parametrize(
    "options", [{"levels": 0}, {"every": 0}, {"every": 11, "ring": 10}, {"min_free_bytes": -1}, {"venue": ""}]
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=r"a recorder needs|venue"):
        recorder(tmp_path, **options)


def test_a_folder_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(OutputProblem) as refused:
        recorder(path)
    assert "\n" not in str(refused.value)
