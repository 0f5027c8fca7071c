"""A whole session in this process: real training, real keys, and the very machines that carriers drive."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from consilium.app.carriers.memory import Carried, Lose, MemoryCarrier, Side
from consilium.app.federated.agreeing import claims_of, floors_of, params_of
from consilium.domain import InvalidValue, Update
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.entropy import Entropy, SystemEntropy
from consilium.federated.learner import Learner, masked_input
from consilium.federated.report import RoundReport
from consilium.federated.roster import Cohort, Member
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
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.secure_sum.participant import SumParticipant
from consilium.federated.secure_sum.recovery import SumResult
from consilium.federated.secure_sum.secrets import MemorySecretStore, SecretStore
from consilium.federated.secure_sum.terms import SumParams
from consilium.federated.sent_update import SentUpdate
from consilium.federated.session import SessionState
from consilium.federated.visible_round import Received, VisibleRound

Floats = NDArray[np.float64]
Clock = Callable[[], int]


@dataclass(kw_only=True, eq=False)
class Seat:
    """One participant of this process.

    Parameters
    ----------
    learner
        Trains.
    identity
        Its owner and signing key.
    store
        Its secrets.
    entropy
        Of its keys; the operating system's.
    """

    learner: Learner
    identity: Identity
    store: SecretStore = field(default_factory=MemorySecretStore)
    entropy: Entropy = field(default_factory=SystemEntropy)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LearnedRound:
    """One round that was played.

    Parameters
    ----------
    report
        Of the round.
    max_abs_error
        Largest difference between the decoded sum and the integers that survivors masked; None without a sum.
    uploaded, downloaded
        Bytes of the secure sums, or of the updates that are seen.
    """

    report: RoundReport
    max_abs_error: int | None = None
    uploaded: int = 0
    downloaded: int = 0


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
        Rehearses dropouts: (owner, message) -> whether it is lost with its sender.
    absent
        Participants that say nothing in a round: (participant, round) -> whether.
    clock
        UTC nanoseconds; it stands still at 0 if not given.
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
    ) -> None:
        if not all(name in seats for name in kept.registry.joined):
            raise InvalidValue(
                "all who joined must have a seat here", sorted(seats), "seat them, or use HTTPS"
            )
        self.kept, self.hub, self.seats = kept, hub, dict(seats)
        self._judge, self._lose, self._absent, self._clock = judge, lose, absent, clock
        self._waiting: dict[str, tuple[Update, bool]] = {}
        self._withdrawn: list[Withdrawn] = []
        self._error: int | None = None
        self._bytes = [0, 0]

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
        if kept.buffer is not None:
            self._train_free()
        machine = kept.open_round(self._clock())
        if machine is None:
            raise InvalidValue(
                "a buffer must fill before its round", f"{len(kept.buffer or ())} ready", "seat more"
            )
        self._withdrawn = []
        updates = self._updates(machine.plan)
        self._error, self._bytes = None, [0, 0]
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
            report=report, max_abs_error=self._error, uploaded=self._bytes[0], downloaded=self._bytes[1]
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
        kept = self.kept
        return self.seats[participant].learner.update(
            number, kept.parameters, kept.version, kept.optimizer_state, clip=kept.clip
        )

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
        effects = [effect for one in self._withdrawn for effect in machine.handle(one)]
        for name in sorted(updates):
            effects += machine.handle(
                Received(update=self._travelled(updates[name][0], machine.plan), now=self._clock())
            )
        if not machine.closed:
            effects += machine.handle(Tick(now=machine.plan.ts_cut_off))
        return _outcome(effects)

    def _travelled(self, update: Update, plan: RoundPlan) -> Update:
        """Return an update as it arrives: signed, encoded, decoded and checked against its owner's key."""
        signing = self.seats[update.participant].identity.signing
        session = self.kept.terms.session
        data = SentUpdate.signed(session, replace(update, round=plan.number), signing.private).encode()
        self._bytes[0] += len(data)
        sent = SentUpdate.decode(data, session=session, dimension=plan.dimension)
        joined = self.kept.registry.joined[update.participant]
        return sent.checked(joined.registration.key)

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
        owner_of = {name: self.seats[name].identity.owner for name in start.members}
        named = {owner: name for name, owner in owner_of.items()}
        cohort = Cohort(
            {
                owner: Member(self.seats[name].identity.signing.public, self.seats[name].identity.key_epoch)
                for name, owner in owner_of.items()
            }
        )
        try:
            params = params_of(self.kept.terms, plan, start, cohort, version=self.kept.version)
        except InvalidValue as refused:
            return AttemptFailed(attempt=start.attempt, why=str(refused))
        vectors = {
            name: masked_input(*updates[name], plan, self.seats[name].entropy)
            for name in start.members
            if name in updates
        }
        carried = self._carry(params, cohort, {owner_of[name]: vector for name, vector in vectors.items()})
        told = {**carried.doubts, **carried.reasons}
        reasons = {named[owner]: why for owner, why in told.items() if owner in named}
        if carried.result is None:
            return AttemptFailed(
                attempt=start.attempt, why=carried.why, released=carried.released, excluded=reasons
            )
        survivors = tuple(named[owner] for owner in carried.result.survivors)
        self._note_error(carried.result, [vectors[name] for name in survivors])
        said = {name: claims_of(updates[name][0]) for name in survivors}
        return AttemptDone(
            attempt=start.attempt,
            total=carried.result.total,
            survivors=survivors,
            excluded=_without(start.members, survivors, reasons, named, carried),
            claimed=said,
        )

    def _carry(self, params: SumParams, cohort: Cohort, vectors: Mapping[str, NDArray[np.int64]]) -> Carried:
        terms, hub = self.kept.terms, self.hub
        floors = floors_of(
            terms,
            participants=params.participants,
            dimension=params.dimension,
            clip_int=params.clip_int,
            groups=params.groups,
        )
        by_owner = {seat.identity.owner: seat for seat in self.seats.values()}
        sides = {}
        for owner, vector in vectors.items():
            seat = by_owner[owner]
            machine = SumParticipant(
                session=terms.session,
                identity=seat.identity,
                coordinator=(hub.owner, Member(hub.signing.public, hub.key_epoch)),
                cohort=cohort,
                floors=floors,
                entropy=seat.entropy,
                store=seat.store,
                vector=vector,
                model_digest=params.model_digest,
            )
            sides[owner] = Side(machine=machine, store=seat.store)
        carrier = MemoryCarrier(
            params,
            hub.owner,
            SumCoordinator(params, hub, cohort),
            sides,
            lose=self._lose,
            now=self._clock(),
        )
        carried = carrier.run()
        self._bytes[0] += carried.uploaded
        self._bytes[1] += carried.downloaded
        return carried

    def _note_error(self, result: SumResult, vectors: list[NDArray[np.int64]]) -> None:
        expected = np.sum(vectors, axis=0, dtype=np.int64)
        self._error = int(np.abs(result.total - expected).max())


def _outcome(effects: list[RoundEffect]) -> RoundOutcome:
    for effect in effects:
        if isinstance(effect, Closed):
            return effect.outcome
    raise InvalidValue("a round must close", "one that goes on", "report this")


def _without(
    members: tuple[str, ...],
    survivors: tuple[str, ...],
    reasons: Mapping[str, str],
    named: Mapping[str, str],
    carried: Carried,
) -> dict[str, str]:
    """Return why members are in no sum: their own fault, or that of the groups that have none, or a doubt."""
    fallen = {} if carried.result is None else carried.result.fallen
    groups = "; ".join(f"group {group}: {why}" for group, why in sorted(fallen.items()))
    faults = {named[owner]: why for owner, why in carried.reasons.items() if owner in named}
    told = {name: faults.get(name) or groups or reasons.get(name, "") for name in members}
    return {name: why for name, why in told.items() if why and name not in survivors}
