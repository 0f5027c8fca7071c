"""The council as an API worker sees it: a copy that follows the journal, and commands written there."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from consilium.app.council.kill_switch import command_of, note_of, write_note
from consilium.app.council.shown import shown
from consilium.app.live.council_worker import SittingRoom
from consilium.app.live.engine import EnsembleEngine
from consilium.app.live.governing import Governed
from consilium.app.live.halting import Halting
from consilium.app.live.outside import OUTSIDE
from consilium.app.live.records import COMMAND_TAKEN, Recorder
from consilium.app.live.rooms import EnsembleRoom
from consilium.app.log import follow
from consilium.app.settings import Settings
from consilium.bus.codec import message_of
from consilium.bus.journal import Journal
from consilium.bus.signs import Signs
from consilium.council.service import CouncilService
from consilium.domain import (
    ArtefactRefused,
    Clock,
    ConsiliumError,
    CouncilCommanded,
    DataProblem,
    Event,
    ModelConfigured,
    OutcomeUnknown,
    UsageError,
)

if TYPE_CHECKING:
    from threading import Event as Flag

ANSWER_S = 10.0
"""How long the council's worker may take to answer a command."""

LOOK_S = 0.05

log = logging.getLogger("consilium.council")


class Copies:
    """The copies that an API worker shows: of the ensemble, and of the council where one sits.

    Parameters
    ----------
    ensemble, sitting
        Rooms from which nothing follows.
    """

    name = "api"
    outside = True

    def __init__(self, ensemble: EnsembleRoom, sitting: SittingRoom | None) -> None:
        self._ensemble = ensemble
        self._sitting = sitting
        theirs = () if sitting is None else sitting.topics
        self.topics: tuple[str, ...] = tuple(dict.fromkeys((*ensemble.topics, *theirs)))
        self.taken: Flag = ensemble.taken
        self.torn = False

    def handle(self, event: Event) -> Sequence[Event]:
        """Let each copy take an event that means something to it."""
        self.torn = True
        if event.topic in self._ensemble.topics and not event.stream.startswith(OUTSIDE):
            self._ensemble.handle(event)
        if self._sitting is not None and event.topic in self._sitting.topics:
            self._sitting.handle(event)
        self.torn = False
        self.taken.set()
        return ()

    def state(self) -> dict[str, Any]:
        """Return all that they remember."""
        return {
            "ensemble": self._ensemble.state(),
            "council": None if self._sitting is None else self._sitting.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up such a state, whatever they remember now."""
        self.torn = True
        self._ensemble.restore(state["ensemble"])
        if self._sitting is not None:
            self._sitting.restore(state["council"])
        self.torn = False


class CouncilMirror(Halting):
    """What the routes ask of a council, where that sits in a worker of its own."""

    settings: Settings
    clock: Clock
    journal: Journal
    engine: EnsembleEngine
    _signs: Signs | None

    def _mirror_council(self, sitting: SittingRoom | None) -> None:
        self._sitting = sitting

    @property
    def council(self) -> CouncilService:
        """The copy.

        Raises
        ------
        UsageError
            The settings have none.
        """
        return self._copy.hearing.service

    @property
    def _copy(self) -> SittingRoom:
        if self._sitting is None:
            raise UsageError("the council must be enabled", "council.enabled is false", "set it to true")
        return self._sitting

    def council_now(self) -> int:
        """Return the council's time."""
        return self._copy.now()

    def roles_active(self) -> int:
        """Return how many officers sit; none without a council."""
        return 0 if self._sitting is None else sum(self.council.roles.values())

    def council_status(self) -> dict[str, Any]:
        """Return who sits, what is in force and why, as plain JSON; from any thread."""
        copy = self._sitting
        if copy is None:
            return {"enabled": False}
        with copy.lock:
            hearing = copy.hearing
            told = shown(hearing.service, copy.now()) | {"advice": hearing.advice()}
            health = hearing.health
        known = (
            None
            if health is None
            else {
                "status": health.system_status,
                "detail": health.detail,
                "faults": dict(health.faults),
                "alerts": {},
            }
        )
        return {**told, "health": known}

    def limits(self) -> dict[str, str]:
        """Return mode and profile in force, in one word each."""
        with self._copy.lock:
            policy = self._copy.hearing.policy
        return {"mode": policy.mode, "profile": policy.profile}

    def council_explain(self, decision_id: str) -> dict[str, Any]:
        """Tell why one of the newest decisions was made; from any thread.

        Raises
        ------
        UnknownName
            No such decision among the newest.
        """
        with self._copy.lock:
            return self.council.explain(decision_id)

    def govern(self, command: CouncilCommanded, *, trace_id: str = "") -> Governed:
        """Check a command, write it down, and wait for what the council's worker rules on it.

        Raises
        ------
        ConsiliumError
            It is not possible, or nobody would take it; nothing is journaled then.
        OutcomeUnknown
            It is in the journal, and no answer to it: it counts as soon as the council takes it.
        """
        copy = self._copy
        self._require_sitting()
        if command.action == "allocation":
            model = str(command.payload.get("model"))
            self.engine.check(ModelConfigured(model=model, enabled=True, by=command.person, ts_event=0))
        with copy.lock:
            copy.hearing.service.check(command)
        event = self._write(command, follow(trace_id or f"by-{command.person}"))
        refused = self._answered(event)
        if refused:
            raise UsageError("the council must allow it as things stand", refused, "look at its status")
        with copy.lock:
            decisions, approval = copy.answers[event.event_id]
        return Governed(event=event, decisions=decisions, approval=approval)

    def _write(self, command: CouncilCommanded, trace_id: str) -> Event:
        event = Recorder(ts_recorded=self.clock.now_ns(), trace_id=trace_id).event(command)
        self.journal.append([event])
        return event

    def _require_sitting(self) -> None:
        """Refuse what nobody would take: it would wait, and be in force when nobody thinks of it any more."""
        if self._copy.hearing.terms is None:
            raise DataProblem("the market worker must have begun", "nothing is followed", "start it")
        seen = None if self._signs is None else self._signs.seen(["council"])
        if self._signs is not None and (seen is None or seen["council"] is None):
            raise ConsiliumError(
                "the council's worker must be alive", "no sign of it", "start consilium worker council"
            )

    def _answered(self, event: Event) -> str:
        """Wait until a command is taken, there and by the copy; return why it was refused, if it was."""
        row = self.journal.find(event.event_id)
        after, until = 0 if row is None else row.offset, time.monotonic() + ANSWER_S
        while time.monotonic() < until:
            head = self.journal.head().offset
            for taken in self.journal.read(after, topics=[COMMAND_TAKEN]):
                if taken.event.cause_id == event.event_id and event.event_id in self._copy.answers:
                    return str(message_of(taken.event)["refused"])
            self.journal.wait(head, LOOK_S)
        raise OutcomeUnknown(
            "the council's worker must answer",
            "nothing yet",
            "look at /readyz: it counts as soon as it is taken",
        )

    # the kill switch: a note on the disk and a row; the trading worker freezes by whichever it sees first

    def _halts_known(self) -> Sequence[str]:
        return self._copy.halts

    def _stands_on(self, standing: str, reason: str, by: str, key_id: str) -> bool:
        """Ask for the same halt again: this copy may lag behind a council for which it is over."""
        note = note_of(reason, by, key_id) | {"command_id": standing}
        return not self._note_left(note) and self._halt(note, self.clock.now_ns())

    def _note_left(self, note: Mapping[str, Any]) -> str:
        try:
            write_note(self.settings.data_dir, note)
        except OSError as error:
            return str(error.strerror or error)
        return ""

    def _halt(self, note: Mapping[str, Any], asked_at: int = 0) -> bool:
        command = replace(command_of(note, self._copy.now()), authenticated_at=asked_at)
        try:
            self._write(command, "kill")
        except ConsiliumError as error:
            log.warning("a halt is not in the journal yet: %s", error)
            return False
        return True

    def _require_heard(self, event: Event) -> None:
        """Refuse an outside event that the council would not hear; it leaves no trace then.

        Raises
        ------
        ArtefactRefused
            It is a replay, an older one, from the future, out of its range, or one source or model too many.
        """
        copy = self._sitting
        if copy is None:
            return
        with copy.lock:
            message = copy.hearing.report(event, copy.ts)
            reason = "" if message is None else copy.hearing.service.refusal(message)
        if reason:
            raise ArtefactRefused(
                "the council must be able to hear it",
                f"one that it refuses ({reason})",
                "publish the next one",
            )
