"""A disk that is full, really full: nothing is half-written, collecting goes on, and it is said."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from consilium.domain.errors import OutputProblem
from consilium.market.book.archive import read_books
from consilium.market.collector.durable import append_durably, write_durably
from consilium.market.collector.gap_log import NAME, GapLog, read_gaps
from consilium.market.collector.port import Gap
from consilium.market.collector.trade_queue import TradeQueue
from recorder_cases import (
    SYMBOL,
    assert_same,
    exchange,
    files,
    kept_books,
    recorded_books,
    recorded_trades,
    recorder,
    trade,
    true_books,
    true_trades,
)
from small_disk import ballast, small_disk

KIBIBYTES = 256


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", KIBIBYTES) as mounted:
        yield mounted


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize(("min_free", "told"), [(0, True), (16_384, True), (0, False)])
def test_collecting_goes_on_while_the_disk_is_full_and_writing_when_it_is_not(
    disk: Path, monkeypatch: pytest.MonkeyPatch, min_free: int, told: bool
) -> None:
    """Where the lack of room is not told beforehand, as when others write at that instant, writing fails."""
    if not told:
        plenty = shutil.disk_usage("/")._replace(free=2**40)
        monkeypatch.setattr("consilium.market.collector.durable.disk_usage", lambda _: plenty)
    folder, clock = disk / "record", Clock()
    kept = recorder(folder, every=50, ring=300, clock=clock, min_free_bytes=min_free)
    books = kept_books(exchange(), 0, 900)
    for _ in range(100):
        clock.now += 10**9
        kept.take_book(next(books))
    before = {path: path.read_bytes() for path in files(folder)}
    assert len(before) == 2
    filler = ballast(disk)
    for number in range(1, 501):
        kept.take_book(next(books))
        kept.take_trade(trade(number))
    assert {path: path.read_bytes() for path in files(folder)} == before
    assert list(folder.glob("**/.*.part")) == []
    # the clock stood still: no second attempt was made before its time
    assert kept.counts["write_failures"] == 1
    assert kept.counts["dropped_books"] == 200
    assert len(kept.get_latest_sequence(SYMBOL, 300)) == 300
    assert "\n" not in str(kept.problem)
    assert str(kept.problem).startswith("the disk of '")
    with pytest.raises(OutputProblem, match="must have room"):
        kept.flush()
    filler.unlink()
    clock.now += 10**9
    for number in range(501, 801):
        kept.take_book(next(books))
        kept.take_trade(trade(number))
    assert kept.problem is None
    kept.close()
    assert kept.counts["dropped_books"] == 200
    found = recorded_books(folder)
    assert_same(found.slice(0, 100), true_books(exchange(), 0, 100))
    assert_same(found.slice(100, None), true_books(exchange(), 300, 900), but=("session",))
    assert found.session.tolist() == [0] * 100 + [1] * 600
    (gap,) = read_gaps(folder)
    assert (gap["kind"], gap["cause"]) == ("books", "disk")
    assert (gap["ts_event_begin"], gap["ts_event_end"]) == (found.ts_event[99], found.ts_event[100])
    assert_same(recorded_trades(folder), true_trades([trade(number) for number in range(1, 801)]))
    assert len(read_books(folder)) == 700


def test_one_loss_is_one_line_however_often_writing_is_tried(disk: Path) -> None:
    folder, clock = disk / "record", Clock()
    kept = recorder(folder, every=50, ring=300, clock=clock)
    books = kept_books(exchange(), 0, 900)
    for _ in range(100):
        clock.now += 10**9
        kept.take_book(next(books))
    filler = ballast(disk)
    kept._streams[SYMBOL].trades = TradeQueue(size=3_000)  # fifty thousand have no room on this disk
    numbers = iter(range(1, 10**6))
    for at in range(500):
        clock.now += (at % 20 == 0) * 10**9
        kept.take_book(next(books))
        for _ in range(10):
            kept.take_trade(trade(next(numbers)))
        kept.write_gaps()
    assert kept.counts["write_failures"] >= 20
    assert (folder / NAME).read_bytes() == b""
    filler.unlink()
    clock.now += 10**9
    for keeper in books:
        clock.now += 10**9
        kept.take_book(keeper)
        kept.take_trade(trade(next(numbers)))
    kept.close()
    found = recorded_books(folder)
    assert_same(found.slice(100, None), true_books(exchange(), 300, 900), but=("session",))
    assert found.session.tolist() == [0] * 100 + [1] * 600
    of_books, of_trades = sorted(read_gaps(folder), key=lambda gap: gap["kind"])
    assert of_books["cause"] == of_trades["cause"] == "disk"
    assert (of_books["ts_event_begin"], of_books["ts_event_end"]) == (found.ts_event[99], found.ts_event[100])
    assert of_trades["first_id"] == 1
    assert of_trades["last_id"] == kept.counts["dropped_trades"] >= 2_000
    assert recorded_trades(folder).trade_id.tolist() == [*range(of_trades["last_id"] + 1, next(numbers))]
    assert kept.counts["gaps"] == 2


def test_a_loss_that_the_end_finds_is_logged_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log takes a line where a file of fifty thousand trades has no room."""
    room = shutil.disk_usage("/")._replace(free=1_000)
    monkeypatch.setattr("consilium.market.collector.durable.disk_usage", lambda _: room)
    kept = recorder(tmp_path, clock=Clock())
    for number in range(1, 50_002):
        kept.take_trade(trade(number))
    with pytest.raises(OutputProblem, match="must have room"):
        kept.close()
    gap, rest = read_gaps(tmp_path)
    after = kept.counts["dropped_trades"] + 1
    assert (rest["cause"], rest["first_id"], rest["last_id"]) == ("disk", after, 50_001)
    assert (gap["first_id"], gap["last_id"]) == (1, kept.counts["dropped_trades"])


def test_the_log_leaves_the_disk_its_room(tmp_path: Path) -> None:
    kept = recorder(tmp_path, min_free_bytes=2**60)
    for ts in range(5, 9):
        kept.take_gap(
            Gap(symbol=SYMBOL, cause="gap", ts_begin=ts, ts_event_begin=ts, ts_end=ts + 1, ts_event_end=ts)
        )
    assert (tmp_path / NAME).read_bytes() == b""
    assert str(kept.problem).startswith("the disk of '")
    with pytest.raises(OutputProblem, match="must have room"):
        kept.close()


def test_lines_that_the_log_had_to_let_go_are_counted_and_named(tmp_path: Path) -> None:
    log = GapLog(tmp_path, size=3)
    for number in range(5):
        log.add({"kind": "trades", "first_id": number})
    assert log.dropped == 2
    log.write({"kind": "books"})
    log.write()
    lines = read_gaps(tmp_path)
    assert lines[0] == {"kind": "log", "cause": "overflow", "lines": 2}
    assert [gap.get("first_id") for gap in lines[1:]] == [2, 3, 4, None]
    log.add({"kind": "books"})
    log.write()
    assert json.loads((tmp_path / NAME).read_text().splitlines()[-1]) == {"kind": "books"}


def test_a_clock_that_goes_back_does_not_stop_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, clock = Clock(), Clock()
    wall.now = 10**18
    kept = recorder(tmp_path, every=50, ring=100, now=wall, clock=clock)
    none = shutil.disk_usage("/")._replace(free=0)
    books = kept_books(exchange(), 0, 800)
    with monkeypatch.context() as full:
        full.setattr("consilium.market.collector.durable.disk_usage", lambda _: none)
        for _ in range(60):
            kept.take_book(next(books))
    assert kept.counts["write_failures"] > 0
    wall.now -= 3_600 * 10**9
    for keeper in books:
        clock.now += 10**8
        kept.take_book(keeper)
        kept.take_gap(Gap(symbol=SYMBOL, cause="gap", ts_begin=1, ts_event_begin=1))
    assert kept.problem is None
    assert kept.counts["dropped_books"] == 0
    kept.close()
    assert len(recorded_books(tmp_path)) == 800


def test_folders_and_logs_are_there_after_a_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new name is flushed with the folder that it lies in, also where the first write failed."""
    flushed = set()
    really = os.fsync

    def fsync(handle: int) -> None:
        really(handle)
        flushed.add(Path(f"/proc/self/fd/{handle}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "far" / "record"
    kept = recorder(folder, min_free_bytes=2**60)
    assert flushed >= {tmp_path, folder.parent, folder}
    kept.take_trade(trade(1))
    with pytest.raises(OutputProblem, match="must have room"):
        kept.close()
    flushed.clear()
    log = tmp_path / "log"
    append_durably(log, b"first\n")
    assert flushed == {log, tmp_path}
    with recorder(folder) as kept:
        kept.take_trade(trade(1))
    (path,) = files(folder, "trades")
    missing = {each for each in path.parents if each != folder and folder in each.parents}
    flushed.clear()
    far = tmp_path / "a" / "b" / "c"
    with pytest.raises(OutputProblem):
        write_durably(far / "x", b"x", min_free_bytes=2**60)
    write_durably(far / "x", b"x")
    assert flushed >= {tmp_path, tmp_path / "a", tmp_path / "a" / "b", far}
    assert missing


def test_a_disk_that_fills_up_by_the_recording_itself_holds_an_exact_prefix(disk: Path) -> None:
    folder, clock = disk / "record", Clock()
    kept = recorder(folder, every=20, ring=100, clock=clock)
    for keeper in kept_books(exchange(), 0, 800):
        clock.now += 10**9
        kept.take_book(keeper)
    assert kept.counts["write_failures"] > 10
    with pytest.raises(OutputProblem, match="must have room"):
        kept.close()
    found = recorded_books(folder)
    assert 100 < len(found) < 800
    stop = int(np.flatnonzero(found.session)[0]) if found.session.any() else len(found)
    assert_same(found.slice(0, stop), true_books(exchange(), 0, stop))
    assert list(folder.glob("**/.*.part")) == []
    recorder(folder).close()


def test_a_file_that_breaks_off_in_the_middle_leaves_nothing(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plenty = shutil.disk_usage("/")._replace(free=2**40)
    monkeypatch.setattr("consilium.market.collector.durable.disk_usage", lambda _: plenty)
    path = disk / "new" / "day" / "1_2.parquet"
    with pytest.raises(OutputProblem, match="No space left on device"):
        write_durably(path, b"x" * (KIBIBYTES + 64) * 1_024)
    assert list(path.parent.iterdir()) == []
    log = disk / "log"
    append_durably(log, b"first\n")
    with pytest.raises(OutputProblem, match="No space left on device"):
        append_durably(log, b"y" * (KIBIBYTES + 64) * 1_024)
    assert log.read_bytes() == b"first\n"


def test_nothing_is_written_that_would_leave_too_little_room(tmp_path: Path) -> None:
    kept = recorder(tmp_path, every=50, min_free_bytes=2**60)
    for keeper in kept_books(exchange(), 0, 60):
        kept.take_book(keeper)
    assert files(tmp_path) == []
    assert kept.buffered == 60
    with pytest.raises(OutputProblem, match="must have room"):
        kept.close()


def test_what_a_disk_never_took_is_named_at_the_end(tmp_path: Path) -> None:
    kept = recorder(tmp_path, min_free_bytes=2**62)
    for keeper in kept_books(exchange(), 0, 30):
        kept.take_book(keeper)
    for number in range(5, 9):
        kept.take_trade(trade(number))
    with pytest.raises(OutputProblem, match="disk"):
        kept.close()
    assert files(tmp_path) == files(tmp_path, "trades") == []
    books, trades = read_gaps(tmp_path)
    diffs = exchange().diffs
    assert (books["kind"], books["cause"]) == ("books", "disk")
    assert (books["ts_event_begin"], books["ts_event_end"]) == (diffs[0].ts_event, diffs[29].ts_event)
    assert (trades["kind"], trades["first_id"], trades["last_id"]) == ("trades", 5, 8)


def test_a_loss_that_the_next_run_names_is_logged_once(tmp_path: Path) -> None:
    with recorder(tmp_path) as into:
        for keeper in kept_books(exchange(), 0, 30):
            into.take_book(keeper)
    full = recorder(tmp_path, min_free_bytes=2**62)
    for keeper in kept_books(exchange(), 30, 60):
        full.take_book(keeper)
    with pytest.raises(OutputProblem):
        full.close()
    with recorder(tmp_path) as into:
        for keeper in kept_books(exchange(), 60, 90):
            into.take_book(keeper)
    assert [gap["cause"] for gap in read_gaps(tmp_path)] == ["restart"]
