"""A whole session in this process: real training, and the very machines that carriers drive."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

from consilium.app.carriers.memory import Lose
from consilium.app.federated.agreeing import claims_of
from consilium.app.federated.attempt import PhaseFigures
from consilium.app.federated.summing import MemorySums, Seat, Summing
from consilium.domain import InvalidValue, Update
from consilium.federated.agreement import model_digest
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.entropy import Entropy, SystemEntropy
from consilium.federated.learner import Learner, masked_input
from consilium.federated.owners import Owner, OwnerList
from consilium.federated.primitives import KeyPair
from consilium.federated.registration import Registration
from consilium.federated.report import RoundReport
from consilium.federated.rounds import (
    Closed,
    RoundEffect,
    RoundOutcome,
    RoundPlan,
    StartAttempt,
    Tick,
    Withdrawn,
)
from consilium.federated.secure_round import AttemptDone, AttemptFailed, SecureRound
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.sent_update import SentUpdate
from consilium.federated.session import SessionState, Terms
from consilium.federated.tasks import Task
from consilium.federated.visible_round import Received, VisibleRound

Floats = NDArray[np.float64]
Clock = Callable[[], int]
Seeded = Callable[[str], Entropy]
TRAIN, VISIBLE = "train", "visible"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearnedRound:
    """One round that was played.

    Parameters
    ----------
    report
        Of the round.
    max_abs_error
        Largest difference between the decoded sum and the integers that survivors masked; None without a sum.
    phases
        What training took, and each phase of the sums, or the exchange of updates that are seen.
    journal_bytes
        What the coordinator wrote down in sums.
    """

    report: RoundReport
    max_abs_error: int | None = None
    phases: Sequence[PhaseFigures] = ()
    journal_bytes: int = 0

    @property
    def uploaded(self) -> int:
        """Bytes of the secure sums to the coordinator, or of the updates that are seen."""
        return sum(phase.upload_bytes for phase in self.phases)

    @property
    def downloaded(self) -> int:
        """Bytes of the secure sums from the coordinator; models not counted."""
        return sum(phase.download_bytes for phase in self.phases if phase.phase != TRAIN)


class InProcess:
    """Plays the rounds of a running session among participants of this process.

    Parameters
    ----------
    kept
        The session; its participants have joined.
    hub
        The coordinator's name and signing key.
    seats
        By participant.
    judge
        Says how good parameters are; nobody if not given.
    lose
        Rehearses dropouts: (owner, message) -> whether it is lost with its sender; with the sums of this
        process only.
    absent
        Participants that say nothing in a round: (participant, round) -> whether.
    clock
        UTC nanoseconds; it stands still at 0 if not given.
    summing
        Plays secret sums; among the seats' own keys if not given.
    """

    def __init__(
        self,
        kept: SessionCoordinator,
        hub: Identity,
        seats: Mapping[str, Seat],
        *,
        judge: Callable[[Floats], Mapping[str, float]] | None = None,
        lose: Lose | None = None,
        absent: Callable[[str, int], bool] | None = None,
        clock: Clock = lambda: 0,
        summing: Summing | None = None,
    ) -> None:
        if not all(name in seats for name in kept.registry.joined):
            raise InvalidValue(
                "all who joined must have a seat here", sorted(seats), "seat them, or use HTTPS"
            )
        self.kept, self.hub, self.seats = kept, hub, dict(seats)
        self._judge, self._absent, self._clock = judge, absent, clock
        self._summing = summing or MemorySums(kept, hub, seats, lose=lose, clock=clock)
        self._waiting: dict[str, tuple[Update, bool]] = {}
        self._withdrawn: list[Withdrawn] = []
        self._error: int | None = None
        self._written = 0
        self._phases: dict[str, PhaseFigures] = {}

    def rounds(self) -> Iterator[LearnedRound]:
        """Play rounds until the session ends; of a buffered session, all train again after each cohort."""
        while self.kept.session.state is SessionState.RUNNING:
            yield self.round()

    def round(self) -> LearnedRound:
        """Play one round.

        Raises
        ------
        InvalidValue
            The session is not running, or too few may take part.
        """
        kept = self.kept
        self._error, self._written, self._phases = None, 0, {}
        if kept.buffer is not None:
            self._train_free()
        machine = kept.open_round(self._clock())
        if machine is None:
            raise InvalidValue(
                "a buffer must fill before its round", f"{len(kept.buffer or ())} ready", "seat more"
            )
        self._withdrawn = []
        updates = self._updates(machine.plan)
        if isinstance(machine, VisibleRound):
            outcome = self._seen(machine, updates)
        else:
            outcome = self._in_secret(machine, updates)
        number = kept.number
        report = kept.close_round(outcome, now=self._clock(), judge=self._judge)
        for name in updates:
            learner = self.seats[name].learner
            learner.settle(updates[name][0].round, counted=name in report.survivors and not report.failed)
        assert number == report.number  # noqa: S101 - the round that was opened is the one that closed
        return LearnedRound(
            report=report,
            max_abs_error=self._error,
            phases=tuple(self._phases.values()),
            journal_bytes=self._written,
        )

    def _here(self, participant: str) -> bool:
        return self._absent is None or not self._absent(participant, self.kept.number)

    def _train_free(self) -> None:
        """Let everybody who waits with nothing train from the newest model."""
        kept = self.kept
        for name in kept.registry.eligible(kept.number):
            if name not in self._waiting and self._here(name):
                with suppress(InvalidValue):  # diverged: it trains again from the next model
                    self._waiting[name] = self._train(name, kept.number)
                    kept.ready(name, kept.version)

    def _train(self, participant: str, number: int) -> tuple[Update, bool]:
        kept, figures = self.kept, self._phase(TRAIN)
        began, cpu = perf_counter(), process_time()
        try:
            return self.seats[participant].learner.update(
                number, kept.parameters, kept.version, kept.optimizer_state, clip=kept.clip
            )
        finally:
            figures.update_cpu_s += process_time() - cpu
            figures.wall_s += perf_counter() - began
            figures.download_bytes += kept.parameters.nbytes

    def _updates(self, plan: RoundPlan) -> dict[str, tuple[Update, bool]]:
        if self.kept.buffer is not None:
            return {name: self._waiting.pop(name) for name in plan.by_id}
        updates = {}
        for name in plan.by_id:
            if self._here(name):
                try:
                    updates[name] = self._train(name, plan.number)
                except InvalidValue as error:
                    self._withdrawn.append(Withdrawn(participant=name, reason=str(error)))
        return updates

    def _seen(self, machine: VisibleRound, updates: Mapping[str, tuple[Update, bool]]) -> RoundOutcome:
        figures, began = self._phase(VISIBLE), perf_counter()
        effects = [effect for one in self._withdrawn for effect in machine.handle(one)]
        for name in sorted(updates):
            data = self._sent(updates[name][0], machine.plan, figures)
            cpu = process_time()
            effects += machine.handle(Received(update=self._arrived(data, machine.plan), now=self._clock()))
            figures.server_cpu_s += process_time() - cpu
        cpu = process_time()
        if not machine.closed:
            effects += machine.handle(Tick(now=machine.plan.ts_cut_off))
        figures.server_cpu_s += process_time() - cpu
        figures.wall_s += perf_counter() - began
        return _outcome(effects)

    def _sent(self, update: Update, plan: RoundPlan, figures: PhaseFigures) -> bytes:
        """Return an update as it travels: signed and encoded."""
        cpu, signing = process_time(), self.seats[update.participant].identity.signing
        numbered = replace(update, round=plan.number)
        data = SentUpdate.signed(self.kept.terms.session, numbered, signing.private).encode()
        figures.participant_cpu_s += process_time() - cpu
        figures.upload_bytes += len(data)
        figures.messages += 1
        return data

    def _arrived(self, data: bytes, plan: RoundPlan) -> Update:
        """Return an update as it arrives: decoded, and checked against its owner's key."""
        sent = SentUpdate.decode(data, session=self.kept.terms.session, dimension=plan.dimension)
        return sent.checked(self.kept.registry.joined[sent.update.participant].registration.key)

    def _in_secret(self, machine: SecureRound, updates: Mapping[str, tuple[Update, bool]]) -> RoundOutcome:
        for one in self._withdrawn:
            machine.handle(one)
        effects = machine.start()
        while isinstance(effects[-1], StartAttempt):
            effects = machine.handle(self._attempt(machine.plan, effects[-1], updates))
        return _outcome(effects)

    def _attempt(
        self, plan: RoundPlan, start: StartAttempt, updates: Mapping[str, tuple[Update, bool]]
    ) -> AttemptDone | AttemptFailed:
        """Play one secure sum among those who are asked; absent ones never answer."""
        vectors = {
            name: masked_input(*updates[name], plan, self.seats[name].entropy)
            for name in start.members
            if name in updates
        }
        model = model_digest(self.kept.parameters, self.kept.optimizer_state)
        summed = self._summing(plan, start, model, vectors)
        for phase in summed.phases:
            self._phase(phase.phase).add(phase)
        self._written += summed.journal_bytes
        if isinstance(summed.event, AttemptFailed):
            return summed.event
        self._error = summed.error
        said = {name: claims_of(updates[name][0]) for name in summed.event.survivors}
        return replace(summed.event, claimed=said)

    def _phase(self, name: str) -> PhaseFigures:
        return self._phases.setdefault(name, PhaseFigures(name))


def seated(
    task: Task, terms: Terms, keys: Mapping[str, KeyPair], *, entropy: Seeded | None = None
) -> tuple[SessionCoordinator, dict[str, Seat]]:
    """Return a running session in which all participants of a task have joined, each its own owner.

    Parameters
    ----------
    task, terms
        What is trained, and what is agreed.
    keys
        By participant.
    entropy
        Of a participant's roundings and sums, by its name; the operating system's if not given.
    """
    owners = OwnerList(owners=tuple(Owner(owner=name, key=pair.public) for name, pair in keys.items()))
    kept = SessionCoordinator(terms, owners, task.initial())
    kept.move("open", ts=1)
    for name, pair in keys.items():
        registration = Registration(
            participant=name,
            owner=name,
            session=terms.session,
            key=pair.public,
            capabilities=(terms.task, str(terms.mode)),
            examples=task.examples(name),
        )
        kept.register(registration.signed(pair.private))
    kept.move("running", ts=2)
    drawn: Seeded = entropy or (lambda _: SystemEntropy())
    return kept, {
        name: Seat(learner=Learner(name, task, terms), identity=Identity(name, pair), entropy=drawn(name))
        for name, pair in keys.items()
    }


def _outcome(effects: list[RoundEffect]) -> RoundOutcome:
    for effect in effects:
        if isinstance(effect, Closed):
            return effect.outcome
    raise InvalidValue("a round must close", "one that goes on", "report this")
