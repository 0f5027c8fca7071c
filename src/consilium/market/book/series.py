"""Order books of one symbol as columns: what features, labels and backtests of books work on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_name
from consilium.domain.errors import DataProblem, InvalidValue
from consilium.domain.market import BookSnapshot

SIDES = ("bid_price", "bid_size", "ask_price", "ask_size")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookSeries:
    """The books of one symbol, oldest first, each with its best L levels a side, best first.

    A level that the book does not have has a NaN price and size 0, and only such levels follow it. The
    arrays are read-only: a slice shares them. Whether the books are possible is judged by
    `consilium.market.book.checks` where data enter; here only shapes and the order of times are.

    Parameters
    ----------
    symbol, venue
        Name of the market, and of the exchange ("" if unknown).
    ts_event
        UTC nanoseconds at the exchange, ascending (ties are kept in order), shape (n,).
    bid_price, ask_price
        Quote units, bids descend and asks ascend, shape (n, L).
    bid_size, ask_size
        Units of the market (base units; contracts where it trades contracts), shape (n, L).
    session
        Number of the unbroken stretch that a book belongs to, shape (n,); it rises after every gap or
        resynchronisation, and no window or label may cross it. All 0 if not given.

    Raises
    ------
    InvalidValue
        Shapes differ or the name is empty.
    DataProblem
        Times or sessions descend.

    Examples
    --------
    >>> import numpy as np
    >>> level = np.array([[10.0], [10.5], [10.5]])
    >>> series = BookSeries(symbol="BTCUSDT", ts_event=np.arange(3), bid_price=level, bid_size=level,
    ...     ask_price=level + 1, ask_size=level)
    >>> len(series), series.levels, series.mid.tolist()
    (3, 1, [10.5, 11.0, 11.0])
    >>> series.slice(1, 3).snapshot(-1).spread
    1.0
    """

    symbol: str
    venue: str = ""
    ts_event: NDArray[np.int64]
    bid_price: NDArray[np.float64]
    bid_size: NDArray[np.float64]
    ask_price: NDArray[np.float64]
    ask_size: NDArray[np.float64]
    session: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        times = frozen(self.ts_event, np.int64)
        object.__setattr__(self, "ts_event", times)
        for name in SIDES:
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))
        shape = self.bid_price.shape
        if times.ndim != 1 or len(shape) != 2 or shape[0] != len(times) or shape[1] == 0:
            raise InvalidValue(
                "a book series needs ts_event (n,) and sides (n, L), L >= 1",
                f"ts_event {times.shape}, bid_price {shape}",
                "give one row of levels per book",
            )
        for name in SIDES[1:]:
            if getattr(self, name).shape != shape:
                raise InvalidValue(
                    f"all sides must have the shape of bid_price {shape}",
                    f"{name} {getattr(self, name).shape}",
                    "fill missing levels with a NaN price and size 0",
                )
        session = self.session if np.shape(self.session) != (0,) else np.zeros(len(times), dtype=np.int32)
        object.__setattr__(self, "session", frozen(session, np.int32))
        require_ascending(self.symbol, "times", times, len(times))
        require_ascending(self.symbol, "sessions", self.session, len(times))

    @property
    def levels(self) -> int:
        """Levels a side, L."""
        return int(self.bid_price.shape[1])

    @property
    def mid(self) -> NDArray[np.float64]:
        """Mean of best bid and best ask, shape (n,); NaN where a side is empty."""
        return (self.bid_price[:, 0] + self.ask_price[:, 0]) / 2

    def __len__(self) -> int:
        return len(self.ts_event)

    def snapshot(self, i: int) -> BookSnapshot:
        """Return one book as a value, without the levels it lacks; negative i counts from the end."""
        bids, asks = (
            np.column_stack([price[i], size[i]])[~np.isnan(price[i])]
            for price, size in ((self.bid_price, self.bid_size), (self.ask_price, self.ask_size))
        )
        return BookSnapshot(
            symbol=self.symbol, venue=self.venue, ts_event=int(self.ts_event[i]), bids=bids, asks=asks
        )

    def slice(self, start: int | None, stop: int | None) -> "BookSeries":
        """Return books ``start:stop`` without copying them, read as Python reads a slice."""
        part = slice(start, stop)
        return BookSeries(
            symbol=self.symbol,
            venue=self.venue,
            ts_event=self.ts_event[part],
            bid_price=self.bid_price[part],
            bid_size=self.bid_size[part],
            ask_price=self.ask_price[part],
            ask_size=self.ask_size[part],
            session=self.session[part],
        )


def frozen(values: object, dtype: type[np.generic]) -> NDArray[Any]:
    """Return a contiguous read-only view; the caller's own array stays writable."""
    array = np.ascontiguousarray(values, dtype=dtype).view()
    array.setflags(write=False)
    return array


def require_ascending(symbol: str, what: str, values: NDArray[Any], n: int) -> None:
    """Refuse a column that has another length than n or that descends."""
    if values.shape != (n,):
        raise InvalidValue(f"{what} of {symbol} must have shape ({n},)", values.shape, "give one a row")
    late = np.flatnonzero(np.diff(values) < 0)
    if len(late):
        raise DataProblem(
            f"{what} of {symbol} must ascend",
            f"{values[late[0] + 1]} after {values[late[0]]} at row {late[0] + 1}",
            "sort the rows by the exchange's time",
        )
