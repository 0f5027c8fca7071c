"""Books and trades as columns of whole numbers: what a recorder keeps and a file of it holds."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import DataProblem
from consilium.market.book.scaled import UNIT
from consilium.market.book.series import SIDES, BookSeries
from consilium.market.book.trades import TradeSeries

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Columns of one length, oldest first; prices and sizes in units of 1e-8.

    Parameters
    ----------
    ts_event, ts_local
        UTC nanoseconds at the exchange and on arrival, shape (n,).
    """

    ts_event: Integers
    ts_local: Integers

    def __len__(self) -> int:
        return len(self.ts_event)

    def slice(self, start: int | None, stop: int | None) -> Self:
        """Return rows ``start:stop`` without copying them."""
        return replace(self, **{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})

    def where(self, kept: NDArray[np.bool_]) -> Self:
        """Return the rows that are kept."""
        return replace(self, **{f.name: getattr(self, f.name)[kept] for f in fields(self)})

    def between(self, start: int | None, end: int | None) -> Self:
        """Return the rows with ``start <= ts_event < end``; times must ascend."""
        first = None if start is None else int(np.searchsorted(self.ts_event, start, side="left"))
        last = None if end is None else int(np.searchsorted(self.ts_event, end, side="left"))
        return self.slice(first, last)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaledBooks(Rows):
    """Books.

    Parameters
    ----------
    session
        Number of the unbroken stretch, shape (n,).
    update
        Number of the exchange's last update in the book, shape (n,).
    certain
        How many of the best levels are certain, shape (n,).
    bid_price, bid_size, ask_price, ask_size
        Best first, shape (n, L); 0 where a level is not there.
    """

    session: Integers
    update: Integers
    certain: Integers
    bid_price: Integers
    bid_size: Integers
    ask_price: Integers
    ask_size: Integers

    def series(self, symbol: str, venue: str) -> BookSeries:
        """Return the books in quote units and units of the market."""
        return book_series([self], symbol, venue)


def book_series(parts: list[ScaledBooks], symbol: str, venue: str) -> BookSeries:
    """Return parts as one series; the list is emptied on the way, so that a day is not in memory three times.

    Raises
    ------
    DataProblem
        Books of different depth.
    """
    depths = sorted({part.bid_price.shape[1] for part in parts})
    if len(depths) > 1:
        raise DataProblem(
            f"books of {symbol} must all have the same levels", depths, "read each time range by itself"
        )
    times, sessions = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("ts_event", "session")
    )
    sides = {name: np.empty((len(times), depths[0])) for name in SIDES}
    done = 0
    while parts:
        part = parts.pop(0)
        for name, column in sides.items():
            rows = column[done : done + len(part)]
            np.divide(getattr(part, name), UNIT, out=rows)
            if name.endswith("price"):
                rows[getattr(part, name) == 0] = np.nan
        done += len(part)
    return BookSeries(symbol=symbol, venue=venue, ts_event=times, session=sessions.astype(np.int32), **sides)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaledTrades(Rows):
    """Trades.

    Parameters
    ----------
    trade_id
        The exchange's numbers, shape (n,).
    price, size
        Shape (n,).
    taker_buy
        1 where the taker bought, else 0, shape (n,).
    """

    trade_id: Integers
    price: Integers
    size: Integers
    taker_buy: Integers

    def series(self, symbol: str, venue: str) -> TradeSeries:
        """Return the trades in quote units and units of the market, by their times."""
        order = np.lexsort((self.trade_id, self.ts_event))
        return TradeSeries(
            symbol=symbol,
            venue=venue,
            ts_event=self.ts_event[order],
            price=self.price[order] / UNIT,
            size=self.size[order] / UNIT,
            taker_buy=self.taker_buy[order].astype(bool),
        )


R = TypeVar("R", bound=Rows)


def joined(parts: Sequence[R]) -> R:
    """Return parts as one."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return replace(
        first,
        **{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(first)},
    )
