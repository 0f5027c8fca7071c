"""A secret sum inside this process, among seats that it has: real keys, and bytes from hand to hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.app.carriers.memory import Carried, Lose, MemoryCarrier, Side
from consilium.app.federated.agreeing import floors_of, params_of
from consilium.app.federated.attempt import PhaseFigures
from consilium.domain import InvalidValue
from consilium.federated.agreement import Agreement
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.entropy import Entropy, SystemEntropy
from consilium.federated.learner import Learner
from consilium.federated.roster import Cohort, Member
from consilium.federated.rounds import RoundPlan, StartAttempt
from consilium.federated.secure_round import AttemptDone, AttemptFailed
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.secure_sum.participant import SumParticipant
from consilium.federated.secure_sum.secrets import MemorySecretStore, SecretStore
from consilium.federated.secure_sum.terms import SumParams
from consilium.federated.session import Terms

Whole = NDArray[np.int64]
SUM = "sum"
"""Name of the one phase that is told of a sum in memory."""


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
class Summed:
    """What came of one attempt, and what it cost.

    Parameters
    ----------
    event
        What the round is told.
    error
        Largest difference between the decoded sum and the integers that survivors masked; None without a sum.
    phases
        What each took.
    journal_bytes
        What the coordinator wrote down.
    """

    event: AttemptDone | AttemptFailed
    error: int | None = None
    phases: Sequence[PhaseFigures] = ()
    journal_bytes: int = 0


class Summing(Protocol):
    """A way to play secret sums."""

    def __call__(
        self, plan: RoundPlan, start: StartAttempt, model: str, vectors: Mapping[str, Whole]
    ) -> Summed:
        """Play one attempt among those who are asked; who has no vector never answers.

        Parameters
        ----------
        plan, start
            Of the round, and of the attempt.
        model
            As `consilium.federated.agreement.model_digest` names what was trained from.
        vectors
            Integers that participants mask, by id.
        """
        ...


class MemorySums:
    """Plays sums by the machines and encoded messages that cross a network, with the seats' own keys.

    Parameters
    ----------
    kept
        The session.
    hub
        The coordinator's name and signing key.
    seats
        By participant.
    lose
        Rehearses dropouts: (owner, message) -> whether it is lost with its sender.
    clock
        UTC nanoseconds.
    """

    def __init__(
        self,
        kept: SessionCoordinator,
        hub: Identity,
        seats: Mapping[str, Seat],
        *,
        lose: Lose | None = None,
        clock: Callable[[], int] = lambda: 0,
    ) -> None:
        self.kept, self.hub, self.seats = kept, hub, dict(seats)
        self._lose, self._clock = lose, clock

    def __call__(
        self, plan: RoundPlan, start: StartAttempt, model: str, vectors: Mapping[str, Whole]
    ) -> Summed:
        """Play one attempt."""
        began, cpu = perf_counter(), process_time()
        owner_of = {name: self.seats[name].identity.owner for name in start.members}
        cohort = Cohort(
            {
                owner: Member(self.seats[name].identity.signing.public, self.seats[name].identity.key_epoch)
                for name, owner in owner_of.items()
            }
        )
        try:
            params = params_of(self._held(self.kept.terms), plan, start, cohort, model=model)
        except InvalidValue as refused:
            return Summed(event=AttemptFailed(attempt=start.attempt, why=str(refused)))
        masked = {owner_of[name]: vectors[name] for name in vectors}
        carried = self._carry(params, cohort, masked, plan=plan, model=model)
        cost = PhaseFigures(
            SUM,
            wall_s=perf_counter() - began,
            # One process plays all: whose work it was is not known.
            participant_cpu_s=process_time() - cpu,
            upload_bytes=carried.uploaded,
            download_bytes=carried.downloaded,
        )
        return _told(start, {owner: name for name, owner in owner_of.items()}, vectors, carried, cost)

    def _held(self, terms: Terms) -> Agreement:
        """Return what a side holds of the session: the terms are its own copy."""
        return Agreement(
            terms=terms, options={}, owners=self.kept.owners, coordinator=self.hub.signing.public
        )

    def _carry(
        self,
        params: SumParams,
        cohort: Cohort,
        vectors: Mapping[str, Whole],
        *,
        plan: RoundPlan,
        model: str,
    ) -> Carried:
        terms, hub = self.kept.terms, self.hub
        by_owner = {seat.identity.owner: seat for seat in self.seats.values()}
        held = {seat.learner.terms.digest(): self._held(seat.learner.terms) for seat in by_owner.values()}
        digests = {name: agreed.digest(plan, model) for name, agreed in held.items()}
        sides = {}
        for owner, vector in vectors.items():
            seat = by_owner[owner]
            own = seat.learner.terms.digest()
            machine = SumParticipant(
                session=terms.session,
                identity=seat.identity,
                coordinator=(hub.owner, Member(hub.signing.public, hub.key_epoch)),
                cohort=cohort,
                floors=floors_of(
                    held[own],
                    participants=len(cohort),
                    dimension=plan.dimension + plan.with_bit,
                    groups=params.groups,
                ),
                entropy=seat.entropy,
                store=seat.store,
                vector=vector,
                model_digest=digests[own],
            )
            sides[owner] = Side(machine=machine, store=seat.store)
        carrier = MemoryCarrier(
            params, hub.owner, SumCoordinator(params, hub, cohort), sides, lose=self._lose, now=self._clock()
        )
        return carrier.run()


def _told(
    start: StartAttempt,
    named: Mapping[str, str],
    vectors: Mapping[str, Whole],
    carried: Carried,
    cost: PhaseFigures,
) -> Summed:
    """Return what the round is told of an attempt that was carried."""
    told = {**carried.doubts, **carried.reasons}
    reasons = {named[owner]: why for owner, why in told.items() if owner in named}
    faults = {named[owner]: why for owner, why in carried.faults.items()}
    if carried.result is None:
        failed = AttemptFailed(
            attempt=start.attempt,
            why=carried.why,
            released=carried.released,
            excluded=reasons,
            faults=faults,
        )
        return Summed(event=failed, phases=(cost,))
    survivors = tuple(named[owner] for owner in carried.result.survivors)
    expected = np.sum([vectors[name] for name in survivors], axis=0, dtype=np.int64)
    done = AttemptDone(
        attempt=start.attempt,
        total=carried.result.total,
        survivors=survivors,
        excluded=_without(start.members, survivors, reasons, named, carried),
        faults=faults,
    )
    error = int(np.abs(carried.result.total - expected).max())
    return Summed(event=done, error=error, phases=(cost,))


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
