"""A real HTTP server on 127.0.0.1 that speaks what a client of candles needs of Binance's spot interface.

Prices come from the simulator. It can be told to fail: rate limits, server errors, connections that drop.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import NDArray

from consilium.domain.time import DAY_NS, HOUR_NS
from consilium.market.simulator import START_TS, simulate

MS_NS = 1_000_000
HOUR_MS = HOUR_NS // MS_NS
INTERVALS_MS = {"1h": HOUR_MS, "1d": DAY_NS // MS_NS}


@dataclass(kw_only=True, eq=False)
class Listing:
    """One pair: its hourly bars (n, 6) of time in ms and o h l c v, and whether it still trades."""

    base: str
    bars: NDArray[np.float64]
    status: str = "TRADING"

    @property
    def symbol(self) -> str:
        return f"{self.base}USDT"

    def of(self, interval: str) -> NDArray[np.float64]:
        if interval == "1h":
            return self.bars
        t, o, h, l, c, v = self.bars.T
        first = np.flatnonzero(np.diff(t // INTERVALS_MS["1d"], prepend=-1))
        last = np.append(first[1:], len(t)) - 1
        high, low, volume = (f.reduceat(x, first) for f, x in ((np.maximum, h), (np.minimum, l), (np.add, v)))
        return np.column_stack(
            [t[first] // INTERVALS_MS["1d"] * INTERVALS_MS["1d"], o[first], high, low, c[last], volume]
        )


def listings(bases: list[str], hours: int, *, seed: int = 1, start_ts: int = START_TS) -> list[Listing]:
    """Return pairs with simulated hourly bars."""
    series = simulate(symbols=bases, bars=hours, seed=seed, start_ts=start_ts).series
    return [
        Listing(
            base=base,
            bars=np.column_stack([s.ts_open // MS_NS, s.open, s.high, s.low, s.close, s.volume]),
        )
        for base, s in series.items()
    ]


@dataclass(kw_only=True, eq=False)
class FakeExchange:
    """The server; use it as a context.

    Parameters
    ----------
    pairs
        What it lists.
    now_ms
        What it says the time is; bars that open later are not served.
    delay_s
        How long each answer takes.
    faults
        What to do instead of answering, in order: "429", "418", "500", "drop".
    """

    pairs: list[Listing]
    now_ms: int
    delay_s: float = 0.0
    retry_after: str = "3"
    faults: deque[str] = field(default_factory=deque)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> "FakeExchange":
        exchange = self

        class Handler(_Handler):
            served_by = exchange

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def asked(self, interval: str) -> list[dict[str, str]]:
        """Return the parameters of all requests for candles of an interval, answered or not."""
        return [p for path, p in list(self.seen) if path.endswith("/klines") and p["interval"] == interval]

    def answer(self, path: str, params: Mapping[str, str]) -> object:
        if path == "/api/v3/time":
            return {"serverTime": self.now_ms}
        if path == "/api/v3/exchangeInfo":
            return {"timezone": "UTC", "symbols": [_described(pair) for pair in self.pairs]}
        if path == "/api/v3/klines":
            return self._klines(params)
        return None

    def _klines(self, params: Mapping[str, str]) -> object:
        pair = next((pair for pair in self.pairs if pair.symbol == params["symbol"]), None)
        if pair is None:
            return None
        bars = pair.of(params["interval"])
        length = INTERVALS_MS[params["interval"]]
        begin, end = int(params.get("startTime", 0)), int(params.get("endTime", self.now_ms))
        chosen = bars[(bars[:, 0] >= begin) & (bars[:, 0] <= min(end, self.now_ms))]
        return [
            [
                int(t),
                str(o),
                str(h),
                str(l),
                str(c),
                str(v),
                int(t) + length - 1,
                str(v * c),
                9,
                "0",
                "0",
                "0",
            ]
            for t, o, h, l, c, v in chosen[: min(int(params.get("limit", 500)), 1000)].tolist()
        ]


def _described(pair: Listing) -> dict[str, object]:
    return {
        "symbol": pair.symbol, "status": pair.status, "baseAsset": pair.base, "baseAssetPrecision": 8,
        "quoteAsset": "USDT", "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT"],
        "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.0001", "maxPrice": "1000000", "tickSize": "0.0001"},
            {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "1000000", "stepSize": "0.0001"},
        ],
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: header and body apart wait for each other
    served_by: FakeExchange

    def do_GET(self) -> None:
        exchange = self.served_by
        parts = urlsplit(self.path)
        params = dict(parse_qsl(parts.query))
        exchange.seen.append((parts.path, params))
        time.sleep(exchange.delay_s)
        fault = exchange.faults.popleft() if exchange.faults else ""
        if fault == "drop":
            self.close_connection = True
        elif fault in {"429", "418"}:
            self._reply(int(fault), {"code": -1003, "msg": "Too much request weight used."}, retry=True)
        elif fault:
            self._reply(int(fault), {"code": -1000, "msg": "An unknown error occurred."})
        else:
            answer = exchange.answer(parts.path, params)
            unknown = {"code": -1121, "msg": "Invalid symbol."}
            self._reply(400 if answer is None else 200, unknown if answer is None else answer)

    def _reply(self, status: int, body: object, *, retry: bool = False) -> None:
        text = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            if retry and self.served_by.retry_after:
                self.send_header("Retry-After", self.served_by.retry_after)
            self.end_headers()
            self.wfile.write(text)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""
