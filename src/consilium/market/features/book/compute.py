"""Features of whole series of books."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_at_least
from consilium.domain.errors import InvalidValue, UnknownName
from consilium.domain.time import SECOND_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.features import elementwise as of_row
from consilium.market.features.book import quantity as q
from consilium.market.features.book.levels import LEVEL_COLUMNS, ladder, level_columns
from consilium.market.features.book.table import BOOK, BOOK50
from consilium.market.features.book.tape import MedianSize, VolumeBuckets
from consilium.market.features.book.windows import window_sums
from consilium.market.features.operation import FloatArray
from consilium.market.features.program import Program, compiled

ROWS_AT_ONCE = 16_384
USUAL_TRADES = 10.0
LONGEST_NS = q.WINDOW_NS[-1]


@lru_cache(maxsize=32)
def book_program(names: tuple[str, ...]) -> Program:
    """Return the program that computes some features of books.

    Raises
    ------
    UnknownName
        A feature is not among the 50.
    InvalidValue
        There are none.
    """
    if not names:
        raise InvalidValue("names must hold at least one feature", "none", "name features of books")
    for name in names:
        if name not in BOOK:
            raise UnknownName("book feature", name, BOOK)
    return compiled([BOOK[name].term for name in names], q.SOURCES)


def warm_up_seconds(names: Sequence[str] = BOOK50) -> int:
    """Return how many seconds of an unbroken recording some features need.

    Examples
    --------
    >>> warm_up_seconds(["spread_bps"]), warm_up_seconds(["ofi_1_5s"]), warm_up_seconds()
    (0, 5, 30)
    """
    book_program(tuple(names))
    return max(BOOK[name].warm_up_seconds for name in names)


def compute_book_features(
    book: BookSeries,
    trades: TradeSeries,
    names: Sequence[str] = BOOK50,
    *,
    tick_size: float = 0.0,
    rows: NDArray[np.int64] | None = None,
) -> FloatArray:
    """Return features of every snapshot; row t depends on snapshots up to t, and on trades up to its time.

    A trade at the very time of a snapshot comes before it. No window reaches into an earlier session: each
    begins anew, without trades.

    Parameters
    ----------
    book
        Snapshots of one symbol, n rows.
    trades
        Its trades, by the same clock.
    names
        F features of books, default all 50.
    tick_size
        Smallest step of price, >= 0; 0 (the default) takes the smallest gap between two prices of the
        session so far.
    rows
        Which snapshots to return features of, ascending, shape (q,); all n of them if None. All are looked
        at, but only these are kept.

    Returns
    -------
    FloatArray
        Shape (n, F), or (q, F). A column is NaN in the first ``warm_up_seconds`` of each session and finite
        after them.

    Raises
    ------
    UnknownName
        A feature is not among the 50.
    InvalidValue
        Book and trades are of different symbols, a snapshot has an empty side, or tick_size < 0.

    Examples
    --------
    >>> side = np.array([[2.0, 1.0]])
    >>> book = BookSeries(symbol="BTCUSDT", ts_event=np.array([0]), bid_price=np.array([[99.0, 98.0]]),
    ...     bid_size=np.array([[3.0, 1.0]]), ask_price=np.array([[101.0, 102.0]]), ask_size=np.ones((1, 2)))
    >>> none = TradeSeries(symbol="BTCUSDT", ts_event=np.array([], dtype=np.int64), price=np.array([]),
    ...     size=np.array([]), taker_buy=np.array([], dtype=bool))
    >>> compute_book_features(book, none, ["spread_bps", "imbalance_1", "ofi_1_1s"]).tolist()
    [[200.0, 0.5, nan]]
    """
    program = book_program(tuple(names))
    require_at_least("tick_size", tick_size, 0.0)
    if book.symbol != trades.symbol:
        raise InvalidValue(f"trades must be of {book.symbol}", trades.symbol, "give the trades of the book")
    empty = np.flatnonzero(np.isnan(book.mid))
    if len(empty):
        raise InvalidValue(
            "a book needs a best bid and a best ask",
            f"an empty side in row {empty[0]}",
            "leave such rows out",
        )
    wanted = np.arange(len(book)) if rows is None else rows
    result = np.empty((len(wanted), len(names)))
    edges = [0, *(np.flatnonzero(np.diff(book.session)) + 1).tolist(), len(book)]
    for start, stop in pairwise(edges):
        if start < stop:
            session = _Session(book.slice(start, stop), trades, tick_size)
            for begin in range(start, stop, ROWS_AT_ONCE):
                end = min(begin + ROWS_AT_ONCE, stop)
                here = slice(*np.searchsorted(wanted, (begin, end)).tolist())
                found = program.run(session.sources(begin - start, end - start))
                result[here] = found[wanted[here] - begin]
            here = slice(*np.searchsorted(wanted, (start, stop)).tolist())
            age = book.ts_event[wanted[here]] - book.ts_event[start]
            for column, name in enumerate(names):
                cold = np.searchsorted(age, BOOK[name].warm_up_seconds * SECOND_NS, side="left")
                result[here.start : here.start + int(cold), column] = np.nan
    return result


class _Session:
    """One unbroken stretch, piece after piece: only windows' rows are held beyond a piece."""

    def __init__(self, book: BookSeries, trades: TradeSeries, tick_size: float) -> None:
        self.book, self.ts = book, book.ts_event
        self.mid = (book.bid_price[:, 0] + book.ask_price[:, 0]) * 0.5
        self.spread = book.ask_price[:, 0] - book.bid_price[:, 0]
        self._take_trades(trades)
        self.moves = self._moves()
        self.median, self.buckets = MedianSize(LONGEST_NS), VolumeBuckets()
        self.tick_size, self.tick, self.volume, self.done = tick_size, np.inf, 0.0, 0
        self.flows = np.empty((0, len(q.FLOWS)))
        self.first_flow = 0

    def _take_trades(self, trades: TradeSeries) -> None:
        first = np.searchsorted(trades.ts_event, self.ts[0], side="right")
        last = np.searchsorted(trades.ts_event, self.ts[-1], side="right")
        trades = self.trades = trades.slice(int(first), int(last))
        before = np.searchsorted(self.ts, trades.ts_event, side="left") - 1
        self.next_row = before + 1
        self.side = np.where(trades.taker_buy, 1.0, -1.0)
        zero = np.full(len(trades), np.log(trades.size[0]) if len(trades) else 0.0)
        columns = (trades.price, trades.size, self.side, self.mid[before], self.spread[before], zero)
        self.trade_flows = q.TRADE_PROGRAM.run(columns)
        self.upto = np.searchsorted(trades.ts_event, self.ts, side="right")

    def _moves(self) -> dict[str, FloatArray]:
        rows = len(self.ts)
        change, log_return, before = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        change[1:] = self.mid[1:] - self.mid[:-1]
        log_return[1:] = np.log(self.mid[1:] / self.mid[:-1])
        before[1:] = log_return[:-1]
        # A plain running sum for each row, as a stream makes it; a reduction would add in another order.
        root = np.bincount(self.next_row, self.trade_flows[:, -1], rows)
        return {
            "move": change,
            "return": log_return,
            "return_1": before,
            "signed_root": root,
            "spread_0": np.full(rows, self.spread[0]),
        }

    def sources(self, start: int, stop: int) -> list[FloatArray]:
        """Return the columns `quantity.SOURCES` of the next rows."""
        rows = slice(start, stop)
        traded = self._trade_windows(rows)
        latest = self._tape(rows, traded[-1][0][:, 0])
        levels = self._levels(rows, latest["walked"])
        flows = self._flow(rows, levels)
        gaps = np.minimum.accumulate(np.minimum(levels[:, -1], levels[:, 1]))
        ticks = np.minimum(gaps, self.tick)
        self.tick = float(ticks[-1])
        latest["tick"] = np.full(len(ticks), self.tick_size) if self.tick_size else ticks
        names = list(q.FLOWS)
        columns = [*levels.T, *(latest[name] for name in q.LATEST)]
        columns += [flows[:, names.index(name)] for name in q.NOW]
        for length, (sums, count) in zip(q.WINDOW_NS, traded, strict=True):
            columns += [*self._book_window(rows, length), *sums.T, count]
        self._forget(stop)
        return columns

    def _levels(self, rows: slice, quantity: FloatArray) -> FloatArray:
        # One row more than asked for, as each is compared with the one before.
        more, book = slice(max(rows.start - 1, 0), rows.stop), self.book
        rank, size = ladder(
            book.bid_price[more], book.bid_size[more], book.ask_price[more], book.ask_size[more]
        )
        if rows.start == 0:
            rank, size = np.concatenate((rank[:1], rank)), np.concatenate((size[:1], size))
        return level_columns(rank[1:], size[1:], rank[:-1], size[:-1], quantity)

    def _flow(self, rows: slice, levels: FloatArray) -> FloatArray:
        if rows.start == 0:
            at = [LEVEL_COLUMNS.index(name) for name in ("bid_5", "ask_5")]
            depth_0 = of_row.LOG_POSITIVE.block(levels[:1, at[0]] + levels[:1, at[1]])
            self.moves["depth_0"] = np.broadcast_to(depth_0, len(self.ts))
        moves = [self.moves[name][rows] for name in q.MOVES]
        flows = q.FLOW_PROGRAM.run([*levels.T, *moves])
        self.flows = np.concatenate((self.flows, flows))
        return flows

    def _book_window(self, rows: slice, length: int) -> list[Any]:
        at = self.ts[rows]
        held = self.ts[self.first_flow : rows.stop]
        end = np.arange(rows.start, rows.stop) + 1 - self.first_flow
        sums, count = window_sums(held, self.flows, at, end, length)
        before = np.searchsorted(self.ts, at - length, side="right") - 1
        past = [self.mid, self.book.bid_size[:, 0], self.book.ask_size[:, 0]]
        known = before >= 0
        return [*sums.T, count, *(np.where(known, column[before], 0.0) for column in past)]

    def _trade_windows(self, rows: slice) -> list[tuple[FloatArray, FloatArray]]:
        at, end = self.ts[rows], self.upto[rows]
        first = int(np.searchsorted(self.trades.ts_event, _held_from(int(at[0])), side="left"))
        last = int(end[-1])
        first = min(first, last)
        held, flows = self.trades.ts_event[first:last], self.trade_flows[first:last, :-1]
        return [window_sums(held, flows, at, end - first, length) for length in q.WINDOW_NS]

    def _tape(self, rows: slice, volumes: FloatArray) -> dict[str, Any]:
        """Return what follows from trades one after the other."""
        ts, sizes = self.trades.ts_event, self.trades.size
        upto, median, buckets = self.upto[rows], self.median, self.buckets
        part = slice(self.done, int(upto[-1]))
        tape = zip(ts[part].tolist(), sizes[part].tolist(), self.side[part].tolist(), strict=True)
        walked, vpin = [], []
        begin, done = int(self.ts[0]) + LONGEST_NS, self.done
        for at, end, volume in zip(self.ts[rows].tolist(), upto.tolist(), volumes.tolist(), strict=True):
            while done < end:
                when, size, side = next(tape)
                median.add(when, size)
                buckets.add(size, side, self.volume)
                done += 1
            if at >= begin and not buckets.started:
                buckets.start()
            self.volume = volume
            walked.append(median.at(at) * USUAL_TRADES)
            vpin.append(buckets.value)
        self.done = done
        return {"walked": np.array(walked), "vpin": np.array(vpin), **self._last_trade(rows)}

    def _last_trade(self, rows: slice) -> dict[str, FloatArray]:
        upto = self.upto[rows]
        if not len(self.trades):
            return {"last_price": self.mid[rows], "last_log_size": np.zeros(len(upto))}
        traded = upto > 0
        price = np.where(traded, self.trades.price[upto - 1], self.mid[rows])
        log_size = self.trade_flows[upto - 1, q.TRADE_COLUMNS.index("log_size")]
        return {"last_price": price, "last_log_size": np.where(traded, log_size, 0.0)}

    def _forget(self, stop: int) -> None:
        if stop < len(self.ts):
            first = int(np.searchsorted(self.ts, _held_from(int(self.ts[stop])), side="left"))
            first = min(first, stop)
            self.flows = self.flows[first - self.first_flow :]
            self.first_flow = first


def _held_from(ts: int) -> int:
    """Return where the longest window's block before that of a time begins; all shorter blocks nest in it."""
    return (ts // LONGEST_NS - 1) * LONGEST_NS
