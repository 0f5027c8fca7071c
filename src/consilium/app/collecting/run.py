"""`consilium collect`: the parts put together, looked after once a second, and closed cleanly."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from consilium.app.collecting.amounts import bytes_text, seconds_text
from consilium.app.collecting.disk import FolderSize
from consilium.app.collecting.lock import folder_lock
from consilium.app.collecting.memory import return_memory, used_memory
from consilium.app.collecting.request import CollectRequest, require_levels
from consilium.app.collecting.signals import ends_on_signals
from consilium.app.collecting.status import Reporter, write_status
from consilium.app.collecting.supervisor import Supervisor
from consilium.app.collecting.watch import Watch
from consilium.domain import ConsiliumError, DataProblem, OutputProblem
from consilium.market.collector.binance import Binance
from consilium.market.collector.collector import Collector
from consilium.market.collector.recording import Recorder

TICK_S = 1.0

PROBLEMS = {
    "rows": "writing rows",
    "status": "writing the status",
    "exchange": "reaching the exchange",
    "looking": "looking after the collection",
}

Show = Callable[[dict[str, Any]], None]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a collection ended: its last status, and what ended it if nobody asked for that."""

    status: dict[str, Any]
    error: ConsiliumError | None


def collect(request: CollectRequest, *, show: Show, tell: Tell) -> Ended:
    """Record books and trades until the time is over, a signal comes, or memory is passed.

    Parameters
    ----------
    request
        Checked.
    show
        Gets the status once a second.
    tell
        Gets one line when something happens that the status does not show.

    Raises
    ------
    ConsiliumError
        Nothing was recorded: a symbol does not exist, the folder is in use.
    """
    request.check()
    with folder_lock(request.folder):
        return asyncio.run(_collect(request, show, tell))


async def _collect(request: CollectRequest, show: Show, tell: Tell) -> Ended:
    stop = asyncio.Event()
    async with Binance(
        request.market, rest_url=request.rest_url, stream_url=request.stream_url, interval=request.interval
    ) as venue:
        require_levels(request.folder, venue.name, request.symbols, request.levels)
        recorder = Recorder(
            request.folder,
            venue=venue.name,
            levels=request.levels,
            ring=request.ring,
            min_free_bytes=request.min_free,
            now=time.time_ns,
            interval=request.interval,
        )
        session = Session(request, venue, recorder, show=show, tell=tell)
        with ends_on_signals(stop, lambda: f"{recorder.buffered:,} rows were not written"):
            await session.run(stop)
    return Ended(status=session.last, error=session.error)


class Session:
    """One collection from its beginning to its end.

    Parameters
    ----------
    request, venue, recorder
        What to collect, from whom, and who keeps it.
    show, tell
        As for `collect`.
    memory
        Returns the bytes that the process uses.
    tick_s
        Seconds from one look at everything to the next, > 0.
    """

    def __init__(
        self,
        request: CollectRequest,
        venue: Binance,
        recorder: Recorder,
        *,
        show: Show,
        tell: Tell,
        memory: Callable[[], int] = used_memory,
        tick_s: float = TICK_S,
    ) -> None:
        self.request, self.venue, self.recorder = request, venue, recorder
        self.watch = Watch(recorder, request.symbols)
        self.collector = Collector(
            venue, request.symbols, self.watch, now=time.time_ns, levels=request.levels
        )
        self.supervisor = Supervisor(self.collector, tell)
        self.folder = FolderSize(request.folder)
        self.reporter = Reporter(
            request,
            venue.name,
            collector=self.collector,
            watch=self.watch,
            supervisor=self.supervisor,
            folder=self.folder,
        )
        self.last: dict[str, Any] = {}
        self.error: ConsiliumError | None = None
        self._show, self._tell, self._memory, self._tick = show, tell, memory, tick_s
        self._relieved = False
        self._told: dict[str, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until ``stop`` is set, the time is over or memory is passed; then write what waits.

        Raises
        ------
        ConsiliumError
            Nothing could be collected from the beginning.
        """
        collecting = asyncio.ensure_future(self.supervisor.run(stop))
        looking = asyncio.ensure_future(self._look_after(stop))
        try:
            await asyncio.wait(
                {collecting, looking}, timeout=self.request.seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stop.set()
            await asyncio.wait({collecting, looking})
            self._end()
        for task in (collecting, looking):
            task.result()

    async def _look_after(self, stop: asyncio.Event) -> None:
        """Once a second: status, memory, disk. What fails here is told and does not end the collection."""
        while not stop.is_set():
            try:
                await self._tick_once()
            except Exception as error:  # noqa: BLE001 - the books matter more than who looks at them
                self._tell_change("looking", f"{type(error).__name__}: {error}")
            else:
                self._tell_change("looking", "")
            if self.error is not None:
                stop.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._tick)

    async def _tick_once(self) -> None:
        self._watch_memory()
        await self._watch_disk()
        self.recorder.write_gaps()
        self.recorder.write_due()
        self.last = status = self.reporter.status()
        with suppress(OSError):  # nobody may look any more
            self._show(status)
        self._tell_change("rows", status["problem"])
        self._tell_change("exchange", "" if status["connections"] else status["trouble"])
        await asyncio.to_thread(self._write_status)

    def _watch_memory(self) -> None:
        """Where memory is passed write what waits and let go of what can be had again; else end."""
        bound = self.request.max_memory
        if self._memory() <= bound:
            self._relieved = False
            return
        if not self._relieved:
            self._relieved = True
            self._flush()
            self.venue.forget()
            for audit in self.collector.audits.values():
                audit.begin_again()
            return_memory()
            self._say(f"memory passed {bytes_text(bound)}: wrote what waited and let go of caches")
            return
        self.error = ConsiliumError(
            f"memory must stay below {bytes_text(bound)}",
            f"{bytes_text(self._memory())} after all was written",
            "raise --max-memory or collect fewer symbols",
        )

    async def _watch_disk(self) -> None:
        counts = self.recorder.counts
        self.folder.wrote(counts["bytes_books"] + counts["bytes_trades"])
        bound = self.request.max_disk
        if self.folder.due(for_room=self.folder.used >= bound):
            await asyncio.to_thread(self.folder.look)
        used = self.folder.used
        full = used >= bound
        if full and not self.watch.problem:
            self._flush()
        self.watch.hold_back(
            f"the folder must stay below {bytes_text(bound)}; got {bytes_text(used)}: move files away or "
            "raise --max-disk"
            if full
            else ""
        )

    def _flush(self) -> None:
        with suppress(OutputProblem):  # the recorder remembers it in `problem`
            self.recorder.flush()

    def _write_status(self) -> None:
        try:
            write_status(self.request, self.last)
        except OutputProblem as error:
            self._tell_change("status", str(error))
        else:
            self._tell_change("status", "")

    def _tell_change(self, what: str, problem: str) -> None:
        """Tell a problem when it begins and when it is over, not every second."""
        kind, before = problem.partition(";")[0], self._told.get(what, "")
        self._told[what] = kind
        if kind != before:
            self._say(f"{PROBLEMS[what]}: {problem or 'well again'}")

    def _say(self, line: str) -> None:
        with suppress(OSError):  # nobody may listen any more
            self._tell(line)

    def _end(self) -> None:
        self.watch.end()
        try:
            self.recorder.close()
        except OutputProblem as error:
            self.error = self.error or error
        except Exception as error:  # noqa: BLE001 - the end is told and written down whatever happens
            failed = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
            self.error = self.error or OutputProblem(
                "all that waits must be written at the end",
                failed,
                "report it: that is a fault of the program",
            )
        self.reporter.state = "ended"
        self.folder.look()
        self.last = status = self.reporter.status()
        if not status["messages"]:
            trouble = status["trouble"] or "nothing was refused"
            self.error = self.error or DataProblem(
                "a collection must receive something",
                f"no message in {seconds_text(status['up_s'])} ({trouble})",
                "check --market, --rest-url, --stream-url and the network",
            )
        self._write_status()
