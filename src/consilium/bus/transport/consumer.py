"""The loop of one consumer: every event of its topics, in order, its effects once."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from threading import Event as Signal
from typing import TYPE_CHECKING

from consilium.bus.codec import envelope, from_bytes, to_bytes
from consilium.bus.journal import Journal, Recorded
from consilium.bus.transport.port import Carrier, Consumed, DeadLetter, Entry, Handler, Taken
from consilium.domain import ConsiliumError, DataProblem, Event, HandlerFailed, InvalidValue

if TYPE_CHECKING:
    from concurrent.futures import Future

_log = logging.getLogger(__name__)
_REMEMBERED = 200_000
_SUSPICIOUS = 3
_DEADLY = 5
_SAVE_S = 5.0
_WAIT_S = 0.2
_PAGE = 500
FAILED = "system.handler_failed"


class Consumer:
    """Handles what a transport carries, as one of a group.

    The group shares the events; each is acknowledged after its effects are in the journal, marked there as
    done by the group (`Journal.append_once`), so that a consumer killed in between leaves each effect once.
    The handler itself is called at least once: in one process never twice for an event that it finished,
    after a restart again for those that were not acknowledged. What the transport has dropped is read from
    the journal, before anything newer.

    Parameters
    ----------
    topics
        Events of others are passed over; None for all.
    handler
        Returns the effects; they are kept in the journal or, without one, published.
    tries
        How often a failing handler is called before the event becomes a dead letter.
    idle_s
        After so long what another consumer of the group did not finish is taken over.
    """

    def __init__(
        self,
        carrier: Carrier,
        group: str,
        consumer: str,
        topics: Collection[str] | None,
        *,
        handler: Handler,
        stop: Signal,
        journal: Journal | None = None,
        tries: int = 3,
        idle_s: float = 30.0,
        batch: int = 200,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._carrier, self._group, self._consumer = carrier, group, consumer
        self._topics = None if topics is None else frozenset(topics)
        self._handler, self._stop, self._journal = handler, stop, journal
        self._tries, self._idle_s, self._batch, self._clock = tries, idle_s, batch, clock
        self._recent: dict[str, None] = {}
        self._owed: list[tuple[Event, Sequence[Event], Future[bool]]] = []
        self._bridged = 0
        self._saved = 0
        self._next_save = self._next_claim = 0.0
        self.consumed = Consumed()

    def run(self) -> Consumed:
        """Handle events until told to stop, whatever becomes of the transport and the journal meanwhile."""
        unfinished = True
        while not self._stop.is_set():
            try:
                unfinished = self._step(unfinished)
            except ConsiliumError as error:
                _log.warning("%s waits: %s", self._group, error)
                unfinished = True
                self._stop.wait(0.2)
        self._save(last=True)
        return self.consumed

    def _step(self, unfinished: bool) -> bool:
        """Do what comes next; True if something that was begun has to be finished before anything new."""
        taken = self._next(unfinished)
        if taken is None or not taken.group_known:
            # what was on its way when the connection broke comes first again, so that order is kept
            if taken is None or not self._open():
                self._stop.wait(max(self._carrier.pause_s(), 0.02))
            return True
        if taken.hole is not None:
            self._fill(*taken.hole)
        elif taken.entries:
            return not self._work(taken.entries) or unfinished
        elif not unfinished:
            self._save()
            self._carrier.wait(taken.last, _WAIT_S)
        return False

    def _open(self) -> bool:
        return self._carrier.open_group(self._group, self._start()) is not None

    def _start(self) -> int:
        """Return the journal offset up to which the group once had finished everything."""
        if self._journal is None:
            return 0
        found = self._journal.load_snapshot(self._name())
        return found[0] if found else 0

    def _name(self) -> str:
        return f"consumer:{self._group}"

    def _next(self, unfinished: bool) -> Taken | None:
        if unfinished:
            return self._carrier.pending(self._group, self._consumer, self._batch)
        now = time.monotonic()
        if now >= self._next_claim:
            taken = self._carrier.reclaim(self._group, self._consumer, self._idle_s, self._batch)
            if taken is None or not taken.group_known or taken.entries:
                return taken
            self._next_claim = now + self._idle_s / 2
        return self._carrier.take(self._group, self._consumer, self._batch, self._bridged)

    def _work(self, entries: Sequence[Entry]) -> bool:
        """Handle entries in order; False if some are left for later."""
        finished: list[Entry] = []
        for entry in entries:
            if self._stop.is_set() or not self._one(entry):
                break
            finished.append(entry)
        if not self._settle():
            return False
        told = self._carrier.done(self._group, finished) if finished else True
        self._save()
        return told is not None and len(finished) == len(entries)

    def _one(self, entry: Entry) -> bool:
        if entry.text is None:
            return self._lost(entry)
        if entry.group not in ("", self._group) or not self._wanted(entry.topic):
            return True
        try:
            event = from_bytes(entry.text)
        except ConsiliumError as error:
            return self._give_up(entry, None, str(error))
        if event.event_id in self._recent and not entry.group:
            self.consumed.repeated += 1
            return True
        if entry.deliveries > _SUSPICIOUS:
            tried = self._carrier.tried(self._group, entry)
            if tried is None:
                return False
            if tried > _DEADLY:
                return self._give_up(entry, event, f"the consumer died {tried - 1} times while handling it")
        return self._handle(event, entry)

    def _wanted(self, topic: str) -> bool:
        return self._topics is None or topic in self._topics

    def _handle(self, event: Event, entry: Entry | None) -> bool:
        """Call the handler and keep what it returns; False if told to stop before."""
        for attempt in range(self._tries):
            try:
                effects = list(self._handler(event))
            except Exception as error:  # noqa: BLE001 - whatever a handler raises must leave the others running
                told = f"{type(error).__name__}: {error}".split("\n", 1)[0][:500]
                if self._stop.wait(0.02 * 2**attempt):
                    return False
            else:
                try:
                    return self._commit(event, effects)
                except (InvalidValue, DataProblem) as error:
                    told = f"its effects cannot be kept: {error}"
                    break
        if entry is None:
            entry = Entry((0, 0), event.topic, None)
        return self._give_up(entry, event, told)

    def _commit(self, event: Event, effects: Sequence[Event]) -> bool:
        """Hand effects to the journal, to be there before the event is acknowledged.

        Raises
        ------
        InvalidValue, DataProblem
            They are no JSON.
        """
        if self._journal is None:
            if not self._keep(self._group, event, effects):
                return False
        elif effects:
            future = self._journal.append_once_async(self._group, event.event_id, effects)
            self._owed.append((event, effects, future))
        self.consumed.handled += 1
        self._remember(event)
        return True

    def _settle(self) -> bool:
        """Wait until all effects are in the journal, in shared commits; False if told to stop before."""
        while self._owed:
            event, effects, future = self._owed[0]
            try:
                future.result()
            except ConsiliumError as error:
                _log.warning("effects of %s wait: %s", event.event_id, error)
                if not self._keep(self._group, event, effects):
                    return False
            del self._owed[0]
        return True

    def _keep(self, consumer: str, event: Event, effects: Sequence[Event]) -> bool:
        """Write effects down, however long the journal takes; False if told to stop before."""
        while effects:
            try:
                if self._journal is not None:
                    self._journal.append_once(consumer, event.event_id, effects)
                    break
                if self._carrier.publish(effects):
                    break
            except InvalidValue:
                raise
            except ConsiliumError as error:
                if self._journal is None:
                    raise
                _log.warning("effects of %s wait: %s", event.event_id, error)
            if self._stop.wait(max(self._carrier.pause_s(), 0.2)):
                return False
        return True

    def _remember(self, event: Event) -> None:
        self._recent[event.event_id] = None
        if len(self._recent) > _REMEMBERED:
            del self._recent[next(iter(self._recent))]

    def _give_up(self, entry: Entry, event: Event | None, error: str) -> bool:
        """Make a dead letter; False if it cannot be kept now."""
        if event is not None and event.topic != FAILED and not self._tell_failed(event, error):
            return False
        event_id = _place(entry) if event is None else event.event_id
        letter = DeadLetter(self._group, entry.topic, event_id, error, _text(entry, event))
        if self._carrier.bury(entry, letter) is None:
            return False
        self.consumed.failed += 1
        if event is not None:
            self._remember(event)
        _log.error("%s gave up on %s %s: %s", self._group, entry.topic, event_id, error)
        return True

    def _tell_failed(self, event: Event, error: str) -> bool:
        failed = HandlerFailed(
            handler=self._group,
            topic=event.topic,
            event_id=event.event_id,
            error=error,
            ts_event=event.ts_event,
        )
        told = envelope(
            failed,
            stream=event.stream,
            ts_recorded=self._clock(),
            cause_id=event.event_id,
            trace_id=event.trace_id,
        )
        return self._keep(f"{self._group}:failed", event, [told])

    def _lost(self, entry: Entry) -> bool:
        """Handle what the transport dropped before it was finished."""
        offset, after_it = entry.place
        if self._journal is None or after_it:
            self.consumed.lost += 1
            return True
        return self._refill(self._journal.read(offset - 1, 1, topics=self._topics, before=offset + 1))

    def _fill(self, first: int, last: int) -> None:
        """Handle what is missing before the next entry."""
        if self._journal is None:
            self.consumed.lost += last - first + 1
            _log.warning("events %d to %d are gone and there is no journal to read them from", first, last)
            self._bridged = last
            return
        after = first - 1
        while after < last and not self._stop.is_set():
            try:
                rows = self._journal.read(after, _PAGE, topics=self._topics, before=last + 1)
            except ConsiliumError as error:
                _log.warning("events %d to %d wait: %s", first, last, error)
                self._stop.wait(0.2)
                continue
            if not self._refill(rows) or not self._settle():
                return
            after = rows[-1].offset if rows else last
            if not rows or after == last:
                self._bridged = last

    def _refill(self, rows: Sequence[Recorded]) -> bool:
        for row in rows:
            if self._stop.is_set():
                return False
            if row.event.event_id in self._recent:
                self.consumed.repeated += 1
                continue
            self.consumed.refilled += 1
            if not self._handle(row.event, None):
                return False
        return True

    def _save(self, *, last: bool = False) -> None:
        """Note in the journal how far the group is: after a wipe it need not begin at the first row."""
        now = time.monotonic()
        if self._journal is None or (now < self._next_save and not last):
            return
        self._next_save = now + _SAVE_S
        reached = self._carrier.reached(self._group)
        if reached is not None and reached > self._saved:
            with suppress(ConsiliumError):
                self._journal.save_snapshot(self._name(), reached, {})
                self._saved = reached


def _place(entry: Entry) -> str:
    return f"{entry.place[0]}-{entry.place[1]}"


def _text(entry: Entry, event: Event | None) -> bytes:
    if entry.text is not None:
        return entry.text
    return to_bytes(event) if event is not None else b""
