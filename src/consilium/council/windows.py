"""Extremes over the newest hours or days, in little memory."""

from collections.abc import Iterable, Sequence


class Extreme:
    """The highest, or lowest, value of the last ``span_ns``.

    Only values that can still become the extreme are kept, at most one a bucket. Of two in one bucket the
    more extreme stays, dated by the newer: it is forgotten up to one bucket late, never early.

    Parameters
    ----------
    span_ns, bucket_ns
        Lengths of time; the window is closed on both sides.
    highest
        Whether the highest is wanted, else the lowest.

    Examples
    --------
    >>> peak = Extreme(span_ns=10, bucket_ns=1)
    >>> for ts, value in ((0, 3.0), (4, 5.0), (6, 4.0)):
    ...     peak.add(ts, value)
    >>> peak.value(6), peak.value(14), peak.value(15), peak.value(17)
    (5.0, 5.0, 4.0, None)
    """

    __slots__ = ("_bucket_ns", "_entries", "_sign", "_span_ns")

    def __init__(self, *, span_ns: int, bucket_ns: int, highest: bool = True) -> None:
        self._span_ns = span_ns
        self._bucket_ns = bucket_ns
        self._sign = 1.0 if highest else -1.0
        self._entries: list[tuple[int, float]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, ts: int, value: float) -> None:
        """Take a value; times never fall."""
        entries, sign, value = self._entries, self._sign, float(value)
        if entries and entries[-1][0] // self._bucket_ns == ts // self._bucket_ns:
            last = entries.pop()[1]
            value = last if last * sign > value * sign else value
        while entries and entries[-1][1] * sign <= value * sign:
            entries.pop()
        entries.append((ts, value))
        if entries[0][0] < ts - self._span_ns:
            self._entries = [entry for entry in entries if entry[0] >= ts - self._span_ns]

    def value(self, now: int) -> float | None:
        """Return the extreme of the window that ends now; None where nothing lies in it."""
        oldest = now - self._span_ns
        for ts, value in self._entries:
            if ts >= oldest:
                return value
        return None

    def state(self) -> list[list[float]]:
        """Return what is kept, as JSON values."""
        return [[ts, value] for ts, value in self._entries]

    def restore(self, entries: Iterable[Sequence[float]]) -> None:
        """Take up what ``state`` returned."""
        self._entries = [(int(ts), float(value)) for ts, value in entries]


class InForce:
    """The highest, or lowest, value that was in force at any time of the last ``span_ns``.

    A value stays in force until the next one, so the last before the window counts too. Of what was in force
    within one bucket the most extreme stays, until its bucket's last: it is forgotten up to one bucket late.

    Examples
    --------
    >>> high = InForce(span_ns=10, bucket_ns=1)
    >>> for ts, value in ((0, 9.0), (5, 7.0), (20, 6.0)):
    ...     high.add(ts, value)
    >>> high.value(20), high.value(29), high.value(30), high.value(31)
    (7.0, 7.0, 6.0, 6.0)
    """

    __slots__ = ("_bucket_ns", "_entries", "_sign", "_span_ns")

    def __init__(self, *, span_ns: int, bucket_ns: int, highest: bool = True) -> None:
        self._span_ns = span_ns
        self._bucket_ns = bucket_ns
        self._sign = 1.0 if highest else -1.0
        self._entries: list[tuple[int, float]] = []
        """Until when each was in force, ever less extreme; of the last, since when."""

    def add(self, ts: int, value: float) -> None:
        """Take a value; times never fall."""
        entries, value = self._entries, float(value)
        if entries:
            last = entries.pop()[1]
            if entries and entries[-1][0] // self._bucket_ns == ts // self._bucket_ns:
                last = entries.pop()[1]
            entries.append((ts, last))
        while entries and entries[-1][1] * self._sign <= value * self._sign:
            entries.pop()
        entries.append((ts, value))
        if entries[0][0] <= ts - self._span_ns:
            self._entries = [entry for entry in entries[:-1] if entry[0] > ts - self._span_ns] + entries[-1:]

    def value(self, now: int) -> float | None:
        """Return the extreme of the window that ends now; None before the first value."""
        oldest = now - self._span_ns
        for until, value in self._entries[:-1]:
            if until > oldest:
                return value
        return self._entries[-1][1] if self._entries else None

    def state(self) -> list[list[float]]:
        """Return what is kept, as JSON values."""
        return [[ts, value] for ts, value in self._entries]

    def restore(self, entries: Iterable[Sequence[float]]) -> None:
        """Take up what ``state`` returned."""
        self._entries = [(int(ts), float(value)) for ts, value in entries]
