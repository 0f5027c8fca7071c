"""What a book and a trade must be: checked once, where they enter."""

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import DataProblem
from consilium.domain.time import to_iso
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries

LEAST_FOR_TRAINING = 1_000
CURE = "fetch the file again, or leave those rows out"


def check_books(series: BookSeries) -> None:
    """Refuse books that cannot be: crossed, out of order, with a size that is not > 0 where a price is.

    A missing level has a NaN price and size 0, and none may follow it; the best level is always there.

    Raises
    ------
    DataProblem
        Names the first bad row, its time, and how many there are.

    Examples
    --------
    >>> import numpy as np
    >>> level = np.array([[10.0]])
    >>> check_books(BookSeries(symbol="BTCUSDT", ts_event=np.array([0]), bid_price=level, bid_size=level,
    ...     ask_price=level, ask_size=level))
    Traceback (most recent call last):
        ...
    consilium.domain.errors.DataProblem: the best bid of BTCUSDT must be below the best ask; got 1 of 1
    books, first row 0 (1970-01-01T00:00:00Z): fetch the file again, or leave those rows out
    """
    sides = (
        ("bid", series.bid_price, series.bid_size, -1.0),
        ("ask", series.ask_price, series.ask_size, 1.0),
    )
    for side, price, size, up in sides:
        there = ~np.isnan(price)
        _refuse(series, f"the best {side} of {{}} must be there", ~there[:, 0])
        _refuse(series, f"no {side} of {{}} may follow a missing one", there[:, 1:] & ~there[:, :-1])
        _refuse(series, f"{side} prices of {{}} must be finite and > 0", there & ~_positive(price))
        _refuse(series, f"{side} sizes of {{}} must be finite and > 0", there & ~_positive(size))
        _refuse(series, f"a missing {side} of {{}} must have size 0", ~there & (size != 0.0))
        falls = np.diff(price, axis=1) * up <= 0.0
        _refuse(series, f"{side} prices of {{}} must lead away from the best", falls)
    crossed = series.bid_price[:, 0] >= series.ask_price[:, 0]
    _refuse(series, "the best bid of {} must be below the best ask", crossed)


def check_trades(trades: TradeSeries) -> None:
    """Refuse trades whose price or size is not finite and > 0.

    Raises
    ------
    DataProblem
        Names the first bad row and how many there are.
    """
    for name, values in (("price", trades.price), ("size", trades.size)):
        bad = np.flatnonzero(~_positive(values))
        if len(bad):
            raise DataProblem(
                f"the {name} of a trade of {trades.symbol} must be finite and > 0",
                f"{values[bad[0]]} in row {bad[0]}, {len(bad)} such rows",
                CURE,
            )


def require_enough_books(books: BookSeries, least: int = LEAST_FOR_TRAINING) -> None:
    """Refuse to train on fewer books than a model of books needs.

    Raises
    ------
    DataProblem
        There are fewer than ``least``.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> require_enough_books(simulate_book(snapshots=400, seed=1).book)
    Traceback (most recent call last):
        ...
    consilium.domain.errors.DataProblem: training needs >= 1000 books of SIM00; got 400: record longer
    """
    if len(books) < least:
        raise DataProblem(f"training needs >= {least} books of {books.symbol}", len(books), "record longer")


def _positive(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.isfinite(values) & (values > 0.0)


def _refuse(series: BookSeries, bound: str, bad: NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(bad.any(axis=1) if bad.ndim == 2 else bad)
    if len(rows):
        first = int(rows[0])
        when = to_iso(int(series.ts_event[first]))
        raise DataProblem(
            bound.format(series.symbol),
            f"{len(rows)} of {len(series)} books, first row {first} ({when})",
            CURE,
        )
