"""What the forecasts would have earned: the account, its variants, and a paper account a forecaster."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.book_fills import BookFills, covered
from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import make_costs, make_instruments
from consilium.app.stages import ProgressCall
from consilium.domain import stated_directions, to_iso
from consilium.market.candles import CandleSeries
from consilium.trading.backtest import BacktestResult, prepare, run_backtest
from consilium.trading.books import run_unit_book
from consilium.trading.days import day_of_close
from consilium.trading.metrics import buy_and_hold, daily_returns, measure
from consilium.trading.signals import SignalSeries
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts


class Economics:
    """Runs accounts over one panel and one test period.

    Parameters
    ----------
    request
        Costs, policy and horizon.
    panel
        Candles by symbol.
    start_ts
        Close at which the first test forecast was made.
    recorded
        Recorded markets through which the orders of accounts are walked; None fills them from candles. The
        paper accounts of single forecasters are always filled from candles.
    """

    def __init__(
        self,
        request: BacktestRequest,
        panel: Mapping[str, CandleSeries],
        start_ts: int,
        recorded: BookFills | None = None,
    ) -> None:
        self.request, self.panel, self.start_ts = request, panel, start_ts
        self.recorded = None if recorded is None else recorded.starting(start_ts)
        self.tapes = prepare(panel)
        self.costs = make_costs(request.settings)
        self.instruments = make_instruments(request.settings, panel)

    def account(
        self,
        signals: Sequence[SignalSeries],
        *,
        limits: bool,
        costs: float = 1.0,
        delay: int = 0,
        size: float = 1.0,
    ) -> BacktestResult:
        """Run the paper account on the actionable consensuses.

        Parameters
        ----------
        signals
            Directions and whether to act on them, one series a symbol.
        limits
            False lifts the risk limits.
        costs
            Factor on fees, half spread and impact, >= 0.
        delay
            Bars by which every signal comes later, >= 0.
        size
            Factor on the money at the start and on the largest value of a position, > 0.
        """
        if self.recorded is not None:
            return self.recorded.account(
                self.tapes,
                covered(signals, self.recorded.markets, self.start_ts)[0],
                limits=limits,
                costs=costs,
                delay=delay,
                size=size,
                start_ts=self.start_ts,
            )
        policy = self.request.policy
        return run_backtest(
            self.tapes,
            signals,
            policy=replace(policy, max_position_usd=policy.max_position_usd * size),
            horizon=self.request.horizon,
            costs=self.costs.scaled(costs),
            limits=limits,
            instruments=self.instruments,
            initial_cash=self.equity * size,
            start_ts=self.start_ts,
            delay=delay,
        )

    @property
    def equity(self) -> float:
        """Money that the paper account begins with, in quote units."""
        return self.request.settings.paper.equity

    def book(self, dataset: Dataset, forecasts: Forecasts, name: str) -> dict[str, Any]:
        """Run the unit-size paper account of one forecaster on its own directions."""
        book = run_unit_book(
            self.tapes,
            _directions(dataset, forecasts, name),
            horizon=self.request.horizon,
            costs=self.costs,
            instruments=self.instruments,
            notional=self.request.settings.paper.unit_notional,
            start_ts=self.start_ts,
        )
        return {
            "net_return": book.net_return,
            "trades": book.trades,
            "win_rate": book.win_rate,
            "sharpe": book.sharpe,
            "sharpe_se": book.sharpe_error,
            "max_drawdown": book.max_drawdown,
            "fees": book.fees,
        }

    def unit_books(
        self, dataset: Dataset, forecasts: Forecasts, progress: ProgressCall
    ) -> dict[str, dict[str, Any]]:
        """Run the unit-size paper account of every forecaster."""
        books: dict[str, dict[str, Any]] = {}
        for done, name in enumerate(forecasts.probabilities):
            progress("unit-size paper books", done, len(forecasts.probabilities), name)
            books[name] = self.book(dataset, forecasts, name)
        progress("unit-size paper books", len(books), len(books))
        return books

    def basket(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the times and values of buy and hold over the same period, its costs in."""
        return buy_and_hold(
            self.panel,
            costs=self.costs,
            instruments=self.instruments,
            initial_cash=self.equity,
            start_ts=self.start_ts,
        )

    def hold(self) -> list[list[float]]:
        """Return buy and hold over the same period, as (time, value) pairs."""
        return pairs(*self.basket())


def account_daily(account: BacktestResult) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the UTC days of an account and its simple return on each, flat days in.

    Parameters
    ----------
    account
        Any account of a backtest.

    Returns
    -------
    Numbers of the UTC days since 1970, int64, one after the other, and returns; both shape (T,).
    """
    first = int(day_of_close(account.ts[:1])[0])
    returns = daily_returns(account.ts, account.equity)
    return first + np.arange(len(returns), dtype=np.int64), returns


def plain_figures(result: BacktestResult) -> dict[str, Any]:
    """Return the figures of an account as plain JSON."""
    found = measure(result)
    return {
        "net_return": 0.0 if not result.fills else found.net_return,
        "sharpe": found.sharpe,
        "sharpe_se": found.sharpe_error,
        "sortino": found.sortino,
        "max_drawdown": found.max_drawdown,
        "turnover": found.turnover,
        "fees": found.fees,
        "trades": found.trades,
        "win_rate": found.win_rate,
        "halts": len(result.halts),
        "open_positions": len(result.positions),
        "rejections": dict(result.rejections),
        "stranded": [
            f"{s.symbol} since {to_iso(s.ts_event)}" for s in result.stranded if s.ts_resumed is None
        ],
    }


def pairs(ts: NDArray[np.int64], values: NDArray[np.float64]) -> list[list[float]]:
    """Return (time, value) pairs as plain JSON."""
    return [[int(t), float(v)] for t, v in zip(ts.tolist(), values.tolist(), strict=True)]


def drawdown(result: BacktestResult) -> list[list[float]]:
    """Return the drawdown of an account as (time, fraction) pairs."""
    peak = np.maximum.accumulate(result.equity)
    return pairs(result.ts, 1.0 - result.equity / peak)


def _directions(dataset: Dataset, forecasts: Forecasts, name: str) -> list[SignalSeries]:
    """Return the directions of a forecaster by symbol; where it only emits climatology it does not trade."""
    p = forecasts.probabilities[name]
    best = stated_directions(p).astype(np.int8)
    return signals_of(dataset, forecasts, best, forecasts.skilled[name])


def signals_of(
    dataset: Dataset, forecasts: Forecasts, direction: NDArray[np.int8], actionable: NDArray[np.bool_]
) -> list[SignalSeries]:
    """Split columns over the test rows, shape (N,), into one series a symbol."""
    symbol_index, ts_event = dataset.symbol_index[forecasts.rows], dataset.ts_event[forecasts.rows]
    series = []
    for index, symbol in enumerate(dataset.symbols):
        mine = symbol_index == index
        series.append(
            SignalSeries(
                symbol=symbol, ts_event=ts_event[mine], direction=direction[mine], actionable=actionable[mine]
            )
        )
    return series
