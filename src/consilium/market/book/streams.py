"""Messages of Binance's streams (spot, USD-M and COIN-M futures) read into values, and recorded streams.

References
----------
Binance API documentation, "Diff. Depth Stream", "How to manage a local order book correctly", spot and
futures.
"""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from consilium.domain.errors import DataProblem
from consilium.domain.time import MS_NS
from consilium.market.book.messages import (
    BestPrices,
    DepthSnapshot,
    Diff,
    Level,
    Message,
    Refused,
    TradeMessage,
)
from consilium.market.book.scaled import LARGEST, ScaledTexts

SNAPSHOT_LEVELS = 1_000


def _json_reader() -> Callable[[bytes], Any]:
    try:
        from orjson import loads
    except ImportError:
        from json import loads  # type: ignore[assignment]  # it takes more options
    return loads


class StreamReader:
    """Read the messages of one connection; a bad one becomes `Refused` and is never half read.

    Refused as ``corrupt``: not JSON, a field missing or of another kind. Refused as ``bad_level``: a price
    that is not > 0, a size below 0, text that is not a number. Nor may a
    number need more than 64 bits. What carries no market data (the answer to a subscription) is None.

    Examples
    --------
    >>> reader = StreamReader()
    >>> text = b'{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":7,"u":9,"b":[["10.5","0"]],"a":[]}'
    >>> diff = reader.read(text, 1)
    >>> diff.symbol, diff.ts_event, diff.previous, diff.bids
    ('BTCUSDT', 5000000, 6, [(1050000000, 0)])
    >>> reader.read(text[:40], 2).name
    'corrupt'
    """

    __slots__ = ("_asks", "_bids", "_loads", "_sizes")

    def __init__(self) -> None:
        self._loads = _json_reader()
        self._bids = ScaledTexts()
        self._asks = ScaledTexts(-1)
        self._sizes = ScaledTexts()

    def read(self, payload: bytes, ts_local: int) -> Message | None:
        """Read one message of a stream, alone or wrapped as ``{"stream": ..., "data": ...}``."""
        try:
            data = self._loads(payload)
            data = data.get("data", data)
            kind = data.get("e")
            if kind == "depthUpdate":
                return self._diff(data, ts_local)
            if kind == "trade":
                return self._trade(data, ts_local)
            if kind == "bookTicker" or (kind is None and "B" in data):
                return self._best(data, ts_local)
        except DataProblem as error:
            return Refused("bad_level", str(error))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return Refused("corrupt", f"{type(error).__name__} {error}"[:200])
        return None

    def snapshot(
        self, payload: bytes, ts_local: int, symbol: str, levels: int = SNAPSHOT_LEVELS
    ) -> DepthSnapshot | Refused:
        """Read the answer to a request for a snapshot of at most ``levels`` levels a side."""
        try:
            data = self._loads(payload)
            bids, asks = self._side(data["bids"], self._bids), self._side(data["asks"], self._asks)
            last = _whole(data["lastUpdateId"])
        except DataProblem as error:
            return Refused("bad_level", str(error))
        except (KeyError, TypeError, ValueError) as error:
            return Refused("corrupt", f"{type(error).__name__} {error}"[:200])
        return DepthSnapshot(symbol, ts_local, last, bids, asks, len(bids) < levels, len(asks) < levels)

    def _diff(self, data: Any, ts_local: int) -> Diff:
        first, last = _whole(data["U"]), _whole(data["u"])
        linked = "pu" in data
        previous = _whole(data["pu"]) if linked else first - 1
        if not previous < first <= last:
            raise ValueError(f"updates {previous}, {first}, {last} do not ascend")
        ts_event = _time(data["T" if "T" in data else "E"])
        bids, asks = self._side(data["b"], self._bids), self._side(data["a"], self._asks)
        return Diff(_name(data["s"]), ts_event, ts_local, first, last, previous, linked, bids, asks)

    def _side(self, levels: Any, keys: ScaledTexts) -> list[Level]:
        sizes = self._sizes
        side = [(keys[price], sizes[size]) for price, size in levels]
        sign = keys.sign
        for key, size in side:
            if key * sign <= 0 or size < 0:
                raise DataProblem(
                    "a level needs a price > 0 and a size >= 0",
                    f"{key * sign}e-8, {size}e-8",
                    "ask for the message again",
                )
        return side

    def _best(self, data: Any, ts_local: int) -> BestPrices:
        (bid,) = self._side([(data["b"], data["B"])], self._bids)
        (ask,) = self._side([(data["a"], data["A"])], self._asks)
        return BestPrices(_name(data["s"]), ts_local, _whole(data["u"]), bid, ask)

    def _trade(self, data: Any, ts_local: int) -> TradeMessage:
        ((price, size),) = self._side([(data["p"], data["q"])], self._bids)
        if size == 0:
            raise DataProblem("the size of a trade must be > 0", "0", "leave it out")
        if not isinstance(data["m"], bool):
            raise TypeError(f"m is {data['m']!r}, not true or false")
        return TradeMessage(
            _name(data["s"]),
            _time(data["T"]),
            ts_local,
            _whole(data["t"]),
            price,
            size,
            not data["m"],
        )


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise TypeError(f"{value!r} is not a whole number in [0, {LARGEST}]")
    return value


def _time(ms: object) -> int:
    return _whole(_whole(ms) * MS_NS)


def _name(value: object) -> str:
    if type(value) is not str or not value:
        raise TypeError(f"{value!r} is not a name")
    return value


class Recorded(NamedTuple):
    """A line of a recording: when it arrived (UTC nanoseconds) and what the exchange sent."""

    ts_local: int
    payload: bytes

    @property
    def is_snapshot(self) -> bool:
        """Whether it is the answer to a request for a snapshot."""
        return self.payload.startswith(b'{"lastUpdateId"')


def read_recording(path: Path | str) -> Iterator[Recorded]:
    """Read a recording of raw streams, line by line: nanoseconds on arrival, a space, the JSON.

    Raises
    ------
    DataProblem
        The file is missing or damaged, or a line has no time.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for row, line in enumerate(lines, start=1):
                time, _, payload = line.partition(b" ")
                if not time.isdigit():
                    raise DataProblem(
                        f"a line of {path.name} must begin with nanoseconds", f"line {row}", "cut that line"
                    )
                yield Recorded(int(time), payload.rstrip())
    except (OSError, EOFError) as error:
        raise DataProblem(f"{path.name} must be readable", str(error), "fetch the recording again") from error
