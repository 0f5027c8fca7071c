"""How wide the market moves just now: the yardsticks of labels, gates and reports.

Letters: c_t the close of bar t, r_t = ln(c_t / c_{t-1}) its log return, known from bar 1 on.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

DAILY_BARS = 20
"""Returns behind the daily volatility."""


def _log_returns(close: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.diff(np.log(close))


def ewm_volatility(close: NDArray[np.float64], span: int = 96) -> NDArray[np.float64]:
    """Exponentially weighted standard deviation of the one-bar log returns up to each bar.

    With q = 1 - 2 / (span + 1), weights w_i = q^(t-i) over the returns i = 1..t, W = sum w, V = sum w^2 and
    the weighted mean m: ``s_t^2 = W / (W^2 - V) sum_i w_i (r_i - m)^2``. The weights are normalised from the
    first return on (`adjusted`), and the factor makes the variance unbiased for independent returns.

    Parameters
    ----------
    close
        Shape (n,), closing prices > 0.
    span
        Span in bars, >= 2.

    Returns
    -------
    Shape (n,), per bar; NaN before bar ``span``, where fewer than ``span`` returns are known.

    Raises
    ------
    InvalidValue
        ``span`` below 2.

    Examples
    --------
    >>> ewm_volatility(np.exp([0.0, 0.01, 0.0, 0.01]), span=2).round(4).tolist()
    [nan, nan, 0.0141, 0.0124]

    References
    ----------
    Lopez de Prado (2018), ch. 3.2, snippet 3.1, per bar.
    """
    if span < 2:
        raise InvalidValue("span must be >= 2 bars", span, "use 96")
    volatility = np.full(len(close), np.nan)
    if len(close) <= span:
        return volatility
    returns = _log_returns(close)
    # The variance does not change when all returns are shifted; taking off the first one, which every
    # later row knows, keeps the difference of squares exact where prices hardly move.
    shifted = returns - returns[0]
    q = 1.0 - 2.0 / (span + 1.0)
    # Serving reads labels' names and never filters: SciPy's 40 MB come only where they are used.
    from scipy.signal import lfilter

    first = lfilter([1.0], [1.0, -q], shifted)
    second = lfilter([1.0], [1.0, -q], shifted**2)
    n = np.arange(1, len(returns) + 1, dtype=np.float64)
    total = (1.0 - q**n) / (1.0 - q)
    squares = (1.0 - q ** (2.0 * n)) / (1.0 - q * q)
    spread = np.maximum(second - first**2 / total, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = spread * total / (total**2 - squares)
    volatility[span:] = np.sqrt(variance[span - 1 :])
    return volatility


def daily_volatility(close: NDArray[np.float64], bars_per_day: float) -> NDArray[np.float64]:
    """Daily volatility: ``std(last 20 one-bar log returns) sqrt(bars a day)``, divisor 19.

    Parameters
    ----------
    close
        Shape (n,), closing prices > 0.
    bars_per_day
        Bars in a trading day, > 0.

    Returns
    -------
    Shape (n,), a fraction a day; NaN before bar 20.

    Examples
    --------
    >>> daily_volatility(np.exp(0.01 * (np.arange(22) % 2)), bars_per_day=24.0)[20:].round(4).tolist()
    [0.0503, 0.0503]
    """
    volatility = np.full(len(close), np.nan)
    if len(close) > DAILY_BARS:
        windows = np.lib.stride_tricks.sliding_window_view(_log_returns(close), DAILY_BARS)
        volatility[DAILY_BARS:] = windows.std(axis=1, ddof=1) * sqrt(bars_per_day)
    return volatility
