"""Public trades of one symbol as columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_name
from consilium.domain.errors import InvalidValue
from consilium.domain.market import PublicTrade
from consilium.market.book.series import frozen, require_ascending


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TradeSeries:
    """The public trades of one symbol, oldest first; the arrays are read-only and a slice shares them.

    Parameters
    ----------
    symbol, venue
        Name of the market, and of the exchange ("" if unknown).
    ts_event
        UTC nanoseconds at the exchange, ascending (ties are kept in order), shape (n,).
    price
        Quote units, shape (n,).
    size
        Units of the market, as in `BookSeries`, shape (n,).
    taker_buy
        Whether the taker bought, shape (n,).

    Raises
    ------
    InvalidValue
        Shapes differ or the name is empty.
    DataProblem
        Times descend.

    Examples
    --------
    >>> import numpy as np
    >>> trades = TradeSeries(symbol="BTCUSDT", ts_event=np.array([1, 1, 4]), price=np.full(3, 10.0),
    ...     size=np.ones(3), taker_buy=np.array([True, False, True]))
    >>> len(trades), trades.trade(1).taker_side, len(trades.slice(1, 3))
    (3, 'SELL', 2)
    """

    symbol: str
    venue: str = ""
    ts_event: NDArray[np.int64]
    price: NDArray[np.float64]
    size: NDArray[np.float64]
    taker_buy: NDArray[np.bool_]

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        times = frozen(self.ts_event, np.int64)
        object.__setattr__(self, "ts_event", times)
        for name, dtype in (("price", np.float64), ("size", np.float64), ("taker_buy", np.bool_)):
            column = frozen(getattr(self, name), dtype)
            if times.ndim != 1 or column.shape != times.shape:
                raise InvalidValue(
                    "all columns of trades must have shape (n,)",
                    f"ts_event {times.shape}, {name} {column.shape}",
                    "give one value per trade",
                )
            object.__setattr__(self, name, column)
        require_ascending(self.symbol, "times", times, len(times))

    def __len__(self) -> int:
        return len(self.ts_event)

    def trade(self, i: int) -> PublicTrade:
        """Return one trade as a value; negative i counts from the end."""
        return PublicTrade(
            symbol=self.symbol,
            venue=self.venue,
            ts_event=int(self.ts_event[i]),
            price=float(self.price[i]),
            size=float(self.size[i]),
            taker_side="BUY" if self.taker_buy[i] else "SELL",
        )

    def slice(self, start: int | None, stop: int | None) -> "TradeSeries":
        """Return trades ``start:stop`` without copying them, read as Python reads a slice."""
        part = slice(start, stop)
        return TradeSeries(
            symbol=self.symbol,
            venue=self.venue,
            ts_event=self.ts_event[part],
            price=self.price[part],
            size=self.size[part],
            taker_buy=self.taker_buy[part],
        )
