"""The newest books of one symbol, in memory that never grows."""

import numpy as np

from consilium.domain.checks import require_name
from consilium.domain.errors import DataProblem, InvalidValue
from consilium.market.book.keeper import Top
from consilium.market.book.scaled_rows import ScaledBooks
from consilium.market.book.series import BookSeries

RING = 10_000


class BookRing:
    """Keep the newest books as whole numbers; those not yet written are lost last.

    Parameters
    ----------
    symbol, venue
        Of the books.
    levels
        Levels a side, >= 1.
    size
        How many books, >= 1; 16 x ``levels`` x 2 bytes each and a little more.

    Examples
    --------
    >>> ring = BookRing("BTCUSDT", levels=1, size=2)
    >>> for ts in (5, 6, 7):
    ...     ring.add(ts, ts, 0, ts, 1, Top([(1_000_000_000, 2)], [(-1_050_000_000, 3)]))
    False
    False
    True
    >>> len(ring), ring.unwritten, ring.latest(2).ts_event.tolist()
    (2, 2, [6, 7])
    """

    def __init__(self, symbol: str, *, venue: str = "", levels: int = 20, size: int = RING) -> None:
        require_name("symbol", symbol)
        if levels < 1 or size < 1:
            raise InvalidValue("levels and size of a ring must be >= 1", f"{levels}, {size}", "raise them")
        self.symbol, self.venue, self.levels, self.size = symbol, venue, levels, size
        self.total = self.written = 0
        self._rows = np.zeros((5, size), dtype=np.int64)
        self._sides = np.zeros((2, size, levels, 2), dtype=np.int64)

    def __len__(self) -> int:
        return min(self.total, self.size)

    @property
    def unwritten(self) -> int:
        """How many books were not written yet."""
        return self.total - self.written

    @property
    def oldest(self) -> tuple[int, int]:
        """Times of the oldest book that was not written, the exchange's and on arrival; there must be one."""
        ts_event, ts_local = self._rows[:2, self.written % self.size]
        return int(ts_event), int(ts_local)

    def add(self, ts_event: int, ts_local: int, session: int, update: int, certain: int, top: Top) -> bool:
        """Add a book; return whether the oldest one that was not written had to go for it."""
        lost = self.unwritten == self.size
        self.written += lost
        slot = self.total % self.size
        self._rows[:, slot] = ts_event, ts_local, session, update, certain
        for rows, side in zip(self._sides, top, strict=True):
            there = min(len(side), self.levels)
            rows[slot, there:] = 0
            if there:
                rows[slot, :there] = side[:there]
        self.total += 1
        return lost

    def begin_again(self) -> None:
        """Let what was not written belong to the next session: what came before it was lost."""
        at = np.arange(self.written, self.total) % self.size
        self._rows[2, at] += 1

    def rows(self, first: int, stop: int) -> ScaledBooks:
        """Return a copy of books by their number since the beginning."""
        at = np.arange(first, stop) % self.size
        ts_event, ts_local, session, update, certain = self._rows[:, at]
        bids, asks = np.abs(self._sides[:, at])
        return ScaledBooks(
            ts_event=ts_event,
            ts_local=ts_local,
            session=session,
            update=update,
            certain=certain,
            bid_price=bids[..., 0],
            bid_size=bids[..., 1],
            ask_price=asks[..., 0],
            ask_size=asks[..., 1],
        )

    def latest(self, window: int) -> BookSeries:
        """Return the newest books, exactly ``window``.

        Raises
        ------
        DataProblem
            There are not so many yet, or the ring is smaller.
        """
        if not 1 <= window <= len(self):
            raise DataProblem(
                f"the newest {window} books of {self.symbol} must have come and fit into {self.size}",
                f"{len(self)} books",
                "wait, or ask for fewer",
            )
        return self.rows(self.total - window, self.total).series(self.symbol, self.venue)
