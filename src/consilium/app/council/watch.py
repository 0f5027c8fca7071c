"""Follows what the council does: tells the log, counts, raises alerts and has them carried.

It reads the journal, on threads of its own: nothing here can hold up a step, and what was not told before a
kill is told after it.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from consilium.app.council.alerts import (
    SILENT,
    Alert,
    AlertBook,
    Standing,
    alert_of,
    halts_of,
    of_status,
    raised_by,
)
from consilium.app.council.delivery import Trouble, due, waiting
from consilium.app.council.pages import NotSent, Page, Sender
from consilium.app.council.port import WatchedJournal
from consilium.app.council.tally import COMMAND, CONFLICT, DECISION, POLICY, Tally, is_freeze
from consilium.bus.codec import envelope, register
from consilium.domain import Clock, ConsiliumError, Event

RAISED, SENT = "council.alert_raised", "council.alert_sent"
SNAPSHOT = "council-watch"
STREAM = "alerts"
TOPICS = (DECISION, CONFLICT, POLICY, COMMAND, RAISED, SENT)
PAGE, SNAPSHOT_ROWS = 1_000, 500
LOCK = "alerts.lock"

_LOOK_S, _STATUS_S, _PAUSE_S = 0.1, 1.0, 1.0
_HALT_PATIENCE_S = 5.0
"""How long a halt may stand without its row in the journal before it is told without."""

register(RAISED, dict, 1)
register(SENT, dict, 1)
log = structlog.get_logger("consilium.council")


class CouncilWatch:
    """Watches one council.

    Parameters
    ----------
    journal
        What happened.
    clock
        The wall clock, for reminders.
    status
        Tells how the council stands now.
    senders
        Who carries pages; each has a thread of its own.
    every_s
        From one reminder of a halt to the next.
    folder
        Where a lock says who sends, if several processes watch one council; None for no lock.
    """

    def __init__(
        self,
        journal: WatchedJournal,
        clock: Clock,
        status: Callable[[], Mapping[str, Any]],
        *,
        senders: Sequence[Sender] = (),
        every_s: float = 900.0,
        folder: Path | None = None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._status = status
        self._senders = tuple(senders)
        self._every_s = every_s
        self._folder = folder
        self._lock = threading.RLock()
        self._tally, self._book = Tally(), AlertBook()
        self._at = self._since = 0
        self._begun_ns = 0
        self._pending: list[Event] = []
        self._halts: dict[str, float] = {}
        self._looked = -_STATUS_S
        self._held: int | None = None
        self._broken = ""
        self._troubles: dict[str, dict[str, Trouble]] = {sender.name: {} for sender in senders}
        self._caught_up, self._stop = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    # life

    def start(self) -> None:
        """Begin to watch, in the background."""
        self._begun_ns = self._clock.now_ns()
        works: list[tuple[str, Callable[[], None]]] = [("council-watch", self._follow)]
        works += [(f"council-{s.name}", lambda sender=s: self._deliver(sender)) for s in self._senders]  # type: ignore[misc]
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; a page that is on its way is not waited for long, and sent again after the next start."""
        self._stop.set()
        until = time.monotonic() + 2.0
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        with suppress(ConsiliumError):
            self._write_down()
        with self._lock, suppress(ConsiliumError):
            if self._since and self._caught_up.is_set() and not self._pending:
                self._journal.save_snapshot(SNAPSHOT, self._at, self._state())
        for sender in self._senders:
            sender.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _may_send(self) -> bool:
        """Tell whether this is the one process that sends: where that one ends, another takes its place."""
        if self._folder is None:
            return True
        with self._lock:
            if self._held is not None:
                return True
            held = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
                return False
            self._held = held
            return True

    # what is asked

    def alerts(self) -> list[Standing]:
        """Return alerts, the worst that nobody has seen first."""
        with self._lock:
            return self._book.newest()

    def tally(self) -> Tally:
        """Return the counts as they stand now, as a copy."""
        with self._lock:
            return Tally.of(self._tally.state())

    def unacknowledged(self) -> list[Standing]:
        """Return what is not over and nobody has seen."""
        with self._lock:
            return self._book.unacknowledged()

    def outstanding(self) -> dict[str, int]:
        """Return by sender how many pages it has still to carry."""
        now = self._clock.now_ns()
        with self._lock:
            return {s.name: waiting(self._book, s.name, now, self._every_s) for s in self._senders}

    def caught_up(self) -> bool:
        """Tell whether all that was there at the start is taken."""
        return self._caught_up.is_set()

    def trouble(self) -> str:
        """Return what keeps pages from arriving, in one line; nothing if nothing does."""
        told = [self._broken] if self._broken else []
        with self._lock:
            for sender, pages in self._troubles.items():
                if pages:
                    newest = max(pages.values(), key=lambda trouble: trouble.failed)
                    told.append(f"{sender}: {len(pages)} pages wait, {newest.why}")
        return "; ".join(told)

    # the journal

    def _follow(self) -> None:
        """Take row after row; what fails is tried again."""
        restored = False
        while not self._stop.is_set():
            try:
                if not restored:
                    self._restore()
                    restored = True
                self._look()
                self._broken = ""
                if self._caught_up.is_set():
                    self._journal.wait(self._at, _LOOK_S * 5)
                    self._stop.wait(_LOOK_S)
            except Exception as error:  # noqa: BLE001 - whatever it is, alerts must go on when it is over
                told = " ".join(str(error).split()) or type(error).__name__
                if told != self._broken and not self._stop.is_set():
                    log.warning("the council cannot be watched", error=told)
                self._broken = told
                with suppress(Exception):
                    self._look_at_status()
                self._stop.wait(_PAUSE_S)

    def _restore(self) -> None:
        found = self._journal.load_snapshot(SNAPSHOT)
        if found is None:
            return
        try:
            tally, book = Tally.of(found[1]["tally"]), AlertBook.of(found[1]["book"])
        except (KeyError, TypeError, ValueError) as error:
            log.warning(
                "the snapshot of the alerts is of another version: all is read again", error=str(error)
            )
            return
        with self._lock:
            self._tally, self._book, self._at = tally, book, found[0]
            self._begun_ns = 0  # what came after it was not told yet

    def _state(self) -> dict[str, Any]:
        return {"tally": self._tally.state(), "book": self._book.state()}

    def _look(self) -> None:
        head = self._journal.head().offset
        rows = self._journal.read(self._at, PAGE, topics=TOPICS)
        with self._lock:
            for row in rows:
                self._take(row.event)
            last = rows[-1].offset if rows else 0
            self._at = last if len(rows) == PAGE else max(self._at, head, last)
            self._since += len(rows)
        if len(rows) < PAGE:
            self._caught_up.set()
        self._look_at_status()
        self._write_down()
        if self._since >= SNAPSHOT_ROWS:
            with self._lock:
                at, state = self._at, self._state()
                self._since = 0
            self._journal.save_snapshot(SNAPSHOT, at, state)

    def _take(self, event: Event) -> None:
        """Take one row: count it, tell it, raise what it raises."""
        payload = event.payload if isinstance(event.payload, Mapping) else {}
        self._tally.take(event)
        if event.topic == RAISED:
            self._book.raised(alert_of(payload), event.ts_recorded)
        elif event.topic == SENT:
            self._book.was_sent(payload["alert_id"], payload["sender"], payload["page"], payload["ts_sent"])
        elif event.topic == COMMAND:
            if payload.get("action") == "acknowledge":
                asked = payload["payload"].get("alert_id", "")
                self._book.acknowledged(asked, payload["person"], event.ts_recorded)
        else:
            if event.ts_recorded >= self._begun_ns:
                tell(event)
            if event.topic == POLICY:
                self._book.settle(self._tally.mode, self._tally.profile, self._tally, event.ts_event)
            for found in raised_by(event, self._tally):
                self._raise(found, event.ts_recorded, event)

    def _raise(self, found: Alert, ts_recorded: int, cause: Event | None = None) -> None:
        if not self._book.fresh(found):
            return
        self._book.raised(found, ts_recorded)
        self._pending.append(
            envelope(
                found.as_dict(),
                topic=RAISED,
                stream=STREAM,
                ts_recorded=ts_recorded,
                cause_id=cause.event_id if cause else "",
                trace_id=cause.trace_id if cause else "",
            )
        )
        log.info("alert raised", alert_id=found.alert_id, kind=found.kind, severity=found.severity)

    def _look_at_status(self) -> None:
        """Raise and close what follows from how the council stands, now and then."""
        now = time.monotonic()
        if now - self._looked < _STATUS_S or not self._caught_up.is_set():
            return
        self._looked = now
        status = self._status()
        if not status:
            return
        ts = self._clock.now_ns()
        with self._lock:
            found = of_status(status, self._book.keys(SILENT))
            for alert in found:
                self._raise(alert, ts)
            standing = {alert.key for alert in found}
            for key in (*self._book.keys("approval:"), *self._book.keys(SILENT)):
                if key not in standing:
                    self._book.close(key)
            self._raise_halts(status, now, ts)
            at = int(status.get("now", 0))
            mode, profile = str(status.get("mode", "")), str(status.get("profile", ""))
            self._book.settle(mode or self._tally.mode, profile or self._tally.profile, self._tally, at)

    def _raise_halts(self, status: Mapping[str, Any], now: float, ts: int) -> None:
        """Tell of a halt whose row does not come: it acts before it is written down."""
        halts = {halt.key: halt for halt in halts_of(status)}
        self._halts = {key: self._halts.get(key, now) for key in halts}
        for key, since in self._halts.items():
            if now - since >= _HALT_PATIENCE_S:
                self._raise(halts[key], ts)

    def _write_down(self) -> None:
        """Journal what was raised and sent."""
        with self._lock:
            events = list(self._pending)
        if events:
            self._journal.append(events)
            with self._lock:
                del self._pending[: len(events)]

    # the senders

    def _deliver(self, sender: Sender) -> None:
        """Carry what is due, the worst first, until told to stop."""
        self._caught_up.wait()
        troubles = self._troubles[sender.name]
        while not self._stop.is_set():
            if not self._is_sending():
                self._stop.wait(_PAUSE_S)
                continue
            with self._lock:
                now_ns = self._clock.now_ns()
                page = due(self._book, sender.name, now_ns, self._every_s, troubles, time.monotonic())
            if page is None:
                self._stop.wait(_LOOK_S)
                continue
            self._carry(sender, page, troubles)

    def _is_sending(self) -> bool:
        try:
            return self._may_send()
        except OSError as error:
            log.warning("alerts are sent without a lock", error=str(error.strerror))
            self._folder = None
            return True

    def _carry(self, sender: Sender, page: Page, troubles: dict[str, Trouble]) -> None:
        why, after_s = "", 0.0
        try:
            sender.send(page)
        except NotSent as error:
            why, after_s = str(error), error.after_s
        except Exception as error:  # noqa: BLE001 - a page that cannot be carried must not end the thread
            why = f"{sender.name} failed: {type(error).__name__}"
        with self._lock:
            if why:
                trouble = troubles.setdefault(page.page_id, Trouble())
                if trouble.why != why:
                    log.warning("a page did not arrive", sender=sender.name, alert_id=page.alert_id, why=why)
                trouble.fail(why, time.monotonic(), after_s)
                return
            troubles.pop(page.page_id, None)
            ts = self._clock.now_ns()
            self._book.was_sent(page.alert_id, sender.name, page.number, ts)
            said = {"alert_id": page.alert_id, "sender": sender.name, "page": page.number, "ts_sent": ts}
            self._pending.append(
                envelope(said, topic=SENT, stream=STREAM, ts_event=page.ts_event, ts_recorded=ts)
            )
        log.info("page sent", sender=sender.name, alert_id=page.alert_id, page=page.number)


def tell(event: Event) -> None:
    """Write what the council did into the log, in the words that operators search for.

    "Decision published" for every decision, "EMERGENCY FREEZE" as well for a freeze, "Decision conflict
    resolved" for a conflict; with the fields of the decision.
    """
    if not isinstance(event.payload, Mapping):
        return
    said = {name: value for name, value in event.payload.items() if name not in ("event", "trace_id")}
    if event.topic == DECISION:
        log.info("Decision published", **said, trace_id=event.trace_id)
        if is_freeze(event.payload):
            log.critical("EMERGENCY FREEZE", **said, trace_id=event.trace_id)
    elif event.topic == CONFLICT:
        log.warning("Decision conflict resolved", **said, trace_id=event.trace_id)
