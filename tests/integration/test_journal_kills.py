"""Journals whose process, or server, is killed with SIGKILL at any instant: nothing acknowledged is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from consilium.bus.journal import Journal, open_journal
from journal_cases import event
from real_servers import RealPostgres

KILLS = 30 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 8
THREADS = 6
APPENDER = Path(__file__).resolve().parents[1] / "journal_appender.py"


@contextmanager
def appending(url: str, first: int, told: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that appends, and tells a file what it began and what was acknowledged."""
    with told.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(APPENDER), url, str(first), str(THREADS)],
            stdout=out,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Told:
    """What an appender said until now."""

    def __init__(self, path: Path) -> None:
        lines = [line.split() for line in path.read_text().split("\n")[:-1]]
        self.begun = {int(line[1]) for line in lines if line[0] == "begin"}
        self.kept = {int(line[1]): (int(line[2]), int(line[3])) for line in lines if line[0] == "kept"}


def wait_for(true: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60.0
    while not true():
        assert process.poll() is None, "the appender ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_kept(journal: Journal, kept: dict[int, tuple[int, int]]) -> None:
    """Every acknowledged event is at its offset, each once, and the chain holds."""
    head = journal.head().offset
    rows = {}
    for after in range(0, head, 5_000):
        rows.update({row.offset: row.event.event_id for row in journal.read(after, 5_000)})
    assert list(rows) == list(range(1, head + 1))
    assert len(set(rows.values())) == head
    for number, (first, last) in kept.items():
        assert [rows[offset] for offset in range(first, last + 1)] == [
            event(number + i).event_id for i in range(last - first + 1)
        ]
    assert journal.verify().rows == head


def killed_again_and_again(
    url: str, folder: Path, kill: Callable[["subprocess.Popen[bytes]"], None], kills: int
) -> None:
    rng = np.random.default_rng(4 + kills)
    kept: dict[int, tuple[int, int]] = {}
    for attempt in range(kills):
        path = folder / f"told-{attempt}"
        with appending(url, attempt * 10_000_000, path) as process:
            wait_for(lambda path=path: len(Told(path).kept) > 5, process)  # type: ignore[misc]
            time.sleep(rng.uniform(0.0, 0.4))
            kill(process)
        told = Told(path)
        # it died in the middle of work: appends had begun of which it never heard
        assert told.begun - set(told.kept)
        kept |= told.kept
        journal = open_journal(url)
        assert_kept(journal, kept)
        journal.close()


def by_sigkill(process: "subprocess.Popen[bytes]") -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(20.0) == -signal.SIGKILL


@pytest.fixture
def own_postgres() -> Iterator[RealPostgres]:
    server = RealPostgres()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.mark.promise(
    "004", "kill -9 while the journal is written: no acknowledged event is lost, the chain holds"
)
@pytest.mark.parametrize("kills", [2, pytest.param(KILLS, marks=pytest.mark.long)])
def test_a_killed_process_loses_nothing_acknowledged_in_sqlite(tmp_path: Path, kills: int) -> None:
    killed_again_and_again(f"sqlite:///{tmp_path}/journal.sqlite", tmp_path, by_sigkill, kills)


@pytest.mark.long
def test_a_killed_process_loses_nothing_acknowledged_in_postgresql(
    fresh_postgres: str, tmp_path: Path
) -> None:
    killed_again_and_again(fresh_postgres, tmp_path, by_sigkill, KILLS)


@pytest.mark.long
def test_a_killed_server_loses_nothing_acknowledged(own_postgres: RealPostgres, tmp_path: Path) -> None:
    def kill_server(process: "subprocess.Popen[bytes]") -> None:
        own_postgres.kill()
        time.sleep(0.3)
        assert process.poll() is None, "the appender must outlive its server"
        by_sigkill(process)
        own_postgres.start_again()

    killed_again_and_again(own_postgres.url, tmp_path, kill_server, KILLS)


ARCHIVER = """
import sys
from pathlib import Path
import consilium.bus.journal.archive as archive
from consilium.bus.journal import open_journal
from journal_cases import event

archive.ROWS = 20
journal = open_journal(sys.argv[1])
first = journal.head().offset
for number in range(first, first + 10**6, 40):
    journal.append([event(number + i) for i in range(40)])
    print("archiving", flush=True)
    journal.archive(1_000 + number, Path(sys.argv[2]))
"""


@pytest.mark.long
def test_a_kill_while_rows_are_archived_leaves_each_in_one_place(tmp_path: Path) -> None:
    rng, url = np.random.default_rng(5), f"sqlite:///{tmp_path}/journal.sqlite"
    least = 0
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", ARCHIVER, url, str(tmp_path / "old")],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.5))
            by_sigkill(process)
        journal = open_journal(url)
        head = journal.verify().rows
        assert head > least
        least = head
        rows = [row for after in range(0, head, 1_000) for row in journal.read(after, 1_000)]
        assert [row.event for row in rows] == [event(number) for number in range(head)]
        journal.close()
    assert len(list((tmp_path / "old").glob("*.jsonl.gz"))) > KILLS
