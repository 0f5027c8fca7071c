"""Workers in processes of their own: they die with the block, whatever a test does to them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from consilium.domain import DataProblem, Event
from live_process import KEY, journal_of, serving, told

ENVIRONMENT = {
    "CONSILIUM_API_KEY": KEY,
    "CONSILIUM_LOG__LEVEL": "warning",
    "CONSILIUM_SERVING__MAX_AGE_DAYS": "0",
    "CONSILIUM_ENSEMBLE__GATES": "seed",
    "CONSILIUM_ENSEMBLE__RULE": "weighted_voting",
}
Process = subprocess.Popen[str]


@contextmanager
def worker(room: str, folder: Path, redis: str, *arguments: str, **changes: str) -> Iterator[Process]:
    """Run ``consilium worker ROOM`` on a data folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "consilium", "worker", room, "--data-dir", str(folder), *arguments],
        cwd=folder,
        env=kept | ENVIRONMENT | {"CONSILIUM_REDIS_URL": redis} | changes,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@contextmanager
def workers(
    rooms: Sequence[str | tuple[str, ...]], folder: Path, redis: str, **changes: str
) -> Iterator[list[Process]]:
    """Run several of them, each a room or a room with arguments."""
    with ExitStack() as stack:
        named = [(room,) if isinstance(room, str) else room for room in rooms]
        yield [stack.enter_context(worker(room[0], folder, redis, *room[1:], **changes)) for room in named]


def end(processes: Sequence[Process]) -> None:
    """Ask them to end, and see that they do so in order."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        assert process.wait(30.0) == 0


def prepared(folder: Path, models: Path) -> Path:
    """Return a data folder with models."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(models, folder / "models")
    return folder


def served_alone(folder: Path, models: Path, *arguments: str, **changes: str) -> Path:
    """Let one process do it all until the feed has ended; return its data folder."""
    with serving(prepared(folder, models), *arguments, port=None, **changes) as service:
        service.wait_until_ended()
        assert service.stop() == 0
    return folder


def count(folder: Path, topic: str) -> int:
    """Return how many rows of a topic are in the journal."""
    try:
        with journal_of(folder) as journal:
            return len(journal.read(0, 1_000_000, topics=[topic]))
    except DataProblem:
        return 0  # it is being made


def until_counted(
    folder: Path, topic: str, least: int, processes: Sequence[Process], seconds: float = 120.0
) -> None:
    """Wait for so many rows of a topic, as long as there is one now and then."""
    seen, end = -1, 0.0
    while (found := count(folder, topic)) < least:
        for process in processes:
            if process.poll() is not None:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read())
        if found > seen:
            seen, end = found, time.monotonic() + seconds
        assert time.monotonic() < end, f"{found} of {least} rows of {topic}, and no other in {seconds} s"
        time.sleep(0.1)


def by_topic(events: list[Event]) -> dict[str, list[tuple[str, str, Any]]]:
    """Return events by topic: the order between topics is another when rooms work side by side."""
    found: dict[str, list[tuple[str, str, Any]]] = {}
    for event in told(events):
        found.setdefault(event[1], []).append(event)
    return found
