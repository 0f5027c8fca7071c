"""The council as a worker: it hears what the others write into the journal, sits, and says what it rules."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import RLock
from typing import Any

from consilium.app.council.health import Assessment
from consilium.app.council.kill_switch import command_of, drop_note, read_note
from consilium.app.live.close_reports import CloseTold
from consilium.app.live.governing import HEALTH_EVERY_NS
from consilium.app.live.hearing import SYSTEM_SOURCE, Hearing
from consilium.app.live.obeying import KILLS_KEPT
from consilium.app.live.outside import OUTSIDE_TOPICS
from consilium.app.live.records import (
    COMMAND_TAKEN,
    COMMANDED,
    COUNCIL,
    HEALTH,
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

log = logging.getLogger("consilium.council")


class SittingRoom:
    """Turns what is told of closes, commands, outside reports, health and time into decisions and a policy.

    It says nothing on a close before it knows its own health. Whatever is asked for is answered with a row of
    its own, `COMMAND_TAKEN`, also where nothing follows from it.

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
    """

    name: str = "council"
    outside = True
    """It takes what outside systems publish."""

    topics: tuple[str, ...] = (STEP_TRADED, COMMANDED, TIME_PASSED, *sorted({HEALTH, *OUTSIDE_TOPICS}))

    def __init__(
        self,
        settings: Settings,
        terms: Callable[[], Terms | None],
        clock: Clock,
        keep: Callable[[Sequence[Event]], object] = lambda _: None,
        *,
        silent: bool = False,
    ) -> None:
        self.lock = RLock()
        """Held by whoever moves or shows its state."""
        self.hearing = Hearing(settings, terms)
        self.assessed: Assessment | None = None
        """Our own health, as it was judged last."""
        self.answers: dict[str, tuple[tuple[Decision, ...], Any]] = {}
        """By the event of a command: what was ruled, and the approval that it waits for."""
        self.ts = -1
        """The newest close that was ruled on."""
        self.torn = False
        self._settings = settings
        self._clock = clock
        self._keep = keep
        self._silent = silent
        self._waiting: list[Event] = []
        self._kills: list[str] = []
        self._told_at = 0

    def now(self) -> int:
        """Return the council's time: the machine's where the feed is a venue's, else the market's."""
        known = self.hearing.terms is not None
        return self._clock.now_ns() if known and self.hearing.wall_clock else max(self.ts, 0)

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
            if event.topic not in OUTSIDE_TOPICS:
                return []
            report = self.hearing.report(event, self.ts)
            return [] if report is None else self._ruled(event, [report])
        if event.topic == STEP_TRADED:
            if self.hearing.health is None:
                self._waiting.append(event)
                return []
            return self._closed(event)
        if event.topic == COMMANDED:
            return self._commanded(event)
        if event.topic == TIME_PASSED:
            return self._ruled(event, [message_of(event)])
        if (event.topic, event.stream) != (HEALTH, SYSTEM_SOURCE):
            return []
        effects = self._ruled(event, [HealthReported(**message_of(event))])
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

    def _commanded(self, event: Event) -> list[Event]:
        command: CouncilCommanded = message_of(event)
        if command.command_id in self._kills:
            return []  # two have read one note
        if _halts(command):
            self._kills = [*self._kills, command.command_id][-KILLS_KEPT:]
        if self.hearing.terms is None or not self.hearing.wall_clock:
            command = replace(
                command, ts_event=max(self.ts, 0)
            )  # who wrote it may not know the market's time
        service = self.hearing.service
        waiting, before = set(service.approvals), self.hearing.policy
        said = self.hearing.hear([command])
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
        if same and not (self.hearing.wall_clock and now - self._told_at >= HEALTH_EVERY_NS):
            return
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
        self._told_at = now

    def _tell_time(self) -> None:
        """Let it see the clock; a look that would change nothing is not written down."""
        service, message = self.hearing.service, TimePassed(ts_event=self.now())
        with self.lock:
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
        elif self._mode != Mode.FROZEN:
            drop_note(self._settings.data_dir)

    def _write(self, message: Any, trace_id: str) -> None:
        self._keep([Recorder(ts_recorded=self._clock.now_ns(), trace_id=trace_id).event(message)])

    def state(self) -> dict[str, Any]:
        """Return all that it remembers, as JSON values."""
        return {
            **self.hearing.state(),
            "ts": self.ts,
            "waiting": [to_wire(event) for event in self._waiting],
            "kills": list(self._kills),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state, whatever it remembers now."""
        with self.lock:
            self.torn = True
            self.hearing.restore(state)
            self.ts = int(state["ts"])
            self._waiting = [from_wire(wire) for wire in state["waiting"]]
            self._kills = [str(kill) for kill in state["kills"]]
            self.torn = False


def _halts(command: CouncilCommanded) -> bool:
    return command.action == "mode" and command.payload.get("mode") == Mode.FROZEN
