"""A book kept from diffs: right or not readable, never silently wrong."""

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from consilium.domain.checks import require_name
from consilium.domain.errors import InvalidValue
from consilium.domain.time import SECOND_NS
from consilium.market.book.ladder import Ladder
from consilium.market.book.messages import DepthSnapshot, Diff, Level

COUNTED = {
    "applied": "diffs applied",
    "synchronised": "snapshots that the book was begun or begun again from",
    "refreshed": "snapshots that made a readable book deeper",
    "duplicate": "diffs that repeat the last one",
    "late": "diffs that hold nothing new",
    "gap": "times that a diff did not follow the last one",
    "reordered": "gaps that closed without a snapshot: the missing diff came late, or none was missing",
    "corrupt": "messages that could not be read",
    "bad_level": "messages with a price or size that cannot be",
    "foreign": "messages of another symbol",
    "clock_jump": "diffs whose time moved against that of arrival by more than the tolerance",
    "crossed": "times that the best bid reached the best ask",
    "emptied": "times that a side had no level left",
    "shallow": "times that too few levels became certain (prices left the depth of the snapshot)",
    "stale_snapshot": "snapshots that end before the diffs at hand begin",
    "bad_snapshot": "snapshots that are crossed, empty, out of order or hold a size of 0",
    "overflow": "diffs forgotten because too many waited for a snapshot",
    "disconnected": "lost connections",
    "distrusted": "times that the book was given up from outside",
}
MOST_WAITING = 600


class Top(NamedTuple):
    """The best levels of both sides, best first, keys and sizes as in `messages`."""

    bids: list[Level]
    asks: list[Level]


class BookKeeper:
    """Keep the book of one symbol from its diffs and from snapshots.

    The book is readable (``live``) only while every diff has followed the one before, and after a snapshot
    from the first diff that follows it (a snapshot has no time of its own). After a gap, a crossed book or a
    clock that jumps it is not, ``wants_snapshot`` is true and diffs wait; a snapshot that they follow begins
    a new session. A missing diff that comes late closes the gap without a snapshot, in the same session.
    What happened is in ``counts``, under the names of `COUNTED`; ``cause`` is the name of what last made the
    book unreadable.

    A diff follows when ``previous <= last < its last`` after a snapshot and for spot; a linked one (futures)
    must say ``previous == last``.

    Parameters
    ----------
    symbol
        Only its messages are taken.
    levels
        Levels a side that must be certain, >= 1, default 20. With fewer (prices have left the depth of the
        snapshot) the book stays readable, ``wants_snapshot`` is true, and ``certain`` says how many are.
    clock_tolerance_ns
        How far the exchange's time may move against that of arrival between diffs, > 0, default 5 s.

    Examples
    --------
    >>> from consilium.market.book.messages import DepthSnapshot, Diff
    >>> keeper = BookKeeper("BTCUSDT", levels=1)
    >>> keeper.take_diff(Diff("BTCUSDT", 10, 10, 5, 7, 4, False, [(100, 3)], []))
    False
    >>> keeper.take_snapshot(DepthSnapshot("BTCUSDT", 11, 5, [(99, 1)], [(-102, 2)], True, True))
    True
    >>> keeper.live, keeper.last, keeper.top(2)
    (True, 7, Top(bids=[(100, 3), (99, 1)], asks=[(-102, 2)]))

    References
    ----------
    Binance API documentation, "How to manage a local order book correctly", spot and USD-M futures.
    """

    def __init__(self, symbol: str, *, levels: int = 20, clock_tolerance_ns: int = 5 * SECOND_NS) -> None:
        require_name("symbol", symbol)
        if levels < 1 or clock_tolerance_ns < 1:
            raise InvalidValue(
                "levels and clock_tolerance_ns must be >= 1", f"{levels}, {clock_tolerance_ns}", "raise them"
            )
        self.symbol = symbol
        self.levels = levels
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self.session = -1
        self.last = -1
        self.ts_event = 0
        self.ts_local = 0
        self.cause = ""
        self._bids, self._asks = Ladder(), Ladder()
        self._begun = self._live = self._broken = False
        self._after_snapshot = False
        self._deeper: DepthSnapshot | None = None
        self._wanted = True
        self._waiting: dict[int, Diff] = {}
        self._newest: tuple[int, int] = (-1, -1)
        self._offset: int | None = None
        self._offset_next: int | None = None
        self._tolerance = clock_tolerance_ns

    @property
    def live(self) -> bool:
        """Whether the book can be read: it is the exchange's after update ``last``."""
        return self._live

    @property
    def wants_snapshot(self) -> bool:
        """Whether a snapshot is needed, to begin (again) or to see deeper."""
        return self._wanted

    @property
    def certain(self) -> int:
        """How many of the best ``levels`` of either side are certain; 0 unless ``live``."""
        if not self._live:
            return 0
        return min(self._bids.certain(self.levels), self._asks.certain(self.levels))

    def top(self, levels: int | None = None) -> Top:
        """Return the best levels as told, at most ``levels`` a side; empty unless ``live``."""
        if not self._live:
            return Top([], [])
        n = self.levels if levels is None else levels
        return Top(self._bids.top(n), self._asks.top(n))

    def take_diff(self, diff: Diff) -> bool:
        """Take a diff in; return whether the book is readable and changed."""
        if diff.symbol != self.symbol:
            self.counts["foreign"] += 1
            return False
        if not self._in_time(diff):
            self._give_up("clock_jump")
            return False
        if self._is_old(diff):
            return False
        if not (self._begun and self._follows(diff)):
            if self._begun and not self._broken:
                self._break("gap")
            self._wait(diff)
            return False
        if self._deeper is not None and diff.last >= self._deeper.last:
            self._show_deeper(self._deeper)
        if self._wanted and not self._broken:
            self._wait(diff)  # already in the book; a snapshot that refreshes it may be older
        return self._apply(diff) and (not self._broken or self._close_gap())

    def take_snapshot(self, snapshot: DepthSnapshot) -> bool:
        """Begin (again) from a snapshot and the diffs that waited; return as `take_diff` does.

        A readable book only becomes deeper by it, in the same session, and stays readable: a snapshot that
        is newer than it waits until the diffs get there. Where no snapshot is wanted it is left alone.
        """
        if snapshot.symbol != self.symbol:
            self.counts["foreign"] += 1
            return False
        if not self._wanted:
            return False
        if not _possible(snapshot):
            self.counts["bad_snapshot"] += 1
            return False
        newer = [diff.previous for diff in self._waiting.values() if diff.last > snapshot.last]
        first = min(newer, default=self.last if self._begun else -1)
        if first > snapshot.last:
            self.counts["stale_snapshot"] += 1
            return False
        if self._live and snapshot.last > self.last:
            self._deeper, self._wanted = snapshot, False
            self._waiting.clear()
            return False
        return self._begin(snapshot)

    def count(self, name: str) -> None:
        """Count a message that never became a diff, under ``corrupt`` or ``bad_level``."""
        if name not in COUNTED:
            raise InvalidValue(f"the name must be one of {', '.join(COUNTED)}", name, "use one of them")
        self.counts[name] += 1

    def distrust(self) -> None:
        """Give the book up because something else contradicts it; it begins again from a snapshot."""
        self._give_up("distrusted")

    def disconnect(self) -> None:
        """Say that the connection was lost: the book cannot be read until a diff follows, or a snapshot."""
        self._offset = self._offset_next = None
        if self._begun and not self._broken:
            self._break("disconnected")

    def _break(self, name: str) -> None:
        """Stop reading until the diff that is missing comes, or a snapshot."""
        self._broken, self._live, self._wanted = True, False, True
        self._deeper = None
        self.counts[name] += 1
        self.cause = name

    def _fill(self, snapshot: DepthSnapshot) -> None:
        self._bids = Ladder(snapshot.bids, ends=snapshot.bids_end)
        self._asks = Ladder(snapshot.asks, ends=snapshot.asks_end)

    def _show_deeper(self, snapshot: DepthSnapshot) -> None:
        """Take the levels of a snapshot that the next diff reaches: applied to them it gives its own book."""
        self._fill(snapshot)
        self._deeper = None
        self.counts["refreshed"] += 1

    def _begin(self, snapshot: DepthSnapshot) -> bool:
        refresh, before = self._live, self.last
        self._fill(snapshot)
        self.last, self._after_snapshot = snapshot.last, True
        self._begun, self._live, self._broken, self._wanted = True, False, False, False
        if refresh:
            self.counts["refreshed"] += 1
        else:
            self.counts["synchronised"] += 1
            self.session += 1
            self.ts_event = 0
        self._live = refresh and before == self.last
        if not self._apply_waiting():
            if self._begun:
                self._break("gap")
            self._broken = self._wanted = True
        return self._live and not (refresh and before == self.last)

    def _apply_waiting(self) -> bool:
        """Apply the diffs that wait, as far as they follow; return whether none is left."""
        for last in sorted(self._waiting):
            diff = self._waiting[last]
            if last > self.last and (not self._follows(diff) or not self._apply(diff)):
                break
            self._waiting.pop(last, None)
        if self._waiting:
            self._live = False
        return not self._waiting and self._begun

    def _close_gap(self) -> bool:
        if not self._apply_waiting():
            return False
        self._broken = self._wanted = False
        self.counts["reordered"] += 1
        self._look_deep()
        return self._live

    def _apply(self, diff: Diff) -> bool:
        self._bids.apply(diff.bids)
        self._asks.apply(diff.asks)
        self.last = diff.last
        self._newest = (diff.first, diff.last)
        self._after_snapshot = False
        self.ts_event = max(self.ts_event, diff.ts_event)
        self.ts_local = diff.ts_local
        self.counts["applied"] += 1
        bid, ask = self._bids.best, self._asks.best
        if bid is None or ask is None:
            self._give_up("emptied")
            return False
        if bid[0] >= -ask[0]:
            self._give_up("crossed")
            return False
        self._live = True
        self._look_deep()
        return True

    def _look_deep(self) -> None:
        if not self._wanted and self._deeper is None and self.certain < self.levels:
            self.counts["shallow"] += 1
            self._wanted = True

    def _follows(self, diff: Diff) -> bool:
        if diff.linked and not self._after_snapshot:
            return diff.previous == self.last
        return diff.previous <= self.last < diff.last

    def _is_old(self, diff: Diff) -> bool:
        if self._begun and diff.last <= self.last:
            same = (diff.first, diff.last) == self._newest
            self.counts["duplicate" if same else "late"] += 1
            return True
        if diff.last in self._waiting:
            self.counts["duplicate"] += 1
            return True
        return False

    def _wait(self, diff: Diff) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self.counts["overflow"] += not self._live
            del self._waiting[next(iter(self._waiting))]
        self._waiting[diff.last] = diff

    def _give_up(self, name: str) -> None:
        """Stop reading until a snapshot comes, and let no late diff close the gap."""
        self.counts[name] += 1
        self.cause = name
        self._live = self._begun = self._broken = False
        self._wanted = True
        self._deeper = None
        self._waiting.clear()

    def _in_time(self, diff: Diff) -> bool:
        """Whether the exchange's time still stands to that of arrival as before; two in a row make it new."""
        offset = diff.ts_event - diff.ts_local
        for known in (self._offset, self._offset_next):
            if known is not None and abs(offset - known) <= self._tolerance:
                self._offset, self._offset_next = offset, None
                return True
        if self._offset is None:
            self._offset = offset
            return True
        self._offset_next = offset
        return False


def _possible(snapshot: DepthSnapshot) -> bool:
    for side in (snapshot.bids, snapshot.asks):
        if not side or any(size <= 0 for _, size in side):
            return False
        if any(worse[0] >= better[0] for better, worse in pairwise(side)):
            return False
    return snapshot.bids[0][0] < -snapshot.asks[0][0]
