"""Unit books: what each model would have earned alone, at a fixed size."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Instrument, Policy
from consilium.market.candles import CandleSeries
from consilium.trading.backtest import BacktestResult, run_backtest
from consilium.trading.execution import CostModel
from consilium.trading.metrics import FEWEST_DAYS, daily_returns, max_drawdown, sharpe_error, sharpe_ratio
from consilium.trading.signals import Signals
from consilium.trading.tape import Tape

CUSHION = 100.0
"""A book holds this many times the cash of all its positions, so that losses never change its size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitBook:
    """The account of one model; returns are profit / (notional x symbols), added up and not compounded.

    Parameters
    ----------
    net_return
        After costs, positions still open at their last close.
    sharpe, sharpe_error
        Annual, from daily returns with flat days in; None below 30 days.
    win_rate
        None without a round trip.
    daily
        Daily returns, shape (days,).
    """

    net_return: float
    trades: int
    win_rate: float | None
    sharpe: float | None
    sharpe_error: float | None
    max_drawdown: float
    fees: float
    traded_value: float
    daily: NDArray[np.float64]
    result: BacktestResult


def run_unit_book(
    panel: Mapping[str, CandleSeries] | Mapping[str, Tape],
    signals: Signals,
    *,
    horizon: int,
    costs: CostModel | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    notional: float = 1_000.0,
    start_ts: int | None = None,
) -> UnitBook:
    """Trade a model's own directions, UP opens and DOWN closes, at a fixed value a position.

    The same strategy, stops, broker and costs as a backtest; no risk limits.

    Parameters
    ----------
    panel
        Candles by symbol, or what ``prepare`` made of them (quicker for several books).
    signals
        The model's directions; ``actionable`` False rows are left out.
    horizon
        Bars that a position lasts, >= 1.
    costs, instruments, start_ts
        As in a backtest.
    notional
        Value of a position in quote units, > 0.
    """
    capital = notional * len(panel)
    result = run_backtest(
        panel,
        signals,
        policy=Policy(),
        limits=False,
        horizon=horizon,
        costs=costs,
        instruments=instruments,
        initial_cash=capital * CUSHION,
        notional=notional,
        start_ts=start_ts,
    )
    curve = 1.0 + (result.equity - result.initial_cash) / capital
    daily = _added(result.ts, result.equity, capital)
    wins = [trade.net_pnl > 0 for trade in result.trades]
    enough = len(daily) >= FEWEST_DAYS
    return UnitBook(
        net_return=float(curve[-1]) - 1.0,
        trades=len(wins),
        win_rate=sum(wins) / len(wins) if wins else None,
        sharpe=sharpe_ratio(daily) if enough else None,
        sharpe_error=sharpe_error(daily) if enough else None,
        max_drawdown=max_drawdown(curve),
        fees=result.fees,
        traded_value=result.traded_value,
        daily=daily,
        result=result,
    )


def _added(ts: NDArray[np.int64], equity: NDArray[np.float64], capital: float) -> NDArray[np.float64]:
    """Daily profits over a fixed capital: relative daily returns times the value that they were made on."""
    relative = daily_returns(ts, equity)
    before = np.concatenate([[1.0], np.cumprod(1.0 + relative)[:-1]]) * equity[0]
    added: NDArray[np.float64] = relative * before / capital
    return added
