"""Candles of one symbol as columns: what every other part of the room works on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_at_least, require_name
from consilium.domain.errors import DataProblem, InvalidValue
from consilium.domain.market import Candle
from consilium.market.hours import find_hours

PRICE_COLUMNS = ("open", "high", "low", "close")
COLUMNS = (*PRICE_COLUMNS, "volume")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CandleSeries:
    """The candles of one symbol, oldest first; a panel is a plain ``dict[str, CandleSeries]``.

    The arrays are read-only: a slice shares them. Whether the bars themselves are possible is judged by
    `consilium.market.checks` where data enter; here only the shape and the order of times are.

    Parameters
    ----------
    symbol, venue
        Name of the market, and of the exchange ("" if unknown).
    interval_ns
        Length of a bar, > 0.
    ts_open
        UTC nanoseconds at which each bar opens, strictly ascending, shape (n,).
    open, high, low, close
        Prices in quote units, shape (n,).
    volume
        Base units, shape (n,).
    bars_per_day
        Bars in a day of trading, for annualisation: ``DAY / interval`` where the market trades round the
        clock; the median number of bars on days that have bars where it has trading hours, as for stocks.
        0 (the default) means: find it from the times. A slice keeps the value of the whole.

    Raises
    ------
    InvalidValue
        Shapes differ or a name is empty.
    DataProblem
        Times do not ascend.

    Examples
    --------
    >>> import numpy as np
    >>> from consilium.domain.time import HOUR_NS
    >>> price = np.array([10.0, 11.0, 12.0])
    >>> series = CandleSeries(symbol="BTCUSDT", interval_ns=HOUR_NS, ts_open=np.arange(3) * HOUR_NS,
    ...     open=price, high=price + 1, low=price - 1, close=price, volume=price)
    >>> len(series), series.bars_per_day, series.candle(-1).close
    (3, 24.0, 12.0)
    >>> series.slice(1, 3).ts_close.tolist()
    [7200000000000, 10800000000000]
    """

    symbol: str
    venue: str = ""
    interval_ns: int
    ts_open: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    bars_per_day: float = 0.0

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        if self.interval_ns <= 0:
            raise InvalidValue("interval_ns must be > 0", self.interval_ns, "give the length of a bar in ns")
        require_at_least("bars_per_day", self.bars_per_day, 0.0)
        times = _frozen(self.ts_open, np.int64)
        object.__setattr__(self, "ts_open", times)
        for name in COLUMNS:
            column = _frozen(getattr(self, name), np.float64)
            if times.ndim != 1 or column.shape != times.shape:
                raise InvalidValue(
                    "all columns of a series must have shape (n,)",
                    f"ts_open {times.shape}, {name} {column.shape}",
                    "give one value per bar",
                )
            object.__setattr__(self, name, column)
        late = np.flatnonzero(np.diff(times) <= 0)
        if len(late):
            raise DataProblem(
                f"times of {self.symbol} must ascend",
                f"{times[late[0] + 1]} after {times[late[0]]} at bar {late[0] + 1}",
                "sort the bars and drop duplicates (`repair=True` does)",
            )
        if self.bars_per_day == 0.0:
            found = find_hours(times, self.interval_ns)
            object.__setattr__(self, "bars_per_day", found.bars_per_day)

    @property
    def ts_close(self) -> NDArray[np.int64]:
        """UTC nanoseconds from which each bar is known: ``ts_open + interval_ns``."""
        return self.ts_open + self.interval_ns

    def __len__(self) -> int:
        return len(self.ts_open)

    def candle(self, i: int) -> Candle:
        """Return one bar as a value; negative i counts from the end."""
        ts_open = int(self.ts_open[i])
        return Candle(
            symbol=self.symbol,
            venue=self.venue,
            interval_ns=self.interval_ns,
            ts_open=ts_open,
            ts_close=ts_open + self.interval_ns,
            open=float(self.open[i]),
            high=float(self.high[i]),
            low=float(self.low[i]),
            close=float(self.close[i]),
            volume=float(self.volume[i]),
        )

    def slice(self, start: int | None, stop: int | None) -> "CandleSeries":
        """Return bars ``start:stop`` without copying them, read as Python reads a slice."""
        part = slice(start, stop)
        return CandleSeries(
            symbol=self.symbol,
            venue=self.venue,
            interval_ns=self.interval_ns,
            ts_open=self.ts_open[part],
            open=self.open[part],
            high=self.high[part],
            low=self.low[part],
            close=self.close[part],
            volume=self.volume[part],
            bars_per_day=self.bars_per_day,
        )


def _frozen(values: object, dtype: type[np.generic]) -> NDArray[Any]:
    """Return a contiguous read-only view; the caller's own array stays writable."""
    array = np.ascontiguousarray(values, dtype=dtype).view()
    array.setflags(write=False)
    return array
