"""One followed symbol: its newest candles, the features that models read, and its maturing labels."""

import base64
from collections import deque
from collections.abc import Mapping, Sequence
from math import isfinite, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.live.feeds import WARM_UP_BARS
from consilium.domain import Candle, DataProblem, Outcome
from consilium.market.candles import COLUMNS, CandleSeries
from consilium.market.features import FeatureStream, compute_features
from consilium.training.label_stream import LabelStream
from consilium.training.labels import LabelSpec
from consilium.training.volatility import DAILY_BARS

Floats = NDArray[np.float64]

FALLBACK_FEATURES = ("rsi_14", "ema_10_gap", "ema_50_gap")
FALLBACK_BARS = 500
"""Bars that the fallback looks back; what an EMA of 50 took from earlier ones is below 1e-8 of it."""


class Followed:
    """What the service knows of one symbol's market.

    Parameters
    ----------
    symbol, interval_ns, bars_per_day
        Whose candles, and how they are spaced.
    features
        Columns that the models of the pool read.
    window
        Rows of the longest window that a model reads.
    spec
        Definition of the models' label.
    """

    def __init__(
        self,
        symbol: str,
        interval_ns: int,
        bars_per_day: float,
        *,
        features: Sequence[str],
        window: int,
        spec: LabelSpec,
    ) -> None:
        self.symbol = symbol
        self.interval_ns = interval_ns
        self.bars_per_day = bars_per_day
        self.candles: deque[Candle] = deque(maxlen=WARM_UP_BARS)
        self.labels = LabelStream(symbol, spec, interval_ns)
        self.rows: deque[tuple[int, Floats]] = deque(maxlen=max(window, 1))
        self.ts_close = -1
        self._returns: deque[float] = deque(maxlen=DAILY_BARS)
        self._log_close = nan
        self._read: FeatureStream | None = None
        self.read(features, window)

    def read(self, features: Sequence[str], window: int) -> None:
        """Compute other columns from now on, warmed up with the candles that are kept in memory."""
        self.rows = deque(maxlen=max(window, 1))
        self._read = None
        if not features:
            return
        stream = FeatureStream(features, interval_ns=self.interval_ns, bars_per_day=self.bars_per_day)
        for candle in self.candles:
            self.rows.append((candle.ts_close, stream.update(candle)))
        self._read = stream

    def forecast(self, spec: LabelSpec) -> None:
        """Mature the outcomes of another label from now on."""
        self.labels = LabelStream(self.symbol, spec, self.interval_ns)
        for candle in self.candles:
            self.labels.update(candle)

    def take(self, candle: Candle) -> Outcome | None:
        """Take the next candle; return the outcome that it makes known, if any."""
        self.candles.append(candle)
        self.ts_close = candle.ts_close
        log_close = float(np.log(candle.close))
        self._returns.append(log_close - self._log_close)
        self._log_close = log_close
        if self._read is not None:
            self.rows.append((candle.ts_close, self._read.update(candle)))
        return self.labels.update(candle)

    @property
    def row(self) -> Floats | None:
        """Features of the models at the newest close; None where no model reads any."""
        return self.rows[-1][1] if self._read is not None and self.rows else None

    def plain_row(self) -> Floats | None:
        """Compute the features of the fallback at the newest close; None while they are not known.

        From the candles at hand and not from a stream: they are needed only where no model speaks.
        """
        candles = [self.candles[k] for k in range(-min(FALLBACK_BARS, len(self.candles)), 0)]
        if not candles:
            return None
        columns: dict[str, Any] = {name: np.array([getattr(c, name) for c in candles]) for name in COLUMNS}
        series = CandleSeries(
            symbol=self.symbol,
            interval_ns=self.interval_ns,
            bars_per_day=self.bars_per_day,
            ts_open=np.array([c.ts_open for c in candles]),
            **columns,
        )
        row: Floats = compute_features(series, FALLBACK_FEATURES)[-1]
        return row if np.isfinite(row).all() else None

    def volatility(self) -> float | None:
        """Return the daily volatility at the newest close, as `daily_volatility` has it; None if unknown."""
        if len(self._returns) < DAILY_BARS:
            return None
        found = float(np.array(self._returns).std(ddof=1)) * sqrt(self.bars_per_day)
        return found if isfinite(found) else None

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON values; candles are kept elsewhere."""
        return {
            "ts_close": self.ts_close,
            "labels": self.labels.state(),
            "closes": _packed(np.array([self._log_close, *self._returns])),
            "read": None if self._read is None else self._read.state(),
            "rows": [[ts, _packed(row)] for ts, row in self.rows],
        }

    def restore(self, state: Mapping[str, Any], candles: Sequence[Candle]) -> None:
        """Go on where another of the same models stood.

        Parameters
        ----------
        state
            What it remembered.
        candles
            The newest ones that it had taken.

        Raises
        ------
        ArtefactRefused
            The state is of other features or another label.
        DataProblem
            The newest candle that it had taken is not among them.
        """
        newest = int(state["ts_close"])
        if newest >= 0 and all(candle.ts_close != newest for candle in candles):
            raise DataProblem(
                f"the candle of {self.symbol} that closed at {newest} must be kept", "none", "restore it"
            )
        self.labels.restore(state["labels"])
        if self._read is not None:
            self._read.restore(state["read"] or {})
        self._log_close, *returns = _unpacked(state["closes"]).tolist()
        self._returns.clear()
        self._returns.extend(returns)
        self.rows.clear()
        self.rows.extend((int(ts), _unpacked(row)) for ts, row in state["rows"])
        self.candles.clear()
        self.candles.extend(candles)
        self.ts_close = newest


def _packed(row: Floats) -> str:
    """Write floats as text that keeps every bit, NaN too."""
    return base64.b64encode(np.ascontiguousarray(row, dtype="<f8").tobytes()).decode()


def _unpacked(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
