"""What trades alone say, one after the other: the median size and the balance of volume buckets."""

from bisect import bisect_left, insort
from collections import deque

BUCKETS = 50
DUST = 1e-9
"""What is left of a bucket or of a trade below this share of a bucket is rounding."""


class MedianSize:
    """Median size of the trades of the last ``length_ns``.

    Examples
    --------
    >>> sizes = MedianSize(10)
    >>> for ts, size in ((0, 5.0), (4, 1.0), (8, 2.0)):
    ...     sizes.add(ts, size)
    >>> sizes.at(9), sizes.at(10), sizes.at(20)
    (2.0, 1.5, 0.0)
    """

    def __init__(self, length_ns: int) -> None:
        self.length_ns = length_ns
        self._queue: deque[tuple[int, float]] = deque()
        self._sorted: list[float] = []

    def add(self, ts: int, size: float) -> None:
        """Take a trade; times must not descend."""
        self._queue.append((ts, size))
        insort(self._sorted, size)

    def at(self, ts: int) -> float:
        """Return the median over ``(ts - length, ts]``, 0 without trades."""
        queue, ordered, bound = self._queue, self._sorted, ts - self.length_ns
        while queue and queue[0][0] <= bound:
            del ordered[bisect_left(ordered, queue.popleft()[1])]
        if not ordered:
            return 0.0
        half = len(ordered) // 2
        return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) * 0.5


class VolumeBuckets:
    """Balance of the last 50 volume buckets: ``VPIN = sum |Vb - Vs| / sum V``.

    A bucket holds a fiftieth of the volume of the 30 s up to the snapshot before it opens (the size of the
    trade that opens it, if there was none), so that 50 of them span about 30 s of volume. The trades of the
    first 30 s of a session are cut into 50 at their end. Who traded is known here, not inferred from prices
    as in the source.

    References
    ----------
    D. Easley, M. M. Lopez de Prado, M. O'Hara, Flow toxicity and liquidity in a high-frequency world,
    Review of Financial Studies 25 (2012), eq. 8.

    Examples
    --------
    >>> buckets = VolumeBuckets()
    >>> for _ in range(25):
    ...     buckets.add(3.0, 1.0, 0.0)
    ...     buckets.add(1.0, -1.0, 0.0)
    >>> buckets.start()
    >>> buckets.value
    0.5
    """

    def __init__(self) -> None:
        self.value = 0.0
        self.started = False
        self._early: list[tuple[float, float]] = []
        self._full: deque[tuple[float, float]] = deque(maxlen=BUCKETS)
        self._volume = self._filled = self._signed = 0.0

    def add(self, size: float, side: float, volume: float) -> None:
        """Take a trade: its size, side (1 bought, -1 sold), and the volume of the last 30 s."""
        if not self.started:
            self._early.append((size, side))
        else:
            self._pour(size, side, volume / BUCKETS or size)

    def start(self) -> None:
        """Cut the trades so far into buckets and go on from there."""
        self.started = True
        volume = sum(size for size, _ in self._early) / BUCKETS
        for size, side in self._early:
            self._pour(size, side, volume)
        self._early.clear()

    def _pour(self, left: float, side: float, volume: float) -> None:
        closed = False
        while left > DUST * volume:
            if not self._volume:
                if left >= BUCKETS * volume:
                    self._full.extend([(volume, volume)] * BUCKETS)
                    left, closed = left % volume, True
                    continue
                self._volume = volume
            room = self._volume - self._filled
            part = min(left, room)
            self._filled += part
            self._signed += side * part
            left -= part
            if room - part <= DUST * self._volume:
                self._full.append((abs(self._signed), self._volume))
                self._volume = self._filled = self._signed = 0.0
                closed = True
        if closed:
            self.value = sum(gap for gap, _ in self._full) / sum(volume for _, volume in self._full)
