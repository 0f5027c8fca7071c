"""A replay exchange: recorded streams over a real websocket, and snapshots of the book, on loopback.

It speaks what a collector needs of Binance's interface, spot and futures: ``/stream?streams=a/b``,
``/ws/<stream>``, SUBSCRIBE and UNSUBSCRIBE, ``depth``, ``exchangeInfo``, ``time`` and ``ping``. Stream names
are matched up to their speed: ``btcusdt@depth@100ms`` and ``btcusdt@depth`` are the recorded diffs. Needs the
package aiohttp, which the extra ``exchange`` brings.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from heapq import merge
from itertools import chain, repeat
from types import TracebackType
from typing import Any

import numpy as np
from aiohttp import web

from consilium.domain.checks import require_at_least
from consilium.domain.errors import ConsiliumError, InvalidValue, UnknownName
from consilium.domain.time import SECOND_NS
from consilium.market.replay.dates import Redated
from consilium.market.replay.faults import Faults, FaultyWire
from consilium.market.replay.listener import Listener
from consilium.market.replay.tape import Played, Tape

PREFIXES = {"spot": "/api/v3", "usdm": "/fapi/v1", "coinm": "/dapi/v1"}
DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1_000, 5_000)
FASTEST = 0.0
BREATH = 20


class ReplayExchange:
    """Play tapes to whoever listens, in real time or faster, with faults; an async context manager.

    The recording runs once, for all listeners together, from when ``listeners`` of them are connected: who
    reconnects has missed what went by. Snapshots are of the moment they are asked for, whatever the faults;
    where the recording has a hole they are refused with status 503 until it holds a snapshot of its own.

    Parameters
    ----------
    tapes
        What to play. One tape can stand for many symbols: ``{"AAAUSDT": tape, "BBBUSDT": tape}``.
    market
        ``spot``, ``usdm`` or ``coinm``: where snapshots are served (``/api/v3``, ``/fapi/v1``, ``/dapi/v1``).
    speed
        Recorded seconds a second, > 0, default 1; 0 plays as fast as all listeners take it.
    faults, seed
        What goes wrong (also later, by assigning ``faults`` or by ``POST /replay/faults``), and the seed it
        is drawn from, a stream of its own for each connection.
    listeners
        Connections to wait for before playing, >= 1.
    host, port
        Where to listen, by default a free port of the loopback address.
    now
        Returns UTC nanoseconds: the exchange's times become those at which messages are played. By default
        they stay as recorded.

    Raises
    ------
    InvalidValue, UnknownName
        A parameter is outside its bound.
    """

    def __init__(
        self,
        tapes: Mapping[str, Tape] | Sequence[Tape],
        *,
        market: str = "spot",
        speed: float = 1.0,
        faults: Faults | None = None,
        seed: int = 0,
        listeners: int = 1,
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], int] | None = None,
    ) -> None:
        if market not in PREFIXES:
            raise UnknownName("market", market, PREFIXES)
        require_at_least("speed", speed, 0.0)
        require_at_least("listeners", listeners, 1)
        if now is not None and speed == FASTEST:
            raise InvalidValue("messages dated now need a speed > 0", speed, "give one, or keep their dates")
        self.tapes = dict(tapes) if isinstance(tapes, Mapping) else {tape.symbol: tape for tape in tapes}
        if not self.tapes:
            raise InvalidValue("an exchange needs a tape", "none", "record one")
        self.market, self.speed, self.seed = market, speed, seed
        self.faults = faults or Faults()
        self.host, self.port = host, port
        self.counts: Counter[str] = Counter()
        self.finished = asyncio.Event()
        self._names: dict[int, list[str]] = {}
        for symbol, tape in self.tapes.items():
            self._names.setdefault(id(tape), []).append(symbol)
        self._enough = asyncio.Event()
        self._wanted = listeners
        self._listeners: set[Listener] = set()
        self._rng = np.random.default_rng([seed, 1])
        self._opened = 0
        self._runner: web.AppRunner | None = None
        self._playing: asyncio.Task[None] | None = None
        self._now = now
        self._dated: Redated | None = None
        self._ts = 0

    @property
    def pending(self) -> int:
        """Messages played that are still on their way to a listener."""
        return sum(listener.pending for listener in self._listeners)

    @property
    def rest_url(self) -> str:
        """Where requests go: ``http://127.0.0.1:port``."""
        return f"http://{self.host}:{self.port}"

    @property
    def stream_url(self) -> str:
        """Where streams are: ``ws://127.0.0.1:port``."""
        return f"ws://{self.host}:{self.port}"

    @property
    def fault_counts(self) -> Counter[str]:
        """What went wrong by now, over all connections, closed ones too."""
        return sum((listener.wire.counts for listener in self._listeners), self.counts.copy())

    async def __aenter__(self) -> "ReplayExchange":
        app = web.Application()
        prefix = PREFIXES[self.market]
        app.add_routes(
            [
                web.get("/stream", self._stream),
                web.get("/ws", self._stream),
                web.get("/ws/{stream}", self._stream),
                web.get(f"{prefix}/depth", self._depth),
                web.get(f"{prefix}/exchangeInfo", self._info),
                web.get(f"{prefix}/time", self._time),
                web.get(f"{prefix}/ping", self._ping),
                web.post("/replay/faults", self._set_faults),
                web.get("/replay/status", self._status),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._playing = asyncio.create_task(self._play())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._playing is not None:
                self._playing.cancel()
                with suppress(asyncio.CancelledError):
                    await self._playing
        finally:
            for listener in list(self._listeners):
                await listener.close()
            if self._runner is not None:
                await self._runner.cleanup()

    async def _play(self) -> None:
        await self._enough.wait()
        distinct = list({id(tape): tape for tape in self.tapes.values()}.values())
        line = merge(
            *(zip(tape.messages, repeat(tape)) for tape in distinct),
            key=lambda item: item[0].ts_local,
        )
        first = min(tape.messages[0].ts_local for tape in distinct)
        if self._now is not None:
            messages = chain.from_iterable(tape.messages for tape in distinct)
            self._dated = Redated(messages, first=first, begun=self._now(), speed=self.speed)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for i, (message, tape) in enumerate(line):
            if self.speed:
                due = begun + (message.ts_local - first) / SECOND_NS / self.speed
                wait = due - loop.time()
                if wait > 0.001 or i % BREATH == 0:
                    await asyncio.sleep(max(wait, 0.0))
            elif i % BREATH == 0:
                await asyncio.sleep(0)
            self._ts = message.ts_local
            tape.go_on(message)
            await self._tell(message, tape)
        self.finished.set()

    async def _tell(self, message: Played, tape: Tape) -> None:
        told = message.data if self._dated is None else self._dated(message.data)
        for symbol in self._names[id(tape)]:
            key = f"{symbol.lower()}@{message.kind}"
            heard = [listener for listener in self._listeners if key in listener.streams]
            if not heard:
                continue
            self.counts["played"] += 1
            data = told
            if symbol != tape.symbol:
                data = data.replace(f'"s":"{tape.symbol}"'.encode(), f'"s":"{symbol}"'.encode())
            for listener in heard:
                await listener.offer(key, data, self.faults, wait=self.speed == FASTEST)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=20.0, compress=False, timeout=1.0)
        await socket.prepare(request)
        self._opened += 1
        wire = FaultyWire(np.random.default_rng([self.seed, 2, self._opened]))
        asked = request.query.get("streams", "").split("/")
        alone = request.match_info.get("stream", "")
        listener = Listener(socket, request.transport, wire, wrapped=request.path == "/stream")
        listener.subscribe([alone] if alone else asked)
        self._listeners.add(listener)
        self.counts["connections"] += 1
        if len(self._listeners) >= self._wanted:
            self._enough.set()
        try:
            await listener.serve()
        finally:
            self._listeners.discard(listener)
            self.counts += listener.wire.counts
        return socket

    async def _depth(self, request: web.Request) -> web.Response:
        self.counts["requests"] += 1
        if self._rng.random() < self.faults.refuse_request:
            self.counts["refuse_request"] += 1
            return web.json_response(
                {"code": -1003, "msg": "Too many requests."}, status=429, headers={"Retry-After": "1"}
            )
        tape = self.tapes.get(request.query.get("symbol", ""))
        if tape is None:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        limit = request.query.get("limit", "100")
        if not limit.isdigit() or int(limit) not in DEPTH_LIMITS:
            return web.json_response({"code": -1130, "msg": "Illegal parameter 'limit'."}, status=400)
        if not tape.right:
            self.counts["book_unknown"] += 1
            return web.json_response({"code": -1001, "msg": "The recording has a hole here."}, status=503)
        if self._rng.random() < self.faults.stale_snapshot:
            self.counts["stale_snapshot"] += 1
            return web.Response(body=tape.recorded_snapshot, content_type="application/json")
        return web.json_response(text=tape.snapshot_text(int(limit)))

    async def _info(self, request: web.Request) -> web.Response:
        asked = request.query.get("symbol")
        if asked is not None and asked not in self.tapes:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        symbols = [asked] if asked is not None else list(self.tapes)
        return web.json_response({"symbols": [{"symbol": name, "status": "TRADING"} for name in symbols]})

    async def _time(self, _: web.Request) -> web.Response:
        newest = max(tape.ts_event for tape in self.tapes.values()) // 1_000_000
        return web.json_response({"serverTime": self._dated.ms(newest) if self._dated else newest})

    async def _ping(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            self.faults = Faults(**await request.json())
        except (TypeError, ConsiliumError, json.JSONDecodeError) as error:
            return web.json_response({"msg": str(error)}, status=400)
        return web.json_response({})

    async def _status(self, _: web.Request) -> web.Response:
        said: dict[str, Any] = {
            "ts_local": self._ts,
            "finished": self.finished.is_set(),
            "listeners": len(self._listeners),
            "counts": dict(self.fault_counts),
        }
        return web.json_response(said)
