"""Features of books joined to candles: all 112."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.domain.time import SECOND_NS
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.candles import CandleSeries
from consilium.market.features.book import BOOK, BOOK50, compute_book_features
from consilium.market.features.catalogue import feature_names, specs_of
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
    joined = np.full((len(candles), book_features.shape[1]), np.nan)
    last = last_snapshots(candles, ts)
    found = last >= 0
    joined[found] = book_features[last[found]]
    return joined


def last_snapshots(candles: CandleSeries, ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each bar the last snapshot at or before its close, -1 where there is none or it is old."""
    close = candles.ts_close
    last = np.searchsorted(ts, close, side="right").astype(np.int64) - 1
    found = last >= 0
    found[found] = close[found] - ts[last[found]] <= OLDEST_NS
    return np.where(found, last, -1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BookColumns:
    """The features of a book at the closes of bars: what is left of a recording once it is joined.

    Parameters
    ----------
    symbol
        Name of the market, as the candles say it.
    ts_close
        Closes, UTC nanoseconds, ascending, shape (n,).
    values
        Columns as in `BOOK50`, shape (n, 50). A bar whose book is not there, is more than 1 s old or is
        still cold is masked: NaN in all columns.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> market = simulate_book(snapshots=600, seed=1)
    >>> columns = BookColumns.of(market.candles(), market.book, market.trades)
    >>> columns.values.shape, int(columns.known.sum())
    ((59, 50), 30)
    """

    symbol: str
    ts_close: NDArray[np.int64]
    values: FloatArray

    @classmethod
    def of(
        cls, candles: CandleSeries, book: BookSeries, trades: TradeSeries, *, tick_size: float = 0.0
    ) -> "BookColumns":
        """Compute the features of a book and keep those at the closes of some bars.

        Parameters
        ----------
        candles
            n bars.
        book, trades, tick_size
            Of the same market, as for `compute_book_features`.
        """
        last = last_snapshots(candles, book.ts_event)
        rows = np.unique(last[last >= 0])
        of_book = compute_book_features(book, trades, tick_size=tick_size, rows=rows)
        values = join_book(candles, of_book, book.ts_event[rows])
        values[~np.isfinite(values).all(axis=1)] = np.nan
        return cls(symbol=candles.symbol, ts_close=candles.ts_close, values=values)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Bars that are not masked, shape (n,)."""
        there: NDArray[np.bool_] = np.isfinite(self.values[:, 0])
        return there

    def at(self, candles: CandleSeries) -> FloatArray:
        """Return the rows of m bars by their closes, NaN where a close is not among ours, shape (m, 50)."""
        close = candles.ts_close
        row = np.minimum(np.searchsorted(self.ts_close, close), max(len(self.ts_close) - 1, 0))
        found = np.full((len(close), len(BOOK50)), np.nan)
        if len(self.ts_close):
            same = self.ts_close[row] == close
            found[same] = self.values[row[same]]
        return found


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
        50 last columns where the bar is masked: see `BookColumns`.

    Raises
    ------
    InvalidValue
        Candles, book and trades are not of one symbol.
    """
    if candles.symbol != book.symbol:
        raise InvalidValue(f"a book must be of {candles.symbol}", book.symbol, "give the book of the candles")
    columns = BookColumns.of(candles, book, trades, tick_size=tick_size)
    return compute_matrix(candles, feature_names("full112"), columns)


def compute_matrix(
    candles: CandleSeries, names: Sequence[str], books: BookColumns | None = None
) -> FloatArray:
    """Return features of every bar, those of books among them.

    Parameters
    ----------
    candles
        n bars of one symbol.
    names
        F features.
    books
        Of the same symbol; without them all columns of books are masked.

    Returns
    -------
    FloatArray
        Shape (n, F); NaN where candles are cold, and in the columns of books where a bar is masked.

    Raises
    ------
    UnknownName
        A feature is in no table.

    Examples
    --------
    >>> price = np.array([100.0, 101.0, 99.0])
    >>> series = CandleSeries(symbol="BTCUSDT", interval_ns=SECOND_NS, ts_open=np.arange(3) * SECOND_NS,
    ...     open=price, high=price + 1, low=price - 1, close=price, volume=price)
    >>> compute_matrix(series, ["spread_bps", "range_1"]).round(4).tolist()
    [[nan, 0.02], [nan, 0.0198], [nan, 0.0202]]
    """
    maskable = of_books(names)
    if not maskable.any():
        return compute_features(candles, names)
    specs = specs_of(names)
    matrix = np.full((len(candles), len(specs)), np.nan)
    own = [spec.name for spec in specs if spec.name not in BOOK]
    if own:
        matrix[:, ~maskable] = compute_features(candles, own)
    if books is not None:
        place = [BOOK50.index(spec.name) for spec in specs if spec.name in BOOK]
        matrix[:, maskable] = books.at(candles)[:, place]
    return matrix


def of_books(names: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which of some features are of books, and so may be masked; shape (F,).

    Examples
    --------
    >>> of_books(["range_1", "spread_bps"]).tolist()
    [False, True]
    """
    return np.array([name in BOOK for name in names], dtype=np.bool_)
