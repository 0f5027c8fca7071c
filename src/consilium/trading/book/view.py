"""The view: which recorded book is the newest at a time, and what of it is left at that time."""

from math import inf, nan

import numpy as np

from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.trading.book.ladder import Ladder


class BookView:
    """A cursor on recorded books; ``sides`` are the levels of the newest one, less what was taken of them.

    Parameters
    ----------
    book, trades
        Of one symbol.
    max_age_ns
        A book older than this is stale.
    """

    __slots__ = (
        "_passed",
        "_session",
        "_shown",
        "book",
        "last_ts",
        "max_age_ns",
        "row",
        "sides",
        "trades",
        "ts",
    )

    def __init__(self, book: BookSeries, trades: TradeSeries, max_age_ns: int) -> None:
        self.book = book
        self.trades = trades
        self.max_age_ns = max_age_ns
        # a view yields plain integers as a list does, and holds none
        self.ts = book.ts_event.data
        self.last_ts = self.ts[-1]
        self.row = -1
        self.sides = {1: Ladder(1), -1: Ladder(-1)}
        self._session = book.session.data
        self._shown = -1
        self._passed = 0

    @property
    def next_ts(self) -> float:
        """Time of the book after the newest; infinite after the last."""
        return self.ts[self.row + 1] if self.row + 1 < len(self.ts) else inf

    def row_at(self, ts: int) -> int:
        """Return the row of the newest book at or before a time; -1 where there is none."""
        return int(np.searchsorted(self.book.ts_event, ts, side="right")) - 1

    def after(self, ts: int) -> int | None:
        """Return the time of the first book later than a time; None after the last."""
        row = self.row_at(ts) + 1
        return self.ts[row] if row < len(self.ts) else None

    def touch(self, ts: int) -> tuple[float, float]:
        """Return best bid and best ask of the newest book at or before a time; NaN where there is none."""
        row = self.row_at(ts)
        if row < 0:
            return nan, nan
        return float(self.book.bid_price[row, 0]), float(self.book.ask_price[row, 0])

    def stale(self, ts: int) -> bool:
        """Whether there is no book yet, or only one that is too old."""
        return self.row < 0 or ts - self.ts[self.row] > self.max_age_ns

    @property
    def gap(self) -> bool:
        """Whether a session begins with the newest book."""
        return self.row > 0 and self._session[self.row] != self._session[self.row - 1]

    def best(self, sign: int) -> float:
        """Return the best recorded price of bids (+1) or asks (-1); NaN where the side is empty."""
        return float((self.book.bid_price if sign > 0 else self.book.ask_price)[self.row, 0])

    def mid(self) -> float:
        """Return the mid of the newest book; NaN where a side is empty."""
        return (self.best(1) + self.best(-1)) / 2.0

    def show(self, ts: int) -> None:
        """Lay out the levels of the newest book, less what public trades took of them up to a time.

        A trade also tells that the other side has no level at its price or beyond.
        """
        row, book, trades = self.row, self.book, self.trades
        if row != self._shown:
            between = slice(self._shown + 1, row)
            self._shown = row
            self._passed = int(np.searchsorted(trades.ts_event, self.ts[row], side="right"))
            for sign, price, size in (
                (1, book.bid_price, book.bid_size),
                (-1, book.ask_price, book.ask_size),
            ):
                self.sides[sign].pass_by(price[between], size[between])
                self.sides[sign].show(zip(price[row].tolist(), size[row].tolist(), strict=True))
        while self._passed < len(trades) and trades.ts_event[self._passed] <= ts:
            at, hit = float(trades.price[self._passed]), -1 if trades.taker_buy[self._passed] else 1
            self.sides[hit].trade(at, float(trades.size[self._passed]))
            self.sides[-hit].leave(at)
            self._passed += 1
