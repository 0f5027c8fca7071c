"""What governs the living system between its steps: commands, outside reports, its own health, the clock."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from threading import RLock
from typing import Any

from consilium.app.council.health import UNKNOWN, Assessment, HealthWatch, signals_of, unjudged
from consilium.app.council.kill_switch import command_of, drop_note, read_note, write_note
from consilium.app.council.shown import shown
from consilium.app.live import views
from consilium.app.live.asked import Asked
from consilium.app.live.clock_back import ClockBack
from consilium.app.live.council_room import SYSTEM_SOURCE, CouncilRoom
from consilium.app.live.halting import Halting, commanded, halt_recalled, halt_stands
from consilium.app.live.records import ACCOUNT, COUNCIL, DECIDED, RESEARCH_ENDED, Recorder
from consilium.app.log import follow
from consilium.app.settings import Settings
from consilium.bus.codec import envelope, message_of
from consilium.bus.payloads import encode
from consilium.council.service import CouncilService
from consilium.domain import (
    SECOND_NS,
    ArtefactRefused,
    Clock,
    ConsiliumError,
    CouncilCommanded,
    Decision,
    Event,
    HealthReported,
    ModelConfigured,
    OutcomeUnknown,
    TimePassed,
    UsageError,
)

HEALTH_EVERY_NS = 30 * SECOND_NS
"""On a wall clock our own health is told at least so often: it is part of what must be known."""

UNSEEN_S = 60.0
"""Our own health is unknown where nobody has looked at it for so long: what looks may hang."""

HALT_WAIT_S = 0.2
"""A halt waits so long for a step at work before it leaves its note."""

log = logging.getLogger("consilium.council")


@dataclass(frozen=True, slots=True, kw_only=True)
class Governed:
    """What came of a command: its event, what was ruled, and the approval that it waits for, if it does."""

    event: Event
    decisions: tuple[Decision, ...]
    approval: Any = None


class Governing(Asked, Halting):
    """The council of a system, moved on the pipeline thread; a halt may come from any thread.

    Whatever moves the state of the rooms holds ``_moving``; what is concluded goes into ``_pending`` under
    the same lock, so that the journal has it in the order in which it happened. No lock is held while the
    journal writes: a halt never waits for it.
    """

    settings: Settings
    clock: Clock
    troubles: dict[str, str]
    _pending: list[Event]
    _settle_pending: Callable[[], None]
    _require_writable: Callable[[], None]
    _mend: Callable[[], None]

    def _ready_to_govern(self) -> None:
        self._moving = RLock()
        self._health_told, self._health_tick = 0, time.monotonic()
        self._back = ClockBack(self.troubles)
        self._watched = HealthWatch()
        self._assessed: Assessment | None = None
        self._looked_at = time.monotonic()
        self._killed = ""
        self._unnoted: Mapping[str, Any] | None = None
        self._waited = False
        self.torn = False

    @property
    def council(self) -> CouncilService:
        """The council.

        Raises
        ------
        UsageError
            The settings have none.
        """
        found = self.pipeline.council.service
        if found is None:
            raise UsageError("the council must be enabled", "council.enabled is false", "set it to true")
        return found

    def council_now(self) -> int:
        """Return the council's time: the machine's where the feed is a venue's or none, else the market's."""
        return self.clock.now_ns() if self.pipeline.council.wall_clock else max(self.pipeline.ts, 0)

    def journal_trouble(self) -> str:
        """Return why the journal does not write; empty if it does."""
        if self.journal.failed:
            return self.journal.failed
        return "what is concluded waits for it" if self._waited else ""

    def council_status(self) -> dict[str, Any]:
        """Return who sits, what is in force and why, as plain JSON; from any thread."""
        service = self.pipeline.council.service
        if service is None:
            return {"enabled": False}
        with self._moving:
            told = shown(service, self.council_now()) | {"advice": self.pipeline.council.advice()}
        assessed = self._assessed
        return {**told, "health": None if assessed is None else asdict(assessed)}

    def council_explain(self, decision_id: str) -> dict[str, Any]:
        """Tell why one of the newest decisions was made, what it holds and what releases it; from any thread.

        Raises
        ------
        UnknownName
            No such decision among the newest.
        """
        with self._moving:
            return self.council.explain(decision_id)

    def decisions(self, limit: int = 10, before: int | None = None) -> list[dict[str, Any]]:
        """Return decisions of the journal, newest first, each with its place and event."""
        rows = self.journal.read(0, limit, topics=[DECIDED], newest_first=True, before=before)
        return [
            {"offset": row.offset, "event_id": row.event.event_id, **message_of(row.event)} for row in rows
        ]

    # what it hears

    def _heard(self, message: Any, trace_id: str) -> tuple[Event, list[Any]]:
        """Let the council hear a message of ours; what follows is on its way to the journal."""
        with self._moving:
            said = self._concluded_by_council(message)
            return self._written(message, said, trace_id), said

    def _concluded_by_council(self, message: Any) -> list[Any]:
        try:
            return self.pipeline.council.hear([message])
        except BaseException:
            self.torn = True  # a part of the state has moved: the pipeline thread replays the journal
            raise

    def _written(self, message: Any, said: Sequence[Any], trace_id: str) -> Event:
        recorder = Recorder(ts_recorded=self.clock.now_ns(), trace_id=follow(trace_id))
        cause = recorder.event(message)
        self._pending = [*self._pending, cause, *recorder.events(said, cause.event_id)]
        return cause

    def _govern(self, command: CouncilCommanded, trace_id: str) -> Governed:
        self._require_writable()
        council = self.council
        if command.action == "allocation":  # the council knows only models that are reported
            model = str(command.payload.get("model"))
            self.engine.check(ModelConfigured(model=model, enabled=True, by=command.person, ts_event=0))
        with self._moving:
            council.check(command)
            waiting = set(council.approvals)
            event, said = self._heard(command, trace_id or f"by-{command.person}")
            asked = [approval for key, approval in council.approvals.items() if key not in waiting]
        self._settle_governed()
        decisions = tuple(message for message in said if isinstance(message, Decision))
        log.info("council: %s by %s is event %s", command.action, command.person, event.event_id)
        return Governed(event=event, decisions=decisions, approval=asked[0] if asked else None)

    def _settle_governed(self) -> None:
        try:
            self._settle_pending()
        except ConsiliumError as error:
            raise OutcomeUnknown(
                "the journal must take what is ruled",
                "no answer from it",
                "look at /readyz: it is in force, and written as soon as the journal answers",
            ) from error

    def _require_heard(self, event: Event) -> None:
        """Refuse an outside event that the council would not hear; it leaves no trace then.

        Raises
        ------
        ArtefactRefused
            It is a replay, an older one, from the future, out of its range, or one source or model too many.
        """
        room = self.pipeline.council
        if room.service is None:
            return
        with self._moving:
            message = room.report(event, self.pipeline.ts)
            reason = "" if message is None else room.service.refusal(message)
        if reason:
            raise ArtefactRefused(
                "the council must be able to hear it",
                f"one that it refuses ({reason})",
                "publish the next one",
            )

    def _report(self, event: Event) -> None:
        """Let the council hear an outside event, and write down both together."""
        room = self.pipeline.council
        with self._moving:
            message = None if room.service is None else room.report(event, self.pipeline.ts)
            said = [] if message is None else self._concluded_by_council(message)
            recorder = Recorder(ts_recorded=event.ts_recorded, trace_id=event.trace_id)
            self._pending = [*self._pending, event, *recorder.events(said, event.event_id)]
        self._settle_governed()

    def _begin_to_govern(self) -> None:
        """After a recovery, before the first step: know our own health, and act on a halt that waits."""
        self._killed, self._assessed = halt_recalled(self.pipeline.council.service, self.journal), None
        if self.pipeline.council.service is not None:
            self._look(self._looked())

    def _looked(self) -> Assessment:
        """Judge our own health; where that fails it is unknown: time and halts are looked at all the same."""
        try:
            return self._watched.look(signals_of(self))
        except Exception as error:
            if self._assessed is None or self._assessed.status != UNKNOWN:
                log.exception("our own health cannot be judged")
            return unjudged(error)

    def _doubt(self) -> None:
        """Before a step: let the council know where our health was not looked at for long."""
        room, unseen = self.pipeline.council, time.monotonic() - self._looked_at
        if room.service is not None and unseen > UNSEEN_S:
            self._tell_health(room, unjudged(TimeoutError(f"no look for more than {UNSEEN_S:g} s")))

    def _tick(self, assessed: Assessment) -> None:
        """Look at the clock, at our own health and for a halt from outside this process."""
        self._mend()
        if self.pipeline.council.service is not None and "engine" not in self.troubles:
            self._look(assessed)

    def _look(self, assessed: Assessment) -> None:
        room = self.pipeline.council
        self._looked_at = time.monotonic()
        self._waited = bool(self._pending)
        self._look_for_note()
        self._tell_health(room, assessed)
        if room.wall_clock:
            self._tell_time(room)
        self._settle_pending()

    def _tell_health(self, room: CouncilRoom, assessed: Assessment) -> None:
        before, now, told = self._assessed, self.council_now(), room.health
        same = told is not None and (told.system_status, told.faults) == (assessed.status, assessed.faults)
        passed = max(now - self._health_told, (time.monotonic() - self._health_tick) * SECOND_NS)
        due = room.wall_clock and passed >= HEALTH_EVERY_NS
        for part, coming in assessed.alerts.items():
            if before is None or part not in before.alerts:
                log.warning("soon: %s: %s", part, coming)
        self._assessed = assessed = self._back.beside(assessed)
        if same and not due:
            return
        if not same:
            log.log(
                logging.INFO if assessed.status == "HEALTHY" else logging.WARNING,
                "health: %s %s",
                assessed.status,
                assessed.detail,
            )
        self._health_told, self._health_tick = now, time.monotonic()
        self._heard(
            HealthReported(
                source=SYSTEM_SOURCE,
                sequence=room.sequence + 1,
                ts_event=now,
                system_status=assessed.status,
                detail=assessed.detail,
                faults=assessed.faults,
            ),
            "health",
        )

    def _tell_time(self, room: CouncilRoom) -> None:
        """Let the council see the clock; a look that changes nothing is not written down."""
        assert room.service is not None  # noqa: S101 - the caller has looked
        message = TimePassed(ts_event=self.council_now())
        with self._moving:
            if self._back.still(message.ts_event, room.service.now):
                return  # it is refused, as was told when that began
            said = self._concluded_by_council(message)
            if said or room.service.changed:
                self._written(message, said, "clock")

    # research

    def _research_ended(self, message: Mapping[str, Any]) -> None:
        event = envelope(
            message,
            stream=COUNCIL,
            ts_recorded=self.clock.now_ns(),
            trace_id=f"research-{message['decision_id']}",
            topic=RESEARCH_ENDED,
        )
        with self._moving:
            self._pending = [*self._pending, event]
        self._settle_pending()

    def _seen_by_research(self) -> tuple[list[str], str, int, dict[str, Any]]:
        pipeline = self.pipeline
        followed = pipeline.market.followed
        rows = self.journal.read(
            0, 1_000, topics=["portfolio.snapshot_updated"], stream=ACCOUNT, newest_first=True
        )
        account = views.trading_status(pipeline)
        seen = {
            "equity": account["equity"],
            "positions": account["positions"],
            "closes": {symbol: [candle.close for candle in f.candles] for symbol, f in followed.items()},
            "snapshots": [encode(message_of(row.event)) for row in reversed(rows)],
        }
        return list(pipeline.change.models), next(iter(followed), ""), max(pipeline.ts, 0), seen

    # the kill switch

    def _halts_known(self) -> Sequence[str]:
        return [self._killed] if self._killed else []

    def _halt_at_once(self, note: Mapping[str, Any]) -> bool:
        """Freeze in memory, unless a step trades for longer than ``HALT_WAIT_S``: then the note is first."""
        return "engine" not in self.troubles and self._carry_out_note(note, HALT_WAIT_S, ready=True)

    def _note_left(self, note: Mapping[str, Any]) -> str:
        self._unnoted = note
        return self._leave_note()

    def _halt(self, note: Mapping[str, Any]) -> bool:
        return "engine" not in self.troubles and self._carry_out_note(note, ready=True)

    def _halt_failed(self) -> None:
        self._unnoted = None
        self.troubles.pop("halt", None)

    def _leave_note(self) -> str:
        """Write the note that is still to be left; return why that fails, nothing if it does not."""
        note = self._unnoted
        if note is None:
            return ""
        try:
            write_note(self.settings.data_dir, note)
        except OSError as error:
            told = f"a freeze is in memory only, its note cannot be written: {error.strerror or error}"
            if self.troubles.get("halt") != told:
                log.critical("%s", told)
            self.troubles["halt"] = told
            return str(error.strerror or error)
        self._unnoted = None
        self.troubles.pop("halt", None)
        return ""

    def _carry_out_note(self, note: Mapping[str, Any], wait_s: float = -1.0, *, ready: bool = False) -> bool:
        """Freeze, once for each note; False if a step was at work for all of the wait.

        With ``ready`` also where the journal is replayed meanwhile: whoever ends that looks for the note.
        """
        if not self._moving.acquire(timeout=wait_s):
            return False
        try:
            if ready and "engine" in self.troubles:
                return False
            if self._killed != note["command_id"]:
                self._killed = str(note["command_id"])
                self._heard(command_of(note, self.council_now()), "kill")
        finally:
            self._moving.release()
        return True

    def _look_for_note(self) -> None:
        """Act on a note that is not in the journal yet; forget one whose freeze is over."""
        if self._unnoted is not None:
            if self._killed == self._unnoted["command_id"] and not halt_stands(self.council):
                self._unnoted = None
                self.troubles.pop("halt", None)
            self._leave_note()
        note = read_note(self.settings.data_dir)
        if note is None:
            return
        known = str(note["command_id"]) == self._killed or self._journaled(command_of(note, 0))
        if not known:
            self._carry_out_note(note)
        elif not self._pending and not halt_stands(self.council):
            drop_note(self.settings.data_dir, note)

    def _journaled(self, command: CouncilCommanded) -> bool:
        if command.command_id not in commanded(self.journal):
            return False
        self._killed = command.command_id
        return True
