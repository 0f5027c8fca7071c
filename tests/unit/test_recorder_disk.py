"""A disk that is full, really full: nothing is half-written, collecting goes on, and it is said."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from consilium.domain.errors import OutputProblem
from consilium.market.book.archive import read_books
from consilium.market.collector.durable import append_durably, write_durably
from consilium.market.collector.gap_log import read_gaps
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

KIBIBYTES = 256


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; skipped where mounting is not permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={KIBIBYTES}k", "tmpfs", str(disk)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def ballast(disk: Path) -> Path:
    """Fill the disk to the last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"x" * 4_096)
    assert shutil.disk_usage(disk).free == 0
    return filler


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize(("min_free", "told"), [(0, True), (16_384, True), (0, False)])
def test_collecting_goes_on_while_the_disk_is_full_and_writing_when_it_is_not(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, min_free: int, told: bool
) -> None:
    """Where the lack of room is not told beforehand, as when others write at that instant, writing fails."""
    if not told:
        plenty = shutil.disk_usage("/")._replace(free=2**40)
        monkeypatch.setattr("consilium.market.collector.durable.disk_usage", lambda _: plenty)
    folder, clock = small_disk / "record", Clock()
    kept = recorder(folder, every=50, ring=300, now=clock, min_free_bytes=min_free)
    books = kept_books(exchange(), 0, 900)
    for _ in range(100):
        clock.now += 10**9
        kept.take_book(next(books))
    before = {path: path.read_bytes() for path in files(folder)}
    assert len(before) == 2
    filler = ballast(small_disk)
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


def test_a_disk_that_fills_up_by_the_recording_itself_holds_an_exact_prefix(small_disk: Path) -> None:
    folder, clock = small_disk / "record", Clock()
    kept = recorder(folder, every=20, ring=100, now=clock)
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
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plenty = shutil.disk_usage("/")._replace(free=2**40)
    monkeypatch.setattr("consilium.market.collector.durable.disk_usage", lambda _: plenty)
    path = small_disk / "new" / "day" / "1_2.parquet"
    with pytest.raises(OutputProblem, match="No space left on device"):
        write_durably(path, b"x" * (KIBIBYTES + 64) * 1_024)
    assert list(path.parent.iterdir()) == []
    log = small_disk / "log"
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
