"""What an exchange says about a book: diffs, snapshots, the best prices, trades.

Prices and sizes are integers in units of 1e-8. A level is (key, size): the key of a bid is its price, that
of an ask its price below zero, so that on both sides the best level has the largest key.
"""

from typing import NamedTuple

Level = tuple[int, int]


class Diff(NamedTuple):
    """Levels that changed: sizes are absolute, 0 deletes.

    Parameters
    ----------
    first, last
        Numbers of the first and the last update in it.
    previous
        Number of the update it follows: said by futures (``pu``), one before the first for spot.
    linked
        Whether the exchange said ``previous``; then it must be met exactly.
    ts_event, ts_local
        UTC nanoseconds at the exchange and on arrival.
    """

    symbol: str
    ts_event: int
    ts_local: int
    first: int
    last: int
    previous: int
    linked: bool
    bids: list[Level]
    asks: list[Level]


class DepthSnapshot(NamedTuple):
    """All levels down to some depth, best first, after the update ``last``.

    Parameters
    ----------
    bids_end, asks_end
        Whether the exchange showed all levels of the side, not only the best ones.
    """

    symbol: str
    ts_local: int
    last: int
    bids: list[Level]
    asks: list[Level]
    bids_end: bool
    asks_end: bool


class BestPrices(NamedTuple):
    """Best bid and best ask as levels, right after the update ``last``."""

    symbol: str
    ts_local: int
    last: int
    bid: Level
    ask: Level


class TradeMessage(NamedTuple):
    """A public trade; price and size scaled."""

    symbol: str
    ts_event: int
    ts_local: int
    trade_id: int
    price: int
    size: int
    taker_buy: bool


class Refused(NamedTuple):
    """A message that cannot be used: the name it is counted under, and what was wrong."""

    name: str
    said: str


Message = Diff | BestPrices | TradeMessage | Refused
