"""Trades that wait to be written: each once, in the order of their numbers, and which ones are missing."""

from bisect import bisect_left, insort
from typing import NamedTuple

import numpy as np

from consilium.domain.time import SECOND_NS
from consilium.market.book.messages import TradeMessage
from consilium.market.book.scaled_rows import ScaledTrades

LATE_NS = 10 * SECOND_NS
KEPT = 50_000


class Missing(NamedTuple):
    """Trades that did not come: their numbers, and between which times."""

    first: int
    last: int
    ts_begin: int
    ts_end: int
    ts_event_begin: int
    ts_event_end: int


class TradeQueue:
    """Take trades in, drop those seen before, and hold back what follows a hole until it is settled.

    An exchange numbers trades without holes. Where one is skipped it may still come late, for 10 s by the
    clock of arrival; then it counts as missing, and if it comes after all it is dropped.

    Parameters
    ----------
    newest
        Number and the exchange's time of the last trade that was written before, if any.
    size
        How many may wait, >= 1; the oldest goes for the newest.

    Examples
    --------
    >>> queue = TradeQueue()
    >>> [queue.add(TradeMessage("A", ts, ts, i, 1, 1, True)) for ts, i in ((1, 7), (2, 9), (2, 9), (3, 8))]
    [True, True, False, True]
    >>> queue.settle(3), queue.ready().trade_id.tolist()
    ([], [7, 8, 9])
    """

    def __init__(self, newest: tuple[int, int] | None = None, *, size: int = KEPT) -> None:
        self._newest = newest[0] if newest else -1
        self._seen_at = (0, newest[1]) if newest else (0, 0)
        self._size = size
        self._waiting: list[TradeMessage] = []
        self._holes: list[Missing] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, trade: TradeMessage) -> bool:
        """Take a trade; return whether it is new."""
        number = trade.trade_id
        if number > self._newest:
            if 0 <= self._newest < number - 1:
                begin, event = self._seen_at
                self._holes.append(
                    Missing(self._newest + 1, number - 1, begin, trade.ts_local, event, trade.ts_event)
                )
            self._newest, self._seen_at = number, (trade.ts_local, trade.ts_event)
            self._waiting.append(trade)
            return True
        for at, hole in enumerate(self._holes):
            if hole.first <= number <= hole.last:
                left = [hole._replace(last=number - 1), hole._replace(first=number + 1)]
                self._holes[at : at + 1] = [part for part in left if part.first <= part.last]
                insort(self._waiting, trade, key=_number)
                return True
        return False

    def settle(self, ts_local: int | None) -> list[Missing]:
        """Return the holes that have waited long enough, or all; nothing waits for them any longer."""
        if not self._holes:
            return []
        old = [hole for hole in self._holes if ts_local is None or ts_local - hole.ts_end >= LATE_NS]
        self._holes = [hole for hole in self._holes if hole not in old]
        return old

    def shed(self) -> Missing | None:
        """Let the oldest trades go, a hundredth at once, where more wait than may; return which."""
        if len(self._waiting) <= self._size:
            return None
        over = self._waiting[: len(self._waiting) - self._size + self._size // 100]
        del self._waiting[: len(over)]
        first, last = over[0], over[-1]
        self._holes = [hole for hole in self._holes if hole.last > last.trade_id]
        return Missing(
            first.trade_id, last.trade_id, first.ts_local, last.ts_local, first.ts_event, last.ts_event
        )

    @property
    def oldest(self) -> tuple[int, int]:
        """Times of the oldest trade that waits, the exchange's and on arrival; there must be one."""
        return self._waiting[0].ts_event, self._waiting[0].ts_local

    @property
    def writable(self) -> int:
        """How many lie before the first hole."""
        if not self._holes:
            return len(self._waiting)
        return bisect_left(self._waiting, self._holes[0].first, key=_number)

    def ready(self) -> ScaledTrades:
        """Return those as columns; they stay until `written` is called."""
        some = self._waiting[: self.writable]
        ts_event, ts_local, trade_id, price, size, taker = (
            np.array([t[1:] for t in some], dtype=np.int64).reshape(-1, 6).T
        )
        return ScaledTrades(
            ts_event=ts_event, ts_local=ts_local, trade_id=trade_id, price=price, size=size, taker_buy=taker
        )

    def written(self, last: int) -> None:
        """Forget trades up to a number."""
        del self._waiting[: bisect_left(self._waiting, last + 1, key=_number)]


def _number(trade: TradeMessage) -> int:
    return trade.trade_id
