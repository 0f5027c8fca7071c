"""Finished days are joined into few files; at every instant each row is there once."""

import shutil
from pathlib import Path

import pytest

from book_exchange import START_NS
from command_line import consilium, fails_in_one_line
from consilium.domain.errors import DataProblem, OutputProblem
from consilium.domain.time import DAY_NS
from consilium.market.book.archive import read_books, read_trades
from consilium.market.collector.compaction import compact
from recorder_cases import (
    assert_same,
    exchange,
    feed,
    files,
    recorded_books,
    recorded_trades,
    recorder,
    trade,
    true_books,
    true_trades,
)

TOMORROW = START_NS + DAY_NS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with recorder(tmp_path / "record", every=50) as kept:
        feed(kept, exchange(), 0, 420)
        for number in range(130):
            kept.take_trade(trade(number))
    return tmp_path / "record"


def assert_whole(folder: Path) -> None:
    assert_same(recorded_books(folder), true_books(exchange(), 0, 420))
    assert_same(recorded_trades(folder), true_trades([trade(number) for number in range(130)]))
    assert (len(read_books(folder)), len(read_trades(folder))) == (420, 130)


def test_the_rows_stay_and_the_files_become_few(folder: Path) -> None:
    assert (len(files(folder)), len(files(folder, "trades"))) == (9, 3)
    counts = compact(folder, before=TOMORROW)
    assert (len(files(folder)), len(files(folder, "trades"))) == (1, 1)
    assert (counts["files_before"], counts["files_after"]) == (12, 2)
    assert counts["bytes_after"] < counts["bytes_before"] / 2
    assert_whole(folder)
    assert compact(folder, before=TOMORROW)["files_before"] == 2
    assert_whole(folder)


def test_a_day_that_is_not_over_is_left_alone(folder: Path) -> None:
    assert compact(folder, before=START_NS)["files_before"] == 0
    assert len(files(folder)) == 9


def test_a_kill_at_any_step_loses_and_doubles_nothing(folder: Path, tmp_path: Path) -> None:
    untouched = shutil.copytree(folder, tmp_path / "untouched")
    compact(folder, before=TOMORROW)
    olds = files(untouched) + files(untouched, "trades")
    # the joined files are there; of the old ones all, or some of them, are still there
    for left in range(len(olds) + 1):
        killed = shutil.copytree(folder, tmp_path / f"killed{left}")
        for old in olds[:left]:
            shutil.copy(old, killed / old.relative_to(untouched))
        assert_whole(killed)
        with recorder(killed) as kept:
            feed(kept, exchange(), 300, 420)
            assert kept.counts["old_books"] == 120
        counts = compact(killed, before=TOMORROW)
        assert counts["files_after"] == 2
        assert_whole(killed)


def test_later_files_of_the_day_are_joined_to_what_was(folder: Path) -> None:
    compact(folder, before=TOMORROW)
    with recorder(folder, every=50) as kept:
        feed(kept, exchange(), 400, 600)
    assert len(files(folder)) == 5
    compact(folder, before=TOMORROW)
    assert len(files(folder)) == 1
    assert_same(recorded_books(folder), true_books(exchange(), 0, 600), but=("session",))
    assert recorded_books(folder).session.tolist() == [0] * 420 + [1] * 180


def test_a_damaged_file_stops_it_and_nothing_is_lost(folder: Path) -> None:
    path = files(folder)[4]
    body = path.read_bytes()
    path.write_bytes(body[:-1])
    with pytest.raises(DataProblem, match=path.name):
        compact(folder, before=TOMORROW)
    assert len(files(folder)) == 9
    path.write_bytes(body)
    with pytest.raises(OutputProblem, match="must have room"):
        compact(folder, before=TOMORROW, min_free_bytes=2**60)
    assert len(files(folder)) == 9
    assert_whole(folder)


def test_the_command_joins_finished_days_beside_a_running_recorder(folder: Path) -> None:
    with recorder(folder, every=50) as kept:
        feed(kept, exchange(), 400, 440)
        done = consilium("data", "compact", str(folder), cwd=folder.parent)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("12 files of finished days (")
        assert (len(files(folder)), len(files(folder, "trades"))) == (1, 1)
    assert_same(recorded_books(folder), true_books(exchange(), 0, 440), but=("session",))
    path = files(folder)[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert path.name in fails_in_one_line(consilium("data", "compact", str(folder), cwd=folder.parent), 1)
    assert "check the path" in fails_in_one_line(
        consilium("data", "compact", "nowhere", cwd=folder.parent), 2
    )
