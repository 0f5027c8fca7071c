"""A twin of the backtest for searches: the same fills and the same balance, many times as fast."""

from consilium.trading.twin.backtest import TwinFills, TwinResult, twin_backtest
from consilium.trading.twin.columns import BarTable, lay_out
from consilium.trading.twin.search import TwinSearch, codes_of, twin_search

__all__ = [
    "BarTable",
    "TwinFills",
    "TwinResult",
    "TwinSearch",
    "codes_of",
    "lay_out",
    "twin_backtest",
    "twin_search",
]
