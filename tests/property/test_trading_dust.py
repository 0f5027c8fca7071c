"""Broker and books agree on what is held, however little of it a bar lets through."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import HOUR_NS, Policy
from consilium.market.candles import CandleSeries
from consilium.trading import (
    CostModel,
    PaperBroker,
    Portfolio,
    RiskGate,
    SignalSeries,
    Strategy,
    TradingService,
)
from consilium.trading.tape import Tape

BARS = 150


def starving(seed: int) -> CandleSeries:
    """Bars that fall through stops, whose volumes let all go, all but a crumb, or a crumb of a crumb."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0.0, 0.03, BARS)))
    opened = np.concatenate([[50.0], close[:-1]]) * np.exp(rng.normal(0.0, 0.03, BARS))
    crumb = 10.0 ** -rng.uniform(10.5, 13, BARS)
    kind = rng.integers(0, 3, BARS)
    volume = np.select([kind == 0, kind == 1], [np.ones(BARS), 1.0 - crumb], crumb)
    return CandleSeries(
        symbol="AAA",
        interval_ns=HOUR_NS,
        ts_open=np.arange(BARS) * HOUR_NS,
        open=opened,
        high=np.maximum(opened, close) * 1.01,
        low=np.minimum(opened, close) / 1.01,
        close=close,
        volume=volume,
        bars_per_day=24.0,
    )


@given(seed=st.integers(0, 2**32 - 1), horizon=st.integers(1, 3))
def test_broker_and_portfolio_hold_the_same_when_only_crumbs_can_be_sold(seed: int, horizon: int) -> None:
    bars = starving(seed)
    rng = np.random.default_rng(seed)
    moves = SignalSeries(
        symbol="AAA",
        ts_event=bars.ts_close,
        direction=rng.choice(np.array([0, 1, 2], dtype=np.int8), BARS),
        actionable=np.ones(BARS, dtype=np.bool_),
    ).codes_at(bars.ts_close)
    costs = CostModel()
    broker, book = PaperBroker(1e4, costs), Portfolio(1e4)
    service = TradingService(
        broker, book, RiskGate(Policy(), limits=False), Strategy(horizon=horizon, notional=1e3)
    )
    desk = service.open_desk(Tape.of_series(bars))
    for i, ts in enumerate(bars.ts_close.tolist()):
        desk.tape.i = i
        service.bar(desk)
        service.settle(ts)
        if moves[i]:
            service.signal(desk, int(moves[i]) - 1, ts)
        service.leave(ts)
        held = {symbol: holding.quantity for symbol, holding in book.holdings.items()}
        assert held == {symbol: position.quantity for symbol, position in broker.positions().items()}
