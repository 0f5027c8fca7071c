"""A recording made ready to be played: its messages by stream, and the whole book as it goes."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from consilium.domain.errors import DataProblem
from consilium.market.book.messages import Diff, Level, Refused
from consilium.market.book.scaled import DECIMALS, UNIT
from consilium.market.book.streams import Recorded, StreamReader, read_recording

_SNAPSHOT_LEVELS = 5_000


class Played(NamedTuple):
    """A message: when it arrived first, the kind of its stream (depth, trade, ...), and its data."""

    ts_local: int
    kind: str
    data: bytes


class Tape:
    """The messages of one symbol in the order of their arrival, and the book that they make.

    The book begins with the recorded snapshot and is kept as plain dictionaries, by nobody's rules but that
    a later size replaces an earlier one: it is what the exchange itself would answer.

    Parameters
    ----------
    symbol
        As the exchange writes it: ``BTCUSDT``.
    lines
        The recording.

    Raises
    ------
    DataProblem
        The recording holds no snapshot or no diffs of the symbol.
    """

    def __init__(self, symbol: str, lines: Iterable[Recorded]) -> None:
        self.symbol = symbol
        self._reader = StreamReader()
        self.messages: list[Played] = []
        first: Recorded | None = None
        prefix = f'{{"stream":"{symbol.lower()}@'.encode()
        for line in lines:
            if line.is_snapshot:
                first = first or line
            elif line.payload.startswith(prefix):
                stream, _, data = line.payload[len(prefix) :].partition(b'","data":')
                kind = stream.partition(b"@")[0].decode()
                self.messages.append(Played(line.ts_local, kind, data[:-1]))
        if first is None or not any(message.kind == "depth" for message in self.messages):
            raise DataProblem(
                f"a recording of {symbol} needs a snapshot and depth diffs",
                f"{len(self.messages)} messages, {'a' if first else 'no'} snapshot",
                "record the depth stream and a snapshot",
            )
        self.recorded_snapshot = first.payload
        self._begin(first)

    @classmethod
    def load(cls, path: Path | str, symbol: str) -> "Tape":
        """Load a recording as `consilium.market.book.streams.read_recording` reads it."""
        return cls(symbol, read_recording(path))

    def _begin(self, first: Recorded) -> None:
        snapshot = self._reader.snapshot(first.payload, first.ts_local, self.symbol, _SNAPSHOT_LEVELS)
        if isinstance(snapshot, Refused):
            raise DataProblem("the recorded snapshot must be readable", snapshot.said, "record again")
        self.last = snapshot.last
        self.ts_event = 0
        self._bids, self._asks = dict(snapshot.bids), dict(snapshot.asks)
        text = first.payload.partition(b'"bids":[["')[2]
        price, size = (part.partition(b".")[2] for part in text.split(b'"]')[0].split(b'","'))
        self._decimals = len(price), len(size)
        self._told = (-1, 0, "")

    def go_on(self, message: Played) -> None:
        """Bring the book up to a message that is played now."""
        if message.kind != "depth":
            return
        diff = self._reader.read(message.data, message.ts_local)
        if not isinstance(diff, Diff) or diff.last <= self.last:
            return
        for book, changes in ((self._bids, diff.bids), (self._asks, diff.asks)):
            for key, size in changes:
                if size:
                    book[key] = size
                else:
                    book.pop(key, None)
        self.last, self.ts_event = diff.last, diff.ts_event

    def snapshot(self, levels: int) -> dict[str, object]:
        """Return the answer to a request for the book now: at most ``levels`` levels a side."""
        return {
            "lastUpdateId": self.last,
            "bids": self._side(self._bids, levels),
            "asks": self._side(self._asks, levels),
        }

    def snapshot_text(self, levels: int) -> str:
        """Return `snapshot` as JSON; made once, while many ask for the same book under many names."""
        if self._told[:2] != (self.last, levels):
            self._told = self.last, levels, json.dumps(self.snapshot(levels))
        return self._told[2]

    def best(self) -> tuple[Level, Level]:
        """Return best bid and best ask as levels."""
        return max(self._bids.items()), max(self._asks.items())

    def _side(self, book: dict[int, int], levels: int) -> list[list[str]]:
        price, size = self._decimals
        ordered = sorted(book.items(), reverse=True)[:levels]
        return [[_text(abs(key), price), _text(quantity, size)] for key, quantity in ordered]


def _text(scaled: int, decimals: int) -> str:
    whole, fraction = divmod(scaled, UNIT)
    return f"{whole}.{fraction:0{DECIMALS}d}"[: len(str(whole)) + 1 + decimals] if decimals else str(whole)
