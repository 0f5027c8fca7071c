from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest

from consilium.domain import HOUR_NS, Instrument, InvalidValue
from consilium.trading.execution import (
    CostModel,
    floor_quantity,
    impact,
    round_price,
    round_trip_cost,
    taker_price,
)
from consilium.trading.tape import Tape, WilderATR
from trading_bars import QUIET, series


def test_a_round_trip_costs_two_fees_and_two_half_spreads() -> None:
    cheap = Instrument(symbol="X", taker_fee=0.0005)
    assert round_trip_cost(CostModel(half_spread=0.0003), cheap) == pytest.approx(0.0016)


def test_three_times_the_costs_are_three_times_the_round_trip() -> None:
    assert round_trip_cost(CostModel().scaled(3.0)) == pytest.approx(3 * round_trip_cost(CostModel()))


def test_four_times_the_size_has_twice_the_impact() -> None:
    assert impact(400.0, 0.03, 1e6) == pytest.approx(2 * impact(100.0, 0.03, 1e6)) == pytest.approx(0.0006)


def test_impact_where_nothing_is_traded_is_refused() -> None:
    with pytest.raises(InvalidValue, match="volume_day must be > 0; got 0"):
        impact(1.0, 0.03, 0.0)


def test_a_taker_always_pays_the_rounding() -> None:
    assert taker_price(+1, 100.0, 0.0001, tick_size=0.05) == 100.05
    assert taker_price(-1, 100.0, 0.0001, tick_size=0.05) == 99.95


def test_slippage_never_turns_a_price_negative() -> None:
    assert taker_price(-1, 100.0, 7.0) == 50.0


def test_prices_and_quantities_on_the_grid_stay() -> None:
    assert round_price(0.3, 0.1, up=True) == round_price(0.3, 0.1, up=False) == 0.3
    assert floor_quantity(0.3, 0.1) == 0.3
    assert floor_quantity(0.0999, 0.1) == 0.0


@pytest.mark.parametrize("field", ["half_spread", "participation"])
def test_costs_outside_their_range_are_refused(field: str) -> None:
    with pytest.raises(InvalidValue, match=field):
        CostModel(**{field: 1.5})


def test_the_true_range_is_wilders_as_talib_has_it() -> None:
    talib = pytest.importorskip("talib")
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 300)))
    high, low = close * (1 + rng.random(300) / 50), close * (1 - rng.random(300) / 50)
    atr = WilderATR()
    ours = [atr.update(h, l, c) for h, l, c in zip(high.tolist(), low.tolist(), close.tolist(), strict=True)]
    np.testing.assert_allclose(ours, talib.ATR(high, low, close, 14), rtol=1e-12)


def test_daily_volatility_is_of_twenty_returns_times_the_root_of_the_bars_a_day() -> None:
    closes = [100.0 + i % 3 for i in range(40)]
    tape = Tape.of_series(series([(c, c + 1, c - 1, c) for c in closes]))
    returns = [log(b / a) for a, b in pairwise(closes[9:30])]
    assert tape.daily_volatility(30) == pytest.approx(np.std(returns, ddof=1) * sqrt(24))


def test_the_daily_volume_of_a_short_history_is_scaled_to_a_day() -> None:
    tape = Tape.of_series(series([QUIET] * 6, volume=5.0))
    assert tape.daily_volume(6) == pytest.approx(120.0)


def test_a_long_lived_tape_forgets_old_bars_and_keeps_its_count() -> None:
    whole = series([(100 + i % 7, 120, 90, 101 + i % 5, 10 + i % 3) for i in range(9_000)])
    pushed, laid = Tape("BTCUSDT", HOUR_NS), Tape.of_series(whole)
    for i in range(len(whole)):
        pushed.push(whole.candle(i))
    laid.i = len(whole) - 1
    assert len(pushed.close) < 9_000
    assert (pushed.count, pushed.ts_close) == (laid.count, laid.ts_close) == (9_000, 9_000 * HOUR_NS)
    assert pushed.daily_volatility(pushed.i) == laid.daily_volatility(laid.i)
    assert pushed.daily_volume(pushed.i) == laid.daily_volume(laid.i)
    assert pushed.median_volume() == laid.median_volume()
    assert pushed.atr[pushed.i] == laid.atr[laid.i]
