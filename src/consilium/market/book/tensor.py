"""Windows of books as a network reads them: free of the scale of prices, and blind to the future."""

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import DataProblem, InvalidValue
from consilium.market.book.series import BookSeries

CHANNELS = ("bid_price", "bid_volume", "ask_price", "ask_volume")
WINDOW = 100


def to_normalized_tensor(book: BookSeries, i: int, window: int = WINDOW) -> NDArray[np.float64]:
    r"""Return the window of books that ends at row i, shape (window, L, 4), in the order of `CHANNELS`.

    .. math:: \frac{(p - m_i) / m_i}{s_p}, \qquad \frac{\ln(1 + q) - \bar v}{s_v}

    with m_i the mid of the window's last book, s_p the deviation of all relative prices of the window, and
    the mean and deviation of all ln(1 + q) in it. One mid for the whole window, so that the path of the price
    stays visible; one deviation for both sides and all levels, so that they stay comparable. A missing level
    has price 0 and the z-score of size 0; it counts in neither deviation. Where nothing deviates, 0.

    Parameters
    ----------
    book
        Of one symbol.
    i
        Row of the last book; negative i counts from the end.
    window
        Books, >= 1.

    Raises
    ------
    InvalidValue
        No such row, or window < 1.
    DataProblem
        The window would cross a session or the start of the data, or its last book lacks a side.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> to_normalized_tensor(simulate_book(snapshots=150, seed=1).book, -1).shape
    (100, 20, 4)
    """
    n = len(book)
    if not -n <= i < n:
        raise InvalidValue(f"i must be a row of {n} books", i, "give an index of the series")
    row = i % n
    # only the window is looked at: a long series is no slower than a short one
    part = book.slice(max(row - window + 1, 0), row + 1)
    if not window_fits(part, window)[-1]:
        raise DataProblem(
            f"a window of {window} books of {book.symbol} must lie in one session and end with both sides",
            f"row {row} of session {book.session[row]}",
            "use the rows of `window_rows`",
        )
    tensor: NDArray[np.float64] = to_normalized_tensors(part, np.array([len(part) - 1]), window)[0]
    return tensor


def window_fits(book: BookSeries, window: int = WINDOW) -> NDArray[np.bool_]:
    """Return at which rows a window may end: it lies inside one session and both sides are there, shape (n,).

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> int(window_fits(simulate_book(snapshots=150, seed=1).book).sum())
    51
    """
    if window < 1:
        raise InvalidValue("window must be >= 1", window, f"use {WINDOW}")
    n = len(book)
    rows = np.arange(n)
    first = np.searchsorted(book.session, book.session)
    fits: NDArray[np.bool_] = (rows - window + 1 >= first) & np.isfinite(book.mid)
    return fits


def window_rows(book: BookSeries, window: int = WINDOW) -> NDArray[np.int64]:
    """Return the rows at which a window may end, ascending."""
    return np.flatnonzero(window_fits(book, window))


def to_normalized_tensors(
    book: BookSeries, rows: NDArray[np.int64], window: int = WINDOW
) -> NDArray[np.float64]:
    """Return several windows at once, shape (len(rows), window, L, 4); see `to_normalized_tensor`.

    Parameters
    ----------
    rows
        Of `window_rows`, in any order.
    """
    wrong = rows[~window_fits(book, window)[rows]]
    if len(wrong):
        raise DataProblem(
            f"every window of {window} books of {book.symbol} must lie inside one session",
            f"row {wrong[0]} and {len(wrong) - 1} more",
            "use the rows of `window_rows`",
        )
    at = rows[:, None] + np.arange(1 - window, 1)
    mid = book.mid[rows][:, None, None]
    tensors = np.empty((len(rows), window, book.levels, len(CHANNELS)))
    for channel, prices in ((0, book.bid_price), (2, book.ask_price)):
        tensors[..., channel] = (prices[at] - mid) / mid
    for channel, sizes in ((1, book.bid_size), (3, book.ask_size)):
        tensors[..., channel] = np.log1p(sizes[at])
    missing = np.isnan(tensors[..., ::2])
    prices, sizes = tensors[..., ::2], tensors[..., 1::2]
    _, price_spread = _moments(prices, ~missing)
    size_mean, size_spread = _moments(sizes, ~missing)
    tensors[..., ::2] = np.where(missing, 0.0, prices / price_spread)
    tensors[..., 1::2] = (sizes - size_mean) / size_spread
    return tensors


def _moments(
    values: NDArray[np.float64], there: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation of what is there in each window; one that is only rounding is infinite."""
    axes = (1, 2, 3)
    mean = values.mean(axis=axes, keepdims=True, where=there)
    spread = values.std(axis=axes, keepdims=True, where=there)
    largest = np.abs(values).max(axis=axes, keepdims=True, where=there, initial=0.0)
    return mean, np.where(spread > 1e-9 * largest, spread, np.inf)
