"""Terms of a recorded market: which can be traded, and the steps of price and size that the record shows."""

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Instrument, InvalidValue
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries

INVERSE = "_coinm"
"""End of the name of a venue whose contracts are paid in the coin that they are about."""

_SCALE = 1e8


def require_one_market(book: BookSeries, trades: TradeSeries, instrument: Instrument) -> None:
    """Refuse books, trades and terms of different symbols, contracts paid in a coin, and an empty record.

    Raises
    ------
    InvalidValue
        One of these.
    """
    if len({book.symbol, trades.symbol, instrument.symbol}) > 1:
        raise InvalidValue(
            "book, trades and instrument must be of one symbol",
            f"{book.symbol}, {trades.symbol}, {instrument.symbol}",
            "give those of one market",
        )
    venue = next((v for v in (book.venue, instrument.venue) if v.endswith(INVERSE)), "")
    if venue:
        raise InvalidValue(
            "books are traded in linear markets, whose sizes are base units",
            f"{book.symbol} of {venue}, contracts paid in the coin",
            "use the books of a spot or a USD-margined market",
        )
    if not len(book):
        raise InvalidValue("a book broker needs at least one book", 0, "load a recording")


def recorded_steps(book: BookSeries, trades: TradeSeries) -> tuple[float, float]:
    """Return the steps of price and size on which everything recorded lies: tick size and lot size.

    The greatest common divisors, in units of 1e-8. A short record may show coarser steps than the market has.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> made = simulate_book(snapshots=50, seed=1)
    >>> recorded_steps(made.book, made.trades)[0]
    0.01
    """
    prices = [book.bid_price, book.ask_price, trades.price]
    sizes = [book.bid_size, book.ask_size, trades.size]
    return _step(prices), _step(sizes)


def _step(columns: list[NDArray[np.float64]]) -> float:
    units = [np.rint(c[np.isfinite(c) & (c > 0.0)] * _SCALE).astype(np.int64) for c in columns]
    return float(np.gcd.reduce(np.unique(np.concatenate(units)))) / _SCALE
