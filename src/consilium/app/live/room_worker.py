"""A room in a process of its own: it catches up from the journal and then follows the transport.

Its state is a function of the journal's rows, in their order. The effects of each row are kept once, marked
with the row's id; a worker that was killed does the row again and finds its effects there.
"""

import logging
from collections.abc import Mapping, Sequence
from threading import Event as Flag
from threading import Thread
from typing import Any, Protocol

from consilium.bus.journal import Journal
from consilium.bus.transport import Pump, Transport
from consilium.domain import ConsiliumError, Event

PAGE = 2_000
SNAPSHOT_EVENTS = 5_000
"""Rows from one snapshot of a room to the next."""

log = logging.getLogger("consilium.worker")


class WorkingRoom(Protocol):
    """What a worker works with."""

    name: str
    topics: tuple[str, ...]

    def handle(self, event: Event) -> Sequence[Event]:
        """Take an event; return its effects."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that it remembers."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state."""
        ...


class RoomWorker:
    """Lets a room work on what others write.

    Parameters
    ----------
    room
        Fresh; only one worker of its name may run at a time.
    journal, transport
        Shared with the other workers.
    """

    def __init__(self, room: WorkingRoom, journal: Journal, transport: Transport) -> None:
        self.room = room
        self._journal = journal
        self._transport = transport
        self._reached = 0
        self._draining = True
        self._since = 0

    @property
    def group(self) -> str:
        """Under which its effects are marked and its place is kept."""
        return f"worker-{self.room.name}"

    def run(self, stop: Flag) -> None:
        """Work until told to stop."""
        self.catch_up()
        pump = Thread(
            target=Pump(self._journal, self._transport).run, args=(stop,), name="consilium-pump", daemon=True
        )
        pump.start()
        self._transport.consume(
            self.group,
            self.room.name,
            self.room.topics,
            handler=self._take,
            stop=stop,
            journal=self._journal,
            idle_s=2.0,
        )
        pump.join(10.0)

    def catch_up(self) -> None:
        """Take all rows of the journal, and keep effects that are missing."""
        fresh = self.room.state()
        kept = self._journal.load_snapshot(self.group)
        if kept is not None:
            try:
                self.room.restore(kept[1])
                self._reached = kept[0]
            except (ConsiliumError, KeyError, TypeError, ValueError) as error:
                log.warning("the snapshot is of other settings, all is replayed: %s", error)
                self.room.restore(fresh)
        while rows := self._journal.read(self._reached, PAGE, topics=self.room.topics):
            for row in rows:
                effects = self.room.handle(row.event)
                if effects:
                    self._journal.append_once(self.group, row.event.event_id, effects)
            self._reached = rows[-1].offset
        log.info("%s has caught up to %d", self.room.name, self._reached)

    def _take(self, event: Event) -> Sequence[Event]:
        if self._draining:
            row = self._journal.find(event.event_id)
            if row is not None and row.offset <= self._reached:
                return ()
            self._draining = False
        self._since += 1
        if self._since >= SNAPSHOT_EVENTS:
            # Now, before this one: the effects of all before it are in the journal.
            row = self._journal.find(event.event_id)
            if row is not None:
                self._snapshot(row.offset - 1)
        return self.room.handle(event)

    def _snapshot(self, offset: int) -> None:
        if self._since == 0 or offset <= 0:
            return
        self._journal.save_snapshot(self.group, offset, self.room.state())
        self._since = 0
