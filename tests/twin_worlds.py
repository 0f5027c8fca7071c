"""Worlds in which the twin must do what the backtest does, and the comparison of the two."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from consilium.domain import HOUR_NS, Instrument, Policy
from consilium.market.candles import CandleSeries
from consilium.trading import BacktestResult, CostModel, SignalSeries
from consilium.trading.twin import TwinResult

NUMBA = find_spec("numba") is not None
ENGINES = [
    pytest.param(False, id="plain"),
    pytest.param(True, id="compiled", marks=pytest.mark.skipif(not NUMBA, reason="numba is not installed")),
]
SYMBOLS = ("A", "B", "C")
CLOSE_ENOUGH = 1e-9

BIT_FOR_BIT = sys.version_info < (3, 12)
"""From 3.12 on Python's sum corrects its rounding, and the tape's figures differ from the twin's at 1e-16."""


@dataclass(frozen=True)
class World:
    """A panel, its signals, and the words in which both are told to trade."""

    panel: dict[str, CandleSeries]
    signals: list[SignalSeries]
    instruments: dict[str, Instrument]
    costs: CostModel
    horizon: int
    start_ts: int | None
    delay: int

    @property
    def terms(self) -> dict[str, Any]:
        return {
            "horizon": self.horizon,
            "costs": self.costs,
            "instruments": self.instruments,
            "start_ts": self.start_ts,
        }


def bars(rng: np.random.Generator, symbol: str, n: int, *, grid: bool) -> CandleSeries:
    """Jumps, gaps in time, bars without volume, stretches without a move; on a grid prices meet exactly."""
    moves = np.clip(rng.standard_t(2, n) * 0.02, -0.6, 0.6)
    gaps = rng.normal(0, 0.015, n) * (rng.random(n) < 0.3)
    volume = rng.lognormal(float(rng.choice([5.0, 9.0])), 1.5, n) * (rng.random(n) > 0.1)
    width = rng.exponential(0.01, (2, n))
    at = int(rng.integers(0, n))
    still = slice(at, at + int(rng.integers(0, 50)))
    moves[still], gaps[still], width[:, still] = 0.0, 0.0, 0.0
    if rng.random() < 0.3:
        volume[slice(at, at + int(rng.integers(0, 60)))] = 0.0
    close = 50 * np.exp(np.cumsum(moves))
    opened = np.concatenate([[50.0], close[:-1]]) * np.exp(gaps)
    high = np.maximum(opened, close) * (1 + width[0])
    low = np.minimum(opened, close) / (1 + width[1])
    if grid:
        opened, high, low, close = (np.maximum(np.round(x), 1.0) for x in (opened, high, low, close))
    interval = int(rng.choice([1, 1, 6, 7, 24])) * HOUR_NS
    # many holes look like closing hours, few like an outage; some bars are not on the clock
    holes = int(rng.choice([0, n // 25, n // 4]))
    places = 1 + np.sort(rng.choice(n + holes, n, replace=False))
    if rng.random() < 0.5:
        places = places + int(rng.choice([1, 20, 130])) * (np.arange(n) >= at)
    offset = np.cumsum(rng.random(n) < 0.02) * int(rng.choice([0, 0, HOUR_NS // 4]))
    return CandleSeries(
        symbol=symbol,
        interval_ns=interval,
        ts_open=places * interval + offset,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        bars_per_day=float(rng.choice([24.0, 6.5])),
    )


def opinions(rng: np.random.Generator, series: CandleSeries) -> SignalSeries:
    density = rng.choice([0.05, 0.3, 1.0])
    return SignalSeries(
        symbol=series.symbol,
        ts_event=series.ts_close,
        direction=rng.choice(np.array([0, 1, 2, 2], dtype=np.int8), len(series)),
        actionable=rng.random(len(series)) < density,
    )


def make_world(seed: int, symbols: int = 1) -> World:
    rng = np.random.default_rng(seed)
    panel = {
        symbol: bars(rng, symbol, int(rng.integers(30, 220)), grid=bool(rng.random() < 0.3))
        for symbol in SYMBOLS[:symbols]
    }
    first = next(iter(panel.values()))
    return World(
        panel=panel,
        signals=[opinions(rng, series) for series in panel.values()],
        instruments={
            symbol: Instrument(
                symbol=symbol,
                lot_size=float(rng.choice([0.0, 0.01, 1.0])),
                tick_size=float(rng.choice([0.0, 0.01])),
                min_notional=float(rng.choice([0.0, 5.0])),
                taker_fee=float(rng.choice([0.0, 0.001, 0.01])),
            )
            for symbol in panel
        },
        costs=CostModel(
            half_spread=float(rng.choice([0.0, 0.0005])),
            impact_coefficient=float(rng.choice([0.0, 1.0, 30.0])),
            participation=float(rng.choice([0.0001, 0.01, 1.0])),
            fee_scale=float(rng.choice([1.0, 2.0])),
        ),
        horizon=int(rng.integers(1, 9)),
        start_ts=None if rng.random() < 0.7 else int(first.ts_close[len(first) // 3]),
        delay=int(rng.choice([0, 0, 1, 3])),
    )


SEEDS = st.integers(0, 2**32 - 1)
POLICIES = st.builds(
    Policy,
    max_risk_per_trade=st.sampled_from([0.0, 0.005, 0.02, 1.0]),
    max_daily_risk=st.sampled_from([0.0, 0.001, 0.05, 1.0]),
    max_positions=st.sampled_from([0, 1, 5, 5]),
    max_leverage=st.sampled_from([0.2, 1.0, 10.0]),
    max_position_usd=st.sampled_from([50.0, 1e4, 1e6]),
    max_drawdown=st.sampled_from([0.0, 0.001, 0.01, 0.08]),
    max_exposure=st.sampled_from([0.1, 0.9, 1.0]),
    stop_multiplier=st.sampled_from([0.0, 0.25, 1.0, 1.0, 3.0]),
    entry=st.sampled_from([True, True, True, False]),
    strategy_exit=st.sampled_from([True, True, True, False]),
    protective_stop=st.sampled_from([True, True, True, False]),
)
NOTIONALS = st.sampled_from([None, None, 7.0, 1_000.0, 9_999.0, 10_500.0, 1e6])


def assert_same_trading(twin: TwinResult, slow: BacktestResult, *, exactly: bool = False) -> None:
    """Bars and sides must be the same, prices, quantities, fees and equity close enough, or to the bit."""
    orders = {order.order_id: order for order in slow.orders}
    ours = [orders[fill.order_id] for fill in slow.fills]
    fills = twin.fills
    assert [twin.symbols[i] for i in fills.symbol_index] == [order.symbol for order in ours]
    assert fills.ts_event.tolist() == [fill.ts_event for fill in slow.fills]
    assert fills.sign.tolist() == [order.side.sign for order in ours]
    assert twin.ts.tolist() == slow.ts.tolist()
    assert (twin.trades, twin.halts, twin.bars) == (len(slow.trades), len(slow.halts), slow.bars)
    assert twin.wins == sum(trade.net_pnl > 0 for trade in slow.trades)
    assert twin.held.keys() == slow.positions.keys()
    pairs = [
        (getattr(fills, name), np.array([getattr(fill, name) for fill in slow.fills]))
        for name in ("price", "quantity", "fee")
    ]
    for one, other in [*pairs, (twin.equity, slow.equity)]:
        if exactly:
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, other, rtol=CLOSE_ENOUGH, atol=0.0)
    assert twin.fees == pytest.approx(slow.fees, rel=CLOSE_ENOUGH)
    assert twin.traded_value == pytest.approx(slow.traded_value, rel=CLOSE_ENOUGH)
    assert twin.net_return == pytest.approx(slow.net_return, rel=CLOSE_ENOUGH, abs=1e-12)
