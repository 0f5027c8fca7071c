"""Panels of candles with and without something to learn, for the tests of training."""

import numpy as np

from consilium.domain import HOUR_NS
from consilium.market.candles import CandleSeries


def momentum_series(
    symbol: str, n: int, *, seed: int, persistence: float = 0.0, first_bar: int = 0
) -> CandleSeries:
    """Hourly candles whose log returns are an AR(1) process: ``r_t = persistence r_{t-1} + noise``."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, 0.01, n)
    returns = np.empty(n)
    previous = 0.0
    for t in range(n):
        previous = persistence * previous + noise[t]
        returns[t] = previous
    close = 100.0 * np.exp(np.cumsum(returns))
    open_ = np.append(100.0, close[:-1])
    wick = np.abs(rng.normal(0.0, 0.003, (2, n)))
    return CandleSeries(
        symbol=symbol,
        interval_ns=HOUR_NS,
        ts_open=(first_bar + np.arange(n)) * HOUR_NS,
        open=open_,
        high=np.maximum(open_, close) * np.exp(wick[0]),
        low=np.minimum(open_, close) * np.exp(-wick[1]),
        close=close,
        volume=rng.lognormal(3.0, 0.5, n),
    )


def momentum_panel(
    symbols: int = 3, n: int = 1_500, *, seed: int = 1, persistence: float = 0.0
) -> dict[str, CandleSeries]:
    """Symbols of different lengths: each later one starts 100 bars after the one before it."""
    panel = {}
    for index in range(symbols):
        name = f"S{index}"
        panel[name] = momentum_series(
            name, n - 100 * index, seed=seed + index, persistence=persistence, first_bar=100 * index
        )
    return panel
