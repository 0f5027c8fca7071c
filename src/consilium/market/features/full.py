"""Features of books joined to candles: all 112."""

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.domain.time import SECOND_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.candles import CandleSeries
from consilium.market.features.book import compute_book_features
from consilium.market.features.catalogue import feature_names
from consilium.market.features.compute import compute_features
from consilium.market.features.operation import FloatArray

OLDEST_NS = SECOND_NS
"""An older snapshot says nothing of the close."""


def join_book(candles: CandleSeries, book_features: FloatArray, ts: NDArray[np.int64]) -> FloatArray:
    """Return for each bar the features of the last snapshot at or before its close, at most 1 s old.

    Parameters
    ----------
    candles
        n bars.
    book_features
        One row a snapshot, shape (q, F).
    ts
        Times of the snapshots, ascending, shape (q,).

    Returns
    -------
    FloatArray
        Shape (n, F). A bar without such a snapshot is NaN in all columns: models that need the book abstain.

    Raises
    ------
    InvalidValue
        Times and rows are not equally many.

    Examples
    --------
    >>> price = np.array([100.0, 101.0, 99.0])
    >>> series = CandleSeries(symbol="BTCUSDT", interval_ns=SECOND_NS, ts_open=np.arange(3) * SECOND_NS,
    ...     open=price, high=price, low=price, close=price, volume=price)
    >>> ts = np.array([-1, 400_000_000, 1_000_000_000, 1_000_000_001])
    >>> join_book(series, np.array([[0.0], [1.0], [2.0], [3.0]]), ts).tolist()
    [[2.0], [3.0], [nan]]
    """
    if ts.shape != book_features.shape[:1]:
        raise InvalidValue(
            "times of snapshots must be as many as their rows",
            f"{ts.shape} and {book_features.shape}",
            "give the times of the book that the features were computed from",
        )
    close = candles.ts_close
    joined = np.full((len(candles), book_features.shape[1]), np.nan)
    last = np.searchsorted(ts, close, side="right") - 1
    found = last >= 0
    found[found] = close[found] - ts[last[found]] <= OLDEST_NS
    joined[found] = book_features[last[found]]
    return joined


def compute_full112(
    candles: CandleSeries, book: BookSeries, trades: TradeSeries, *, tick_size: float = 0.0
) -> FloatArray:
    """Return all 112 features of every bar: 62 of its candles, 50 of the book at its close.

    Parameters
    ----------
    candles
        n bars of one symbol.
    book, trades, tick_size
        Of the same symbol, as for `compute_book_features`.

    Returns
    -------
    FloatArray
        Shape (n, 112), columns as in ``feature_names("full112")``; NaN where candles are cold, and in the
        50 last columns where the book is cold or no snapshot is at most 1 s old.

    Raises
    ------
    InvalidValue
        Candles, book and trades are not of one symbol.
    """
    if candles.symbol != book.symbol:
        raise InvalidValue(f"a book must be of {candles.symbol}", book.symbol, "give the book of the candles")
    of_book = compute_book_features(book, trades, tick_size=tick_size)
    return np.hstack(
        (compute_features(candles, feature_names("candle62")), join_book(candles, of_book, book.ts_event))
    )
