"""What is kept of one symbol: its newest books, its trades, and what of them is on the disk."""

from collections import Counter
from pathlib import Path
from typing import Any

from consilium.domain.time import DAY_NS, MINUTE_NS
from consilium.market.book.archive import day_folder, newest_head
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import TradeMessage
from consilium.market.book.recorded import Head, book_file, trade_file
from consilium.market.book.scaled_rows import Rows
from consilium.market.collector.durable import write_durably
from consilium.market.collector.gap_log import GapLog
from consilium.market.collector.port import Gap
from consilium.market.collector.ring import BookRing
from consilium.market.collector.trade_queue import Missing, TradeQueue

Between = tuple[int | None, int | None]
COUNTED = {
    "books": "books taken",
    "trades": "trades taken",
    "gaps": "lines of the gap log",
    "files": "files written",
    "bytes_books": "bytes of the files of books",
    "bytes_trades": "bytes of the files of trades",
    "bytes_raw": "bytes of the same books and trades as plain numbers",
    "shallow": "books with fewer certain levels than asked for",
    "old_books": "books not newer than the last one: recorded before, or dated back",
    "duplicate_trades": "trades seen before, and those that came after they were given up",
    "missing_trades": "trades that never came, by their numbers",
    "write_failures": "times that the disk took no file",
    "dropped_books": "books that left the ring before the disk took them",
    "dropped_trades": "trades that were let go because too many waited",
    "dropped_gap_lines": "lines of the gap log that were let go because too many waited",
    "leftovers": "files of a killed run that were half-written, and taken away",
    "unreadable_files": "files passed over when the last recorded row was looked for",
}


class SymbolStream:
    """Take the books and trades of one symbol, and write them where the last run stopped.

    Parameters
    ----------
    folder, venue, symbol, interval
        As of `consilium.market.collector.recording.Recorder`.
    ring
        For its books.
    every
        The most books of a file.
    gaps
        Where gaps are logged.
    counts
        Under the names of `COUNTED`.
    min_free_bytes
        No file is written that would leave fewer.
    """

    def __init__(
        self,
        folder: Path,
        ring: BookRing,
        *,
        every: int,
        gaps: GapLog,
        counts: Counter[str],
        min_free_bytes: int,
        interval: str = "",
    ) -> None:
        self.ring, self.symbol, self.venue = ring, ring.symbol, ring.venue
        self._folder, self._gaps, self._counts = folder, gaps, counts
        self._free, self._interval, self._every = min_free_bytes, interval, every
        books, trades = self._newest_head("books"), self._newest_head("trades")
        self.trades = TradeQueue(None if trades is None else (trades.last_id, trades.last_ts))
        self._session = -1 if books is None else books.last_session
        self._newest = (-1, -1) if books is None else (books.last_ts, books.last_id)
        self._last_written: Between = (None, None if books is None else books.last_ts)
        self._last_id = None if books is None else books.last_id
        self._lost = "" if books is None else "restart"
        self._shed: Missing | None = None
        self._has_trades = trades is not None
        self._keeper: BookKeeper | None = None
        self._keeper_session = -1
        self._broken = False
        self._open_gap: Gap | None = None
        self._begun: dict[str, tuple[Path, int]] = {}

    def _newest_head(self, kind: str) -> Head | None:
        head, passed_over = newest_head(self._folder, kind, self.venue, self.symbol)
        self._counts["unreadable_files"] += passed_over
        return head

    @property
    def newest(self) -> int | None:
        """The exchange's time of the newest book, of a former run too; None before the first."""
        return None if self._newest[0] < 0 else self._newest[0]

    def is_new(self, keeper: BookKeeper) -> bool:
        """Return whether a book is newer than all that were taken; one that is not is counted."""
        new = (keeper.ts_event, keeper.last) > self._newest
        self._counts["old_books"] += not new
        return new

    @property
    def due(self) -> bool:
        """Whether enough books wait for a file, or some of a day before that of the newest."""
        return self._books_due(None)

    def is_due(self, now: int) -> bool:
        """Return whether books or trades are due, those of a day that is over by the clock included."""
        trades = self.trades.writable
        return self._books_due(now) or (
            trades > 0 and (trades >= self._every or _is_over(self.trades.oldest, now))
        )

    def _books_due(self, now: int | None) -> bool:
        if not self.ring.unwritten:
            return False
        oldest = self.ring.oldest
        over = oldest[0] // DAY_NS != self._newest[0] // DAY_NS or (now is not None and _is_over(oldest, now))
        return over or self.ring.unwritten >= self._every

    def take_book(self, keeper: BookKeeper) -> None:
        """Take the book that a keeper holds now; it must be new."""
        if self._broken or self._keeper is not keeper or self._keeper_session != keeper.session:
            self._session += 1
            self._keeper, self._keeper_session, self._broken = keeper, keeper.session, False
        levels, certain = self.ring.levels, keeper.certain
        self._counts["books"] += 1
        self._counts["shallow"] += certain < levels
        self._newest = keeper.ts_event, keeper.last
        top = keeper.top(levels)
        if self.ring.add(keeper.ts_event, keeper.ts_local, self._session, keeper.last, certain, top):
            self._counts["dropped_books"] += 1
            if self._lost != "disk":
                self._lost = "disk"
                self.ring.begin_again()
                self._session += 1

    def take_trade(self, trade: TradeMessage) -> None:
        """Take a trade; one seen before is counted and left out."""
        if not self.trades.add(trade):
            self._counts["duplicate_trades"] += 1
            return
        self._counts["trades"] += 1
        over = self.trades.shed()
        if over is not None:
            self._counts["dropped_trades"] += over.last - over.first + 1
            self._shed = over if self._shed is None else _both(self._shed, over)
        self.settle(trade.ts_local)

    def take_gap(self, gap: Gap) -> None:
        """Take a gap that opens or closes: the next book begins a session."""
        self._broken = True
        self._open_gap = gap if gap.ts_end is None else None
        if gap.ts_end is not None:
            local, event = (gap.ts_begin, gap.ts_end), (gap.ts_event_begin, gap.ts_event_end)
            self._log(self._gap("books", gap.cause, local, event))

    def end(self) -> None:
        """Log what is still open: nothing more will come."""
        gap, self._open_gap = self._open_gap, None
        if self._shed is not None:
            self._log(self._trade_gap("disk", self._shed))
            self._shed = None
        if gap is not None:
            self._log(self._gap("books", gap.cause, (gap.ts_begin, None), (gap.ts_event_begin, None)))

    def write_books(self, *, all_of_them: bool = True, now: int | None = None) -> None:
        """Write the books that wait, at most ``every`` of one day a file.

        Parameters
        ----------
        all_of_them
            Not only full files and what is left of days that are over.
        now
            UTC nanoseconds: what is over; the newest book says it if None.

        Raises
        ------
        OutputProblem
            They cannot be written, and wait on.
        """
        ring = self.ring
        while ring.unwritten if all_of_them else self._books_due(now):
            rows = ring.rows(ring.written, min(ring.total, ring.written + self._every))
            rows = rows.slice(0, _same_day(rows))
            lost = []
            if self._lost:
                begin, event = self._last_written
                local, times = (begin, int(rows.ts_local[0])), (event, int(rows.ts_event[0]))
                lost.append(self._gap("books", self._lost, local, times))
            body = book_file(
                rows,
                venue=self.venue,
                symbol=self.symbol,
                interval=self._interval,
                previous_id=self._last_id,
            )
            first = ring.written
            ring.written = self._put("books", rows, body, first + len(rows), lost)
            self._lost = ""
            rows = rows.slice(0, ring.written - first)  # fewer, if an interrupted write was found done
            self._last_written = int(rows.ts_local[-1]), int(rows.ts_event[-1])
            self._last_id = int(rows.update[-1])
            self._counts["bytes_raw"] += len(rows) * 8 * (5 + 4 * ring.levels)

    def lose(self) -> None:
        """Log the rows that no disk took, where nothing was written that a later run could go on after."""
        ring = self.ring
        if ring.unwritten and self._last_id is None:
            rows = ring.rows(ring.written, ring.total)
            local, event = ((int(ts[0]), int(ts[-1])) for ts in (rows.ts_local, rows.ts_event))
            self._log(self._gap("books", "disk", local, event))
        if self.trades.writable and not self._has_trades:
            lost = self.trades.ready()
            local, event = ((int(ts[0]), int(ts[-1])) for ts in (lost.ts_local, lost.ts_event))
            ids = {"first_id": int(lost.trade_id[0]), "last_id": int(lost.trade_id[-1])}
            self._log(self._gap("trades", "disk", local, event) | ids)

    def write_trades(self, *, settle: bool = False) -> None:
        """Write the trades that wait, up to the first hole that may still be filled.

        Parameters
        ----------
        settle
            Wait for no hole.

        Raises
        ------
        OutputProblem
            They cannot be written, and wait on.
        """
        if settle:
            self.settle(None)
        while self.trades.writable:
            trades = self.trades.ready()
            trades = trades.slice(0, _same_day(trades))
            body = trade_file(trades, venue=self.venue, symbol=self.symbol, interval=self._interval)
            lost = [] if self._shed is None else [self._trade_gap("disk", self._shed)]
            self.trades.written(self._put("trades", trades, body, int(trades.trade_id[-1]), lost))
            self._shed, self._has_trades = None, True
            self._counts["bytes_raw"] += len(trades) * 8 * 6

    def settle(self, ts_local: int | None) -> None:
        """Log the trades that have not come until a time of arrival, or wait for none any longer."""
        for missing in self.trades.settle(ts_local):
            self._counts["missing_trades"] += missing.last - missing.first + 1
            self._log(self._trade_gap("missing", missing))

    def _put(self, kind: str, rows: Rows, body: bytes, upto: int, lost: list[dict[str, Any]]) -> int:
        """Write a file, and first what was lost before it; return up to where rows are on the disk now.

        What was lost is logged when the file has its room: until then the loss may grow, and is one line.
        """
        # an interrupt may have come between a file and the note that it is there
        path, before = self._begun.pop(kind, (None, 0))
        if path is not None and path.exists():
            return before
        folder = day_folder(self._folder, kind, self.venue, self.symbol, int(rows.ts_event[0]))
        path = _unused(folder, f"{rows.ts_event[0]}_{len(rows)}")
        self._begun[kind] = path, upto
        write_durably(path, body, min_free_bytes=self._free, before=lambda: self._gaps.write(*lost))
        del self._begun[kind]
        self._counts["gaps"] += len(lost)
        self._counts["files"] += 1
        self._counts[f"bytes_{kind}"] += len(body)
        return upto

    def _log(self, gap: dict[str, Any]) -> None:
        self._gaps.add(gap)
        self._counts["gaps"] += 1
        self._counts["dropped_gap_lines"] = self._gaps.dropped

    def _trade_gap(self, cause: str, missing: Missing) -> dict[str, Any]:
        local = missing.ts_begin or None, missing.ts_end
        gap = self._gap("trades", cause, local, (missing.ts_event_begin, missing.ts_event_end))
        return gap | {"first_id": missing.first, "last_id": missing.last}

    def _gap(self, kind: str, cause: str, local: Between, event: Between) -> dict[str, Any]:
        return {
            "kind": kind,
            "venue": self.venue,
            "symbol": self.symbol,
            "cause": cause,
            "ts_begin": local[0],
            "ts_end": local[1],
            "ts_event_begin": event[0],
            "ts_event_end": event[1],
        }


def _is_over(oldest: tuple[int, int], now: int) -> bool:
    """Return whether rows are of a day that is over, and have waited for later ones of it."""
    ts_event, ts_local = oldest
    return ts_event // DAY_NS < now // DAY_NS and now - ts_local >= MINUTE_NS


def _both(first: Missing, last: Missing) -> Missing:
    return first._replace(last=last.last, ts_end=last.ts_end, ts_event_end=last.ts_event_end)


def _same_day(rows: Rows) -> int:
    """Return how many rows from the first on are of its UTC day."""
    other = (rows.ts_event // DAY_NS != rows.ts_event[0] // DAY_NS).nonzero()[0]
    return int(other[0]) if len(other) else len(rows)


def _unused(folder: Path, name: str) -> Path:
    """Return a path that is free: books that share a time may make a name twice."""
    path, again = folder / f"{name}.parquet", 1
    while path.exists():
        again += 1
        path = folder / f"{name}_{again}.parquet"
    return path
