from pathlib import Path

import numpy as np
import pytest

from consilium.domain import Policy
from consilium.market.sources import load_candles
from consilium.trading import (
    CostModel,
    SignalSeries,
    buy_and_hold,
    measure,
    prepare,
    run_backtest,
    run_unit_book,
)

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "AVAXUSDT", "BCHUSDT")

pytestmark = pytest.mark.shared


def test_coin_flips_on_real_candles_lose_what_trading_costs(candles_1h: Path) -> None:
    panel = load_candles(candles_1h, SYMBOLS).series
    rng = np.random.default_rng(7)
    flips = [
        SignalSeries(
            symbol=symbol,
            ts_event=bars.ts_close,
            direction=rng.choice(np.array([0, 2], dtype=np.int8), len(bars)),
            actionable=rng.random(len(bars)) < 0.1,
        )
        for symbol, bars in panel.items()
    ]
    tapes = prepare(panel)
    books = [
        run_unit_book(tapes, flips, horizon=4, costs=CostModel().scaled(k)) for k in (0.0, 1.0, 2.0, 3.0)
    ]
    free, once, twice, thrice = (book.net_return for book in books)
    trades = [book.trades for book in books]
    assert max(trades) - min(trades) <= 0.01 * max(trades), "costs move a stop by the spread at most"
    assert free > once > twice > thrice
    traded = books[1].traded_value / (1_000.0 * len(panel))
    assert free - once == pytest.approx(traded * (0.001 + 0.0001), rel=0.2)
    assert free - thrice == pytest.approx(3 * (free - once), rel=0.02)
    limited = measure(run_backtest(tapes, flips, policy=Policy(), horizon=4))
    assert limited.trades > 100
    assert limited.net_return < 0.0
    assert limited.sharpe_error is not None


def test_never_selling_on_real_candles_is_buy_and_hold(candles_1h: Path) -> None:
    panel = load_candles(candles_1h, ("BTCUSDT",)).series
    bars = panel["BTCUSDT"].slice(0, 2_000)
    start = 400
    once = SignalSeries(
        symbol="BTCUSDT",
        ts_event=bars.ts_close[start : start + 1],
        direction=np.array([2], dtype=np.int8),
        actionable=np.array([True]),
    )
    costs = CostModel(impact_coefficient=0.0)
    policy = Policy(protective_stop=False)
    result = run_backtest(
        {"BTCUSDT": bars},
        [once],
        policy=policy,
        limits=False,
        notional=10_000.0 / 1.2,
        horizon=10_000,
        costs=costs,
        start_ts=int(bars.ts_close[start]),
    )
    (fill,) = result.fills
    spent = fill.price * fill.quantity + fill.fee
    _, held = buy_and_hold(
        {"BTCUSDT": bars}, costs=costs, initial_cash=spent, start_ts=int(bars.ts_close[start])
    )
    assert fill.price == pytest.approx(float(bars.open[start + 1]) * 1.0001)
    assert result.equity[-1] - 10_000.0 == pytest.approx(held[-1] - spent, rel=0.01)
