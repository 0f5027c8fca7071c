"""The conservative fallback of seed 002."""

import numpy as np
import pytest

from consilium.domain import Direction, InvalidValue, direction_of
from consilium.models.fallback import CONFIDENCE, RsiEmaFallback

NAMES = ("return_1", "rsi_14", "ema_10_gap", "ema_50_gap")
UP, FLAT, DOWN = Direction.UP, Direction.FLAT, Direction.DOWN


def stated(rsi: float, cross: float) -> Direction:
    """The fallback's direction at an RSI in [0, 100] and an EMA10 that lies so far above the EMA50."""
    model = RsiEmaFallback(feature_names=NAMES)
    close, ema_50 = 100.0, 80.0
    ema_10 = ema_50 * (1.0 + cross)
    row = [[0.0, rsi / 100, np.log(close / ema_10), np.log(close / ema_50)]]
    direction = Direction(int(model.predict(row)[0]))
    down, flat, up = model.predict_proba(row)[0].tolist()
    assert direction_of((down, flat, up)) is direction
    return direction


@pytest.mark.promise(
    "002", "conservative fallback: RSI < 30 is BUY (oversold), RSI > 70 is SELL (overbought)"
)
def test_the_fallback_buys_oversold_and_sells_overbought() -> None:
    assert stated(29.9, 0.0) is UP
    assert stated(70.1, 0.0) is DOWN
    assert [stated(rsi, 0.0) for rsi in (30.0, 50.0, 70.0)] == [FLAT] * 3


@pytest.mark.promise("002", "conservative fallback: an EMA crossover of +-1.5 % gives the direction")
def test_an_ema_cross_beyond_one_and_a_half_percent_gives_a_direction() -> None:
    assert stated(50.0, 0.0151) is UP
    assert stated(50.0, -0.0151) is DOWN
    assert [stated(50.0, cross) for cross in (0.0149, 0.0, -0.0149)] == [FLAT] * 3


def test_voices_that_agree_speak_and_voices_that_contradict_are_flat() -> None:
    assert stated(25.0, 0.02) is UP
    assert stated(75.0, -0.02) is DOWN
    assert stated(25.0, -0.02) is FLAT
    assert stated(75.0, 0.02) is FLAT


def test_it_needs_no_training_and_says_half_or_nothing() -> None:
    model = RsiEmaFallback(feature_names=NAMES)
    p = model.predict_proba([[0.0, 0.2, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0]])
    assert p.tolist() == [[0.25, 0.25, CONFIDENCE], [1 / 3, 1 / 3, 1 / 3]]


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(InvalidValue, match="needs the feature ema_50_gap"):
        RsiEmaFallback(feature_names=NAMES[:3]).predict([[0.0, 0.5, 0.0]])


def test_bounds_in_percent_are_refused() -> None:
    with pytest.raises(InvalidValue, match="fractions, not percentages"):
        RsiEmaFallback(feature_names=NAMES, oversold=30, overbought=70).predict([[0.0, 0.5, 0.0, 0.0]])


def test_a_price_that_stands_still_is_not_oversold() -> None:
    model = RsiEmaFallback(feature_names=("rsi_14", "ema_10_gap", "ema_50_gap"))
    still, fallen = model.predict_proba([[0.0, 0.0, 0.0], [0.0, -0.02, -0.02]])
    assert still.tolist() == [1 / 3] * 3
    assert fallen.argmax() == 2
