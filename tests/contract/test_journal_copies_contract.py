"""Archived segments, backups and restores, whatever keeps the journal."""

import gzip
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import consilium.bus.journal.archive as archive_module
from consilium.bus.journal import Journal, open_journal
from consilium.bus.journal.copies import export_journal
from consilium.bus.journal.restore import check, restore
from consilium.bus.journal.store import SqlJournal
from consilium.domain import DataProblem, Event, OutputProblem
from journal_cases import by_hand, event

ROWS = 50


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "ROWS", 10)


def some_events() -> list[Event]:
    return [event(n, topic=f"a.{n // 20}", stream=f"s{n % 2}") for n in range(ROWS)]


def archived(journal: Journal, folder: Path, rows: int) -> list[Path]:
    return list(journal.archive(1_000 + rows, folder))


@pytest.mark.usefixtures("small_segments")
def test_archived_rows_are_read_and_found_as_before(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_events())
    before, head = journal.read(), journal.head()
    files = archived(journal, tmp_path / "old", 24)
    assert [path.name[8:33] for path in files] == [
        "000000000001-000000000010",
        "000000000011-000000000020",
        "000000000021-000000000024",
    ]
    assert archived(journal, tmp_path / "old", 24) == []
    assert journal.read() == before
    assert journal.head() == head
    for after, limit in ((0, 3), (8, 5), (19, 30), (23, 2), (30, 5)):
        assert journal.read(after, limit) == before[after : after + limit]
        assert journal.read(after, limit, newest_first=True) == before[after:][::-1][:limit]
    assert journal.read(before=12, limit=4, newest_first=True) == before[7:11][::-1]
    assert journal.read(before=0, newest_first=True) == journal.read(before=1) == []
    assert journal.read(topics=["a.1"], stream="s1") == [
        row for row in before if row.event.topic == "a.1" and row.event.stream == "s1"
    ]
    assert [journal.find(row.event.event_id) for row in before] == before
    assert journal.append(some_events()) == tuple(range(1, ROWS + 1))
    assert journal.append([event(ROWS)]) == (ROWS + 1,)
    assert journal.verify().rows == ROWS + 1


@pytest.mark.usefixtures("small_segments")
def test_a_journal_whose_rows_are_all_archived_goes_on(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_events())
    head = journal.head()
    assert len(archived(journal, tmp_path, 10_000)) == 5
    assert journal.head() == head
    assert journal.append([event(ROWS)]) == (ROWS + 1,)
    assert journal.verify().rows == ROWS + 1
    assert len(archived(journal, tmp_path, 10_000)) == 1
    assert journal.verify().rows == ROWS + 1


def test_the_same_rows_make_the_same_file(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_events())
    twin = open_journal(f"sqlite:///{tmp_path}/twin.sqlite")
    twin.append(some_events())
    (one,), (other,) = archived(journal, tmp_path / "a", 40), archived(twin, tmp_path / "b", 40)
    assert one.read_bytes() == other.read_bytes()
    twin.close()


@pytest.mark.usefixtures("small_segments")
def test_a_file_that_a_kill_left_is_taken_and_another_is_not(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_events())
    twin = open_journal(f"sqlite:///{tmp_path}/twin.sqlite")
    twin.append(some_events())
    (left,) = archived(twin, tmp_path / "old", 10)
    twin.close()
    told = left.stat()
    assert archived(journal, tmp_path / "old", 10) == [left]
    assert left.stat().st_mtime_ns == told.st_mtime_ns
    (tmp_path / "old" / "journal-000000000011-000000000020.jsonl.gz").write_bytes(left.read_bytes())
    with pytest.raises(DataProblem, match="must hold the rows"):
        archived(journal, tmp_path / "old", 20)
    assert journal.verify().rows == ROWS


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def written(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(gzip.compress(b"".join(lines)))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a letter": (
        lambda path: written(
            path, [line.replace(b'"offset":14', b'"offset":14 ') for line in lines_of(path)]
        ),
        "segment",
    ),
    "an event": (
        lambda path: written(
            path,
            [
                line.replace(b"xgboost", b"lightgb") if b'"offset":14}' in line else line
                for line in lines_of(path)
            ],
        ),
        "row 14 of the journal",
    ),
    "a line less": (
        lambda path: written(path, [line for line in lines_of(path) if b'"offset":15}' not in line]),
        "row 15 of the journal must be there",
    ),
    "the end": (lambda path: written(path, lines_of(path)[:-2]), "row 19 of the journal must be there"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:200]), "whole"),
    "gone": (Path.unlink, "put the file back"),
}


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("damage", DAMAGE)
def test_verification_names_what_is_wrong_in_the_archive(tmp_path: Path, damage: str) -> None:
    journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    journal.append(some_events())
    files = archived(journal, tmp_path / "old", 30)
    harm, told = DAMAGE[damage]
    harm(files[1])
    with pytest.raises(DataProblem, match=told):
        journal.verify()
    journal.close()


def test_rows_that_were_changed_are_not_archived(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_events())
    by_hand(journal, "topic = 'x'", 5)
    with pytest.raises(DataProblem, match="row 5 of the journal"):
        archived(journal, tmp_path / "old", 40)
    assert not (tmp_path / "old").exists()


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_a_backup_brings_all_back_into_either_database(
    journal: Journal, tmp_path: Path, into: str, request: pytest.FixtureRequest
) -> None:
    journal.append(some_events())
    journal.append_once("a", "e1", [event(ROWS)])
    journal.save_snapshot("engine", 40, {"x": 1})
    archived(journal, tmp_path / "old", 24)
    head = journal.backup(tmp_path / "kept" / "backup")
    assert head == journal.head()
    rows = journal.read()
    journal.append([event(ROWS + 1)])
    shutil.rmtree(tmp_path / "old")
    target = (
        f"sqlite:///{tmp_path}/new.sqlite" if into == "sqlite" else request.getfixturevalue("second_postgres")
    )
    assert restore(tmp_path / "kept" / "backup", target).head == head
    again = open_journal(target)
    assert again.verify().head == head
    assert again.read() == rows
    assert again.load_snapshot("engine") == (40, {"x": 1})
    assert not again.append_once("a", "e1", [event(99)])
    assert again.append([event(0)]) == (1,)
    again.close()
    assert restore(tmp_path / "kept" / "backup", target).rows == ROWS + 1


def test_a_restore_goes_on_where_it_was_interrupted(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_events())
    assert isinstance(journal, SqlJournal)
    export_journal(journal, tmp_path / "export")
    url = f"sqlite:///{tmp_path}/begun.sqlite"
    begun = open_journal(url)
    begun.append(some_events()[:20])
    begun.close()
    assert restore(tmp_path / "export", url).rows == ROWS
    other = open_journal(f"sqlite:///{tmp_path}/other.sqlite")
    other.append([event(7)])
    other.close()
    with pytest.raises(DataProblem, match="hold the beginning"):
        restore(tmp_path / "export", f"sqlite:///{tmp_path}/other.sqlite")


def test_nothing_is_restored_from_a_damaged_export(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_events())
    assert isinstance(journal, SqlJournal)
    export_journal(journal, tmp_path / "export")
    lines = lines_of(tmp_path / "export")
    for name, damaged in {
        "changed": [
            line.replace(b"xgboost", b"lightgb") if i == 30 else line for i, line in enumerate(lines)
        ],
        "without its end": lines[:-1],
        "header": lines[1:],
        "cut": [*lines[:20], lines[20][:30]],
        "shorter": lines[:40] + lines[-1:],
    }.items():
        written(tmp_path / name, damaged)
        with pytest.raises(DataProblem):
            restore(tmp_path / name, f"sqlite:///{tmp_path}/target.sqlite")
        assert not (tmp_path / "target.sqlite").exists()
    with pytest.raises(DataProblem, match="readable"):
        restore(tmp_path / "none", f"sqlite:///{tmp_path}/target.sqlite")


@pytest.mark.usefixtures("small_segments")
def test_copies_and_archives_are_made_while_others_read_and_write(journal: Journal, tmp_path: Path) -> None:
    stop = threading.Event()
    journal.append(some_events())

    def write() -> int:
        number = ROWS
        while not stop.is_set():
            number += len(journal.append([event(number + i) for i in range(5)]))
        return number

    def read() -> int:
        looks = 0
        while not stop.is_set():
            seen = [row.offset for row in journal.read(limit=100_000)]
            newest = [row.offset for row in journal.read(limit=20, newest_first=True)]
            assert seen == list(range(1, len(seen) + 1))
            assert newest == list(range(newest[0], newest[0] - 20, -1))
            looks += 1
        return looks

    with ThreadPoolExecutor(2) as pool:
        writing, reading = pool.submit(write), pool.submit(read)
        try:
            while journal.head().offset < 2 * ROWS:
                time.sleep(0.01)
            for rows in range(5, 50, 15):
                archived(journal, tmp_path / "old", rows)
            head = journal.backup(tmp_path / "backup")
            assert check(tmp_path / "backup") == head
            assert head.offset >= 2 * ROWS
        finally:
            stop.set()
        assert reading.result() > 0
        assert writing.result() == journal.verify().rows
    assert journal.read(head.offset - 1, 1)[0].hash == head.hash


def test_a_backup_never_replaces_a_file(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("precious")
    with pytest.raises(OutputProblem, match="new file"):
        journal.backup(tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "precious"
