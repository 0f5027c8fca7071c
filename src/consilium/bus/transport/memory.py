"""Events inside one process: the same groups, holes and dead letters as in Redis, and the same exam."""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from threading import Event as Signal

from consilium.bus.codec import to_bytes
from consilium.bus.journal import GENESIS, Journal, Recorded
from consilium.bus.transport.consumer import Consumer
from consilium.bus.transport.port import (
    Consumed,
    DeadLetter,
    Entry,
    Handler,
    Place,
    Taken,
)
from consilium.domain import Event


@dataclass(slots=True)
class _Given:
    """An entry that a consumer has and did not finish."""

    consumer: str
    since: float
    deliveries: int


@dataclass(slots=True)
class _Group:
    last: Place
    given: dict[Place, _Given] = field(default_factory=dict)
    tries: dict[Place, int] = field(default_factory=dict)


class MemoryTransport:
    """A transport in this process; what it holds ends with it.

    Parameters
    ----------
    max_entries
        So many of the newest entries are held.

    Examples
    --------
    >>> from consilium.bus.codec import envelope
    >>> transport = MemoryTransport()
    >>> event = envelope({"ts_event": 1}, topic="system.health_updated", stream="s", ts_recorded=1)
    >>> transport.publish([event])
    True
    >>> transport.open_group("g", after=0), len(transport.take("g", "c", 10, 0).entries)
    (True, 1)
    """

    def __init__(self, max_entries: int = 10_000) -> None:
        self.room = max_entries
        self._entries: list[Entry] = []
        self._top: Place = (0, 0)
        self._tip = GENESIS
        self._groups: dict[str, _Group] = {}
        self._letters: dict[tuple[str, str], DeadLetter] = {}
        self._changed = threading.Condition(threading.RLock())

    def publish(self, events: Sequence[Event]) -> bool:
        """Send events that are in no journal."""
        with self._changed:
            for event in events:
                self._add((self._top[0], self._top[1] + 1), event.topic, to_bytes(event))
        return True

    def mirror(self, rows: Sequence[Recorded], after: int) -> int:
        """Add rows of the journal; see `Transport.mirror`."""
        with self._changed:
            for row in rows:
                reached = self._top[0]
                if reached < after or (reached and row.offset > reached + 1):
                    break
                if row.offset > reached:
                    self._add((row.offset, 0), row.event.topic, to_bytes(row.event))
                    self._tip = row.hash
            return self._top[0]

    def _add(self, place: Place, topic: str, text: bytes, group: str = "") -> None:
        self._entries.append(Entry(place, topic, text, group))
        self._top = place
        if len(self._entries) > 1.1 * self.room:
            del self._entries[: -self.room]
        self._changed.notify_all()

    def position(self) -> tuple[int, str]:
        """Return the last journal offset with its chain hash."""
        with self._changed:
            return self._top[0], self._tip

    def reset(self) -> bool:
        """Forget all events and groups."""
        with self._changed:
            self._entries, self._top, self._tip = [], (0, 0), GENESIS
            self._groups = {}
        return True

    def rewind(self, group: str, after: int) -> bool:
        """Let a group read again what is behind a journal offset."""
        with self._changed:
            self._groups[group] = _Group((after, 0))
            self._changed.notify_all()
        return True

    def open_group(self, group: str, after: int) -> bool:
        """Make a group, unless it is there."""
        with self._changed:
            self._groups.setdefault(group, _Group((after, 0)))
        return True

    def take(self, group: str, consumer: str, count: int, bridged: int) -> Taken:
        """Give the next entries to a consumer."""
        with self._changed:
            known = self._groups.get(group)
            if known is None:
                return Taken(group_known=False)
            at = bisect_right(self._entries, known.last, key=lambda entry: entry.place)
            entries = tuple(self._entries[at : at + count])
            upto = hole_before(entries[0].place) if entries else self._top[0]
            begun = max(known.last[0], bridged)
            if upto > begun:
                return Taken(hole=(begun + 1, upto))
            for entry in entries:
                known.given[entry.place] = _Given(consumer, time.monotonic(), 1)
                known.last = entry.place
            return Taken(entries, last=known.last)

    def pending(self, group: str, consumer: str, count: int) -> Taken:
        """Give again what a consumer got and did not finish."""
        return self._again(group, consumer, lambda given: given.consumer == consumer, count)

    def reclaim(self, group: str, consumer: str, idle_s: float, count: int) -> Taken:
        """Give a consumer what others did not finish."""
        before = time.monotonic() - idle_s
        return self._again(group, consumer, lambda given: given.since <= before, count)

    def _again(self, group: str, consumer: str, wanted: Callable[[_Given], bool], count: int) -> Taken:
        with self._changed:
            known = self._groups.get(group)
            if known is None:
                return Taken(group_known=False)
            found = [place for place, given in sorted(known.given.items()) if wanted(given)][:count]
            entries = []
            for place in found:
                given = known.given[place]
                given.consumer, given.since = consumer, time.monotonic()
                given.deliveries += 1
                entries.append(replace(self._at(place), deliveries=given.deliveries))
            return Taken(tuple(entries), last=known.last)

    def _at(self, place: Place) -> Entry:
        at = bisect_right(self._entries, place, key=lambda entry: entry.place) - 1
        if at >= 0 and self._entries[at].place == place:
            return self._entries[at]
        return Entry(place, "", None)

    def done(self, group: str, entries: Sequence[Entry]) -> bool:
        """Note that entries are finished."""
        with self._changed:
            known = self._groups.get(group)
            if known is not None:
                for entry in entries:
                    known.given.pop(entry.place, None)
                    known.tries.pop(entry.place, None)
        return True

    def tried(self, group: str, entry: Entry) -> int:
        """Count one more try of an entry."""
        with self._changed:
            known = self._groups.setdefault(group, _Group((0, 0)))
            known.tries[entry.place] = known.tries.get(entry.place, 0) + 1
            return known.tries[entry.place]

    def bury(self, entry: Entry, letter: DeadLetter) -> bool:
        """Keep a dead letter."""
        with self._changed:
            self._letters[letter.group, letter.event_id] = letter
        return self.done(letter.group, [entry])

    def reached(self, group: str) -> int | None:
        """Return the journal offset up to which the group has finished everything."""
        with self._changed:
            known = self._groups.get(group)
            if known is None:
                return None
            return min(known.given)[0] - 1 if known.given else known.last[0]

    def wait(self, after: Place, timeout_s: float) -> None:
        """Return when there is an entry after a place."""
        with self._changed:
            self._changed.wait_for(lambda: self._top > after, timeout_s)

    def pause_s(self) -> float:
        """Return 0: it is never away."""
        return 0.0

    def consume(
        self,
        group: str,
        consumer: str,
        topics: Collection[str] | None = None,
        *,
        handler: Handler,
        stop: Signal,
        journal: Journal | None = None,
        tries: int = 3,
        idle_s: float = 30.0,
        batch: int = 200,
    ) -> Consumed:
        """Handle events until told to stop; see `Consumer`."""
        loop = Consumer(
            self,
            group,
            consumer,
            topics,
            handler=handler,
            stop=stop,
            journal=journal,
            tries=tries,
            idle_s=idle_s,
            batch=batch,
        )
        return loop.run()

    def dead_letters(self, topic: str = "") -> list[DeadLetter]:
        """Return what groups could not handle."""
        with self._changed:
            return [letter for letter in self._letters.values() if topic in ("", letter.topic)]

    def retry(self, topic: str = "", event_id: str = "") -> int:
        """Send dead letters once more to the groups that failed."""
        with self._changed:
            chosen = [
                letter
                for letter in self.dead_letters(topic)
                if event_id in ("", letter.event_id) and letter.text
            ]
            for letter in chosen:
                self._add((self._top[0], self._top[1] + 1), letter.topic, letter.text, letter.group)
                del self._letters[letter.group, letter.event_id]
        return len(chosen)

    def healthy(self) -> str:
        """Return nothing: it is never away."""
        return ""

    def warnings(self) -> list[str]:
        """Return how many dead letters wait."""
        return letters_told(len(self._letters))

    def close(self) -> None:
        """Keep nothing open."""


def hole_before(place: Place) -> int:
    """Return the last journal offset that must have been read before an entry.

    Examples
    --------
    >>> hole_before((7, 0)), hole_before((7, 2))
    (6, 7)
    """
    offset, after_it = place
    return offset if after_it else offset - 1


def letters_told(count: int) -> list[str]:
    """Say how many dead letters wait.

    Examples
    --------
    >>> letters_told(0), letters_told(2)
    ([], ['2 dead letters to be retried'])
    """
    return [f"{count} dead letter{'s' * (count != 1)} to be retried"] if count else []
