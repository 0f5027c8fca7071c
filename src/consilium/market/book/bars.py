"""Bars built from public trades, for markets that are recorded and not downloaded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import DataProblem, InvalidValue
from consilium.domain.time import DAY_NS
from consilium.market.book.trades import TradeSeries
from consilium.market.candles import CandleSeries


def bars_from_trades(
    trades: TradeSeries,
    interval_ns: int,
    *,
    start_ts: int | None = None,
    stop_ts: int | None = None,
    gaps: Sequence[tuple[int, int]] = (),
) -> CandleSeries:
    """Build bars from trades: first, highest, lowest and last price, and the sum of sizes.

    A bar covers ``[ts_open, ts_open + interval)`` on multiples of the interval. Where nothing traded, open,
    high, low and close repeat the last close and the volume is 0. Only whole bars are made: those that lie
    inside the recording, from the first that holds a trade; so no bar knows a trade after its close, and
    none misses a part of its trades.

    Parameters
    ----------
    trades
        Of one symbol.
    interval_ns
        Length of a bar, > 0; 10^9 for seconds.
    start_ts, stop_ts
        What was recorded; the times of the first and the last trade if not given.
    gaps
        Stretches (begin, end), UTC nanoseconds, in which trades are missing: a bar that one reaches into is
        not made.

    Raises
    ------
    InvalidValue
        interval_ns is not > 0.
    DataProblem
        Not one whole bar with a trade.

    Examples
    --------
    >>> import numpy as np
    >>> trades = TradeSeries(symbol="BTCUSDT", ts_event=np.array([0, 4, 10, 35, 40]),
    ...     price=np.array([10.0, 12.0, 11.0, 9.0, 8.0]), size=np.ones(5), taker_buy=np.ones(5, dtype=bool))
    >>> bars = bars_from_trades(trades, 10)
    >>> bars.close.tolist(), bars.volume.tolist()
    ([12.0, 11.0, 11.0, 9.0], [2.0, 1.0, 0.0, 1.0])
    """
    if interval_ns <= 0:
        raise InvalidValue("interval_ns must be > 0", interval_ns, "give the length of a bar in ns")
    ts = trades.ts_event
    if not len(ts):
        raise DataProblem(f"bars of {trades.symbol} need trades", "none", "record longer")
    first = -(-(int(ts[0]) if start_ts is None else start_ts) // interval_ns)
    end = (int(ts[-1]) if stop_ts is None else stop_ts) // interval_ns
    bar = ts // interval_ns
    inside = slice(int(np.searchsorted(bar, first)), int(np.searchsorted(bar, end)))
    bar = bar[inside]
    rows = _unbroken(np.arange(int(bar[0]) if len(bar) else end, end), interval_ns, gaps)
    if not len(rows):
        raise DataProblem(
            f"bars of {trades.symbol} need one whole bar with a trade",
            f"{len(ts)} trades from {ts[0]} to {ts[-1]}",
            "record longer, or make the bars shorter",
        )
    price, size = trades.price[inside], trades.size[inside]
    begins = np.flatnonzero(np.diff(bar, prepend=bar[0] - 1))
    ends = np.append(begins[1:], len(bar)) - 1
    held = np.searchsorted(bar[begins], rows, side="right") - 1
    traded = bar[begins][held] == rows
    close = price[ends][held]
    return CandleSeries(
        symbol=trades.symbol,
        venue=trades.venue,
        interval_ns=interval_ns,
        ts_open=rows * interval_ns,
        open=np.where(traded, price[begins][held], close),
        high=np.where(traded, np.maximum.reduceat(price, begins)[held], close),
        low=np.where(traded, np.minimum.reduceat(price, begins)[held], close),
        close=close,
        volume=np.where(traded, np.add.reduceat(size, begins)[held], 0.0),
        bars_per_day=DAY_NS / interval_ns,
    )


def _unbroken(
    rows: NDArray[np.int64], interval_ns: int, gaps: Sequence[tuple[int, int]]
) -> NDArray[np.int64]:
    kept = np.ones(len(rows), dtype=np.bool_)
    for begin, end in gaps:
        kept &= ((rows + 1) * interval_ns <= begin) | (rows * interval_ns > end)
    return rows[kept]
