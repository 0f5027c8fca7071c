"""Which pairs to study, chosen with what was known before the period begins.

Choosing today's most traded coins for last year's test is looking ahead: those that died since are missing.
Here pairs are ranked by what was traded in the week before the period, delisted pairs among them where the
exchange still names them and serves their candles. A pair that it has erased altogether cannot be seen, and
nothing here can bring it back.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

RANK_DAYS = 7

PEGGED = frozenset({
    "USDC", "BUSD", "TUSD", "FDUSD", "USDP", "PAX", "DAI", "USDS", "SUSD", "UST", "USTC", "USD1",
    "USDE", "XUSD", "BFUSD", "RLUSD", "AEUR", "EUR", "EURI", "GBP", "AUD", "TRY", "BRL", "PAXG",
    "WBTC", "WBETH", "BNSOL",
})  # fmt: skip
"""Bases that follow a currency, gold or another coin: there is nothing of their own to forecast."""

_LEVERAGED = ("UP", "DOWN", "BULL", "BEAR")


def candidates(pairs: Mapping[str, str], quote: str) -> dict[str, str]:
    """Return the pairs without pegged bases and without leveraged tokens (BTCUP, ETHBEAR).

    Examples
    --------
    >>> list(candidates({s: s for s in ("BTCUSDT", "BTCUPUSDT", "JUPUSDT", "USDCUSDT")}, "USDT"))
    ['BTCUSDT', 'JUPUSDT']
    """
    bases = {symbol.removesuffix(quote) for symbol in pairs}

    def wanted(base: str) -> bool:
        leveraged = any(base.endswith(end) and base.removesuffix(end) in {*bases, ""} for end in _LEVERAGED)
        return base not in PEGGED and not leveraged

    return {symbol: pair for symbol, pair in pairs.items() if wanted(symbol.removesuffix(quote))}


def turnover(days: NDArray[np.float64]) -> float:
    """Return the value traded, about: the sum over days of volume times (high + low + close) / 3.

    Parameters
    ----------
    days
        Shape (n, 6): time, open, high, low, close, volume in base units.

    Examples
    --------
    >>> turnover(np.array([[0.0, 9.0, 12.0, 9.0, 9.0, 100.0]]))
    1000.0
    """
    return float(np.sum(days[:, 5] * days[:, 2:5].mean(axis=1)))


def most_traded(traded: Mapping[str, float], count: int) -> list[str]:
    """Return the symbols of highest turnover, those without any left out, equals in order of name.

    Examples
    --------
    >>> most_traded({"A": 1.0, "B": 3.0, "C": 0.0, "D": 3.0}, 3)
    ['B', 'D', 'A']
    """
    ranked = sorted(traded, key=lambda symbol: (-traded[symbol], symbol))
    return [symbol for symbol in ranked if traded[symbol] > 0][:count]
