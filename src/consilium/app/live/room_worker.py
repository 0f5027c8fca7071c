"""A room in a process of its own: it catches up from the journal and then follows the transport.

Its state is a function of the journal's rows, in their order: the transport tells that there are new ones,
and they are taken from the journal. The effects of each row are kept once, marked with the row's id, before
the next row is taken; a worker that was killed does the row again and finds its effects there.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event as Flag
from threading import Lock, Thread
from typing import Any, Protocol

from consilium.app.live.beat import beats
from consilium.app.live.recovery import OUTSIDE
from consilium.bus.journal import Journal, Recorded
from consilium.bus.transport import Pump, Transport
from consilium.domain import ConsiliumError, Event

PAGE = 2_000
SNAPSHOT_EVENTS = 5_000
"""Rows from one snapshot of a room to the next."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
LATE_S = 30.0
"""How long a cycle may be late before that is told."""

log = logging.getLogger("consilium.worker")


class WorkingRoom(Protocol):
    """What a worker works with."""

    name: str
    topics: tuple[str, ...]
    torn: bool
    """Whether a failure left it half moved: then it is made anew from the journal."""

    def handle(self, event: Event) -> Sequence[Event]:
        """Take an event; return its effects."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that it remembers."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state, whatever it remembers now."""
        ...


class BeatingRoom(WorkingRoom, Protocol):
    """A room that also does something of its own now and then."""

    def cycle(self) -> None:
        """Write into the journal what is new, and change nothing: it changes when its rows come back."""
        ...


class RoomWorker:
    """Lets a room work on what others write.

    A row that cannot be taken is tried again until it can: later ones build on it.

    Parameters
    ----------
    room
        Fresh; only one worker of its name may run at a time.
    journal, transport
        Shared with the other workers.
    """

    def __init__(self, room: WorkingRoom, journal: Journal, transport: Transport) -> None:
        self.room = room
        self.trouble = ""
        """Why it does not go on now; empty if it does."""
        self.blind = ""
        """Why it does not see what it looks at before a cycle; empty if it does."""
        self._journal = journal
        self._transport = transport
        self._stop = Flag()
        self._pump: Thread | None = None
        self._lock = Lock()
        self._fresh = room.state()
        self.begun = False
        """Whether it has caught up with the journal."""
        self._reached = 0
        self._since = 0
        self._due: float | None = None

    @property
    def worry(self) -> str:
        """Return what troubles it; empty if nothing does."""
        late = 0.0 if self._due is None else time.monotonic() - self._due
        return self.trouble or self.blind or (f"a cycle is late by {late:.0f} s" if late > LATE_S else "")

    @property
    def group(self) -> str:
        """Under which its effects are marked and its place is kept."""
        return f"worker-{self.room.name}"

    def run(self, stop: Flag) -> None:
        """Work until told to stop."""
        self._stop = stop
        try:
            self.catch_up()
        except _Stopped:
            return
        pump = self._pump
        if pump is None:  # one goes on until the stop, also when this is called again after a fault
            pump = Thread(target=Pump(self._journal, self._transport).run, args=(stop,), daemon=True)
            pump.name = "consilium-pump"
            pump.start()
            self._pump = pump
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

    def beat(
        self,
        room: BeatingRoom,
        period_s: float,
        stop: Flag,
        before: Callable[[], None] = lambda: None,
        unseen: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Let the room do its cycle every so often, once it has caught up, until told to stop.

        ``before`` is called before each cycle and may take long: rows are taken meanwhile. Where it fails
        ``unseen`` is called, so that nothing counts that was seen before, and the cycle is done all the same.
        """
        pause = FIRST_PAUSE_S
        for _ in beats(stop, period_s):
            try:
                if self.begun:
                    self._due = time.monotonic()
                    self._look(before, unseen)
                    self.cycle(room)
                    self._due = time.monotonic() + period_s
                pause = FIRST_PAUSE_S
            except _Stopped:
                return
            except Exception as error:  # whatever it was, the next cycle may work
                log.exception("a cycle of %s failed", room.name)
                self.trouble = _told(error)
                stop.wait(pause)
                pause = min(2.0 * pause, LONGEST_PAUSE_S)

    def _look(self, before: Callable[[], None], unseen: Callable[[Exception], None]) -> None:
        try:
            before()
        except Exception as error:
            told = f"it does not see: {_told(error)}"
            if told != self.blind:
                log.exception("a look of %s failed", self.room.name)
            self.blind = told
            unseen(error)
        else:
            self.blind = ""

    def cycle(self, room: BeatingRoom) -> None:
        """Do one cycle of the room, between two rows of the journal."""
        with self._lock:
            self._level()
            room.cycle()
            self._level()

    def catch_up(self) -> None:
        """Take all rows of the journal, and keep effects that are missing."""
        with self._lock:
            if not self.begun:
                self._restore()
            self._level()
            self.begun = True
        log.info("%s has caught up to %d", self.room.name, self._reached)

    def _take(self, event: Event) -> Sequence[Event]:
        """Take what is new in the journal up to an event, and more where there is more."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                with self._lock:
                    row = self._journal.find(event.event_id)
                    if row is not None and row.offset > self._reached:
                        self._level()
            except _Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - an ordered room must wait, not pass over rows
                pause = self._wait(pause, error)
            else:
                return ()

    def _level(self) -> None:
        """Take row after row up to the end of the journal."""
        while rows := self._journal.read(self._reached, PAGE, topics=self.room.topics):
            for row in rows:
                if self._wanted(row):
                    self._do(row)
                self._reached = row.offset
                self._since += 1
            if self._since >= SNAPSHOT_EVENTS:
                self._journal.save_snapshot(self.group, self._reached, self.room.state())
                self._since = 0
        self.trouble = ""

    def _wanted(self, row: Recorded) -> bool:
        """Whether a row means something to the room: those of other systems are for the council alone."""
        return bool(getattr(self.room, "outside", False)) or not row.event.stream.startswith(OUTSIDE)

    def _do(self, row: Recorded) -> None:
        """Take a row and keep its effects, however long that takes."""
        pause = FIRST_PAUSE_S
        effects: Sequence[Event] | None = None
        while effects is None:
            try:
                if self.room.torn:
                    self._remake()
                effects = self.room.handle(row.event)
            except Exception as error:  # noqa: BLE001 - whatever it is, later rows build on this one
                pause = self._wait(pause, error)
        while effects:
            try:
                self._journal.append_once(self.group, row.event.event_id, effects)
            except ConsiliumError as error:
                pause = self._wait(pause, error)
            else:
                return

    def _wait(self, pause: float, error: Exception) -> float:
        """Tell why it waits, and wait; return how long to wait next time."""
        told = _told(error)
        if told != self.trouble:
            log.warning("%s waits: %s", self.room.name, told)
        self.trouble = told
        if self._stop.wait(pause):
            raise _Stopped("a worker must be told to go on", "stop", "start it again") from error
        return min(2.0 * pause, LONGEST_PAUSE_S)

    def _remake(self) -> None:
        """Bring the room to where it stood before the row at hand; the effects so far are kept already."""
        reached = self._reached
        self._restore()
        while rows := self._journal.read(self._reached, PAGE, topics=self.room.topics, before=reached + 1):
            for row in rows:
                if self._wanted(row):
                    self.room.handle(row.event)
            self._reached = rows[-1].offset
        self._reached = reached

    def _restore(self) -> None:
        """Go back to the newest snapshot, or to the beginning."""
        kept = self._journal.load_snapshot(self.group)
        if kept is not None:
            try:
                self.room.restore(kept[1])
            except (ConsiliumError, KeyError, TypeError, ValueError) as error:
                log.warning("the snapshot is of other settings, all is replayed: %s", error)
            else:
                self._reached = kept[0]
                return
        self.room.restore(self._fresh)
        self._reached = 0


class _Stopped(ConsiliumError):
    """It was told to stop while it waited."""


def _told(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
