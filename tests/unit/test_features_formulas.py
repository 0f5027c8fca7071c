"""Each feature against its formula, written out plainly for one row, and small examples worked by hand."""

from collections.abc import Callable
from math import log, sqrt

import numpy as np
import pytest
import talib

from consilium.market.features import BOOK50, FEATURES, compute_features, feature_names
from feature_bars import Floats, calm_series, columns_of, with_columns

NAMES = feature_names("candle62")
ROWS = (1_000, 1_111, 1_250, 1_499)
SERIES = calm_series(11, 1_500)
O, H, L, C, V = columns_of(SERIES).values()
R = np.concatenate(([np.nan], np.diff(np.log(C))))
TP = (H + L + C) / 3
BEFORE = np.concatenate(([np.nan], C[:-1]))
TR = np.fmax(H, BEFORE) - np.fmin(L, BEFORE)
ATR = talib.ATR(H, L, C, 14)
ATR_7, ATR_28 = talib.ATR(H, L, C, 7), talib.ATR(H, L, C, 28)
RSI = talib.RSI(C, 14)
EMA = {n: talib.EMA(C, n) for n in (10, 12, 20, 26, 50, 200)}
MACD = EMA[12] - EMA[26]


def _from(x: Floats, start: int) -> Floats:
    return np.concatenate((np.full(start, np.nan), x))


SIGNAL = _from(talib.EMA(MACD[25:], 9), 25)
STEPS = np.diff(C)
TSI = _from(talib.EMA(talib.EMA(STEPS, 25)[24:], 13) / talib.EMA(talib.EMA(np.abs(STEPS), 25)[24:], 13), 25)


def last(x: Floats, t: int, n: int) -> Floats:
    return x[t - n + 1 : t + 1]


def spread(t: int) -> float:
    return float(last(R, t, 20).std(ddof=1))


def momentum(n: int) -> Callable[[int], float]:
    return lambda t: log(C[t] / C[t - n]) / (spread(t) * sqrt(n))


def place(n: int) -> Callable[[int], float]:
    return lambda t: (C[t] - last(L, t, n).min()) / (last(H, t, n).max() - last(L, t, n).min())


def ema_gap(n: int) -> Callable[[int], float]:
    return lambda t: log(C[t] / EMA[n][t])


def middle(n: int) -> Callable[[int], float]:
    return lambda t: (C[t] - (last(H, t, n).max() + last(L, t, n).min()) / 2) / ATR[t]


def skew(t: int) -> float:
    x = last(R, t, 48) - last(R, t, 48).mean()
    return float((x**3).mean() / (x**2).mean() ** 1.5)


def garman_klass(t: int) -> float:
    high, body = np.log(last(H, t, 20) / last(L, t, 20)), np.log(last(C, t, 20) / last(O, t, 20))
    return float(sqrt((0.5 * high**2 - (2 * log(2) - 1) * body**2).mean()))


def amihud(t: int) -> float:
    impact = np.abs(R) / (V * C)
    return log(last(impact, t, 20).mean() / last(impact, t, 480).mean())


def ultosc(t: int) -> float:
    pressure = C - np.fmin(L, BEFORE)
    parts = [last(pressure, t, n).sum() / last(TR, t, n).sum() for n in (7, 14, 28)]
    return float(np.dot(parts, (4, 2, 1)) / 7)


def vortex(t: int) -> float:
    up = sum(abs(H[i] - L[i - 1]) for i in range(t - 13, t + 1))
    down = sum(abs(L[i] - H[i - 1]) for i in range(t - 13, t + 1))
    return float((up - down) / last(TR, t, 14).sum())


def money_flow_index(t: int) -> float:
    gain = sum(TP[i] * V[i] for i in range(t - 13, t + 1) if TP[i] > TP[i - 1])
    loss = sum(TP[i] * V[i] for i in range(t - 13, t + 1) if TP[i] < TP[i - 1])
    return float(gain / (gain + loss))


def money_flow(t: int) -> float:
    share = (2 * last(C, t, 20) - last(L, t, 20) - last(H, t, 20)) / (last(H, t, 20) - last(L, t, 20))
    return float((share * last(V, t, 20)).sum() / last(V, t, 20).sum())


PLAIN: dict[str, Callable[[int], float]] = {
    "return_1": lambda t: log(C[t] / C[t - 1]),
    **{f"momentum_{n}": momentum(n) for n in (2, 4, 8, 24, 72)},
    "body": lambda t: (C[t] - O[t]) / (H[t] - L[t]),
    "upper_wick": lambda t: (H[t] - max(O[t], C[t])) / (H[t] - L[t]),
    "lower_wick": lambda t: (min(O[t], C[t]) - L[t]) / (H[t] - L[t]),
    "range_1": lambda t: log(H[t] / L[t]),
    "gap_open": lambda t: log(O[t] / C[t - 1]),
    "range_ratio_20": lambda t: log(log(H[t] / L[t]) / np.log(last(H, t, 20) / last(L, t, 20)).mean()),
    "volatility_20": lambda t: spread(t) * sqrt(24),
    "volatility_parkinson_20": lambda t: sqrt(
        (np.log(last(H, t, 20) / last(L, t, 20)) ** 2).mean() / (4 * log(2))
    ),
    "volatility_garman_klass_20": garman_klass,
    "volatility_ratio_5_20": lambda t: log(last(R, t, 5).std(ddof=1) / spread(t)),
    "downside_ratio_20": lambda t: sqrt(
        (np.minimum(last(R, t, 20), 0) ** 2).sum() / (last(R, t, 20) ** 2).sum()
    ),
    "skew_48": skew,
    "autocorr_20": lambda t: float(np.corrcoef(last(R, t, 20), last(R, t - 1, 20))[0, 1]),
    "efficiency_20": lambda t: abs(last(R, t, 20).sum()) / np.abs(last(R, t, 20)).sum(),
    "position_24": place(24),
    "volume_change_1": lambda t: log(V[t] / V[t - 1]),
    "volume_z_48": lambda t: (log(V[t]) - np.log(last(V, t, 48)).mean()) / np.log(last(V, t, 48)).std(ddof=1),
    "amihud_20": amihud,
    "up_volume_share_20": lambda t: (
        last(V, t, 20)[last(C, t, 20) > last(O, t, 20)].sum() / last(V, t, 20).sum()
    ),
    **{f"ema_{n}_gap": ema_gap(n) for n in (10, 20, 50, 200)},
    "kama_30_gap": lambda t: log(C[t] / talib.KAMA(C, 30)[t]),
    "linreg_slope_20": lambda t: np.polyfit(np.arange(20), np.log(last(C, t, 20)), 1)[0] / spread(t),
    "macd_atr": lambda t: MACD[t] / ATR[t],
    "macd_signal_atr": lambda t: SIGNAL[t] / ATR[t],
    "adx_14": lambda t: talib.ADX(H, L, C, 14)[t] / 100,
    "plus_di_14": lambda t: talib.PLUS_DI(H, L, C, 14)[t] / 100,
    "minus_di_14": lambda t: talib.MINUS_DI(H, L, C, 14)[t] / 100,
    "aroon_osc_25": lambda t: talib.AROONOSC(H, L, 25)[t] / 100,
    "sar_distance": lambda t: (C[t] - talib.SAR(H, L, 0.02, 0.2)[t]) / ATR[t],
    "tenkan_9_distance": middle(9),
    "kijun_26_distance": middle(26),
    "trix_15": lambda t: talib.TRIX(C, 15)[t] / 100 / spread(t),
    "vortex_14": vortex,
    "rsi_7": lambda t: talib.RSI(C, 7)[t] / 100,
    "rsi_14": lambda t: RSI[t] / 100,
    "rsi_28": lambda t: talib.RSI(C, 28)[t] / 100,
    "stoch_k_14": place(14),
    "stoch_d_3": lambda t: float(np.mean([place(14)(i) for i in (t - 2, t - 1, t)])),
    "stoch_rsi_14": lambda t: (RSI[t] - last(RSI, t, 14).min()) / np.ptp(last(RSI, t, 14)),
    "cci_20": lambda t: talib.CCI(H, L, C, 20)[t] / 200,
    "mfi_14": money_flow_index,
    "ultosc": ultosc,
    "tsi_25_13": lambda t: TSI[t],
    "atr_14_ratio": lambda t: ATR[t] / C[t],
    "atr_ratio_7_28": lambda t: log(ATR_7[t] / ATR_28[t]),
    "bb_percent_b": lambda t: 0.5 + (C[t] - last(C, t, 20).mean()) / (4 * last(C, t, 20).std()),
    "bb_width": lambda t: 4 * last(C, t, 20).std() / last(C, t, 20).mean(),
    "keltner_20": lambda t: (C[t] - EMA[20][t]) / (2 * ATR[t]),
    "donchian_55": place(55),
    "obv_slope_20": lambda t: (talib.OBV(C, V)[t] - talib.OBV(C, V)[t - 20]) / last(V, t, 20).sum(),
    "cmf_20": money_flow,
    "volume_ratio_20": lambda t: log(V[t] / last(V, t, 20).mean()),
    "vwap_24_gap": lambda t: log(C[t] * last(V, t, 24).sum() / (last(TP * V, t, 24)).sum()),
}
VALUES = compute_features(SERIES, NAMES)


def test_every_feature_has_a_plain_formula() -> None:
    assert set(PLAIN) == set(FEATURES) - set(BOOK50), "those of books stand in test_book_features_formulas"


@pytest.mark.parametrize("name", NAMES)
def test_a_feature_equals_its_plain_formula(name: str) -> None:
    plain = [PLAIN[name](t) for t in ROWS]
    np.testing.assert_allclose(VALUES[ROWS, NAMES.index(name)], plain, rtol=1e-8, atol=1e-9)


def _one(name: str, **columns: list[float]) -> float:
    rows = len(columns["close"])
    close = np.array(columns["close"])
    full = {
        key: np.array(columns[key]) if key in columns else default
        for key, default in {
            "open": close,
            "high": close,
            "low": close,
            "close": close,
            "volume": np.ones(rows),
        }.items()
    }
    return float(compute_features(with_columns(**full), [name])[-1, 0])


def test_a_bar_by_hand() -> None:
    bar = {"open": [11.0], "high": [14.0], "low": [10.0], "close": [13.0]}
    assert _one("body", **bar) == 0.5
    assert _one("upper_wick", **bar) == 0.25
    assert _one("lower_wick", **bar) == 0.25
    assert _one("range_1", **bar) == log(1.4)


def test_a_steady_climb_by_hand() -> None:
    climb = [float(2**k) for k in range(25)]
    assert _one("efficiency_20", close=climb) == 1.0
    assert _one("downside_ratio_20", close=climb) == 0.0
    assert _one("position_24", close=climb) == 1.0
    assert _one("aroon_osc_25", close=[*climb, 2.0**25]) == 1.0
    assert _one("obv_slope_20", close=climb) == 1.0
    assert _one("mfi_14", close=climb) == 1.0


def test_returns_without_spread_have_no_momentum() -> None:
    climb = [float(2**k) for k in range(25)]
    growth = [1.1**k for k in range(25)]
    for prices in (climb, growth):
        assert _one("momentum_4", close=prices) == 0.0
        assert _one("linreg_slope_20", close=prices) == 0.0


def test_a_zigzag_by_hand() -> None:
    zigzag = [1.0, 2.0] * 15
    assert _one("efficiency_20", close=zigzag) == 0.0
    assert _one("autocorr_20", close=zigzag) == pytest.approx(-1.0)
    assert _one("downside_ratio_20", close=zigzag) == pytest.approx(sqrt(0.5))
    assert _one("skew_48", close=zigzag * 2) == pytest.approx(0.0, abs=1e-12)


def test_volume_by_hand() -> None:
    flat = [1.0] * 20
    volume = [1.0] * 19 + [21.0]
    assert _one("volume_ratio_20", close=flat, volume=volume) == pytest.approx(log(21 / 2))
    assert _one("volume_change_1", close=flat, volume=volume) == pytest.approx(log(21))
    rise = {"open": [1.0] * 20, "close": [1.0] * 19 + [2.0], "high": [1.0] * 19 + [2.0]}
    assert _one("up_volume_share_20", volume=volume, **rise) == 21 / 40
    assert _one("vwap_24_gap", close=[*flat, 1.0, 1.0, 1.0, 3.0], volume=[1.0] * 24) == pytest.approx(
        log(3 / (26 / 24))
    )


STILL = with_columns(
    **{name: np.full(1_100, 0.3) for name in ("open", "high", "low", "close")}, volume=np.full(1_100, 7.7)
)


@pytest.mark.parametrize("name", NAMES)
def test_a_price_that_stands_still_is_zero_in_every_feature(name: str) -> None:
    values = compute_features(STILL, [name])[FEATURES[name].warm_up - 1 :]
    if name.endswith("_gap") or name == "volume_ratio_20":
        np.testing.assert_allclose(values, 0.0, atol=1e-13)
    else:
        assert (values == 0.0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_market_that_falls_silent_settles_at_zero(name: str) -> None:
    rows = 3_000
    silence = np.full(rows - 600, C[599])
    columns = {key: np.concatenate((x[:600], silence)) for key, x in columns_of(SERIES).items()}
    columns["volume"][600:] = 0.0
    values = compute_features(with_columns(**columns), [name])
    assert np.isfinite(values[FEATURES[name].warm_up - 1 :]).all()
    # Kaufman's average hardly moves in a market that does not: 0.4 % of the way a bar.
    np.testing.assert_allclose(values[-200:], 0.0, atol=1e-6 if name == "kama_30_gap" else 1e-9)
