"""The tape: what one symbol has traded up to now, and the figures that orders need of it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf, log, nan, sqrt
from typing import Any, Self

from consilium.domain import DAY_NS, Candle
from consilium.market.candles import CandleSeries
from consilium.trading.kept import Kept, plain, scalar

ATR_PERIOD = 14
MEDIAN_BARS = 96
VOLATILITY_BARS = 20
CLOSED_NS = 5 * DAY_NS
"""Longest that closing hours are taken to last: an Easter weekend is four days and a half."""

OPEN_SHARE = 0.9
"""A market whose bars fill less of the time since its first than this has closing hours, whatever it says."""

_KEPT_BARS = 4_096
_COLUMNS = ("ts_open", "open", "high", "low", "close", "volume", "atr", "returns")


class WilderATR(Kept):
    """Average true range of Wilder: ``ATR = (13 ATR' + TR) / 14``, started by the mean of 14 ranges.

    ``TR = max(high - low, |high - close'|, |low - close'|)``; the first bar has no previous close and is left
    out, so that the first value stands at the fifteenth bar. NaN before.

    References
    ----------
    Wilder 1978, New Concepts in Technical Trading Systems, section III.

    Examples
    --------
    >>> atr = WilderATR(period=2)
    >>> [atr.update(h, l, c) for h, l, c in [(2, 1, 1), (2, 1, 2), (5, 2, 4), (5, 4, 4)]]
    [nan, nan, 2.0, 1.5]
    """

    __slots__ = ("_close", "_seen", "_total", "period", "value")
    kept = ("_close", "_seen", "_total", "value")

    def __init__(self, period: int = ATR_PERIOD) -> None:
        self.period = period
        self.value = nan
        self._close = nan
        self._seen = -1
        self._total = 0.0

    def update(self, high: float, low: float, close: float) -> float:
        """Take a bar and return the range in quote units, NaN while warming up."""
        seen = self._seen = self._seen + 1
        previous = self._close
        self._close = close
        if seen == 0:
            return nan
        true_range = (high if high > previous else previous) - (low if low < previous else previous)
        if seen > self.period:
            self.value = (self.value * (self.period - 1) + true_range) / self.period
        else:
            self._total += true_range
            if seen == self.period:
                self.value = self._total / self.period
        return self.value


class Tape:
    """Bars of one symbol with a cursor at the newest; nothing is read beyond it.

    A backtest lays the whole series in and moves the cursor; a live service pushes candles. Both then run
    the same code on the same lists.

    Parameters
    ----------
    symbol
        Name of what is traded.
    interval_ns
        Length of a bar.
    bars_per_day
        Bars that a trading day has; None means the whole day.
    """

    __slots__ = (
        "_atr",
        "_began",
        "_closes",
        "_dropped",
        "atr",
        "bars_per_day",
        "close",
        "high",
        "i",
        "interval_ns",
        "low",
        "open",
        "returns",
        "symbol",
        "ts_open",
        "volume",
    )

    def __init__(self, symbol: str, interval_ns: int, bars_per_day: float | None = None) -> None:
        self.symbol = symbol
        self.interval_ns = interval_ns
        self.bars_per_day = DAY_NS / interval_ns if bars_per_day is None else bars_per_day
        self.ts_open: list[int] = []
        self.open: list[float] = []
        self.high: list[float] = []
        self.low: list[float] = []
        self.close: list[float] = []
        self.volume: list[float] = []
        self.atr: list[float] = []
        self.returns: list[float] = []
        self.i = -1
        self._dropped = 0
        self._began = -1
        # a hair less, for bars that do not divide a day
        self._closes = self.bars_per_day < DAY_NS / interval_ns * (1.0 - 1e-9)
        self._atr = WilderATR()

    @classmethod
    def of_series(cls, series: CandleSeries) -> Self:
        """Lay a whole series in, the cursor before its first bar."""
        tape = cls(series.symbol, series.interval_ns, series.bars_per_day)
        tape.ts_open = series.ts_open.tolist()
        tape._began = tape.ts_open[0] if tape.ts_open else -1
        tape.open = series.open.tolist()
        tape.high = series.high.tolist()
        tape.low = series.low.tolist()
        tape.close = series.close.tolist()
        tape.volume = series.volume.tolist()
        update = tape._atr.update
        tape.atr = [update(h, l, c) for h, l, c in zip(tape.high, tape.low, tape.close, strict=True)]
        tape.returns = [nan, *(log(b / a) for a, b in pairwise(tape.close))]
        return tape

    def rewound(self) -> "Tape":
        """Return the same bars, shared, with the cursor before the first: for another run over them."""
        tape = Tape(self.symbol, self.interval_ns, self.bars_per_day)
        for name in ("_began", "ts_open", "open", "high", "low", "close", "volume", "atr", "returns"):
            setattr(tape, name, getattr(self, name))
        return tape

    def push(self, candle: Candle) -> None:
        """Add a finished bar and move the cursor onto it."""
        kept = max(_KEPT_BARS, round(self.bars_per_day) + 1)
        if len(self.close) >= 2 * kept:
            self._drop(len(self.close) - kept)
        if self._began < 0:
            self._began = candle.ts_open
        self.ts_open.append(candle.ts_open)
        self.returns.append(log(candle.close / self.close[-1]) if self.close else nan)
        self.open.append(candle.open)
        self.high.append(candle.high)
        self.low.append(candle.low)
        self.close.append(candle.close)
        self.volume.append(candle.volume)
        self.atr.append(self._atr.update(candle.high, candle.low, candle.close))
        self.i = len(self.close) - 1

    def state(self) -> dict[str, Any]:
        """Return the newest bars, all that anything here reads, as JSON values."""
        kept = max(MEDIAN_BARS, VOLATILITY_BARS, round(self.bars_per_day)) + 1
        first = max(0, len(self.close) - kept)
        columns = {name: [plain(x) for x in getattr(self, name)[first:]] for name in _COLUMNS}
        return {
            "dropped": self._dropped + first,
            "began": self._began,
            "columns": columns,
            "atr": self._atr.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` returned, the cursor on the newest bar."""
        for name, values in state["columns"].items():
            setattr(self, name, [scalar(x) for x in values])
        self._dropped, self._began = state["dropped"], state["began"]
        self._atr.restore(state["atr"])
        self.i = len(self.close) - 1

    def _drop(self, bars: int) -> None:
        prices = (self.open, self.high, self.low, self.close)
        for values in (self.ts_open, *prices, self.volume, self.atr, self.returns):
            del values[:bars]
        self._dropped += bars

    @property
    def count(self) -> int:
        """Bars seen so far."""
        return self._dropped + self.i + 1

    @property
    def ts_close(self) -> int:
        """Close of the newest bar; -1 before the first."""
        return self.ts_open[self.i] + self.interval_ns if self.i >= 0 else -1

    def expected(self, bars: int) -> int:
        """Return the time by which ``bars`` more bars should have closed.

        ``close of the newest + bars x interval``, and five days more in a market with closing hours: one with
        fewer bars a day than fit in it, or whose bars so far fill less than 90 % of the time since the first
        (weekends, once seen). Round the clock nothing explains a missing bar.
        """
        due = self.ts_close + bars * self.interval_ns
        if self._closes or self.count * self.interval_ns < OPEN_SHARE * (self.ts_close - self._began):
            due += CLOSED_NS
        return due

    def daily_volatility(self, end: int) -> float:
        """Return the standard deviation of the last 20 one-bar log returns before ``end``, for a day.

        Divisor n - 1, as in training; 0 with fewer than two returns.
        """
        returns = self.returns[max(end - VOLATILITY_BARS, 0 if self._dropped else 1) : end]
        n = len(returns)
        if n < 2:
            return 0.0
        mean = sum(returns) / n
        return sqrt(sum([(r - mean) ** 2 for r in returns]) / (n - 1) * self.bars_per_day)

    def daily_volume(self, end: int) -> float:
        """Return the volume of a day in base units, from the bars of the last day before ``end``."""
        day = max(1, round(self.bars_per_day))
        volumes = self.volume[max(0, end - day) : end]
        return sum(volumes) / len(volumes) * self.bars_per_day if volumes else 0.0

    def median_volume(self) -> float:
        """Return the median volume of the last 96 bars, in base units."""
        return _median(self.volume[max(0, self.i + 1 - MEDIAN_BARS) : self.i + 1])


def _median(values: Sequence[float]) -> float:
    if not values:
        return inf
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
