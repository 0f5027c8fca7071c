"""Daily returns of accounts, and what one account earned a day more than another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.economics import account_daily
from consilium.domain import InvalidValue
from consilium.domain.wording import counted
from consilium.market.candles import CandleSeries
from consilium.trading.backtest import BacktestResult
from consilium.trading.metrics import FEWEST_DAYS, YEAR_DAYS
from consilium.training.judge.bootstrap import (
    DRAWS,
    FEWEST_INDEPENDENT,
    TOO_FEW,
    interval,
    mean_block,
    resampled_sums,
)
from consilium.training.judge.sharpe import TOO_SHORT

FloatArray = NDArray[np.float64]
Days = NDArray[np.int64]

IDENTICAL = "identical returns"
NOTHING = 1e-12
"""Daily returns that differ by less are the same account."""


def daily_difference(
    account_a: BacktestResult,
    account_b: BacktestResult,
    *,
    seed: int,
    horizon_days: int = 1,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Tell what account A earned a day more than account B over the same days, with its interval.

    The mean over UTC days of ``r_a - r_b``; 95 % interval by stationary bootstrap over days.

    Parameters
    ----------
    account_a, account_b
        Two accounts over the same bars from the same close on.
    seed
        Of the bootstrap.
    horizon_days
        Days that a position may last, >= 1: the mean block is at least four times as long.
    draws
        Resamples, >= 1.

    Returns
    -------
    Plain JSON: ``difference`` (a day) and ``annual`` (x 365), ``low`` and ``high`` (a day), ``days``,
    ``reason``. Below 30 days there is no difference, below 100 independent days no interval; the reason says
    so.

    Raises
    ------
    InvalidValue
        Accounts over different days.

    References
    ----------
    Politis and Romano (1994).
    """
    (day_a, a), (day_b, b) = account_daily(account_a), account_daily(account_b)
    if not np.array_equal(day_a, day_b):
        raise InvalidValue(
            "both accounts must run over the same days",
            f"{len(day_a)} and {counted(len(day_b), 'day')}",
            "run them over one panel from one close on",
        )
    return difference_of(a - b, seed=seed, horizon_days=horizon_days, draws=draws)


def difference_of(
    difference: FloatArray, *, seed: int, horizon_days: int = 1, draws: int = DRAWS
) -> dict[str, Any]:
    """Return the mean of daily differences with its interval as plain JSON; see `daily_difference`.

    Examples
    --------
    >>> found = difference_of(np.tile([0.002, -0.001], 100), seed=1, draws=200)
    >>> round(found["difference"], 9), found["low"] <= 0.0005 <= found["high"], found["reason"]
    (0.0005, True, None)
    >>> difference_of(np.zeros(12), seed=1)["reason"]
    'fewer than 30 days'
    """
    days = len(difference)
    if days < FEWEST_DAYS:
        return _told(None, None, days, TOO_SHORT)
    if float(np.abs(difference).max()) <= NOTHING:
        return _told(0.0, None, days, IDENTICAL)
    mean = float(difference.mean())
    if days / horizon_days < FEWEST_INDEPENDENT:
        return _told(mean, None, days, TOO_FEW)
    block = mean_block(difference, horizon_days)
    drawn = resampled_sums(difference[:, None], block, draws=draws, seed=seed)[:, 0] / days
    return _told(mean, interval(drawn), days, None)


def _told(
    mean: float | None, bounds: tuple[float, float] | None, days: int, reason: str | None
) -> dict[str, Any]:
    low, high = bounds or (None, None)
    return {
        "difference": mean,
        "annual": None if mean is None else mean * YEAR_DAYS,
        "low": low,
        "high": high,
        "days": days,
        "reason": reason,
    }


def days_of(bars: int, series: CandleSeries) -> int:
    """Return the whole days that some bars last, at least 1.

    A market that trades a few hours a day needs several days for as many bars as one round the clock.
    """
    return max(1, int(np.ceil(bars / series.bars_per_day - 1e-9)))
