"""Runs of the twin that are compared with the backtest at once."""

from collections.abc import Sequence
from typing import Any

import pytest

from consilium.domain import Direction, Policy
from consilium.market.candles import CandleSeries
from consilium.trading import CostModel, run_backtest
from consilium.trading.twin import TwinResult, twin_backtest, twin_search
from trading_bars import Row, signals, warmed
from twin_worlds import BIT_FOR_BIT, ENGINES, assert_same_trading

UP, DOWN = Direction.UP, Direction.DOWN
FREE = CostModel(half_spread=0.0, impact_coefficient=0.0, fee_scale=0.0)
BOOK: dict[str, Any] = {"policy": Policy(), "limits": False, "notional": 1_000.0, "horizon": 3, "costs": FREE}
engines = pytest.mark.parametrize("compiled", ENGINES)


def trade(
    rows: Sequence[Row], moves: dict[int, Direction], *, compiled: bool, volume: float = 1e6, **told: object
) -> TwinResult:
    """Twenty quiet bars at 100 with a true range of 2, then the rows; always the backtest's fills as well."""
    bars = warmed(rows, volume=volume)
    words = {**BOOK, **told}
    slow = run_backtest({"BTCUSDT": bars}, [signals(bars, moves)], **words)
    twin = twin_backtest({"BTCUSDT": bars}, [signals(bars, moves)], compiled=compiled, **words)
    assert_same_trading(twin, slow, exactly=BIT_FOR_BIT)
    return twin


def told(result: TwinResult) -> list[tuple[int, int, float, float]]:
    fills = result.fills
    columns = (fills.bar, fills.sign, fills.price.round(6), fills.quantity.round(6))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def both(panel: dict[str, CandleSeries], moves: dict[int, Direction], *, compiled: bool) -> list[int]:
    """Bars of the first symbol's fills, which must be the backtest's; only it has signals."""
    name = next(iter(panel))
    words = {**BOOK, "initial_cash": 1e5}
    given = [signals(panel[name], moves)]
    twin = twin_backtest(panel, given, compiled=compiled, **words)
    assert_same_trading(twin, run_backtest(panel, given, **words))
    found = twin_search(panel, [given], horizon=3, costs=FREE, compiled=compiled)
    assert found.fills[0] == len(twin.fills)
    bars: list[int] = twin.fills.bar.tolist()
    return bars
