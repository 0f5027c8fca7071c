"""Features of books snapshot by snapshot, with the same values as over the whole series."""

from collections.abc import Sequence

import numpy as np

from consilium.domain.checks import require_at_least
from consilium.domain.errors import InvalidValue
from consilium.domain.market import BookSnapshot, PublicTrade
from consilium.domain.time import SECOND_NS
from consilium.market.features import elementwise as of_row
from consilium.market.features.book import quantity as q
from consilium.market.features.book.compute import LONGEST_NS, USUAL_TRADES, book_program
from consilium.market.features.book.levels import LEVEL_COLUMNS, ladder, level_columns
from consilium.market.features.book.table import BOOK, BOOK50
from consilium.market.features.book.tape import MedianSize, VolumeBuckets
from consilium.market.features.book.windows import MovingWindow
from consilium.market.features.operation import FloatArray, Step
from consilium.market.features.program import Program

_AT = {name: place for place, name in enumerate(LEVEL_COLUMNS)}
_NOW = [list(q.FLOWS).index(name) for name in q.NOW]
_LOG_SIZE = q.TRADE_COLUMNS.index("log_size")


class BookFeatureStream:
    """Features of one symbol as its snapshots and trades come.

    Its rows equal those of `compute_book_features` to the bit, if trades come before snapshots of the same
    time. A trade that comes after a later snapshot is taken at that snapshot's time: nobody knew it before.

    Parameters
    ----------
    names
        F features of books, default all 50.
    tick_size
        Smallest step of price, >= 0; 0 (the default) takes the smallest gap between two prices so far.

    Raises
    ------
    UnknownName
        A feature is not among the 50.
    InvalidValue
        tick_size < 0, or what comes is of another symbol, out of order, or a book with an empty side.

    Examples
    --------
    >>> stream = BookFeatureStream(["spread_bps", "imbalance_1", "ofi_1_1s"])
    >>> for second, size in enumerate((3.0, 3.0, 1.0)):
    ...     row = stream.update_book(BookSnapshot(symbol="BTCUSDT", ts_event=second * SECOND_NS,
    ...         bids=np.array([[99.0, size]]), asks=np.array([[101.0, 1.0]])))
    ...     print(row.tolist())
    [200.0, 0.5, nan]
    [200.0, 0.5, 0.0]
    [200.0, 0.0, -2.0]
    """

    def __init__(self, names: Sequence[str] = BOOK50, *, tick_size: float = 0.0) -> None:
        require_at_least("tick_size", tick_size, 0.0)
        self.names = tuple(names)
        self.tick_size = tick_size
        self._features = _Runner(book_program(self.names))
        self._flow = _Runner(q.FLOW_PROGRAM)
        self._trade = _Runner(q.TRADE_PROGRAM)
        self._cold = np.array([BOOK[name].warm_up_seconds * SECOND_NS for name in self.names])
        self._longest_cold = int(self._cold.max())
        self._symbol = ""
        self._row = np.full(len(self.names), np.nan)
        self.begin_session()

    def begin_session(self) -> None:
        """Forget what came: the book was lost and is whole again, and windows must fill anew."""
        self._ts, self._first_ts, self._trade_ts = -1, -1, -1
        self._rank = self._size = np.empty(0)
        self._mid = self._spread = self._spread_0 = self._depth_0 = self._return = 0.0
        self._tick = float("inf")
        self._last_price, self._log_size, self._log_size_0 = -1.0, 0.0, 0.0
        self._signed_root = self._volume = 0.0
        flows, trades = len(q.FLOWS), len(q.TRADE_COLUMNS)
        self._windows = [MovingWindow(length, flows, len(q.KEPT)) for length in q.WINDOW_NS]
        self._trade_windows = [MovingWindow(length, trades) for length in q.WINDOW_NS]
        self._median, self._buckets = MedianSize(LONGEST_NS), VolumeBuckets()

    @property
    def is_warm(self) -> bool:
        """True once all features are finite."""
        return self._first_ts >= 0 and self._ts - self._first_ts >= self._longest_cold

    def features(self) -> FloatArray:
        """Return the features of the last snapshot, shape (F,); NaN where still cold."""
        return self._row.copy()

    def update_trade(self, trade: PublicTrade) -> None:
        """Take the next trade; it counts from the next snapshot on.

        Raises
        ------
        InvalidValue
            It is of another symbol or older than the trade before it.
        """
        self._require_symbol(trade.symbol)
        if trade.ts_event < self._trade_ts:
            raise InvalidValue(
                f"a trade must not be before {self._trade_ts}", trade.ts_event, "send trades in order"
            )
        self._trade_ts = trade.ts_event
        if self._first_ts < 0:
            return
        ts, side = max(trade.ts_event, self._ts), 1.0 if trade.taker_side == "BUY" else -1.0
        price, size = float(trade.price), float(trade.size)
        if self._last_price < 0.0:
            self._log_size_0 = float(np.log(size))
        *columns, root = self._trade.run([price, size, side, self._mid, self._spread, self._log_size_0])
        self._signed_root += root
        self._last_price, self._log_size = price, columns[_LOG_SIZE]
        row = np.array(columns)
        for window in self._trade_windows:
            window.push(ts, row)
        self._median.add(ts, size)
        self._buckets.add(size, side, self._volume)

    def update_book(self, snapshot: BookSnapshot) -> FloatArray:
        """Take the next snapshot and return the features at it, shape (F,), NaN where still cold.

        Raises
        ------
        InvalidValue
            It is of another symbol, older than the one before, or has no best price on a side.
        """
        self._require_symbol(snapshot.symbol)
        ts, bids, asks = snapshot.ts_event, snapshot.bids, snapshot.asks
        if ts < self._ts:
            raise InvalidValue(f"a snapshot must not be before {self._ts}", ts, "send snapshots in order")
        rank, size = ladder(bids[None, :, 0], bids[None, :, 1], asks[None, :, 0], asks[None, :, 1])
        if not rank[0, :, 0].min() > -np.inf:
            raise InvalidValue("a book needs a best bid and a best ask", "an empty side", "leave it out")
        if self._first_ts < 0:
            self._first_ts, self._rank, self._size = ts, rank, size
        self._ts = ts
        if ts - self._first_ts >= LONGEST_NS and not self._buckets.started:
            self._buckets.start()
        walked = self._median.at(ts) * USUAL_TRADES
        columns = level_columns(rank, size, self._rank, self._size, np.array([walked]))
        self._rank, self._size = rank, size
        levels: list[float] = columns[0].tolist()
        row = np.array(self._features.run(self._sources(ts, levels, walked)))
        if ts - self._first_ts < self._longest_cold:
            row[self._cold > ts - self._first_ts] = np.nan
        self._row = row
        return row.copy()

    def _sources(self, ts: int, levels: list[float], walked: float) -> list[float]:
        """Return `quantity.SOURCES` at this snapshot."""
        mid, spread = levels[0], levels[1]
        flows = self._flow.run(levels + self._moves(levels))
        kept = np.array([*flows, mid, levels[_AT["bid_1"]], levels[_AT["ask_1"]]])
        self._mid, self._spread = mid, spread
        self._tick = min(self._tick, levels[-1], spread)
        price = mid if self._last_price < 0.0 else self._last_price
        values = levels
        values += [self.tick_size or self._tick, walked, self._buckets.value, price, self._log_size]
        values += [flows[place] for place in _NOW]
        for window, trades in zip(self._windows, self._trade_windows, strict=True):
            window.push(ts, kept)
            values += window.at(ts).tolist()
            values.append(float(window.count))
            values += window.before
            traded = trades.at(ts).tolist()
            values += traded
            values.append(float(trades.count))
        self._volume = traded[0]
        return values

    def _moves(self, levels: list[float]) -> list[float]:
        """Return `quantity.MOVES` at this snapshot."""
        mid, root, before = levels[0], self._signed_root, self._return
        self._signed_root = 0.0
        if self._mid == 0.0:
            depth = levels[_AT["bid_5"]] + levels[_AT["ask_5"]]
            self._spread_0, self._depth_0 = levels[1], of_row.LOG_POSITIVE.over_floats(depth)
            return [0.0, 0.0, 0.0, root, self._spread_0, self._depth_0]
        self._return = float(np.log(mid / self._mid))
        return [mid - self._mid, self._return, before, root, self._spread_0, self._depth_0]

    def _require_symbol(self, symbol: str) -> None:
        if self._symbol and symbol != self._symbol:
            raise InvalidValue(f"what comes must be of {self._symbol}", symbol, "use a stream a symbol")
        self._symbol = symbol


class _Runner:
    """A program run on one row of floats; most of its lines have two inputs, and packing them would cost."""

    def __init__(self, program: Program) -> None:
        self._lines: list[tuple[Step, int, int, int]] = []
        for line in program.lines:
            first, second, third = (*line.inputs, -1, -1)[:3]
            self._lines.append((line.operation.stepper(), first, second, third))
        self._outputs = program.outputs

    def run(self, values: list[float]) -> list[float]:
        """Return the outputs; the values of all lines are put behind the sources."""
        put = values.append
        for step, first, second, third in self._lines:
            if second < 0:
                put(step(values[first]))
            elif third < 0:
                put(step(values[first], values[second]))
            else:
                put(step(values[first], values[second], values[third]))
        return [values[place] for place in self._outputs]
