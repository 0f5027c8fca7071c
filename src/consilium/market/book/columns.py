"""Books collected row by row into a series."""

from array import array

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_name
from consilium.domain.errors import DataProblem, InvalidValue
from consilium.market.book.keeper import Top
from consilium.market.book.messages import TradeMessage
from consilium.market.book.scaled import UNIT
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries

_MISSING = -1


class BookColumns:
    """Collect books of one symbol; prices and sizes stay integers until they are asked for.

    A book that is dated before the one before it is refused and counted in ``backward``: a series ascends.

    Parameters
    ----------
    symbol, venue
        Of the series.
    levels
        Levels a side, >= 1; more are cut, missing ones are NaN with size 0.

    Examples
    --------
    >>> columns = BookColumns("BTCUSDT", levels=2)
    >>> columns.add(5, 0, Top([(1_000_000_000, 200_000_000)], [(-1_050_000_000, 300_000_000)]))
    True
    >>> series = columns.series()
    >>> series.mid.tolist(), series.ask_price.tolist(), series.ask_size.tolist()
    ([10.25], [[10.5, nan]], [[3.0, 0.0]])
    """

    def __init__(self, symbol: str, *, venue: str = "", levels: int = 20) -> None:
        require_name("symbol", symbol)
        if levels < 1:
            raise InvalidValue("levels must be >= 1", levels, "raise it")
        self.symbol, self.venue, self.levels = symbol, venue, levels
        self.backward = 0
        self._times, self._sessions = array("q"), array("i")
        self._bids, self._asks = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._times)

    def add(self, ts_event: int, session: int, top: Top) -> bool:
        """Add a book; return False if it was refused because it is dated before the last one."""
        if self._times and (ts_event < self._times[-1] or session < self._sessions[-1]):
            self.backward += 1
            return False
        self._times.append(ts_event)
        self._sessions.append(session)
        for column, side in ((self._bids, top.bids), (self._asks, top.asks)):
            for key, size in side[: self.levels]:
                column.append(abs(key))
                column.append(size)
            column.extend((_MISSING, 0) * (self.levels - len(side)))
        return True

    def series(self) -> BookSeries:
        """Return what was collected.

        Raises
        ------
        DataProblem
            Nothing was collected.
        """
        if not self._times:
            raise DataProblem(
                f"a series of {self.symbol} needs a book", "none", "wait for a snapshot and a diff after it"
            )
        bid_price, bid_size = self._side(self._bids)
        ask_price, ask_size = self._side(self._asks)
        return BookSeries(
            symbol=self.symbol,
            venue=self.venue,
            ts_event=np.array(self._times, dtype=np.int64),
            session=np.array(self._sessions, dtype=np.int32),
            bid_price=bid_price,
            bid_size=bid_size,
            ask_price=ask_price,
            ask_size=ask_size,
        )

    def _side(self, column: "array[int]") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        scaled = np.array(column, dtype=np.int64).reshape(len(self._times), self.levels, 2)
        price = np.where(scaled[..., 0] == _MISSING, np.nan, scaled[..., 0] / UNIT)
        return price, scaled[..., 1] / UNIT


def trade_series(symbol: str, trades: list[TradeMessage], *, venue: str = "") -> TradeSeries:
    """Return the trades of one symbol in the order of their times, each once by its number."""
    once = sorted(
        {trade.trade_id: trade for trade in trades}.values(), key=lambda t: (t.ts_event, t.trade_id)
    )
    return TradeSeries(
        symbol=symbol,
        venue=venue,
        ts_event=np.array([t.ts_event for t in once], dtype=np.int64),
        price=np.array([t.price for t in once], dtype=np.int64) / UNIT,
        size=np.array([t.size for t in once], dtype=np.int64) / UNIT,
        taker_buy=np.array([t.taker_buy for t in once], dtype=np.bool_),
    )
