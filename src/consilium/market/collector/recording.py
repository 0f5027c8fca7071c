"""The recorder: books and trades kept in memory and, whole and for good, on the disk."""

import fcntl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from consilium.domain.checks import require_name
from consilium.domain.errors import InvalidValue, OutputProblem, UnknownName
from consilium.domain.files import sweep_unfinished
from consilium.domain.time import SECOND_NS
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import TradeMessage
from consilium.market.book.series import BookSeries
from consilium.market.book.tensor import WINDOW
from consilium.market.collector.durable import make_folder, unwritable
from consilium.market.collector.gap_log import GapLog
from consilium.market.collector.port import Gap
from consilium.market.collector.ring import RING, BookRing
from consilium.market.collector.stream import COUNTED, SymbolStream

EVERY = 1_000
MIN_FREE_BYTES = 256 * 1024 * 1024
RETRY_NS = SECOND_NS
PAUSE_NS = SECOND_NS // 50
PAUSES_A_WRITE = 3
LOCK = ".recorder.lock"


class Recorder:
    """Keep what a collector hands over: the newest books of each symbol in memory, all of them on the disk.

    Files lie at ``books/venue=V/symbol=S/day=D/<first ts>_<rows>.parquet``, and the same under ``trades``.
    One is written every ``every`` books of a symbol, when the UTC day changes, and by `flush` and `close`:
    into a hidden sibling, flushed, renamed. A kill loses what was not written, and nothing else. Where many
    symbols fall due at once, 20 ms lie between their files.

    A new run over the same folder goes on after its last recorded row: what is not newer is counted and left
    out. Each run, each gap and each new synchronisation begins a session.

    When the disk takes no file, collecting goes on: books wait in the ring, trades in a queue, ``problem``
    says why, and the next attempt follows a second later. What has to go meanwhile is counted and logged as
    a gap.

    Parameters
    ----------
    folder
        Where to write; made if it is not there. One recorder at a time.
    venue
        Name of the exchange.
    levels
        Levels a side, >= 1, default 20.
    every
        Books of a file, 1 to ``ring``, default 1,000.
    ring
        Books kept in memory for each symbol, default 10,000: 6.6 MB at 20 levels.
    min_free_bytes
        No file is written that would leave fewer, >= 0, default 256 MiB.
    now
        Returns UTC nanoseconds; for `write_due`, which must know whether a day is over.
    clock
        Returns nanoseconds that never go back, for the pauses; the system's if not given.
    interval
        Of the stream, such as ``100ms``; only told in the files.

    Raises
    ------
    OutputProblem
        The folder cannot be written, or another recorder writes there.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        venue: str,
        levels: int = 20,
        every: int = EVERY,
        ring: int = RING,
        min_free_bytes: int = MIN_FREE_BYTES,
        now: Callable[[], int],
        clock: Callable[[], int] = time.monotonic_ns,
        interval: str = "",
    ) -> None:
        require_name("venue", venue)
        if not (1 <= every <= ring and levels >= 1 and min_free_bytes >= 0):
            raise InvalidValue(
                "a recorder needs levels >= 1, min_free_bytes >= 0 and 1 <= every <= ring",
                f"{levels}, {min_free_bytes}, {every}, {ring}",
                "correct them",
            )
        self.folder, self.venue, self.levels = Path(folder), venue, levels
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self._every, self._ring, self._free = every, ring, min_free_bytes
        self._now, self._clock = now, clock
        self._interval = interval
        self._retry_at = self._rested_at = clock()
        self._logged_at = clock() - SECOND_NS
        self._wrote: SymbolStream | None = None
        self._failed: dict[object, OutputProblem] = {}
        self._streams: dict[str, SymbolStream] = {}
        try:
            make_folder(self.folder)
            self._lock = (self.folder / LOCK).open("a")
            self._hold()
            self.counts["leftovers"] = _swept(self.folder)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._gaps = GapLog(self.folder, min_free_bytes=min_free_bytes)
        self.counts["leftovers"] += self._gaps.torn > 0

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise OutputProblem(
                f"one recorder at a time may write into '{self.folder}'",
                "another one that runs",
                "stop it, or give another folder",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def symbols(self) -> list[str]:
        """Symbols that something came of."""
        return sorted(self._streams)

    @property
    def problem(self) -> OutputProblem | None:
        """Why something that should be on the disk is not; None while all is well."""
        return next(iter(self._failed.values()), None)

    @property
    def buffered(self) -> int:
        """Books and trades that are not written yet."""
        return sum(s.ring.unwritten + len(s.trades) for s in self._streams.values())

    def get_latest_sequence(self, symbol: str, window: int = WINDOW) -> BookSeries:
        """Return the newest books of a symbol, ready for `consilium.market.book.tensor.to_normalized_tensor`.

        Parameters
        ----------
        symbol
            Whose.
        window
            How many, 1 to the size of the ring, default 100.

        Raises
        ------
        UnknownName
            Nothing came of that symbol.
        DataProblem
            So many have not come yet.
        """
        if symbol not in self._streams:
            raise UnknownName("symbol", symbol, self._streams)
        return self._streams[symbol].ring.latest(window)

    def newest(self, symbol: str) -> int | None:
        """Return the exchange's time of a symbol's newest book, of a former run too; None before any."""
        return self._stream(symbol).newest

    def take_book(self, keeper: BookKeeper) -> None:
        """Take the book that a keeper holds now; one that cannot be read is left alone."""
        if not keeper.live:
            return
        stream = self._stream(keeper.symbol)
        if not stream.is_new(keeper):
            return
        if stream.ring.unwritten == self._ring:
            self._write(stream)
        stream.take_book(keeper)
        if stream.due and self._may_write(stream, stream.ring.unwritten):
            self._write(stream)

    def take_trade(self, trade: TradeMessage) -> None:
        """Take a trade; one seen before is counted and left out."""
        stream = self._stream(trade.symbol)
        stream.take_trade(trade)
        waiting = stream.trades.writable
        if waiting >= self._every and self._may_write(stream, waiting):
            begun = self._clock()
            self._try((stream.symbol, "trades"), stream.write_trades)
            self._rest(stream, begun)

    def take_gap(self, gap: Gap) -> None:
        """Take a gap that opens or closes: the next book begins a session."""
        self._stream(gap.symbol).take_gap(gap)
        if self._clock() - self._logged_at >= SECOND_NS:
            self.write_gaps()

    def write_gaps(self) -> None:
        """Write the gaps that wait in the log; `take_gap` does it at most once a second.

        A lost connection closes a gap of every symbol within an instant, and each write is flushed to the
        disk: one by one they would keep the line waiting long enough to lose it again.
        """
        self._logged_at = self._clock()
        self._try("gaps", self._gaps.write)

    def write_due(self) -> None:
        """Write what is due of symbols that are quiet now; to be called about once a second.

        A file that had to wait for those of other symbols, or rows of a day that is over, would otherwise
        wait for the next book of that symbol, however late it comes.
        """
        now = self._now()
        for stream in self._streams.values():
            stream.settle(now)
            if stream.is_due(now) and self._may_write(stream, stream.ring.unwritten):
                self._write(stream, now)

    def flush(self) -> None:
        """Write all that waits, and wait for no late trade; what fails is raised when all was tried.

        Raises
        ------
        OutputProblem
            Something could not be written; it waits on.
        """
        writes: dict[object, Callable[[], None]] = {}
        for stream in self._streams.values():
            writes[stream.symbol, "books"] = stream.write_books
            writes[stream.symbol, "trades"] = partial(stream.write_trades, settle=True)
        writes["gaps"] = self._gaps.write
        unforeseen = []
        for what, write in writes.items():
            try:
                self._try(what, write, now=True)
            except Exception as error:  # noqa: BLE001 - one symbol must not cost the others their rows
                unforeseen.append(error)
        if unforeseen:
            raise unforeseen[0]
        if self.problem is not None:
            raise self.problem

    def close(self) -> None:
        """Write all that waits, log the gaps that are open, and let another recorder write here.

        Raises
        ------
        OutputProblem
            Something could not be written, and is lost.
        """
        if self._lock.closed:
            return
        try:
            for stream in self._streams.values():
                stream.end()
            self.flush()
        except OutputProblem:
            for stream in self._streams.values():
                stream.lose()
            with suppress(OutputProblem):  # what is raised says it already
                self._gaps.write(at_the_end=True)
            raise
        finally:
            self._lock.close()

    def _stream(self, symbol: str) -> SymbolStream:
        if symbol not in self._streams:
            self._streams[symbol] = SymbolStream(
                self.folder,
                BookRing(symbol, venue=self.venue, levels=self.levels, size=self._ring),
                every=self._every,
                gaps=self._gaps,
                counts=self.counts,
                min_free_bytes=self._free,
                interval=self._interval,
            )
        return self._streams[symbol]

    def _write(self, stream: SymbolStream, now: int | None = None) -> None:
        begun = self._clock()
        self._try((stream.symbol, "books"), partial(stream.write_books, all_of_them=False, now=now))
        self._try((stream.symbol, "trades"), stream.write_trades)
        self._try("gaps", self._gaps.write)
        self._rest(stream, begun)

    def _may_write(self, stream: SymbolStream, waiting: int) -> bool:
        """Let the files of other symbols wait for a while, but not until twice as many rows have come.

        Those of many symbols fall due at once, and one after the other they would keep the line waiting.
        """
        return stream is self._wrote or self._clock() >= self._rested_at or waiting >= 2 * self._every

    def _rest(self, stream: SymbolStream, begun: int) -> None:
        """Begin a pause, longer where the disk is slow: most of the time is the line's."""
        now = self._clock()
        self._wrote, self._rested_at = stream, now + max(PAUSE_NS, PAUSES_A_WRITE * (now - begun))

    def _try(self, what: object, write: Callable[[], None], *, now: bool = False) -> None:
        """Write, unless the disk failed a moment ago."""
        if self._failed and not now and self._clock() < self._retry_at:
            return
        try:
            write()
        except OutputProblem as problem:
            self.counts["write_failures"] += 1
            self._failed[what] = problem
            self._retry_at = self._clock() + RETRY_NS
        else:
            self._failed.pop(what, None)


def _swept(folder: Path) -> int:
    """Take away what a killed writer left; return how many files."""
    days = {path.parent for path in folder.glob("*/venue=*/symbol=*/day=*/.*.part")}
    count = 0
    for place in {folder, *days}:
        before = len(list(place.glob(".*.part")))
        sweep_unfinished(place)
        count += before - len(list(place.glob(".*.part")))
    return count
