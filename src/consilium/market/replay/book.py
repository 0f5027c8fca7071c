"""The whole book of a tape, as plain dictionaries: right, or known not to be."""

from collections import deque
from collections.abc import Iterable

from consilium.market.book.messages import DepthSnapshot, Diff, Level

MOST_WAITING = 10_000


class _Side:
    """Sizes by key, as in `messages`, and the best key."""

    def __init__(self, levels: Iterable[Level] = ()) -> None:
        self.sizes = dict(levels)
        self.best = max(self.sizes, default=None)

    def apply(self, changes: Iterable[Level]) -> None:
        for key, size in changes:
            if size:
                self.sizes[key] = size
                if self.best is None or key > self.best:
                    self.best = key
            elif self.sizes.pop(key, None) is not None and key == self.best:
                self.best = max(self.sizes, default=None)


class TapeBook:
    """Keep the book of a recording, by nobody's rules but that each diff must follow the one before.

    Examples
    --------
    >>> book = TapeBook()
    >>> book.begin(DepthSnapshot("BTCUSDT", 0, 7, [(99, 1)], [(-102, 2)], True, True))
    ''
    >>> book.take(Diff("BTCUSDT", 1, 1, 8, 9, 7, False, [(100, 3)], [])), book.right
    ('', True)
    >>> book.take(Diff("BTCUSDT", 2, 2, 12, 13, 11, False, [(101, 3)], [])), book.right
    ('update 12 does not follow 9', False)
    """

    def __init__(self) -> None:
        self.right = False
        self.last, self.ts_event = -1, 0
        self._bids, self._asks = _Side(), _Side()
        self._fresh = False
        self._waiting: deque[Diff] = deque(maxlen=MOST_WAITING)

    def begin(self, snapshot: DepthSnapshot) -> str:
        """Begin (again) from a snapshot; a right book is left alone. Return what is wrong, or ""."""
        if self.right:
            return ""
        self._bids, self._asks = _Side(snapshot.bids), _Side(snapshot.asks)
        self.last, self._fresh, self.right = snapshot.last, True, True
        waited = list(self._waiting)
        self._waiting.clear()
        wrong = self._look()
        for diff in waited:
            wrong = self.take(diff) or wrong
        return wrong

    def take(self, diff: Diff) -> str:
        """Take a diff in; return what makes the book wrong from it on, or "" where nothing new does."""
        if not self.right:
            self._waiting.append(diff)
            return ""
        if diff.last <= self.last:
            return ""
        if diff.linked and not self._fresh:
            follows = diff.previous == self.last
        else:
            follows = diff.previous <= self.last
        if not follows:
            wrong = f"update {diff.first} does not follow {self.last}"
            self.give_up()
            self._waiting.append(diff)
            return wrong
        self._bids.apply(diff.bids)
        self._asks.apply(diff.asks)
        self.last, self.ts_event, self._fresh = diff.last, diff.ts_event, False
        return self._look()

    def give_up(self) -> None:
        """Say that the book is wrong until a snapshot comes."""
        self.right = False
        self._waiting.clear()

    def top(self, levels: int) -> tuple[list[Level], list[Level]]:
        """Return the best levels of both sides, best first."""
        bids, asks = (sorted(side.sizes.items(), reverse=True)[:levels] for side in (self._bids, self._asks))
        return bids, asks

    def _look(self) -> str:
        bid, ask = self._bids.best, self._asks.best
        if bid is None or ask is None:
            self.give_up()
            return f"no level is left after update {self.last}"
        if bid >= -ask:
            self.give_up()
            return f"the best bid reaches the best ask after update {self.last}"
        return ""
