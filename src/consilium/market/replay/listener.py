"""One connection of the replay exchange: what it listens to, and what is sent to it."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress

from aiohttp import web

from consilium.market.replay.faults import Faults, FaultyWire

MOST_QUEUED = 20_000


class Listener:
    """Queue messages for one websocket and send them in a task of its own, so that a slow one harms nobody.

    Parameters
    ----------
    socket, transport
        An open websocket of the server, and what it runs on.
    wire
        Decides what becomes of each message.
    wrapped
        Whether messages are sent as ``{"stream": ..., "data": ...}``.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        wire: FaultyWire,
        *,
        wrapped: bool,
    ) -> None:
        self.socket, self.wire, self.wrapped = socket, wire, wrapped
        self._transport = transport
        self.streams: dict[str, str] = {}
        self._queue: asyncio.Queue[tuple[bytes | None, float]] = asyncio.Queue(MOST_QUEUED)

    @property
    def pending(self) -> int:
        """Messages that wait to be sent."""
        return self._queue.qsize()

    def subscribe(self, names: Iterable[str]) -> None:
        """Listen to streams by the names that the listener gives them."""
        for name in names:
            if name:
                self.streams[_key(name)] = name

    async def offer(self, key: str, data: bytes, faults: Faults, *, wait: bool) -> None:
        """Queue a message; a queue that is full is waited for, or the listener is cut off as too slow."""
        payload = b'{"stream":"%s","data":%s}' % (self.streams[key].encode(), data) if self.wrapped else data
        for sending in self.wire.carry(payload, faults):
            if wait:
                await self._queue.put(sending)
            elif self._queue.full():
                self.wire.counts["too_slow"] += 1
                self._cut()
                return
            else:
                self._queue.put_nowait(sending)

    async def serve(self) -> None:
        """Send and answer until either side ends the connection."""
        sending = asyncio.create_task(self._send())
        try:
            async for message in self.socket:
                await self._answer(message.data)
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sending
            self._unblock()

    def _cut(self) -> None:
        """End the connection without a word, as a broken line does."""
        self.streams.clear()
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Close the connection as an exchange does that shuts down."""
        self.streams.clear()
        with suppress(ConnectionError):
            await self.socket.close()

    async def _send(self) -> None:
        while True:
            payload, pause = await self._queue.get()
            if pause:
                await asyncio.sleep(pause)
            if payload is None:
                self._cut()
                return
            try:
                await self.socket.send_str(payload.decode())
            except ConnectionError:
                self.streams.clear()
                return

    def _unblock(self) -> None:
        """Let go of who waits for room in the queue."""
        self.streams.clear()
        while not self._queue.empty():
            self._queue.get_nowait()

    async def _answer(self, text: object) -> None:
        try:
            asked = json.loads(text) if isinstance(text, str) else {}
            method, names, number = asked["method"], [str(name) for name in asked["params"]], asked["id"]
        except (KeyError, TypeError, ValueError):
            await self.socket.send_str('{"error":{"code":2,"msg":"Invalid request"},"id":null}')
            return
        if method == "SUBSCRIBE":
            self.subscribe(names)
        elif method == "UNSUBSCRIBE":
            for name in names:
                self.streams.pop(_key(name), None)
        await self.socket.send_str(json.dumps({"result": None, "id": number}))


def _key(stream: str) -> str:
    """Return symbol and kind of a stream: ``btcusdt@depth@100ms`` is ``btcusdt@depth``."""
    return "@".join(stream.split("@")[:2])
