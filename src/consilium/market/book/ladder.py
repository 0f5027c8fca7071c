"""One side of a book: its sizes by price, in order, certain down to some depth."""

from bisect import bisect_left, insort
from collections.abc import Iterable

from consilium.market.book.messages import Level

MOST_LEVELS = 10_000
KEPT_LEVELS = 5_000


class Ladder:
    """The levels of one side, best last; keys and sizes as in `messages`.

    A snapshot shows the best levels only. What lies beyond its last one (``floor``) is told when it changes:
    a level there is right, but others between may never have been told. So the levels above the floor are
    certain, and those below are kept as told. When there are more than 10,000 the worst go and the floor
    rises.

    Parameters
    ----------
    levels
        The levels of a snapshot, best first.
    ends
        Whether they are all there are: then every level is certain.

    Examples
    --------
    >>> bids = Ladder([(103, 5), (101, 2)], ends=False)
    >>> bids.apply([(102, 7), (101, 0), (90, 4)])
    >>> bids.top(20), bids.certain(20), bids.best
    ([(103, 5), (102, 7), (90, 4)], 2, (103, 5))
    """

    __slots__ = ("_keys", "_sizes", "floor")

    def __init__(self, levels: Iterable[Level] = (), *, ends: bool = True) -> None:
        self._sizes: dict[int, int] = dict(levels)
        self._keys = sorted(self._sizes)
        self.floor: int | float = float("-inf") if ends or not self._keys else self._keys[0]

    def apply(self, levels: Iterable[Level]) -> None:
        """Set sizes; 0 deletes, also what is not there."""
        sizes, keys = self._sizes, self._keys
        for key, size in levels:
            if key in sizes:
                if size:
                    sizes[key] = size
                else:
                    del sizes[key]
                    del keys[bisect_left(keys, key)]
            elif size:
                insort(keys, key)
                sizes[key] = size
        if len(keys) > MOST_LEVELS:
            self._forget_the_worst()

    def _forget_the_worst(self) -> None:
        for key in self._keys[:-KEPT_LEVELS]:
            del self._sizes[key]
        del self._keys[:-KEPT_LEVELS]
        self.floor = max(self.floor, self._keys[0])

    def top(self, levels: int) -> list[Level]:
        """Return the best levels as told, best first; fewer if there are fewer."""
        sizes = self._sizes
        return [(key, sizes[key]) for key in self._keys[: -levels - 1 : -1]]

    def certain(self, levels: int) -> int:
        """Return how many of the best levels are certain: ``levels`` also where a known side has fewer."""
        keys = self._keys
        if self.floor == float("-inf") or (len(keys) >= levels and keys[-levels] >= self.floor):
            return levels
        return min(levels, len(keys) - bisect_left(keys, self.floor))

    @property
    def best(self) -> Level | None:
        """The best level; None if there is none."""
        if not self._keys:
            return None
        key = self._keys[-1]
        return key, self._sizes[key]

    def __len__(self) -> int:
        return len(self._keys)
