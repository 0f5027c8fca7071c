"""Terms of a recorded market: which can be traded, and the steps of price and size that the record shows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem, Instrument, InvalidValue
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries

INVERSE = "_coinm"
"""End of the name of a venue whose contracts are paid in the coin that they are about."""

_SCALE = 1e8
_MOST = 2.0**63


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


def known_at(
    book: BookSeries, trades: TradeSeries, ts: int | None
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Return all prices and all sizes recorded up to and including a time, and those of the first book.

    Before its first book a symbol fills nothing, so that nothing done with them knows what comes after.

    Parameters
    ----------
    book, trades
        Of one symbol, at least one book.
    ts
        UTC nanoseconds; None for the time of the first book.
    """
    first = int(book.ts_event[0])
    until = first if ts is None else max(ts, first)
    known = book.slice(0, int(np.searchsorted(book.ts_event, until, side="right")))
    seen = trades.slice(0, int(np.searchsorted(trades.ts_event, until, side="right")))
    return [known.bid_price, known.ask_price, seen.price], [known.bid_size, known.ask_size, seen.size]


def recorded_step(columns: Sequence[NDArray[np.float64]], what: str = "prices") -> float:
    """Return the step on which all of some prices, or all of some sizes, lie: a tick size, a lot size.

    The greatest common divisor, in units of 1e-8. A short record may show a coarser step than the market has.

    Parameters
    ----------
    columns
        Arrays of any shape; what is not finite or not > 0 is left out.
    what
        What they are, for the error.

    Raises
    ------
    DataProblem
        A number of 9.2e10 or more, which has no 64-bit count of such units.

    Examples
    --------
    >>> recorded_step([np.array([7.7, 15.4]), np.array([2.2])])
    1.1
    """
    units = np.concatenate([np.rint(c[np.isfinite(c) & (c > 0.0)] * _SCALE) for c in columns])
    if len(units) and float(units.max()) >= _MOST:
        raise DataProblem(
            f"{what} from which a step is taken must be < {_MOST / _SCALE:.2g}",
            f"{float(units.max()) / _SCALE:.6g}",
            "set tick_size and lot_size under [book]",
        )
    return float(np.gcd.reduce(np.unique(units.astype(np.int64)))) / _SCALE
