from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.domain import Policy
from consilium.market.candles import CandleSeries
from consilium.market.sources import load_candles
from consilium.trading import SignalSeries, prepare, run_backtest, run_unit_book
from consilium.trading.twin import twin_backtest, twin_search
from twin_worlds import ENGINES, assert_same_trading

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")

pytestmark = [pytest.mark.shared, pytest.mark.parametrize("compiled", ENGINES)]


def flips(panel: dict[str, CandleSeries], seed: int) -> list[SignalSeries]:
    rng = np.random.default_rng(seed)
    return [
        SignalSeries(
            symbol=symbol,
            ts_event=bars.ts_close,
            direction=rng.choice(np.array([0, 2], dtype=np.int8), len(bars)),
            actionable=rng.random(len(bars)) < 0.2,
        )
        for symbol, bars in panel.items()
    ]


def test_on_real_candles_unit_books_and_their_twin_agree(candles_1h: Path, compiled: bool) -> None:
    panel = load_candles(candles_1h, SYMBOLS).series
    variants = [flips(panel, seed) for seed in (1, 2)]
    tapes = prepare(panel)
    found = twin_search(tapes, variants, horizon=4, compiled=compiled)
    for k, signals in enumerate(variants):
        book = run_unit_book(tapes, signals, horizon=4)
        assert book.trades > 500
        assert found.trades[k] == book.trades
        assert found.net_return[k] == pytest.approx(book.net_return, rel=1e-9)
        np.testing.assert_allclose(found.daily[:, k], book.daily, rtol=1e-9, atol=1e-11)
        told: dict[str, Any] = {
            "policy": Policy(),
            "limits": False,
            "notional": 1_000.0,
            "initial_cash": 300_000.0,
        }
        twin = twin_backtest(tapes, signals, horizon=4, compiled=compiled, **told)
        assert_same_trading(twin, book.result)


def test_on_real_candles_the_account_of_one_symbol_and_its_twin_agree(
    candles_1h: Path, compiled: bool
) -> None:
    panel = load_candles(candles_1h, ("ETHUSDT",)).series
    policy = Policy(max_drawdown=0.03)
    slow = run_backtest(panel, flips(panel, 3), policy=policy, horizon=4)
    twin = twin_backtest(panel, flips(panel, 3), policy=policy, horizon=4, compiled=compiled)
    assert len(slow.fills) > 200
    assert slow.halts
    assert_same_trading(twin, slow)
