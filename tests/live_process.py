"""The real service in a process of its own, and what it left in its journal."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

from consilium.bus.journal import Journal, open_journal
from consilium.domain import Event

CONCLUDED = (
    "market.outcome_matured",
    "market.features_updated",
    "market.step_done",
    "model.predicted",
    "model.performance_updated",
    "ensemble.consensus_reached",
    "trading.order_sent",
    "trading.order_changed",
    "trading.filled",
    "portfolio.snapshot_updated",
)
KEY = "a-key-for-tests-only"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, *arguments: str, port: int | None = None, **changes: str) -> Iterator["Served"]:
    """Run ``consilium serve`` on a data folder; it dies with the block."""
    served = Served(folder, arguments, free_port() if port is None else port, changes)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.process.kill()
        served.process.wait()
        if served.process.stderr is not None:
            served.process.stderr.close()


class Served:
    def __init__(self, folder: Path, arguments: tuple[str, ...], port: int, changes: dict[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "consilium", "serve", "--data-dir", str(folder), *arguments],
            cwd=folder,
            env=kept
            | {
                "CONSILIUM_PORT": str(port),
                "CONSILIUM_API_KEY": KEY,
                "CONSILIUM_LOG__LEVEL": "warning",
                "CONSILIUM_SERVING__MAX_AGE_DAYS": "0",
                "CONSILIUM_ENSEMBLE__GATES": "seed",
                "CONSILIUM_ENSEMBLE__RULE": "weighted_voting",
                "CONSILIUM_COUNCIL__ENABLED": "false",
            }
            | changes,
            stderr=subprocess.PIPE,
            text=True,
        )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers={"X-API-Key": KEY}, timeout=10.0)

    def wait_until_ready(self, seconds: float = 30.0) -> None:
        self.wait_for("/readyz", lambda answer: answer.status_code == 200, seconds)

    def wait_until_ended(self, seconds: float = 120.0) -> None:
        """Wait until the feed has no more candles."""
        self.wait_for("/readyz", lambda answer: "feed has ended" in answer.text, seconds)

    def wait_for_steps(self, folder: Path, count: int, seconds: float = 60.0) -> None:
        """Wait until the journal has at least so many steps, as long as there is one now and then."""
        seen, until = -1, 0.0
        while (found := steps_in(folder)) < count:
            if self.process.poll() is not None:
                raise AssertionError(f"the service ended with {self.process.returncode}: {self.errors()}")
            if found > seen:
                seen, until = found, time.monotonic() + seconds
            assert time.monotonic() < until, f"{found} of {count} steps, and no other in {seconds} s"
            time.sleep(0.01)

    def wait_for(self, path: str, good: Callable[[httpx.Response], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        told = ""
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"the service ended with {self.process.returncode}: {self.errors()}")
            try:
                answer = self.get(path)
                if good(answer):
                    return
                told = answer.text
            except httpx.TransportError as error:
                told = str(error)
            time.sleep(0.05)
        raise AssertionError(f"{path} did not become so in {seconds} s: {told}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60.0)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def journal_of(folder: Path) -> Iterator[Journal]:
    journal = open_journal(f"sqlite:///{folder / 'journal.sqlite'}", read_only=True)
    try:
        yield journal
    finally:
        journal.close()


def concluded(folder: Path) -> list[Event]:
    """Return all that was concluded from candles, in order."""
    with journal_of(folder) as journal:
        rows = journal.read(0, 1_000_000, topics=CONCLUDED)
        journal.verify()
    return [row.event for row in rows]


def told(events: list[Event]) -> list[tuple[str, str, object]]:
    """Return what must be alike after a kill: ids, topics and payloads; when it was recorded may differ."""
    return [(event.event_id, event.topic, event.payload) for event in events]


def steps_done(folder: Path) -> int:
    path = folder / "journal.sqlite"
    if not path.exists():
        return 0
    with journal_of(folder) as journal:
        return len(journal.read(0, 1_000_000, topics=["market.step_done"]))


def steps_in(folder: Path) -> int:
    """Count the steps of a journal that another process writes, quickly and without opening it as ours."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'journal.sqlite'}?mode=ro", uri=True)) as rows:
            found = rows.execute("SELECT count(*) FROM journal_events WHERE topic = 'market.step_done'")
            return int(found.fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # it is being made
