"""The 25 features of candles: returns, shapes of a bar, volatility, volume.

r = ln(c/c1) is the return of a bar, s its standard deviation over 20 bars. Anything over 0 is 0, and so is
the logarithm of a ratio in which either side is 0.
"""

from math import log as ln
from math import sqrt

from consilium.market.features.operation import SMALLEST_MOVE
from consilium.market.features.spec import table
from consilium.market.features.term import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    ROOT_BARS_PER_DAY,
    VOLUME,
    Term,
    above,
    absolute,
    asymmetry,
    co_deviations,
    counted,
    deviation,
    deviations,
    falling,
    highest,
    lag,
    larger,
    log,
    log_positive,
    log_ratio,
    lowest,
    mean,
    move_ratio,
    pick,
    positive,
    ratio,
    rising,
    root,
    smaller,
    total,
    within_one,
)

RETURN = log(CLOSE / lag(CLOSE, 1))
SPREAD_20 = deviation(RETURN, 20)
RANGE = log(HIGH / LOW)
SMALLEST_SQUARE = SMALLEST_MOVE * SMALLEST_MOVE


def _momentum(bars: int) -> Term:
    return ratio(log(CLOSE / lag(CLOSE, bars)), SPREAD_20, SMALLEST_MOVE) * (1.0 / sqrt(bars))


def _skew() -> Term:
    moments = asymmetry(RETURN, 48)
    variance = pick(moments, 1) * (1.0 / 48)
    return ratio(
        ratio(pick(moments, 2) * (1.0 / 48), variance, SMALLEST_SQUARE), root(variance), SMALLEST_MOVE
    )


def _autocorrelation() -> Term:
    before = lag(RETURN, 1)
    now_and_before = root(deviations(RETURN, 20)) * root(lag(deviations(RETURN, 20), 1))
    return within_one(ratio(co_deviations(RETURN, before, 20), now_and_before, 20 * SMALLEST_SQUARE))


def _volume_z() -> Term:
    traded = positive(VOLUME)
    found = counted(traded, log_positive(VOLUME), 48)
    variance = ratio(pick(found, 2), pick(found, 0) + -1.0)
    return traded * ratio(log_positive(VOLUME) - pick(found, 1), root(variance), SMALLEST_MOVE)


def _garman_klass() -> Term:
    body = log(CLOSE / OPEN)
    return root(rising(mean(RANGE * RANGE * 0.5 - body * body * (2 * ln(2) - 1), 20)))


def _amihud() -> Term:
    impact = ratio(absolute(RETURN), VOLUME * CLOSE)
    return log_ratio(mean(impact, 20), mean(impact, 480))


def _position(bars: int) -> Term:
    bottom = lowest(LOW, bars)
    return move_ratio(CLOSE - bottom, highest(HIGH, bars) - bottom)


BAR = HIGH - LOW

CANDLE = table(
    "candle",
    ("return_1", "r = ln(c/c1)", "return of the bar", RETURN),
    ("momentum_2", "ln(c/c2) / (s sqrt 2)", "return of 2 bars in its usual size", _momentum(2)),
    ("momentum_4", "ln(c/c4) / (s sqrt 4)", "return of 4 bars in its usual size", _momentum(4)),
    ("momentum_8", "ln(c/c8) / (s sqrt 8)", "return of 8 bars in its usual size", _momentum(8)),
    ("momentum_24", "ln(c/c24) / (s sqrt 24)", "return of 24 bars in its usual size", _momentum(24)),
    ("momentum_72", "ln(c/c72) / (s sqrt 72)", "return of 72 bars in its usual size", _momentum(72)),
    ("body", "(c - o) / (h - l)", "signed body as a share of the bar", move_ratio(CLOSE - OPEN, BAR)),
    (
        "upper_wick",
        "(h - max(o,c)) / (h - l)",
        "share above the body",
        move_ratio(HIGH - larger(OPEN, CLOSE), BAR),
    ),
    (
        "lower_wick",
        "(min(o,c) - l) / (h - l)",
        "share below the body",
        move_ratio(smaller(OPEN, CLOSE) - LOW, BAR),
    ),
    ("range_1", "ln(h/l)", "height of the bar", RANGE),
    ("gap_open", "ln(o/c1)", "jump between bars", log(OPEN / lag(CLOSE, 1))),
    (
        "range_ratio_20",
        "ln(range_1 / mean20 range_1)",
        "height beside its mean",
        log_ratio(RANGE, mean(RANGE, 20), SMALLEST_MOVE),
    ),
    ("volatility_20", "s sqrt(bars a day)", "daily volatility", SPREAD_20 * ROOT_BARS_PER_DAY),
    (
        "volatility_parkinson_20",
        "sqrt(mean20 ln(h/l)^2 / (4 ln 2))",
        "volatility of a bar, from its range",
        root(mean(RANGE * RANGE, 20) * (1.0 / (4 * ln(2)))),
    ),
    (
        "volatility_garman_klass_20",
        "sqrt(mean20(.5 ln(h/l)^2 - (2 ln 2 - 1) ln(c/o)^2)), 0 below 0",
        "volatility of a bar, from range and body",
        _garman_klass(),
    ),
    (
        "volatility_ratio_5_20",
        "ln(std5 r / s)",
        "volatility lately beside usual",
        log_ratio(deviation(RETURN, 5), SPREAD_20, SMALLEST_MOVE),
    ),
    (
        "downside_ratio_20",
        "sqrt(sum20 min(r,0)^2 / sum20 r^2)",
        "share of falls in volatility",
        root(
            ratio(
                total(falling(RETURN) * falling(RETURN), 20), total(RETURN * RETURN, 20), 20 * SMALLEST_SQUARE
            )
        ),
    ),
    ("skew_48", "mean48 (r - m)^3 / (mean48 (r - m)^2)^1.5", "lean of returns", _skew()),
    ("autocorr_20", "corr20(r, r1)", "do returns go on or turn back", _autocorrelation()),
    (
        "efficiency_20",
        "|sum20 r| / sum20 |r|",
        "way gained of way gone",
        ratio(absolute(total(RETURN, 20)), total(absolute(RETURN), 20), 20 * SMALLEST_MOVE),
    ),
    ("position_24", "(c - min24 l) / (max24 h - min24 l)", "place in the range of 24 bars", _position(24)),
    ("volume_change_1", "ln(v/v1)", "growth of volume", log_ratio(VOLUME, lag(VOLUME, 1))),
    (
        "volume_z_48",
        "(ln v - mean48 ln v) / std48 ln v over bars with v > 0",
        "volume beside usual",
        _volume_z(),
    ),
    (
        "amihud_20",
        "ln(mean20 i / mean480 i), i = |r| / (v c)",
        "illiquidity lately beside usual",
        _amihud(),
    ),
    (
        "up_volume_share_20",
        "sum20 v[c > o] / sum20 v",
        "share of volume in rising bars",
        ratio(total(VOLUME * above(CLOSE, OPEN), 20), total(VOLUME, 20)),
    ),
)
