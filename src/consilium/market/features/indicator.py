"""The 37 indicators, each as a ratio without unit.

A = Wilder's ATR over 14 bars, gap(x) = ln(c/x), TR = max(h, c1) - min(l, c1), tp = (h + l + c)/3, and
s = std20 r as among the candles. Percentages of the usual definitions are fractions here.
"""

from consilium.market.features.candle import RETURN, SPREAD_20
from consilium.market.features.operation import SMALLEST_MOVE
from consilium.market.features.spec import table
from consilium.market.features.term import (
    CLOSE,
    HIGH,
    LOW,
    VOLUME,
    Term,
    above,
    absolute,
    adaptive,
    age_of_highest,
    deviations,
    ema,
    highest,
    lag,
    larger,
    log,
    log_move_ratio,
    log_ratio,
    lowest,
    mean,
    mean_deviation,
    move_ratio,
    parabolic_stop,
    ratio,
    rising,
    root,
    smaller,
    total,
    weighted,
    wilder,
)

CLOSE_1 = lag(CLOSE, 1)
CHANGE = CLOSE - CLOSE_1
TRUE_RANGE = larger(HIGH, CLOSE_1) - smaller(LOW, CLOSE_1)
ATR = wilder(TRUE_RANGE, 14)
TYPICAL = (HIGH + LOW + CLOSE) * (1.0 / 3)
MACD = ema(CLOSE, 12) - ema(CLOSE, 26)
CHANGE_EITHER_WAY = above(CLOSE, CLOSE_1) - above(CLOSE_1, CLOSE)


def _gap(x: Term) -> Term:
    return log(CLOSE / x)


def _kama() -> Term:
    way = total(absolute(CHANGE), 30)
    efficiency = move_ratio(absolute(CLOSE - lag(CLOSE, 30)), way)
    fast, slow = 2.0 / 3, 2.0 / 31
    rate = efficiency * (fast - slow) + slow
    return adaptive(CLOSE, rate * rate, 30)


def _slope_weights(bars: int) -> tuple[float, ...]:
    # A line fitted to ln c rises by a weighted sum of the returns between its points, heaviest in the
    # middle: this form has no level to cancel.
    squares = bars * (bars * bars - 1) / 12
    return tuple(m * (bars - m) / (2 * squares) for m in range(1, bars))


def _directional() -> tuple[Term, Term, Term]:
    up, down = HIGH - lag(HIGH, 1), lag(LOW, 1) - LOW
    plus = move_ratio(wilder(rising(up) * above(up, down), 14), ATR)
    minus = move_ratio(wilder(rising(down) * above(down, up), 14), ATR)
    return wilder(ratio(absolute(plus - minus), plus + minus, SMALLEST_MOVE), 14), plus, minus


def _middle(bars: int) -> Term:
    return (highest(HIGH, bars) + lowest(LOW, bars)) * 0.5


def _trix() -> Term:
    thrice = ema(ema(ema(CLOSE, 15), 15), 15)
    return ratio((thrice - lag(thrice, 1)) / lag(thrice, 1), SPREAD_20, SMALLEST_MOVE)


def _vortex() -> Term:
    up, down = absolute(HIGH - lag(LOW, 1)), absolute(LOW - lag(HIGH, 1))
    return move_ratio(total(up, 14) - total(down, 14), total(TRUE_RANGE, 14))


def _rsi(bars: int) -> Term:
    gain, loss = wilder(rising(CHANGE), bars), wilder(rising(CHANGE * -1.0), bars)
    return move_ratio(gain, gain + loss)


def _place(x: Term, top: Term, bottom: Term) -> Term:
    return move_ratio(x - bottom, top - bottom)


def _stoch_rsi() -> Term:
    rsi = _rsi(14)
    bottom = lowest(rsi, 14)
    return ratio(rsi - bottom, highest(rsi, 14) - bottom, SMALLEST_MOVE)


def _cci() -> Term:
    return move_ratio(TYPICAL - mean(TYPICAL, 20), mean_deviation(TYPICAL, 20)) * (1 / (0.015 * 200))


def _mfi() -> Term:
    flow, before = TYPICAL * VOLUME, lag(TYPICAL, 1)
    gain, loss = total(flow * above(TYPICAL, before), 14), total(flow * above(before, TYPICAL), 14)
    return ratio(gain, gain + loss)


def _ultosc() -> Term:
    pressure = CLOSE - smaller(LOW, CLOSE_1)
    quick, medium, slow = (move_ratio(total(pressure, n), total(TRUE_RANGE, n)) for n in (7, 14, 28))
    return (quick * 4.0 + medium * 2.0 + slow) * (1 / 7)


def _tsi() -> Term:
    return move_ratio(ema(ema(CHANGE, 25), 13), ema(ema(absolute(CHANGE), 25), 13))


def _money_flow() -> Term:
    place = move_ratio((CLOSE - LOW) - (HIGH - CLOSE), HIGH - LOW)
    return ratio(total(place * VOLUME, 20), total(VOLUME, 20))


ADX, PLUS_DI, MINUS_DI = _directional()
STOCHASTIC = _place(CLOSE, highest(HIGH, 14), lowest(LOW, 14))
AROON = age_of_highest(LOW * -1.0, 26) - age_of_highest(HIGH, 26)
SLOPE = weighted(RETURN, _slope_weights(20))
MIDDLE_20 = mean(CLOSE, 20)
BAND = root(deviations(CLOSE, 20) * (1 / 20))
VOLUME_PRICE_24 = ratio(total(TYPICAL * VOLUME, 24), total(VOLUME, 24))

INDICATOR = table(
    "indicator",
    ("ema_10_gap", "gap(EMA10)", "close over its mean of 10", _gap(ema(CLOSE, 10))),
    ("ema_20_gap", "gap(EMA20)", "close over its mean of 20", _gap(ema(CLOSE, 20))),
    ("ema_50_gap", "gap(EMA50)", "close over its mean of 50", _gap(ema(CLOSE, 50))),
    ("ema_200_gap", "gap(EMA200)", "close over its mean of 200", _gap(ema(CLOSE, 200))),
    ("kama_30_gap", "gap(KAMA30), fast 2, slow 30", "close over Kaufman's adaptive mean", _gap(_kama())),
    (
        "linreg_slope_20",
        "slope of the line through 20 ln c, / s",
        "trend a bar, in its usual size",
        ratio(SLOPE, SPREAD_20, SMALLEST_MOVE),
    ),
    ("macd_atr", "(EMA12 - EMA26) / A", "trend of means", move_ratio(MACD, ATR)),
    ("macd_signal_atr", "EMA9(EMA12 - EMA26) / A", "the same, smoothed", move_ratio(ema(MACD, 9), ATR)),
    ("adx_14", "Wilder14(|DI+ - DI-| / (DI+ + DI-))", "strength of trend", ADX),
    ("plus_di_14", "DI+ = Wilder14(DM+) / A", "share of rising highs", PLUS_DI),
    ("minus_di_14", "DI- = Wilder14(DM-) / A", "share of falling lows", MINUS_DI),
    (
        "aroon_osc_25",
        "(bars since min26 l - bars since max26 h) / 25",
        "is the top newer than the bottom",
        AROON * (1 / 25),
    ),
    (
        "sar_distance",
        "(c - SAR) / A, SAR .02 to .2",
        "way to the parabolic stop",
        move_ratio(CLOSE - parabolic_stop(), ATR),
    ),
    (
        "tenkan_9_distance",
        "(c - (max9 h + min9 l)/2) / A",
        "way to the middle of 9 bars",
        move_ratio(CLOSE - _middle(9), ATR),
    ),
    (
        "kijun_26_distance",
        "(c - (max26 h + min26 l)/2) / A",
        "way to the middle of 26 bars",
        move_ratio(CLOSE - _middle(26), ATR),
    ),
    ("trix_15", "(T/T1 - 1) / s, T = EMA15(EMA15(EMA15))", "slope of a mean smoothed thrice", _trix()),
    (
        "vortex_14",
        "(sum14 |h - l1| - sum14 |l - h1|) / sum14 TR",
        "VI+ less VI-",
        _vortex(),
    ),
    ("rsi_7", "G / (G + L), G = Wilder7(max(c-c1,0)), L of falls", "share of gains, 7 bars", _rsi(7)),
    ("rsi_14", "G / (G + L) with Wilder14", "share of gains, 14 bars", _rsi(14)),
    ("rsi_28", "G / (G + L) with Wilder28", "share of gains, 28 bars", _rsi(28)),
    ("stoch_k_14", "(c - min14 l) / (max14 h - min14 l)", "place in the range of 14 bars", STOCHASTIC),
    ("stoch_d_3", "mean3 stoch_k_14", "the same, smoothed", mean(STOCHASTIC, 3)),
    (
        "stoch_rsi_14",
        "(rsi - min14 rsi) / (max14 rsi - min14 rsi)",
        "place of rsi_14 in its range",
        _stoch_rsi(),
    ),
    (
        "cci_20",
        "(tp - mean20 tp) / (.015 mean20 |tp - mean20 tp|) / 200",
        "typical price off its mean",
        _cci(),
    ),
    ("mfi_14", "sum14 tp v[tp > tp1] / sum14 tp v[tp != tp1]", "share of value in rising bars", _mfi()),
    ("ultosc", "(4 B7 + 2 B14 + B28) / 7, Bn = sumn(c - min(l,c1)) / sumn TR", "buying pressure", _ultosc()),
    ("tsi_25_13", "EMA13(EMA25(c - c1)) / EMA13(EMA25(|c - c1|))", "smoothed strength of moves", _tsi()),
    ("atr_14_ratio", "A / c", "true range beside the price", ATR / CLOSE),
    (
        "atr_ratio_7_28",
        "ln(ATR7 / ATR28)",
        "true range lately beside usual",
        log_move_ratio(wilder(TRUE_RANGE, 7), wilder(TRUE_RANGE, 28)),
    ),
    (
        "bb_percent_b",
        "(c - lower) / (upper - lower), mean20 c +- 2 sigma",
        "place between Bollinger's bands",
        move_ratio(CLOSE - MIDDLE_20 + BAND * 2.0, BAND * 4.0),
    ),
    ("bb_width", "(upper - lower) / mean20 c", "width of the bands", BAND * 4.0 / MIDDLE_20),
    (
        "keltner_20",
        "(c - EMA20) / (2 A)",
        "place in Keltner's channel",
        move_ratio(CLOSE - ema(CLOSE, 20), ATR) * 0.5,
    ),
    (
        "donchian_55",
        "(c - min55 l) / (max55 h - min55 l)",
        "place in the range of 55 bars",
        _place(CLOSE, highest(HIGH, 55), lowest(LOW, 55)),
    ),
    (
        "obv_slope_20",
        "sum20 sign(c - c1) v / sum20 v",
        "change of on-balance volume",
        ratio(total(CHANGE_EITHER_WAY * VOLUME, 20), total(VOLUME, 20)),
    ),
    ("cmf_20", "sum20 v ((c-l) - (h-c)) / (h-l) / sum20 v", "Chaikin's money flow", _money_flow()),
    ("volume_ratio_20", "ln(v / mean20 v)", "volume beside its mean", log_ratio(VOLUME, mean(VOLUME, 20))),
    (
        "vwap_24_gap",
        "gap(sum24 tp v / sum24 v)",
        "close over the mean price paid",
        log_ratio(CLOSE, VOLUME_PRICE_24),
    ),
)
