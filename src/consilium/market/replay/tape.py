"""A recording made ready to be played: its messages by stream, and the whole book as it goes."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from consilium.domain.errors import DataProblem
from consilium.market.book.messages import DepthSnapshot, Diff, Level, Refused
from consilium.market.book.scaled import DECIMALS, UNIT
from consilium.market.book.streams import Recorded, StreamReader, read_recording
from consilium.market.replay.book import TapeBook

_SNAPSHOT_LEVELS = 5_000
_SNAPSHOT = "snapshot"
_STREAM = b'{"stream":"'
_DATA = b'","data":'


class Played(NamedTuple):
    """A message: when it arrived first, the kind of its stream (depth, trade, ...), and its data."""

    ts_local: int
    kind: str
    data: bytes


class Told(NamedTuple):
    """A line of a recording: the name of its stream ("" for a snapshot), and its data."""

    stream: str
    data: bytes


def told(payload: bytes) -> Told | None:
    """Read what a line tells, whatever its spaces; None if it is no message of a stream and no snapshot.

    Examples
    --------
    >>> told(b'{"stream": "btcusdt@trade", "data": {"e": "trade"}}')
    Told(stream='btcusdt@trade', data=b'{"e":"trade"}')
    >>> told(b'{"result":null,"id":1}') is None
    True
    """
    if payload.startswith(_STREAM) and b'": ' not in payload and b", " not in payload:
        name, found, data = payload[len(_STREAM) :].partition(_DATA)
        if found and payload.endswith(b"}}"):
            return Told(name.decode(errors="replace"), data[:-1])
    try:
        body = json.loads(payload)
    except ValueError:
        return None
    if isinstance(body, dict) and "lastUpdateId" in body:
        return Told("", json.dumps(body, separators=(",", ":")).encode())
    if not isinstance(body, dict) or not isinstance(body.get("stream"), str) or "data" not in body:
        return None
    return Told(body["stream"], json.dumps(body["data"], separators=(",", ":")).encode())


class Tape:
    """The messages of one symbol in the order of their arrival, and the book that they make.

    The book begins with the first recorded snapshot and is kept as plain dictionaries: it is what the
    exchange itself would answer. Where the recording lacks a diff, or one cannot be, the book is not known
    (``right`` is false) until the recording holds another snapshot; ``holes`` says where, found on loading.

    Parameters
    ----------
    symbol
        As the exchange writes it: ``BTCUSDT``.
    lines
        The recording. Messages of other symbols are passed over; lines that are neither a stream's message
        nor a snapshot are counted in ``left_out``.

    Raises
    ------
    DataProblem
        The recording holds no snapshot or no diffs of the symbol, or its first snapshot cannot be.
    """

    def __init__(self, symbol: str, lines: Iterable[Recorded]) -> None:
        self.symbol = symbol
        self._reader = StreamReader()
        self.messages: list[Played] = []
        self.left_out: list[int] = []
        first: Recorded | None = None
        numbers: list[int] = []
        for number, line in enumerate(lines, start=1):
            said = told(line.payload)
            name, _, kind = (said.stream if said is not None else "").partition("@")
            if said is None:
                self.left_out.append(number)
            elif not said.stream and first is None:
                first = Recorded(line.ts_local, said.data)
            elif not said.stream or name == symbol.lower():
                kind = kind.partition("@")[0] or _SNAPSHOT
                self.messages.append(Played(line.ts_local, kind, said.data))
                numbers.append(number)
        if first is None or not any(message.kind == "depth" for message in self.messages):
            raise DataProblem(
                f"a recording of {symbol} needs a snapshot and depth diffs",
                f"{len(self.messages)} messages, {'a' if first else 'no'} snapshot",
                "record the depth stream and a snapshot",
            )
        self.recorded_snapshot = first.payload
        self.holes = self._begin(first, numbers)

    @classmethod
    def load(cls, path: Path | str, symbol: str) -> "Tape":
        """Load a recording as `consilium.market.book.streams.read_recording` reads it."""
        return cls(symbol, read_recording(path))

    def _begin(self, first: Recorded, numbers: list[int]) -> list[tuple[int, str]]:
        """Begin the book, and return line and cause of all that makes it wrong when it is played."""
        snapshot = self._reader.snapshot(first.payload, first.ts_local, self.symbol, _SNAPSHOT_LEVELS)
        if isinstance(snapshot, Refused):
            raise DataProblem("the recorded snapshot must be readable", snapshot.said, "record again")
        text = first.payload.partition(b'"bids":[["')[2]
        price, size = (part.partition(b".")[2] for part in text.split(b'"]')[0].split(b'","'))
        self._decimals = len(price), len(size)
        self._told = (-1, 0, "")
        holes = []
        self._book = self._begun(snapshot)
        for number, message in zip(numbers, self.messages, strict=True):
            if wrong := self.go_on(message):
                holes.append((number, wrong))
        self._book = self._begun(snapshot)
        return holes

    def _begun(self, snapshot: DepthSnapshot) -> TapeBook:
        book = TapeBook()
        if wrong := book.begin(snapshot):
            raise DataProblem("the recorded snapshot must be a book that can be", wrong, "record again")
        return book

    @property
    def right(self) -> bool:
        """Whether the book is known now."""
        return self._book.right

    @property
    def last(self) -> int:
        """Number of the last update in the book."""
        return self._book.last

    @property
    def ts_event(self) -> int:
        """The exchange's time of the last diff in the book, 0 before the first."""
        return self._book.ts_event

    def go_on(self, message: Played) -> str:
        """Bring the book up to a message that is played now; return what makes it wrong, or ""."""
        if message.kind == _SNAPSHOT:
            found = self._reader.snapshot(message.data, message.ts_local, self.symbol, _SNAPSHOT_LEVELS)
            return self._book.begin(found) if isinstance(found, DepthSnapshot) else ""
        if message.kind != "depth":
            return ""
        diff = self._reader.read(message.data, message.ts_local)
        if isinstance(diff, Diff):
            return self._book.take(diff)
        was_right = self._book.right
        self._book.give_up()
        return f"a diff cannot be read: {getattr(diff, 'said', 'no diff')}" if was_right else ""

    def snapshot(self, levels: int) -> dict[str, object]:
        """Return the answer to a request for the book now: at most ``levels`` levels a side."""
        bids, asks = self._book.top(levels)
        return {"lastUpdateId": self.last, "bids": self._texts(bids), "asks": self._texts(asks)}

    def snapshot_text(self, levels: int) -> str:
        """Return `snapshot` as JSON; made once, while many ask for the same book under many names."""
        if self._told[:2] != (self.last, levels):
            self._told = self.last, levels, json.dumps(self.snapshot(levels))
        return self._told[2]

    def _texts(self, side: list[Level]) -> list[list[str]]:
        price, size = self._decimals
        return [[_text(abs(key), price), _text(quantity, size)] for key, quantity in side]


def _text(scaled: int, decimals: int) -> str:
    whole, fraction = divmod(scaled, UNIT)
    return f"{whole}.{fraction:0{DECIMALS}d}"[: len(str(whole)) + 1 + decimals] if decimals else str(whole)
