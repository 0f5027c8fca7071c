"""The council as a worker: it hears what the others write into the journal, sits, and says what it rules."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import RLock
from typing import Any

from consilium.app.council.health import Assessment
from consilium.app.council.kill_switch import command_of, drop_note, read_note
from consilium.app.live.clock_back import ClockBack
from consilium.app.live.close_reports import CloseTold
from consilium.app.live.governing import HEALTH_EVERY_NS
from consilium.app.live.halting import halt_stands
from consilium.app.live.hearing import SYSTEM_SOURCE, Hearing
from consilium.app.live.obeying import KILLS_KEPT
from consilium.app.live.outside import OUTSIDE_TOPICS
from consilium.app.live.records import (
    COMMAND_TAKEN,
    COMMANDED,
    COUNCIL,
    HEALTH,
    HEARD_AT,
    SHARES_CHANGED,
    STEP_RULED,
    STEP_TRADED,
    TIME_PASSED,
    Recorder,
)
from consilium.app.live.recovery import OUTSIDE
from consilium.app.live.terms import Terms
from consilium.app.live.weighing import shares_told
from consilium.app.settings import Settings
from consilium.bus.codec import envelope, from_wire, message_of, to_wire
from consilium.domain import (
    SECOND_NS,
    Clock,
    CouncilCommanded,
    Decision,
    Event,
    HealthReported,
    Mode,
    PolicyChanged,
    ReportRefused,
    TimePassed,
)

ANSWERS_KEPT = 256
AHEAD_NS = HEALTH_EVERY_NS + 5 * SECOND_NS
"""A halt is dated no later than so long after our clock was written down last."""

log = logging.getLogger("consilium.council")


class SittingRoom:
    """Turns what is told of closes, commands, outside reports, health and time into decisions and a policy.

    It says nothing on a close before it knows its own health. Whatever is asked for is answered with a row of
    its own, `COMMAND_TAKEN`, also where nothing follows from it. What others date, in a venue's time, later
    than our clock was written down last waits for a row that dates it (`HEARD_AT`): no other moves ours.

    Parameters
    ----------
    settings
        Of the process.
    terms
        Returns what the market worker has begun with, None before.
    clock
        Dates what is written down.
    keep
        Writes down what is not an effect of a row: health, time, and a halt that the data folder asks for.
    silent
        Whether nothing follows: a copy that only shows what the worker of this room says.
    ticks
        Seconds that go forward, whatever is done to the clock.
    """

    name: str = "council"
    outside = True
    """It takes what outside systems publish."""

    topics: tuple[str, ...] = (
        STEP_TRADED,
        COMMANDED,
        HEARD_AT,
        TIME_PASSED,
        *sorted({HEALTH, *OUTSIDE_TOPICS}),
    )

    def __init__(
        self,
        settings: Settings,
        terms: Callable[[], Terms | None],
        clock: Clock,
        keep: Callable[[Sequence[Event]], object] = lambda _: None,
        *,
        silent: bool = False,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = RLock()
        """Held by whoever moves or shows its state."""
        self.hearing = Hearing(settings, terms)
        self.assessed: Assessment | None = None
        """Our own health, as it was judged last."""
        self.answers: dict[str, tuple[tuple[Decision, ...], Any]] = {}
        """Of a silent copy, by the event of a command: what was ruled, and the approval that it waits for."""
        self.ts = -1
        """The newest close that was ruled on."""
        self.torn = False
        self._settings = settings
        self._clock = clock
        self._keep = keep
        self._silent = silent
        self._waiting: list[Event] = []
        self._undated: list[Event] = []
        self._clock_at = 0
        self._kills: list[str] = []
        self._ticks = ticks
        self._told_at, self._told_tick = 0, ticks()
        self.back = ClockBack()
        """Whether the machine's clock is behind what was heard."""

    def now(self) -> int:
        """Return the council's time: the machine's where the feed is a venue's, else the market's."""
        return self._clock.now_ns() if self._on_wall_clock else max(self.ts, 0)

    @property
    def _on_wall_clock(self) -> bool:
        return self.hearing.terms is not None and self.hearing.wall_clock

    @property
    def halts(self) -> tuple[str, ...]:
        """The ids of the newest halts."""
        return tuple(self._kills)

    # what it hears

    def handle(self, event: Event) -> Sequence[Event]:
        """Take an event; return what is ruled."""
        with self.lock:
            self.torn = True
            effects = self._heard(event)
            self.torn = False
        return () if self._silent else effects

    def _heard(self, event: Event) -> list[Event]:
        if event.stream.startswith(OUTSIDE):
            return self._brought(event) if event.topic in OUTSIDE_TOPICS else []
        if event.topic == COMMANDED:
            return self._brought(event)
        if event.topic == STEP_TRADED:
            if self.hearing.health is None:
                self._waiting.append(event)
                return []
            return self._closed(event)
        of_health = (event.topic, event.stream) == (HEALTH, SYSTEM_SOURCE)
        if event.topic not in (HEARD_AT, TIME_PASSED) and not of_health:
            return []
        self._clock_at = max(self._clock_at, event.ts_event)
        if event.topic == HEARD_AT:
            undated, self._undated = self._undated, []
            return [effect for waiting in undated for effect in self._taken(waiting, event.ts_event)]
        if event.topic == TIME_PASSED:
            return self._ruled(event, [message_of(event)])
        return self._healthy(event)

    def _brought(self, event: Event) -> list[Event]:
        """Take what others wrote down; what is ahead of our clock as it was told, once that has dated it."""
        if not self._ahead(event):
            return self._taken(event, None)
        self._undated.append(event)
        body = {"ts_event": self._clock.now_ns(), "first": event.event_id}
        return [self._own(HEARD_AT, body, event)] if len(self._undated) == 1 else []

    def _ahead(self, event: Event) -> bool:
        if not self._on_wall_clock:
            return False
        if event.topic != COMMANDED:
            dated = event.ts_recorded
        elif self._clock_at and _halts(message_of(event)):
            return False  # it acts first; where nobody has told our clock yet, his who asks must not set it
        else:
            dated = event.ts_event
        return dated > self._clock_at + int(self.hearing.service.rules.future_s * SECOND_NS)

    def _taken(self, event: Event, received_at: int | None) -> list[Event]:
        if event.topic == COMMANDED:
            return self._commanded(event, received_at)
        report = self.hearing.report(event, self.ts, received_at)
        return [] if report is None else self._ruled(event, [report])

    def _healthy(self, event: Event) -> list[Event]:
        """Hear our own health, and the closes that waited for it; one that came in between outdates none."""
        report, told = HealthReported(**message_of(event)), self.hearing.health
        report = replace(
            report,
            sequence=self.hearing.sequence + 1,
            ts_event=report.ts_event if told is None else max(report.ts_event, told.ts_event),
        )
        effects = self._ruled(event, [report])
        waiting, self._waiting = self._waiting, []
        for step in waiting:
            effects += self._closed(step)
        return effects

    def _closed(self, event: Event) -> list[Event]:
        """Rule on a close; the last row says that all was said."""
        told = CloseTold.of(message_of(event))
        before = self.hearing.policy
        said = self.hearing.close(told)
        self.ts = told.ts_event
        effects = self._written(event, said, before)
        effects.append(self._own(STEP_RULED, {"ts_event": told.ts_event, "mode": self._mode}, event))
        return effects

    def _ruled(self, event: Event, messages: Sequence[Any]) -> list[Event]:
        before = self.hearing.policy
        return self._written(event, self.hearing.hear(messages), before)

    def _commanded(self, event: Event, received_at: int | None) -> list[Event]:
        command: CouncilCommanded = message_of(event)
        service = self.hearing.service
        stands = _halts(command) and command.command_id in self._kills and halt_stands(service)
        command = self._dated(command, received_at)
        waiting, before = set(service.approvals), self.hearing.policy
        said = [] if stands else self.hearing.hear([command])  # two have read one note
        if self._silent:
            asked = [approval for key, approval in service.approvals.items() if key not in waiting]
            decisions = tuple(message for message in said if isinstance(message, Decision))
            self.answers[event.event_id] = decisions, asked[0] if asked else None
            while len(self.answers) > ANSWERS_KEPT:
                del self.answers[next(iter(self.answers))]
        refused = next((message.reason for message in said if isinstance(message, ReportRefused)), "")
        body = {
            "command_id": command.command_id,
            "refused": refused,
            "mode": self._mode,
            "ts_event": command.ts_event,
        }
        return [*self._written(event, said, before), self._own(COMMAND_TAKEN, body, event)]

    def _dated(self, command: CouncilCommanded, received_at: int | None) -> CouncilCommanded:
        """Return a command in the council's time; a halt so that nothing beside it has it refused."""
        if _halts(command):
            known = [kill for kill in self._kills if kill != command.command_id]
            self._kills = [*known, command.command_id][-KILLS_KEPT:]
            latest = self._clock_at + AHEAD_NS if received_at is None else received_at
            command = replace(
                command, payload={"mode": Mode.FROZEN.value}, ts_event=min(command.ts_event, latest)
            )
        if not self._on_wall_clock:  # who wrote it may not know the market's time
            return replace(command, ts_event=max(self.ts, 0))
        return command if received_at is None else replace(command, received_at=received_at)

    @property
    def _mode(self) -> str:
        return self.hearing.policy.mode

    def _written(self, event: Event, said: Sequence[Any], before: Any) -> list[Event]:
        """Return what was said as events, and what the ensemble is to weigh by from now on."""
        recorder = Recorder(ts_recorded=self._clock.now_ns(), trace_id=event.trace_id)
        effects = recorder.events(said, event.event_id)
        changed = [message for message in said if isinstance(message, PolicyChanged)]
        if changed and dict(changed[-1].policy.weights) != dict(before.weights):
            shares = shares_told(before, changed[-1].policy, self.hearing.service.holds.values())
            body = {**shares, "after": event.event_id, "ts_event": changed[-1].ts_event}
            effects.append(self._own(SHARES_CHANGED, body, event))
        return effects

    def _own(self, topic: str, body: Mapping[str, Any], event: Event) -> Event:
        return envelope(
            body,
            stream=COUNCIL,
            ts_recorded=self._clock.now_ns(),
            cause_id=event.event_id,
            trace_id=event.trace_id,
            topic=topic,
        )

    # what it looks at itself

    def cycle(self) -> None:
        """Write down health, time and a halt from the data folder; each counts when it comes back."""
        if self.hearing.terms is not None:
            if self.assessed is not None:
                self._tell_health(self.assessed)
            if self.hearing.wall_clock:
                self._tell_time()
        self._look_for_note()

    def _tell_health(self, assessed: Assessment) -> None:
        told, now = self.hearing.health, self.now()
        same = told is not None and (told.system_status, told.faults) == (assessed.status, assessed.faults)
        passed = max(now - self._told_at, (self._ticks() - self._told_tick) * SECOND_NS)
        if same and not (self.hearing.wall_clock and passed >= HEALTH_EVERY_NS):
            return
        assessed = self.back.beside(assessed)
        if not same:
            level = logging.INFO if assessed.status == "HEALTHY" else logging.WARNING
            log.log(level, "health: %s %s", assessed.status, assessed.detail)
        report = HealthReported(
            source=SYSTEM_SOURCE,
            sequence=self.hearing.sequence + 1,
            ts_event=now,
            system_status=assessed.status,
            detail=assessed.detail,
            faults=assessed.faults,
        )
        self._write(report, "health")
        self._told_at, self._told_tick = now, self._ticks()

    def _tell_time(self) -> None:
        """Let it see the clock; a look that would change nothing is not written down."""
        service, message = self.hearing.service, TimePassed(ts_event=self.now())
        with self.lock:
            if self.back.still(message.ts_event, service.now):
                return  # it is refused, as was told when that began
            before, self.torn = service.state(), True
            said = service.handle(message)
            changed = bool(said) or service.changed
            service.restore(before)
            self.torn = False
        if changed:
            self._write(message, "clock")

    def _look_for_note(self) -> None:
        """Take up a note that the journal does not have; forget one whose freeze is over."""
        note = read_note(self._settings.data_dir)
        if note is None:
            return
        if note["command_id"] not in self._kills:
            self._write(command_of(note, self.now()), "kill")
        elif not halt_stands(self.hearing.service):
            drop_note(self._settings.data_dir, note)

    def _write(self, message: Any, trace_id: str) -> None:
        self._keep([Recorder(ts_recorded=self._clock.now_ns(), trace_id=trace_id).event(message)])

    def state(self) -> dict[str, Any]:
        """Return all that it remembers, as JSON values."""
        return {
            **self.hearing.state(),
            "ts": self.ts,
            "waiting": [to_wire(event) for event in self._waiting],
            "undated": [to_wire(event) for event in self._undated],
            "clock_at": self._clock_at,
            "kills": list(self._kills),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state, whatever it remembers now."""
        with self.lock:
            self.torn = True
            self.hearing.restore(state)
            self.ts = int(state["ts"])
            self._waiting = [from_wire(wire) for wire in state["waiting"]]
            self._undated = [from_wire(wire) for wire in state.get("undated", ())]
            self._clock_at = int(state.get("clock_at", 0))
            self._kills = [str(kill) for kill in state["kills"]]
            self.torn = False


def _halts(command: CouncilCommanded) -> bool:
    return command.action == "mode" and command.payload.get("mode") == Mode.FROZEN
