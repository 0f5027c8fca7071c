"""Binance behind the port of the collector: spot, USD-M and COIN-M futures. Needs the extra ``exchange``."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType

import aiohttp

from consilium.domain.errors import UnknownName
from consilium.market.book.messages import DepthSnapshot, Message, Refused
from consilium.market.book.streams import SNAPSHOT_LEVELS, StreamReader
from consilium.market.collector.port import TryLater

ADDRESSES = {
    "spot": ("https://api.binance.com", "wss://stream.binance.com:9443", "/api/v3"),
    "usdm": ("https://fapi.binance.com", "wss://fstream.binance.com", "/fapi/v1"),
    "coinm": ("https://dapi.binance.com", "wss://dstream.binance.com", "/dapi/v1"),
}
INTERVALS = {
    "spot": {"100ms": "depth@100ms", "1000ms": "depth"},
    "usdm": {"100ms": "depth@100ms", "250ms": "depth", "500ms": "depth@500ms"},
    "coinm": {"100ms": "depth@100ms", "250ms": "depth", "500ms": "depth@500ms"},
}
"""Name of the depth stream by market and interval; one of them is the exchange's default and goes unnamed."""

BUSY = (418, 429)
SYMBOLS_IN_ADDRESS = 50
SYMBOLS_A_REQUEST = 50
PAUSE_BETWEEN_S = 0.25
"""An address has its length and a connection takes five requests a second: many symbols join one by one."""

LARGEST_MESSAGE = 8 * 1024 * 1024


class Binance:
    """The streams and requests of one of Binance's markets; an async context manager.

    Parameters
    ----------
    market
        ``spot`` (default), ``usdm`` or ``coinm``.
    rest_url, stream_url
        Other addresses, as of a replay exchange; Binance's own if "".
    interval
        Of the depth stream, default ``100ms``; see `INTERVALS`.
    timeout_s
        How long an answer, or silence on the stream, is waited for, > 0, default 10 s.

    Raises
    ------
    UnknownName
        No such market, or none of its intervals.
    """

    def __init__(
        self,
        market: str = "spot",
        *,
        rest_url: str = "",
        stream_url: str = "",
        interval: str = "100ms",
        timeout_s: float = 10.0,
    ) -> None:
        if market not in ADDRESSES:
            raise UnknownName("market", market, ADDRESSES)
        if interval not in INTERVALS[market]:
            raise UnknownName(f"interval of {market}", interval, INTERVALS[market])
        rest, stream, self._prefix = ADDRESSES[market]
        self.name = f"binance_{market}"
        self._rest, self._stream = rest_url or rest, stream_url or stream
        self._depth, self._timeout = INTERVALS[market][interval], timeout_s
        self._reader = StreamReader()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Binance":
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def listen(self, symbols: Sequence[str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Connect to depth, best price and trade streams; raises ``ConnectionError`` if that fails."""
        streams = "/".join(self._streams(symbols[:SYMBOLS_IN_ADDRESS]))
        try:
            async with self._open.ws_connect(
                f"{self._stream}/stream?streams={streams}",
                heartbeat=self._timeout,
                max_msg_size=LARGEST_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            ) as socket:
                for i in range(SYMBOLS_IN_ADDRESS, len(symbols), SYMBOLS_A_REQUEST):
                    names = self._streams(symbols[i : i + SYMBOLS_A_REQUEST])
                    await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": i})
                    await asyncio.sleep(PAUSE_BETWEEN_S)
                yield self._messages(socket)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectionError(f"{type(error).__name__} {error}") from error

    def _streams(self, symbols: Sequence[str]) -> list[str]:
        kinds = (self._depth, "bookTicker", "trade")
        return [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in kinds]

    async def _messages(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[bytes]:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                yield message.data.encode()
            elif message.type is aiohttp.WSMsgType.BINARY:
                yield message.data

    def read(self, payload: bytes, ts_local: int) -> Message | None:
        """Read one message; a bad one becomes `Refused`."""
        return self._reader.read(payload, ts_local)

    def forget(self) -> None:
        """Let go of the texts of numbers that were read before: they are read again when they come."""
        self._reader = StreamReader()

    async def snapshot(self, symbol: str, ts_local: int) -> DepthSnapshot | Refused:
        """Ask for the best 1,000 levels of both sides."""
        body = await self._get("depth", symbol=symbol, limit=str(SNAPSHOT_LEVELS))
        return self._reader.snapshot(body, ts_local, symbol)

    async def check(self, symbols: Sequence[str]) -> None:
        """Refuse symbols that are not traded; one request."""
        body = await self._get("exchangeInfo")
        try:
            known = [entry["symbol"] for entry in json.loads(body)["symbols"]]
        except (KeyError, TypeError, ValueError) as error:
            raise TryLater(f"an answer that cannot be read {body[:100]!r}") from error
        for symbol in symbols:
            if symbol not in known:
                raise UnknownName("symbol", symbol, known)

    async def _get(self, what: str, **params: str) -> bytes:
        try:
            async with self._open.get(f"{self._rest}{self._prefix}/{what}", params=params) as answer:
                body = await answer.read()
                if answer.status in BUSY or answer.status >= 500:
                    pause = answer.headers.get("Retry-After", "")
                    raise TryLater(f"status {answer.status}", float(pause) if pause.isdigit() else 0.0)
                if answer.status == 400 and b"-1121" in body:
                    raise UnknownName("symbol", params.get("symbol", ""), ())
                if answer.status != 200:
                    raise TryLater(f"status {answer.status} {body[:100]!r}")
                return body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TryLater(f"{type(error).__name__} {error}") from error

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("enter the venue with `async with` first")
        return self._session
