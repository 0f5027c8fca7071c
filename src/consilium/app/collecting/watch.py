"""Between the collector and who keeps the books: counts, lags, and holding back while the folder is full."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from consilium.domain import OutputProblem
from consilium.domain.time import SECOND_NS
from consilium.market.book.keeper import BookKeeper
from consilium.market.book.messages import TradeMessage
from consilium.market.collector.port import Gap, Sink

LAGS = 10_000
DISK_BOUND, DATED_BACK = "disk_bound", "dated_back"


class Keeping(Sink, Protocol):
    """Who keeps the books; `consilium.market.collector.recording.Recorder`."""

    counts: Counter[str]

    @property
    def problem(self) -> OutputProblem | None:
        """Why something that should be on the disk is not."""

    @property
    def buffered(self) -> int:
        """Rows taken and not yet written."""

    def newest(self, symbol: str) -> int | None:
        """Return the exchange's time of the newest book that was kept, by a former run too."""

    def flush(self) -> None:
        """Write what is buffered."""

    def close(self) -> None:
        """Write what is buffered and take no more."""


class Watch:
    """A sink that counts, measures the lag, and holds rows back while the folder is full.

    Rows held back are dropped and counted; each symbol has a gap named ``disk_bound`` for them. Books that
    the keeper leaves out, because the exchange's clock has gone back, are a gap named ``dated_back``. A disk
    without room is the keeper's to deal with.

    Parameters
    ----------
    keeping
        Takes what is not held back.
    symbols
        All that may come.
    """

    def __init__(self, keeping: Keeping, symbols: Sequence[str]) -> None:
        self.keeping = keeping
        self.books: Counter[str] = Counter(dict.fromkeys(symbols, 0))
        self.trades: Counter[str] = Counter(dict.fromkeys(symbols, 0))
        self.gaps: Counter[str] = Counter(dict.fromkeys(symbols, 0))
        self.causes: Counter[str] = Counter()
        self.held_back: Counter[str] = Counter()
        self.lag_count = self.lag_sum_ns = 0
        self._lags = array("q", bytes(8 * LAGS))
        self._full = ""
        kept = {symbol: keeping.newest(symbol) for symbol in symbols}
        self._last: dict[str, tuple[int | None, int]] = {
            symbol: (None, ts) for symbol, ts in kept.items() if ts is not None
        }
        self._open: dict[str, Gap] = {}

    @property
    def problem(self) -> str:
        """Why rows are not written now; empty if they are."""
        return self._full or str(self.keeping.problem or "")

    def hold_back(self, why: str) -> None:
        """Begin to hold rows back, or end it with an empty text."""
        self._full = why

    def take_book(self, keeper: BookKeeper) -> None:
        """Count a book, take its lag, and hand it on."""
        symbol, ts_local, ts_event = keeper.symbol, keeper.ts_local, keeper.ts_event
        self._lags[self.lag_count % LAGS] = ts_local - ts_event
        self.lag_count += 1
        self.lag_sum_ns += ts_local - ts_event
        if self._full:
            self.held_back["books"] += 1
            self._open_gap(symbol, DISK_BOUND)
            return
        self.books[symbol] += 1
        if symbol in self._last and ts_event < self._last[symbol][1]:
            self._open_gap(symbol, DATED_BACK)
        else:
            self._close_gap(symbol, ts_local, ts_event)
            self._last[symbol] = ts_local, ts_event
        self.keeping.take_book(keeper)

    def take_trade(self, trade: TradeMessage) -> None:
        """Count a trade and hand it on."""
        if self._full:
            self.held_back["trades"] += 1
            return
        self.trades[trade.symbol] += 1
        self.keeping.take_trade(trade)

    def take_gap(self, gap: Gap) -> None:
        """Count a gap when it opens, and hand it on."""
        if gap.ts_end is None:
            self.gaps[gap.symbol] += 1
            self.causes[gap.cause] += 1
        self.keeping.take_gap(gap)

    def end(self) -> None:
        """Hand on the gaps that are still open because of the folder."""
        for gap in self._open.values():
            self.keeping.take_gap(gap)

    def lag_s(self, *shares: float) -> list[float | None]:
        """Return quantiles of the lag of the last 10,000 books, in seconds; None before the first."""
        n = min(self.lag_count, LAGS)
        if not n:
            return [None] * len(shares)
        lags = np.frombuffer(self._lags, dtype=np.int64)[:n]
        return [float(lag) / SECOND_NS for lag in np.quantile(lags, shares)]

    def _open_gap(self, symbol: str, cause: str) -> None:
        if symbol not in self._open and symbol in self._last:
            ts_local, ts_event = self._last[symbol]
            gap = Gap(symbol=symbol, cause=cause, ts_begin=ts_local, ts_event_begin=ts_event)
            self._open[symbol] = gap
            self.take_gap(gap)

    def _close_gap(self, symbol: str, ts_local: int, ts_event: int) -> None:
        gap = self._open.pop(symbol, None)
        if gap is not None:
            self.take_gap(replace(gap, ts_end=ts_local, ts_event_end=ts_event))
