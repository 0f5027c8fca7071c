"""Bars laid out for the twin: one row a bar, with the figures that the broker would work out on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem
from consilium.market.candles import CandleSeries
from consilium.trading.backtest import prepare
from consilium.trading.days import day_of_close
from consilium.trading.tape import MEDIAN_BARS, VOLATILITY_BARS, Tape
from consilium.trading.twin.account import (
    ATR,
    CLOSE,
    COLUMNS,
    LOW,
    MEDIAN_VOLUME,
    OPEN,
    SIGMA_DAY,
    VOLUME,
    VOLUME_DAY,
    Floats,
)

_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class BarTable:
    """The bars of one symbol, for any number of twins.

    Parameters
    ----------
    ts_open
        UTC nanoseconds, shape (n,).
    bars
        Open, low, close, volume, average true range, daily volatility and daily volume before the bar, and a
        place for the median volume; shape (n, 8).
    expected
        For each bar the time by which the next should have closed (``Tape.expected``), UTC nanoseconds,
        shape (n,).
    """

    symbol: str
    interval_ns: int
    ts_open: NDArray[np.int64]
    bars: Floats
    expected: NDArray[np.int64]

    @property
    def ts_close(self) -> NDArray[np.int64]:
        """UTC nanoseconds from which each bar is known."""
        return self.ts_open + self.interval_ns

    @cached_property
    def days(self) -> NDArray[np.int64]:
        """The UTC day that each close belongs to, shape (n,)."""
        return day_of_close(self.ts_close)

    @cached_property
    def sized(self) -> Floats:
        """The bars with the median volume in its column: only a size by risk needs it."""
        bars = self.bars.copy()
        bars[:, MEDIAN_VOLUME] = _median_volume(bars[:, VOLUME])
        return bars


Panel = Mapping[str, CandleSeries] | Mapping[str, Tape] | Mapping[str, BarTable]


def lay_out(panel: Panel) -> dict[str, BarTable]:
    """Lay out a panel once, for several twins over it.

    Parameters
    ----------
    panel
        Candles by symbol, or what ``prepare`` or this function made of them.

    Raises
    ------
    DataProblem
        No bar at all, or a key that is not the symbol of its series.

    Examples
    --------
    >>> from consilium.domain import HOUR_NS
    >>> price = 100 + np.arange(40.0)
    >>> series = CandleSeries(symbol="BTCUSDT", interval_ns=HOUR_NS, ts_open=np.arange(40) * HOUR_NS,
    ...     open=price, high=price + 1, low=price - 1, close=price, volume=price)
    >>> lay_out({"BTCUSDT": series})["BTCUSDT"].bars.shape
    (40, 8)
    """
    tables = {s: item for s, item in sorted(panel.items()) if isinstance(item, BarTable)}
    tapes = {s: item for s, item in sorted(panel.items()) if isinstance(item, Tape)}
    if tables or tapes:
        if len(tables) != len(panel) and len(tapes) != len(panel):
            raise DataProblem("a panel must be of one kind", "several", "give candles, tapes or tables")
        return tables or {symbol: _of_tape(tape) for symbol, tape in tapes.items()}
    series = {symbol: item for symbol, item in panel.items() if isinstance(item, CandleSeries)}
    return {symbol: _of_tape(tape) for symbol, tape in prepare(series).items()}


def _of_tape(tape: Tape) -> BarTable:
    volume, returns = np.array(tape.volume), np.array(tape.returns)
    bars = np.empty((len(volume), COLUMNS))
    bars[:, OPEN] = tape.open
    bars[:, LOW] = tape.low
    bars[:, CLOSE] = tape.close
    bars[:, VOLUME] = volume
    bars[:, ATR] = tape.atr
    bars[:, SIGMA_DAY] = _daily_volatility(returns, tape.bars_per_day)
    bars[:, VOLUME_DAY] = _daily_volume(volume, tape.bars_per_day)
    bars[:, MEDIAN_VOLUME] = np.nan
    return BarTable(
        symbol=tape.symbol,
        interval_ns=tape.interval_ns,
        ts_open=np.array(tape.ts_open, dtype=np.int64),
        bars=bars,
        expected=_expected(tape),
    )


def _expected(tape: Tape) -> NDArray[np.int64]:
    walk = tape.rewound()
    expected = np.empty(len(walk.ts_open), np.int64)
    for walk.i in range(len(expected)):
        expected[walk.i] = walk.expected(1)
    return expected


def too_late(table: BarTable, panel: Mapping[str, BarTable]) -> NDArray[np.bool_]:
    """For each bar whether an entry sent at the close before it was withdrawn by then, shape (n,).

    It was if the bar opens only after it was expected to have closed, or closes after that and a bar of
    another symbol closed in between: the account has looked at its clock by then.
    """
    late = np.zeros(len(table.bars), np.bool_)
    due, opened, closed = table.expected[:-1], table.ts_open[1:], table.ts_close[1:]
    overdue = np.flatnonzero(closed > due)
    if len(overdue):
        due, opened, closed = due[overdue], opened[overdue], closed[overdue]
        withdrawn = opened >= due
        for other in panel.values():
            instants = other.ts_close
            withdrawn |= np.searchsorted(instants, due) < np.searchsorted(instants, closed)
        late[1 + overdue] = withdrawn
    return late


def _sum_before(values: Floats, window: int, first: int = 0) -> Floats:
    """Add the last ``window`` values before each bar, from index ``first`` on, oldest first as the tape does.

    A running sum would be quicker and would leave crumbs where all values are 0, which has no impact law.
    """
    total = np.zeros(len(values))
    for lag in range(min(window, len(values)), 0, -1):
        total[first + lag :] += values[first : len(values) - lag]
    return total


def _daily_volatility(returns: Floats, bars_per_day: float) -> Floats:
    n = len(returns)
    count = np.clip(np.arange(n) - 1, 0, VOLATILITY_BARS)
    known = np.maximum(count, 1)
    mean = _sum_before(returns, VOLATILITY_BARS, 1) / known
    squares = np.zeros(n)
    for lag in range(min(VOLATILITY_BARS, n), 0, -1):
        squares[1 + lag :] += (returns[1 : n - lag] - mean[1 + lag :]) ** 2
    volatility: Floats = np.where(count >= 2, np.sqrt(squares / np.maximum(count - 1, 1) * bars_per_day), 0.0)
    return volatility


def _daily_volume(volume: Floats, bars_per_day: float) -> Floats:
    day = max(1, round(bars_per_day))
    count = np.clip(np.arange(len(volume)), 1, day)
    return _sum_before(volume, day) / count * bars_per_day


def _median_volume(volume: Floats) -> Floats:
    median = np.empty(len(volume))
    start = min(MEDIAN_BARS - 1, len(volume))
    for i in range(start):
        median[i] = np.median(volume[: i + 1])
    if len(volume) >= MEDIAN_BARS:
        windows = np.lib.stride_tricks.sliding_window_view(volume, MEDIAN_BARS)
        for at in range(0, len(windows), _ROWS_AT_ONCE):
            part = windows[at : at + _ROWS_AT_ONCE]
            median[start + at : start + at + len(part)] = np.median(part, axis=1)
    return median
