"""Feeds: where the service's candles come from, one step (all candles of one close) at a time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from threading import Event
from typing import Protocol

import numpy as np

from consilium.domain import Candle, UsageError
from consilium.market.candles import CandleSeries

WARM_UP_BARS = 1_128
"""Bars of each symbol that are taken in before the first step: features of candles need up to 1,000, and the
windows of models 119 rows before that of the step."""

Step = tuple[Candle, ...]


class LiveFeed(Protocol):
    """A feed of finished candles that can be taken up again after any close."""

    name: str
    interval_ns: int
    symbols: tuple[str, ...]

    def bars_per_day(self) -> Mapping[str, float]:
        """Return the bars in a day of trading, by symbol."""
        ...

    def history(self) -> Sequence[Candle]:
        """Return what is taken in before the first step, in the order of closes."""
        ...

    def steps(self, after: int, stop: Event, held: Mapping[str, int] | None = None) -> Iterator[Step]:
        """Yield the candles of each close later than ``after`` until the feed ends or is stopped.

        ``held`` has the newest close of each symbol, for a feed where a symbol may lag behind the others.
        """
        ...

    def candles(self) -> Iterator[Candle]:
        """Yield all finished candles from the beginning."""
        ...

    def problem(self) -> str:
        """Return why no candles come now; empty if they do."""
        ...


class NoFeed:
    """No candles at all: the service waits for signals and commands."""

    name = ""
    interval_ns = 0
    symbols: tuple[str, ...] = ()

    def bars_per_day(self) -> Mapping[str, float]:
        """Return nothing."""
        return {}

    def history(self) -> Sequence[Candle]:
        """Return nothing."""
        return ()

    def steps(self, after: int, stop: Event, held: Mapping[str, int] | None = None) -> Iterator[Step]:  # noqa: ARG002 - the port's
        """Yield nothing."""
        return iter(())

    def candles(self) -> Iterator[Candle]:
        """Yield nothing."""
        return iter(())

    def problem(self) -> str:
        """Return that there is none."""
        return "no feed is set"


class PanelFeed:
    """Stored or simulated candles, played step by step.

    The first 1,128 closes (half of a shorter panel) are its history. Played again after any close, it yields
    the same steps.

    Parameters
    ----------
    name
        Under which the journal knows it.
    panel
        Candles by symbol, all of one length.
    speed
        Closes a second; 0 for as fast as they are taken.

    Examples
    --------
    >>> from consilium.market.simulator import simulate
    >>> feed = PanelFeed("simulate", simulate(symbols=2, bars=6, seed=1).series, speed=0.0)
    >>> len(feed.history()), [len(step) for step in feed.steps(0, Event())]
    (6, [2, 2, 2])
    """

    def __init__(self, name: str, panel: Mapping[str, CandleSeries], *, speed: float) -> None:
        lengths = {series.interval_ns for series in panel.values()}
        if len(lengths) != 1:
            raise UsageError(
                "a feed needs candles of one length", f"{sorted(lengths)} ns", "name symbols of one length"
            )
        self.name = name
        self.interval_ns = lengths.pop()
        self.symbols = tuple(sorted(panel))
        self.speed = speed
        self._panel = panel
        self._ended = False
        closes = [panel[symbol].ts_close for symbol in self.symbols]
        self._at = np.concatenate([np.arange(len(ts)) for ts in closes])
        self._of = np.repeat(np.arange(len(closes)), [len(ts) for ts in closes])
        self._ts = np.concatenate(closes)
        order = np.lexsort((self._of, self._ts))
        self._at, self._of, self._ts = self._at[order], self._of[order], self._ts[order]
        instants = np.unique(self._ts)
        warm = min(WARM_UP_BARS, len(instants) // 2)
        self._begin = int(instants[warm - 1]) if warm else -1

    def bars_per_day(self) -> Mapping[str, float]:
        """Return the bars in a day of trading, by symbol."""
        return {symbol: series.bars_per_day for symbol, series in self._panel.items()}

    def history(self) -> Sequence[Candle]:
        """Return the candles before the first step."""
        return list(self._candles(0, int(np.searchsorted(self._ts, self._begin, side="right"))))

    def steps(self, after: int, stop: Event, held: Mapping[str, int] | None = None) -> Iterator[Step]:  # noqa: ARG002 - no symbol lags
        """Yield the candles of each close later than ``after``, at most ``speed`` closes a second."""
        self._ended = False
        start = int(np.searchsorted(self._ts, max(after, self._begin), side="right"))
        due = time.monotonic()
        while start < len(self._ts) and not stop.is_set():
            end = int(np.searchsorted(self._ts, self._ts[start], side="right"))
            yield tuple(self._candles(start, end))
            start = end
            if self.speed > 0.0:
                due += 1.0 / self.speed
                if stop.wait(max(due - time.monotonic(), 0.0)):
                    return
        self._ended = start >= len(self._ts)

    def candles(self) -> Iterator[Candle]:
        """Yield all candles in the order of their closes."""
        return self._candles(0, len(self._ts))

    def problem(self) -> str:
        """Return that it has ended, where it has."""
        return "the feed has ended" if self._ended else ""

    def _candles(self, start: int, end: int) -> Iterator[Candle]:
        for row in range(start, end):
            yield self._panel[self.symbols[self._of[row]]].candle(int(self._at[row]))


def gathered(candles: Sequence[Candle]) -> Iterator[Step]:
    """Group candles that are in the order of their closes into steps.

    Examples
    --------
    >>> [len(step) for step in gathered([])]
    []
    """
    step: list[Candle] = []
    for candle in candles:
        if step and candle.ts_close != step[0].ts_close:
            yield tuple(step)
            step = []
        step.append(candle)
    if step:
        yield tuple(step)
