"""Series of candles for the tests of features."""

import numpy as np
from numpy.typing import NDArray

from consilium.domain.time import HOUR_NS
from consilium.market.candles import CandleSeries
from consilium.market.features import FeatureStream

Floats = NDArray[np.float64]


def series_of(close: Floats, volume: Floats, spread: Floats, rng: np.random.Generator) -> CandleSeries:
    """Candles around closes; where the spread is 0 and the close stays, a bar is flat."""
    before = np.concatenate((close[:1], close[:-1])) * (1 + 0.1 * spread * rng.normal(size=len(close)))
    top, bottom = np.maximum(close, before), np.minimum(close, before)
    high = top * (1 + spread * rng.random(len(close)))
    low = bottom * (1 - 0.9 * spread * rng.random(len(close)))
    return with_columns(open=before, high=high, low=low, close=close, volume=volume)


def with_columns(**columns: Floats) -> CandleSeries:
    rows = len(columns["close"])
    times = np.arange(rows) * HOUR_NS
    return CandleSeries(
        symbol="TEST",
        interval_ns=HOUR_NS,
        ts_open=times,
        open=columns["open"],
        high=columns["high"],
        low=columns["low"],
        close=columns["close"],
        volume=columns["volume"],
        bars_per_day=24.0,
    )


def columns_of(series: CandleSeries) -> dict[str, Floats]:
    return {name: getattr(series, name).copy() for name in ("open", "high", "low", "close", "volume")}


def rough_series(seed: int, rows: int, *, price: float = 100.0, flat: int = 60) -> CandleSeries:
    """A walk with stretches that stand still, bars without volume and jumps up and down by half."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, rows)
    spread = np.full(rows, 0.01)
    volume = rng.lognormal(8, 1.5, rows)
    volume[rng.random(rows) < 0.1] = 0.0
    for start in rng.integers(0, rows, size=max(rows // 300, 1)):
        returns[start : start + flat] = 0.0
        spread[start : start + flat] = 0.0
    volume[rows // 2 : rows // 2 + flat] = 0.0
    jumps = rng.integers(0, rows, size=max(rows // 200, 1))
    returns[jumps] = rng.choice([-0.7, 0.7], size=len(jumps))
    return series_of(price * np.exp(np.cumsum(returns)), volume, spread, rng)


def calm_series(seed: int, rows: int) -> CandleSeries:
    """A walk on a grid of prices that floats hold exactly, so that ties are ties for everybody."""
    rng = np.random.default_rng(seed)
    close = np.round(200 * np.exp(np.cumsum(rng.normal(0, 0.01, rows))) * 128) / 128
    before = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(close, before) + rng.integers(0, 200, rows) / 128
    low = np.minimum(close, before) - rng.integers(0, 200, rows) / 128
    return with_columns(open=before, high=high, low=low, close=close, volume=rng.lognormal(8, 1, rows))


def streamed(series: CandleSeries, names: tuple[str, ...]) -> Floats:
    stream = FeatureStream(names, interval_ns=series.interval_ns, bars_per_day=series.bars_per_day)
    return np.array([stream.update(series.candle(i)) for i in range(len(series))])
