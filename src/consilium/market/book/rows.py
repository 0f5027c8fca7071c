"""One row a book, each on its own: what a network keeps of a snapshot while its window moves on."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.domain.market import BookSnapshot
from consilium.market.book.series import BookSeries
from consilium.market.book.tensor import CHANNELS

LEVELS = 20
"""Levels a side of a row."""

FORMULA = "price: 1e4 (p - m) / m, m the mid before; volume: ln(1 + q / mean q)"
BASIS_POINTS = 1e4

Floats = NDArray[np.float64]


def row_names(levels: int = LEVELS) -> tuple[str, ...]:
    """Return the columns of a row: the levels, best first, each in the order of `CHANNELS`.

    Examples
    --------
    >>> row_names(1)
    ('bid_price_1', 'bid_volume_1', 'ask_price_1', 'ask_volume_1')
    """
    return tuple(f"{channel}_{level}" for level in range(1, levels + 1) for channel in CHANNELS)


def rows_hash(levels: int = LEVELS) -> str:
    """Return what identifies the columns and their formulas: 16 hexadecimal digits."""
    return sha256(f"{levels}|{FORMULA}".encode()).hexdigest()[:16]


def levels_in(names: tuple[str, ...]) -> int:
    """Return how many levels the leading columns of some names are; 0 where they are none of a row.

    Examples
    --------
    >>> levels_in((*row_names(2), "return_1")), levels_in(("return_1",))
    (2, 0)
    """
    channels = tuple(f"{channel}_" for channel in CHANNELS)
    leading = 0
    while leading < len(names) and names[leading].startswith(channels):
        leading += 1
    levels = leading // len(CHANNELS)
    return levels if levels and names[: levels * len(CHANNELS)] == row_names(levels) else 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookRows:
    r"""The books of one symbol as rows that windows are cut from.

    .. math:: 10^4\,\frac{p - m_{t-1}}{m_{t-1}}, \qquad \ln\!\left(1 + \frac{q}{\bar q_t}\right)

    with m_{t-1} the mid of the book before (of the book itself where it is the first of its session) and
    \bar q_t the mean size of the book's levels. So a row is free of the scale of prices and sizes, the
    path of the mid stays visible, and no row changes when a window moves: it is encoded once. A missing level
    has the price of the last one that is there, and size 0.

    Parameters
    ----------
    touch
        Times, sessions and the best level of each book, n of them.
    values
        Shape (n, 4 L), single precision; columns as `row_names`.
    run
        Shape (n,), how many books up to this one have both sides and lie in one session.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> rows = BookRows.of(simulate_book(snapshots=150, seed=1).book)
    >>> rows.values.shape, int(rows.run[-1])
    ((150, 80), 150)
    """

    touch: BookSeries
    values: NDArray[np.float32]
    run: NDArray[np.int64]

    @classmethod
    def of(cls, book: BookSeries, levels: int = LEVELS) -> "BookRows":
        """Lay out the books of a symbol; a level that it never has is missing in every row."""
        if levels < 1:
            raise InvalidValue("levels must be >= 1", levels, f"use {LEVELS}")
        return cls(touch=_touch(book), values=_values(book, levels), run=_runs(book))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def levels(self) -> int:
        """Levels a side, L."""
        return int(self.values.shape[1]) // len(CHANNELS)


class RowStream:
    """Rows of one symbol as its books come in, equal to those of `BookRows`.

    Parameters
    ----------
    levels
        A side.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> book = simulate_book(snapshots=30, seed=1).book
    >>> stream = RowStream()
    >>> rows = [stream.update(book.snapshot(i)) for i in range(30)]
    >>> bool((np.array(rows) == BookRows.of(book).values).all())
    True
    """

    def __init__(self, levels: int = LEVELS) -> None:
        self.levels = levels
        self._before: BookSnapshot | None = None

    def update(self, book: BookSnapshot, *, resynchronised: bool = False) -> NDArray[np.float32]:
        """Take the next book and return its row, shape (4 L,).

        Parameters
        ----------
        book
            Of any depth.
        resynchronised
            Whether books before it are missing: then it is the first of its session.
        """
        before = book if self._before is None or resynchronised else self._before
        self._before = book
        depth = max(self.levels, 1)
        sides = [_padded(levels, depth) for of in (before, book) for levels in (of.bids, of.asks)]
        series = BookSeries(
            symbol=book.symbol,
            ts_event=np.array([0, 1]),
            bid_price=np.stack([sides[0][:, 0], sides[2][:, 0]]),
            bid_size=np.stack([sides[0][:, 1], sides[2][:, 1]]),
            ask_price=np.stack([sides[1][:, 0], sides[3][:, 0]]),
            ask_size=np.stack([sides[1][:, 1], sides[3][:, 1]]),
        )
        row: NDArray[np.float32] = _values(series, self.levels)[1]
        return row


def _padded(levels: Floats, depth: int) -> Floats:
    padded = np.column_stack([np.full(depth, np.nan), np.zeros(depth)])
    padded[: min(depth, len(levels))] = levels[:depth]
    return padded


def _touch(book: BookSeries) -> BookSeries:
    return BookSeries(
        symbol=book.symbol,
        venue=book.venue,
        ts_event=book.ts_event,
        bid_price=book.bid_price[:, :1],
        bid_size=book.bid_size[:, :1],
        ask_price=book.ask_price[:, :1],
        ask_size=book.ask_size[:, :1],
        session=book.session,
    )


def _runs(book: BookSeries) -> NDArray[np.int64]:
    place = np.arange(len(book), dtype=np.int64)
    begins = np.diff(book.session, prepend=-1) != 0
    broken = np.where(np.isnan(book.mid), place, np.where(begins, place - 1, -1))
    runs: NDArray[np.int64] = place - np.maximum.accumulate(broken)
    return runs


def _values(book: BookSeries, levels: int) -> NDArray[np.float32]:
    mid = book.mid
    before = np.concatenate([mid[:1], mid[:-1]])
    known = ~(np.diff(book.session, prepend=-1) != 0) & ~np.isnan(before)
    base = np.where(known, before, mid)[:, None]
    values = np.zeros((len(book), levels, len(CHANNELS)), dtype=np.float32)
    shown = min(levels, book.levels)
    sizes = np.concatenate([book.bid_size[:, :shown], book.ask_size[:, :shown]], axis=1)
    there = np.maximum((sizes > 0).sum(axis=1), 1)
    mean = np.maximum(sizes.sum(axis=1) / there, np.finfo(np.float64).tiny)[:, None]
    for channel, (price, size) in enumerate(
        ((book.bid_price, book.bid_size), (book.ask_price, book.ask_size))
    ):
        relative = BASIS_POINTS * (_filled(price[:, :shown]) - base) / base
        values[:, :shown, 2 * channel] = np.nan_to_num(relative)
        values[:, shown:, 2 * channel] = values[:, shown - 1 : shown, 2 * channel]
        values[:, :shown, 2 * channel + 1] = np.log1p(size[:, :shown] / mean)
    return values.reshape(len(book), -1)


def _filled(price: Floats) -> Floats:
    """Give a missing level the price of the last one before it."""
    place = np.where(np.isnan(price), 0, np.arange(price.shape[1]))
    filled: Floats = np.take_along_axis(price, np.maximum.accumulate(place, axis=1), axis=1)
    return filled
