"""Figures of an equity curve: return, Sharpe ratio with its error, drawdown, turnover."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DAY_NS, Instrument, InvalidValue
from consilium.market.candles import CandleSeries
from consilium.trading.backtest import BacktestResult
from consilium.trading.days import day_of_close
from consilium.trading.execution import CostModel

YEAR_DAYS = 365
FEWEST_DAYS = 30

Floats = NDArray[np.float64]


def daily_returns(ts: NDArray[np.int64], equity: Floats) -> Floats:
    """Return one simple return for each UTC day from first to last, days without a close as 0.

    A close at 00:00 belongs to the day that it ends. The first day starts from the first value.

    Parameters
    ----------
    ts
        UTC nanoseconds, ascending, shape (n,).
    equity
        Values > 0, shape (n,).

    Examples
    --------
    >>> import numpy as np
    >>> daily_returns(np.array([1, 2, 3]) * DAY_NS, np.array([100.0, 110.0, 99.0])).round(4).tolist()
    [0.0, 0.1, -0.1]
    """
    if len(ts) != len(equity) or len(ts) == 0:
        raise InvalidValue(
            "ts and equity must have one length >= 1", f"{len(ts)}, {len(equity)}", "give both"
        )
    day = day_of_close(ts)
    at_end = np.flatnonzero(np.append(np.diff(day) > 0, True))
    values = np.concatenate([equity[:1], equity[at_end]])
    returns = np.zeros(int(day[-1] - day[0]) + 1)
    returns[day[at_end] - day[0]] = values[1:] / values[:-1] - 1.0
    return returns


def sharpe_ratio(returns: Floats) -> float | None:
    """Return the annual Sharpe ratio of daily returns, ``mean / sd sqrt(365)``; None below 30 days.

    None also where returns do not vary.

    Examples
    --------
    >>> import numpy as np
    >>> round(sharpe_ratio(np.array([0.01, -0.005] * 15)), 3)
    6.261
    >>> sharpe_ratio(np.array([0.01, -0.005])) is None
    True
    """
    if len(returns) < FEWEST_DAYS:
        return None
    spread = float(np.std(returns, ddof=1))
    return float(np.mean(returns)) / spread * sqrt(YEAR_DAYS) if spread > 0 else None


def sharpe_error(returns: Floats) -> float | None:
    """Return the standard error of the annual Sharpe ratio; None where there is none.

    ``sqrt((1 - g3 SR + (g4 - 1)/4 SR^2) / (T - 1)) sqrt(365)`` with SR a day, g3 skewness, g4 raw kurtosis.

    References
    ----------
    Mertens 2002; Lo 2002 for the normal case; Bailey and Lopez de Prado 2012, eq. 4.
    """
    annual = sharpe_ratio(returns)
    if annual is None:
        return None
    sr = annual / sqrt(YEAR_DAYS)
    centred = returns - returns.mean()
    variance = float(np.mean(centred**2))
    skew = float(np.mean(centred**3)) / variance**1.5
    kurtosis = float(np.mean(centred**4)) / variance**2
    inside = 1.0 - skew * sr + (kurtosis - 1.0) / 4.0 * sr**2
    return sqrt(max(inside, 0.0) / (len(returns) - 1)) * sqrt(YEAR_DAYS)


def sortino_ratio(returns: Floats) -> float | None:
    """Return ``mean / sqrt(mean(min(r, 0)^2)) sqrt(365)``; None below 30 days or without a loss."""
    if len(returns) < FEWEST_DAYS:
        return None
    downside = sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(np.mean(returns)) / downside * sqrt(YEAR_DAYS) if downside > 0 else None


def max_drawdown(equity: Floats) -> float:
    """Return the largest loss from a running peak, a fraction >= 0.

    Examples
    --------
    >>> import numpy as np
    >>> max_drawdown(np.array([100.0, 120.0, 90.0, 130.0]))
    0.25
    """
    return float(np.max(1.0 - equity / np.maximum.accumulate(equity))) if len(equity) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of one run; ratios as fractions, money in quote units.

    Parameters
    ----------
    net_return
        Last equity / first - 1, after all costs; 0.0 without a trade.
    sharpe, sharpe_error, sortino
        Annual, from daily UTC returns with flat days in; None below 30 days.
    turnover
        Traded value (both sides) / mean equity, a year.
    win_rate
        Share of round trips with a profit after fees; None without one.
    """

    net_return: float
    sharpe: float | None
    sharpe_error: float | None
    sortino: float | None
    max_drawdown: float
    turnover: float
    fees: float
    trades: int
    win_rate: float | None
    days: int


def measure(result: BacktestResult) -> Metrics:
    """Return the figures of a backtest."""
    returns = daily_returns(result.ts, result.equity)
    years = max(float(result.ts[-1] - result.ts[0]) / (YEAR_DAYS * DAY_NS), 1 / YEAR_DAYS)
    wins = [trade.net_pnl > 0 for trade in result.trades]
    return Metrics(
        net_return=result.net_return,
        sharpe=sharpe_ratio(returns),
        sharpe_error=sharpe_error(returns),
        sortino=sortino_ratio(returns),
        max_drawdown=max_drawdown(result.equity),
        turnover=result.turnover / years,
        fees=result.fees,
        trades=len(wins),
        win_rate=sum(wins) / len(wins) if wins else None,
        days=len(returns),
    )


def buy_and_hold(
    panel: Mapping[str, CandleSeries],
    *,
    costs: CostModel | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    initial_cash: float = 10_000.0,
    start_ts: int | None = None,
) -> tuple[NDArray[np.int64], Floats]:
    """Return the times and equity of equal weights, bought once and held.

    Each symbol's share is spent at its first close from ``start_ts`` on, at half a spread more and with the
    taker fee in it; until then it is cash. Between bars, and after its last, it stays at its last close.

    Parameters
    ----------
    panel
        Candles by symbol.
    costs, instruments
        As in a backtest; impact is left out.
    initial_cash
        Quote units.
    start_ts
        The first close that counts.
    """
    costs = CostModel() if costs is None else costs
    first = min(int(s.ts_close[0]) for s in panel.values() if len(s)) if start_ts is None else start_ts
    held = {symbol: s for symbol, s in panel.items() if len(s) and int(s.ts_close[-1]) >= first}
    if not held:
        raise InvalidValue("buy and hold needs bars from start_ts on", start_ts, "start earlier")
    times = np.unique(np.concatenate([s.ts_close[s.ts_close >= first] for s in held.values()]))
    equity = np.zeros(len(times))
    share = initial_cash / len(held)
    for symbol, series in held.items():
        taker = (instruments or {}).get(symbol, Instrument(symbol=symbol)).taker_fee * costs.fee_scale
        late = series.ts_close >= first
        closes, prices = series.ts_close[late], series.close[late]
        units = share / (float(prices[0]) * (1.0 + costs.half_spread) * (1.0 + taker))
        at = np.searchsorted(closes, times, side="right") - 1
        equity += np.where(at >= 0, units * prices[np.maximum(at, 0)], share)
    return times, equity
