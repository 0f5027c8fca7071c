"""What an account is measured against: its size, and buy and hold that moves as much as it does."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.economics import Economics, pairs
from consilium.domain import OrderKind, Side
from consilium.trading.backtest import BacktestResult
from consilium.trading.metrics import FEWEST_DAYS, YEAR_DAYS, daily_returns
from consilium.trading.signals import SignalSeries
from consilium.training.judge.sharpe import TOO_SHORT

FloatArray = NDArray[np.float64]

SIZES = (1.0, 10.0, 100.0, 1_000.0)
"""Multiples of the money at the start at which the account is run."""
LEAST_GROWTH = 0.1
"""Share of what the added money would have earned at the rate before it that a larger size has to earn."""
STEPS = 60


def held_equal_volatility(
    account: BacktestResult, basket: tuple[NDArray[np.int64], FloatArray], *, traded: bool
) -> dict[str, Any]:
    """Hold as much of the basket as makes its daily returns move as much as the account's.

    ``w`` of the money buys the basket at the start and the rest stays cash; ``w`` in [0, 1] is found by
    bisection. Spot money cannot be borrowed, so an account that moves more than the whole basket is compared
    with the whole basket.

    Parameters
    ----------
    account
        The account.
    basket
        Times and values of buy and hold with its costs, of the same money.
    traded
        Whether the account ever traded; if not, nothing is held.

    Returns
    -------
    Plain JSON: ``share`` w, ``net_return``, ``volatility`` (annual, of the account and of what is held),
    ``equity`` as (time, value) pairs, ``reason``. Below 30 days there is no share.
    """
    ts, value = basket
    growth = value / account.initial_cash
    target = _daily_spread(account.ts, account.equity)
    told: dict[str, Any] = {"reason": None, "volatility": target, "held_volatility": None}
    if not traded:
        share = 0.0
        told["reason"] = "the account never traded"
    elif target is None:
        return told | {"share": None, "net_return": None, "equity": [], "reason": TOO_SHORT}
    else:
        share, told["reason"] = _share(ts, growth, target)
    equity = 1.0 + share * (growth - 1.0)
    told["held_volatility"] = _daily_spread(ts, equity)
    return told | {
        "share": share,
        "net_return": float(equity[-1]) - 1.0,
        "equity": pairs(ts, account.initial_cash * equity),
    }


def _daily_spread(ts: NDArray[np.int64], equity: FloatArray) -> float | None:
    """Annual standard deviation of daily returns; None below 30 days."""
    returns = daily_returns(ts, equity)
    return float(np.std(returns, ddof=1)) * YEAR_DAYS**0.5 if len(returns) >= FEWEST_DAYS else None


def _share(ts: NDArray[np.int64], growth: FloatArray, target: float) -> tuple[float, str | None]:
    low, high = 0.0, 1.0
    if (_daily_spread(ts, growth) or 0.0) <= target:
        return 1.0, "the account moves as much as the whole basket or more: all of it is held, none borrowed"
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        if (_daily_spread(ts, 1.0 + middle * (growth - 1.0)) or 0.0) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0, None


def capacity(
    economics: Economics, signals: Sequence[SignalSeries], account: BacktestResult, *, limits: bool
) -> dict[str, Any]:
    """Run the account with 10, 100 and 1,000 times the money, and say what it still earned and filled.

    An entry asks for 1 % of the median volume at most and gets 1 % of its bar's; impact grows with its root.

    Parameters
    ----------
    economics, signals
        As for the account.
    account
        The account at its own size.
    limits
        Whether it ran inside the limits; the largest position grows with the money.

    Returns
    -------
    Plain JSON: ``rows`` with ``equity``, ``net_return``, ``profit``, ``cancelled`` (share of the value that
    entries asked for; None without one), ``turnover`` (traded value over mean equity, of the whole run), and
    ``largest``: the most money up to which it and each smaller size earned in money at least a tenth of what
    the money added to the size before it would have earned at that size's rate (so 1.9 times as much for
    tenfold money); None where the first size earned nothing. ``text`` says so, and what came beyond it.
    """
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        run = account if size == 1.0 else economics.account(signals, limits=limits, size=size)
        earned = run.net_return if run.fills else 0.0
        rows.append(
            {
                "equity": run.initial_cash,
                "net_return": earned,
                "profit": earned * run.initial_cash,
                "cancelled": _cancelled(economics, run),
                "turnover": run.turnover,
            }
        )
        if not run.fills:
            break
    return {"rows": rows, **largest_worth(rows)}


def largest_worth(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the largest size that is still worth its money, and say what the next one did.

    Parameters
    ----------
    rows
        One or more, by size, with ``equity`` and ``profit`` in money.

    Examples
    --------
    >>> largest_worth([{"equity": 1e4, "profit": 90.0}, {"equity": 1e5, "profit": 120.0}])["text"]
    'It earned at 10,000 at the start; at 100,000 it earned hardly more.'
    """
    if rows[0]["profit"] <= 0.0:
        return {"largest": None, "text": None}
    for last, row in pairwise(rows):
        rate = row["equity"] / last["equity"]
        if row["profit"] < last["profit"] * (1.0 + LEAST_GROWTH * (rate - 1.0)):
            told = (
                f"More money earned more up to {last['equity']:,.0f} at the start; at {row['equity']:,.0f} it"
            )
            if last is rows[0]:
                told = f"It earned at {last['equity']:,.0f} at the start; at {row['equity']:,.0f} it"
            return {"largest": last["equity"], "text": f"{told} {_ended(row['profit'], last['profit'])}."}
    most = rows[-1]["equity"]
    return {
        "largest": most,
        "text": f"More money earned more at every size that was tried, up to {most:,.0f} at the start.",
    }


def _ended(profit: float, before: float) -> str:
    if profit < 0.0:
        return "lost"
    if profit == 0.0:
        return "earned nothing"
    return "earned no more" if profit <= before else "earned hardly more"


def _cancelled(economics: Economics, run: BacktestResult) -> float | None:
    """Share of the value of all entries, at the close at which they were asked for, that did not fill."""
    filled: dict[str, float] = {}
    for fill in run.fills:
        filled[fill.order_id] = filled.get(fill.order_id, 0.0) + fill.quantity
    asked = missed = 0.0
    for order in run.orders:
        if order.side is Side.BUY and order.kind is OrderKind.MARKET:
            tape = economics.tapes[order.symbol]
            price = tape.close[bisect_left(tape.ts_open, order.ts_event) - 1]
            asked += order.quantity * price
            missed += (order.quantity - filled.get(order.order_id, 0.0)) * price
    return missed / asked if asked > 0.0 else None
