"""What a transport does, whatever carries it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Event as Signal
from typing import Protocol

from consilium.bus.journal import Journal, Recorded
from consilium.domain import Event

Handler = Callable[[Event], Sequence[Event]]
"""Takes an event and returns its effects, which are kept once however often it is called."""

Place = tuple[int, int]
"""Where an entry stands: its journal offset, and 0; or the offset before it, and a number from 1 up."""

MAX_ENTRIES = 100_000
"""About so many of the newest entries are held; what is older is read from the journal."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event on its way.

    Parameters
    ----------
    text
        The event as JSON; None where the transport has dropped it and only the journal has it.
    group
        The only group that it is for; empty for all.
    deliveries
        How often it was given to a consumer of the group, this time included.
    """

    place: Place
    topic: str
    text: bytes | None
    group: str = ""
    deliveries: int = 1


@dataclass(frozen=True, slots=True)
class Taken:
    """What a group gets next.

    Parameters
    ----------
    hole
        First and last journal offset that are missing before the next entry; nothing is taken then.
    group_known
        False if the transport has no such group, or no longer.
    last
        Where the group stands.
    """

    entries: tuple[Entry, ...] = ()
    hole: tuple[int, int] | None = None
    group_known: bool = True
    last: Place = (0, 0)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a group could not handle, and why."""

    group: str
    topic: str
    event_id: str
    error: str
    text: bytes


@dataclass(slots=True)
class Consumed:
    """What a consumer did so far.

    Parameters
    ----------
    handled, repeated, failed
        Events handled; seen again and left alone; given up as dead letters.
    refilled, lost
        Events that the transport had dropped: read from the journal; nowhere to be found without one.
    """

    handled: int = 0
    repeated: int = 0
    failed: int = 0
    refilled: int = 0
    lost: int = 0


class Carrier(Protocol):
    """What a consumer needs of a transport; each answer is None while that is away."""

    def open_group(self, group: str, after: int) -> bool | None:
        """Make a group that has read up to a journal offset, unless it is there."""

    def take(self, group: str, consumer: str, count: int, bridged: int) -> Taken | None:
        """Give the next entries to a consumer; up to ``bridged`` no hole is told."""

    def pending(self, group: str, consumer: str, count: int) -> Taken | None:
        """Give again what a consumer got and did not finish, oldest first."""

    def reclaim(self, group: str, consumer: str, idle_s: float, count: int) -> Taken | None:
        """Give a consumer what others got at least ``idle_s`` ago and did not finish."""

    def done(self, group: str, entries: Sequence[Entry]) -> bool | None:
        """Note that entries are finished."""

    def tried(self, group: str, entry: Entry) -> int | None:
        """Count one more try of an entry that was delivered often, and return how many there were."""

    def bury(self, entry: Entry, letter: DeadLetter) -> bool | None:
        """Keep a dead letter, and note that its entry is finished."""

    def reached(self, group: str) -> int | None:
        """Return the journal offset up to which the group has finished everything."""

    def wait(self, after: Place, timeout_s: float) -> None:
        """Return when there is an entry after a place, or the time is over."""

    def pause_s(self) -> float:
        """How long to wait before it is tried again while it is away, in seconds."""

    def publish(self, events: Sequence[Event]) -> bool:
        """See `Transport.publish`."""


class Transport(Carrier, Protocol):
    """Carries events to groups of consumers, at least once, in the journal's order.

    ``room`` is about how many of the newest entries it holds.
    """

    room: int

    def publish(self, events: Sequence[Event]) -> bool:
        """Send events that are in no journal, after all that is there; False if it is away."""

    def mirror(self, rows: Sequence[Recorded], after: int) -> int | None:
        """Add rows of the journal behind offset ``after``, and return the offset reached.

        Rows that are there already are left out, whoever added them. An offset below ``after`` says that
        the transport has lost what it had, and that nothing was added; None, that it is away.
        """

    def position(self) -> tuple[int, str] | None:
        """Return the last journal offset with its chain hash, or None while it is away."""

    def reset(self) -> bool:
        """Forget all events and groups; dead letters stay."""

    def rewind(self, group: str, after: int) -> bool:
        """Let a group read again what is behind a journal offset."""

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
        """Handle events until told to stop; see `consilium.bus.transport.consumer.Consumer`."""

    def dead_letters(self, topic: str = "") -> list[DeadLetter]:
        """Return what groups could not handle, of one topic or of all."""

    def retry(self, topic: str = "", event_id: str = "") -> int:
        """Send dead letters once more to the groups that failed, and return how many."""

    def healthy(self) -> str:
        """Return nothing, or in one line why it does not work."""

    def warnings(self) -> list[str]:
        """Return what is set in a way that loses data, and how many dead letters wait; a line each."""

    def close(self) -> None:
        """Give up what it holds."""
