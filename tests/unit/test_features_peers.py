"""Indicators against TA-Lib over whole series, real bars of a stock and a walk on exact prices."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np
import pytest
import talib

from consilium.market.candles import CandleSeries
from consilium.market.features import compute_features
from consilium.market.sources import sample_candles
from feature_bars import Floats, calm_series, columns_of, with_columns

SETTLED = 700
"""Rows after which the starts of two Wilder means differ by less than 1e-15 of themselves."""


@cache
def _series(kind: str) -> CandleSeries:
    if kind == "walk":
        return calm_series(21, 2_500)
    (stock,) = sample_candles().series.values()
    # On a grid that floats hold exactly a tie is a tie for TA-Lib too, which compares without tolerance.
    columns = columns_of(stock)
    return with_columns(**{k: x if k == "volume" else np.round(x * 128) / 128 for k, x in columns.items()})


@dataclass(frozen=True)
class Bars:
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    atr: Floats


Peer = Callable[[Bars], Floats]


def _bands(close: Floats) -> tuple[Floats, Floats, Floats]:
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    return upper, middle, lower


def _percent_b(close: Floats) -> Floats:
    upper, _, lower = _bands(close)
    return (close - lower) / (upper - lower)


def _width(close: Floats) -> Floats:
    upper, middle, lower = _bands(close)
    return (upper - lower) / middle


def _change(x: Floats, bars: int) -> Floats:
    return np.concatenate((np.full(bars, np.nan), x[bars:] - x[:-bars]))


def _spread(close: Floats) -> Floats:
    deviation: Floats = talib.STDDEV(_change(np.log(close), 1), 20)
    return deviation * sqrt(20 / 19)


PEERS: dict[str, Peer] = {
    "rsi_7": lambda x: talib.RSI(x.close, 7) / 100,
    "rsi_14": lambda x: talib.RSI(x.close, 14) / 100,
    "rsi_28": lambda x: talib.RSI(x.close, 28) / 100,
    "atr_14_ratio": lambda x: x.atr / x.close,
    "adx_14": lambda x: talib.ADX(x.high, x.low, x.close, 14) / 100,
    "plus_di_14": lambda x: talib.PLUS_DI(x.high, x.low, x.close, 14) / 100,
    "minus_di_14": lambda x: talib.MINUS_DI(x.high, x.low, x.close, 14) / 100,
    "cci_20": lambda x: talib.CCI(x.high, x.low, x.close, 20) / 200,
    "mfi_14": lambda x: talib.MFI(x.high, x.low, x.close, x.volume, 14) / 100,
    "ultosc": lambda x: talib.ULTOSC(x.high, x.low, x.close, 7, 14, 28) / 100,
    "aroon_osc_25": lambda x: talib.AROONOSC(x.high, x.low, 25) / 100,
    "sar_distance": lambda x: (x.close - talib.SAR(x.high, x.low, 0.02, 0.2)) / x.atr,
    "kama_30_gap": lambda x: np.log(x.close / talib.KAMA(x.close, 30)),
    "stoch_k_14": lambda x: talib.STOCHF(x.high, x.low, x.close, 14, 3)[0] / 100,
    "stoch_d_3": lambda x: talib.STOCHF(x.high, x.low, x.close, 14, 3)[1] / 100,
    "bb_percent_b": lambda x: _percent_b(x.close),
    "bb_width": lambda x: _width(x.close),
    "ema_10_gap": lambda x: np.log(x.close / talib.EMA(x.close, 10)),
    "ema_200_gap": lambda x: np.log(x.close / talib.EMA(x.close, 200)),
    "macd_atr": lambda x: talib.MACD(x.close, 12, 26, 9)[0] / x.atr,
    "macd_signal_atr": lambda x: talib.MACD(x.close, 12, 26, 9)[1] / x.atr,
    "obv_slope_20": lambda x: _change(talib.OBV(x.close, x.volume), 20) / talib.SUM(x.volume, 20),
    "linreg_slope_20": lambda x: (
        talib.LINEARREG_SLOPE(np.log(x.close), 20)
        / (talib.STDDEV(_change(np.log(x.close), 1), 20) * (20 / 19) ** 0.5)
    ),
    "trix_15": lambda x: talib.TRIX(x.close, 15) / 100 / _spread(x.close),
}


@pytest.mark.parametrize("kind", ["walk", "stock"])
@pytest.mark.parametrize("name", PEERS)
def test_an_indicator_equals_ta_lib(name: str, kind: str) -> None:
    series = _series(kind)
    _, high, low, close, volume = columns_of(series).values()
    theirs = PEERS[name](Bars(high, low, close, volume, talib.ATR(high, low, close, 14)))[SETTLED:]
    ours = compute_features(series, [name])[SETTLED:, 0]
    if name == "ema_200_gap":
        ours, theirs = ours[300:], theirs[300:]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
