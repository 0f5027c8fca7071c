"""Turnover: what each followed symbol traded in the last 30 days, in quote units."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from consilium.domain import Candle
from consilium.trading.days import day_of_close

DAYS = 30


class Turnover:
    """Sums close times volume by UTC day, and over 30 of them.

    Examples
    --------
    >>> turnover = Turnover()
    >>> turnover.add(Candle(symbol="X", interval_ns=60, ts_open=0, ts_close=60, open=2.0, high=2.0, low=2.0,
    ...                     close=2.0, volume=5.0))
    >>> turnover.volumes()
    {'X': 10.0}
    """

    def __init__(self) -> None:
        self._days: dict[str, deque[list[float]]] = {}

    def add(self, candle: Candle) -> None:
        """Count a candle on the day of its close."""
        days = self._days.setdefault(candle.symbol, deque())
        day, value = day_of_close(candle.ts_close), candle.close * candle.volume
        if days and days[-1][0] == day:
            days[-1][1] += value
        else:
            days.append([day, value])
            while days[0][0] <= day - DAYS:
                days.popleft()

    def volumes(self) -> dict[str, float]:
        """Return the sum of each symbol that has traded."""
        return {symbol: sum(value for _, value in days) for symbol, days in sorted(self._days.items())}

    def state(self) -> dict[str, Any]:
        """Return the days as JSON values."""
        return {symbol: [list(day) for day in days] for symbol, days in self._days.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned."""
        self._days = {
            symbol: deque([int(day), float(value)] for day, value in days) for symbol, days in state.items()
        }
