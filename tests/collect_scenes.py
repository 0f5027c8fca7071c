"""A replay exchange in a thread, and `consilium collect` in a process of its own that listens to it."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from book_exchange import KnownExchange
from command_line import environment
from consilium.market.book.series import BookSeries
from consilium.market.collector.gap_log import read_gaps
from consilium.market.replay.exchange import ReplayExchange

ROOMY = ("--min-free", "1MB")


class Serving:
    """A replay exchange that runs beside the test."""

    def __init__(self, make: Callable[[], ReplayExchange]) -> None:
        self._make, self._up, self._end = make, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.exchange: ReplayExchange
        self.error: BaseException | None = None

    async def _serve(self) -> None:
        try:
            async with self._make() as self.exchange:
                self._up.set()
                while not self._end.is_set():
                    await asyncio.sleep(0.02)
        except BaseException as error:
            self.error = error
            self._up.set()
            raise

    def __enter__(self) -> "Serving":
        self._thread.start()
        assert self._up.wait(10)
        if self.error is not None:
            raise self.error
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)

    @property
    def urls(self) -> tuple[str, ...]:
        return "--rest-url", self.exchange.rest_url, "--stream-url", self.exchange.stream_url

    def wait_played(self, timeout_s: float = 60.0) -> None:
        """Wait until all was played and is on its way."""
        until(lambda: self.exchange.finished.is_set() and not self.exchange.pending, timeout_s)
        time.sleep(0.3)


def serving(make: Callable[[], ReplayExchange]) -> Serving:
    return Serving(make)


@contextmanager
def collector(*arguments: str, folder: Path, quiet: bool = True) -> Iterator[subprocess.Popen[str]]:
    """Start `consilium collect` into a folder; what still runs at the end is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "consilium", "collect", "--folder", str(folder), *arguments]
        + (["--quiet"] if quiet else []),
        cwd=folder.parent,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(true: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Wait until something is true and return it."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s")


def status_of(folder: Path) -> dict[str, Any]:
    """The status file, or nothing while there is none."""
    path = folder / "status.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def book_gaps(folder: Path, symbol: str) -> list[dict[str, Any]]:
    return [gap for gap in read_gaps(folder) if gap["kind"] == "books" and gap["symbol"] == symbol]


def assert_equals_the_tape(series: BookSeries, known: KnownExchange, levels: int) -> None:
    """Every written book is the one that the exchange had at that time, level by level."""
    update_at = {diff.ts_event: diff.last for diff in known.diffs}
    for i, ts in enumerate(series.ts_event.tolist()):
        for side, price, size in zip(
            known.top(update_at[ts], levels),
            (series.bid_price, series.ask_price),
            (series.bid_size, series.ask_size),
            strict=True,
        ):
            told = [(round(p * 1e8), round(q * 1e8)) for p, q in zip(price[i], size[i], strict=True) if q]
            assert told == [(abs(key), quantity) for key, quantity in side], i


def assert_gaps_name_what_is_missing(
    series: BookSeries, known: KnownExchange, gaps: list[dict[str, Any]]
) -> int:
    """Each diff between the first row and the last is a row or lies in a gap; each gap begins a session."""
    rows = set(series.ts_event.tolist())
    first, last = int(series.ts_event[0]), int(series.ts_event[-1])
    missing = [d.ts_event for d in known.diffs if first < d.ts_event < last and d.ts_event not in rows]
    for ts in missing:
        assert any(gap["ts_event_begin"] < ts < (gap["ts_event_end"] or last) for gap in gaps), ts
    for gap in gaps:
        begin, end = gap["ts_event_begin"], gap["ts_event_end"]
        if end is not None and begin >= first and end <= last:
            before = series.session[series.ts_event <= begin][-1]
            after = series.session[series.ts_event >= end][0]
            assert after > before, gap
            assert not any(begin < ts < end for ts in rows), gap
    return len(missing)
