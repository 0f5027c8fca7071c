"""The journal as a stream: one reader for all clients, each of which goes on where it stopped."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import orjson
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from consilium.app.api.metrics import ApiMetrics
from consilium.app.api.port import Journal, Recorded

RING = 8_192
"""Newest events kept ready for all clients; who is further behind reads the journal."""

PAGE = 500
HEARTBEAT_S, STUCK_S, LONGEST_S = 15.0, 10.0, 3_600.0
RETRY_MS = 1_000
_WAIT_S = 0.5

log = structlog.get_logger("consilium.api")


class Frame(NamedTuple):
    """One event as it is sent."""

    offset: int
    topic: str
    text: bytes


def event_body(recorded: Recorded) -> dict[str, object]:
    """Return an event of the journal as JSON values."""
    event = recorded.event
    return {
        "offset": recorded.offset,
        "event_id": event.event_id,
        "topic": event.topic,
        "stream": event.stream,
        "version": event.version,
        "ts_event": event.ts_event,
        "ts_recorded": event.ts_recorded,
        "cause_id": event.cause_id,
        "trace_id": event.trace_id,
        "payload": event.payload,
    }


def frame_of(recorded: Recorded) -> Frame:
    """Write an event as a server-sent event whose id is its place in the journal."""
    topic = recorded.event.topic
    text = b"id: %d\nevent: %s\ndata: %s\n\n" % (
        recorded.offset,
        topic.encode(),
        orjson.dumps(event_body(recorded)),
    )
    return Frame(recorded.offset, topic, text)


class EventHub:
    """Reads the journal once for all clients.

    Parameters
    ----------
    journal
        What is read.
    metrics
        Counts clients.
    most_clients
        That may follow at once.
    heartbeat_s, stuck_s, longest_s
        From one sign of life to the next; how long one piece may take to be taken; after which time a
        stream ends, so that its client comes again with a key that is still good.
    """

    def __init__(
        self,
        journal: Journal,
        metrics: ApiMetrics,
        *,
        most_clients: int = 256,
        heartbeat_s: float = HEARTBEAT_S,
        stuck_s: float = STUCK_S,
        longest_s: float = LONGEST_S,
    ) -> None:
        self.metrics = metrics
        self.most_clients = most_clients
        self.heartbeat_s = heartbeat_s
        self.stuck_s = stuck_s
        self.longest_s = longest_s
        self.clients = 0
        self._journal = journal
        self._ring: deque[Frame] = deque(maxlen=RING)
        self._read_until = 0
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        # Clients that are far behind share two threads, so that they cannot take those of the routes.
        self._behind = ThreadPoolExecutor(2, thread_name_prefix="events-behind")

    @property
    def stopping(self) -> bool:
        """Whether streams should end."""
        return self._stop.is_set()

    def start(self) -> None:
        """Begin to read at the journal's end; must be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._read_until = self._journal.head().offset
        self._thread = threading.Thread(target=self._follow, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all streams; must be called in the event loop."""
        self._stop.set()
        self._wake()
        self._behind.shutdown(wait=False, cancel_futures=True)

    def end(self) -> int:
        """Return the place up to which clients can be served from memory."""
        return self._read_until

    async def news(self, timeout_s: float) -> None:
        """Wait until there are new events, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    async def after(self, place: int) -> list[Frame]:
        """Return events after a place, in order and without a gap; none if there is none."""
        if place >= self._read_until:
            return []
        if self._ring and self._ring[0].offset <= place + 1:
            skip = place + 1 - self._ring[0].offset
            return [self._ring[k] for k in range(skip, min(skip + PAGE, len(self._ring)))]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._behind, self._page, place)

    def _page(self, place: int) -> list[Frame]:
        return [frame_of(recorded) for recorded in self._journal.read(place, PAGE)]

    def _follow(self) -> None:
        """Read on, in a thread of its own."""
        at = self._read_until
        while not self._stop.is_set():
            try:
                if not self._journal.wait(at, _WAIT_S):
                    continue
                frames = self._page(at)
            except Exception as error:  # noqa: BLE001 - whatever it is, it may be over at the next look
                if self._stop.is_set():
                    return
                log.warning("the journal could not be read for the event streams", error=str(error))
                time.sleep(_WAIT_S)
                continue
            if frames:
                at = frames[-1].offset
                if self._loop is not None:
                    with suppress(RuntimeError):  # the loop has closed: nobody listens any more
                        self._loop.call_soon_threadsafe(self._extend, frames)

    def _extend(self, frames: Iterable[Frame]) -> None:
        self._ring.extend(frames)
        self._read_until = self._ring[-1].offset
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class EventStream(Response):
    """The answer that follows the journal.

    Parameters
    ----------
    hub
        Where events come from.
    after
        Place after which to begin.
    topics
        Which events; None for all.
    good
        Tells whether the key is still good.
    """

    media_type = "text/event-stream"

    def __init__(
        self, hub: EventHub, after: int, topics: Collection[str] | None, good: Callable[[], bool]
    ) -> None:
        super().__init__(
            None, 200, {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, "text/event-stream"
        )
        del self.headers["content-length"]
        self._hub = hub
        self._place = after
        self._topics = frozenset(topics) if topics is not None else None
        self._good = good

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client goes, is stuck, may no longer, or the service stops."""
        hub = self._hub
        hub.clients += 1
        hub.metrics.streams.set(hub.clients)
        gone = asyncio.create_task(_until_gone(receive))
        sending = asyncio.create_task(self._send_all(send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
            why = sending.result() if sending.done() else "gone"
            if why not in ("gone", "over"):
                hub.metrics.streams_cut.labels(why).inc()
            if why == "stuck" and "abort" in scope:
                scope["abort"]()
            elif why != "gone":
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            for task in (gone, sending):
                task.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)
            hub.clients -= 1
            hub.metrics.streams.set(hub.clients)

    async def _send_all(self, send: Send) -> str:
        """Send what comes; return why it ended."""
        hub = self._hub
        loop = asyncio.get_running_loop()
        over = loop.time() + hub.longest_s
        alive = loop.time() + hub.heartbeat_s
        try:
            await self._send(send, None)
            await self._send(send, b"retry: %d\n\n" % RETRY_MS)
            while not hub.stopping:
                now = loop.time()
                frames = await hub.after(self._place)
                if frames:
                    self._place = frames[-1].offset
                    text = b"".join(frame.text for frame in frames if self._wants(frame))
                    if text:
                        await self._send(send, text)
                        alive = loop.time() + hub.heartbeat_s
                elif now < min(alive, over):
                    await hub.news(min(alive, over) - now)
                    continue
                if loop.time() >= alive:
                    if not self._good():
                        return "key"
                    # The place moves on although nothing of it was asked for: who resumes need not read it.
                    await self._send(send, b": alive\nid: %d\n\n" % self._place)
                    alive = loop.time() + hub.heartbeat_s
                if loop.time() >= over:
                    return "over"
        except TimeoutError:
            return "stuck"
        return "stopping"

    def _wants(self, frame: Frame) -> bool:
        return self._topics is None or frame.topic in self._topics

    async def _send(self, send: Send, text: bytes | None) -> None:
        async with asyncio.timeout(self._hub.stuck_s):
            if text is None:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            else:
                await send({"type": "http.response.body", "body": text, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
