"""A whole attempt of the secure sum in memory: real keys, real bytes, and a carrier that tests can bend."""

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.federated.effects import EVERYONE, Aborted, Effect, Finished, Persist, Refused, Send, Tick
from consilium.federated.entropy import SeededEntropy, SystemEntropy
from consilium.federated.messages import NO_ROOT, Header, Phase, Signed, body_digest
from consilium.federated.parameters import degree_for, least_survivors
from consilium.federated.primitives import new_signing_key, sign
from consilium.federated.roster import Cohort, Member
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.secure_sum.participant import SumParticipant
from consilium.federated.secure_sum.secrets import MemorySecretStore
from consilium.federated.secure_sum.terms import STAGES, Floors, SumParams

HUB = "hub"
VICTIM = "desk-0002"
SECOND = 1_000_000_000
Drop = Callable[[str, Signed], bool]


@dataclass
class Attempt:
    """All machines of one attempt, and what travelled and was kept."""

    coordinator: SumCoordinator
    participants: dict[str, SumParticipant]
    stores: dict[str, MemorySecretStore]
    vectors: dict[str, NDArray[np.int64]]
    identities: dict[str, Identity]
    hub: Identity
    cohort: Cohort
    params: SumParams
    make: Callable[[str], SumParticipant]
    snapshot_every: int
    journal: list[tuple[str, bytes]] = field(default_factory=list)
    """Slot and record."""
    travelled: list[tuple[str, str, Signed]] = field(default_factory=list)
    """Sender, receiver, message."""
    refused: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Reasons by who refused."""
    aborted: dict[str, str] = field(default_factory=dict)
    results: dict[str, object] = field(default_factory=dict)
    queue: deque[tuple[str, str, bytes]] = field(default_factory=deque)
    now: int = SECOND
    bend: Callable[[str, str, Signed], Iterable[Signed]] | None = None
    """What becomes of a message on its way: none, itself, others."""
    gone: set[str] = field(default_factory=set)
    order: random.Random | None = None
    """Where it is there, messages overtake one another and some come twice."""
    crash: tuple[str, int] | None = None
    """Who loses its memory before which of its effects."""
    effects: Counter[str] = field(default_factory=Counter)
    """Effects done so far by who asked for them."""

    def total(self, owners: Iterable[str]) -> NDArray[np.int64]:
        total = np.zeros(self.params.dimension, dtype=np.int64)
        for owner in owners:
            total += self.vectors[owner]
        return total

    def carry(self, who: str, effects: list[Effect]) -> None:
        """Do what a machine asks, in order."""
        for effect in effects:
            self.effects[who] += 1
            if self.crash == (who, self.effects[who]):
                self.restart(who)
                return
            match effect:
                case Persist(record, secret=True):
                    self.stores[who].append(self.params.identity, record)
                case Persist(record, slot=slot):
                    self.journal = [kept for kept in self.journal if not slot or kept[0] != slot]
                    self.journal.append((slot, record))
                case Send(to, message):
                    for one in sorted(self.participants) if to == EVERYONE else [to]:
                        self.queue.append((who, one, message.encode()))
                case Finished(result):
                    self.results[who] = result
                case Aborted(why):
                    self.aborted[who] = why
                case Refused(_, why):
                    self.refused[who].append(why)

    def tick(self, seconds: float = 0.0) -> None:
        self.now += int(seconds * SECOND)
        self.carry(HUB, self.coordinator.handle(Tick(self.now)))

    def deliver(self) -> None:
        """Carry messages until none is under way."""
        while self.queue:
            if self.order is not None:
                self.queue.rotate(self.order.randrange(len(self.queue)))
                if self.order.random() < 0.1:
                    self.queue.append(self.queue[0])
            sender, to, data = self.queue.popleft()
            message = Signed.decode(data)
            bent = [message] if self.bend is None else self.bend(sender, to, message)
            for one in bent:
                self.travelled.append((sender, to, one))
                assert len(self.travelled) < 60 * len(self.participants) ** 1.5 + 500, "answers without end"
                self.give(to, one)

    def give(self, to: str, message: Signed) -> None:
        if to in self.gone:
            return
        machine = self.coordinator if to == HUB else self.participants[to]
        self.carry(to, machine.handle(message))

    def run(self) -> "Attempt":
        """Play the attempt to its end: when nothing moves, time does."""
        self.tick()
        for _ in range(20):
            self.deliver()
            if self.coordinator.result is not None or self.coordinator.aborted:
                break
            stage = self.coordinator.stage
            self.pull()
            self.deliver()
            if self.coordinator.stage is stage:
                self.tick(601)
        self.deliver()
        return self

    def pull(self) -> None:
        """Let everybody ask again: what the coordinator has for it, and whether its last message came."""
        for owner in sorted(set(self.participants) - self.gone):
            for message in self.coordinator.outbox(owner):
                self.queue.append((HUB, owner, message.encode()))
            self.carry(owner, self.participants[owner].resend())

    def restart(self, who: str) -> None:
        """Lose a machine; start it again from what was kept."""
        if who == HUB:
            again = SumCoordinator(self.params, self.hub, self.cohort, snapshot_every=self.snapshot_every)
            self.coordinator = again.restore([record for _, record in self.journal])
            self.carry(HUB, self.coordinator.resume() if self.journal else [])
        else:
            records = self.stores[who].records(self.params.identity)
            self.participants[who] = self.make(who).restore(records)

    def until(self, phase: Phase, to: str) -> Signed:
        """Play until a message of this phase is to reach someone; return it undelivered."""
        found: list[Signed] = []

        def bend(_: str, receiver: str, message: Signed) -> Iterable[Signed]:
            if receiver == to and message.header.phase is phase and not found:
                found.append(message)
                return []
            return [message]

        self.bend = bend
        self.tick()
        self.deliver()
        self.bend = None
        return found[0]

    def lie(self, phase: Phase, body: bytes, *, by: str = HUB, **changes: Any) -> Signed:
        """Return a message that a coordinator or participant signs although it is not true."""
        identity = self.hub if by == HUB else self.identities[by]
        root = self.coordinator._board.root if phase not in (Phase.ANNOUNCE, Phase.ADVERTISE) else NO_ROOT
        fields: dict[str, Any] = {
            "session": self.params.session,
            "round": self.params.round,
            "attempt": self.params.attempt,
            "phase": phase,
            "sender": by,
            "key_epoch": 0,
            "params": self.params.digest,
            "root": root,
            "body": body_digest(body),
        }
        header = Header(**fields | changes)
        return Signed(header, body, sign(identity.signing.private, header.encode()))

    def drop_at(self, phases: Mapping[str, Phase]) -> None:
        """Let owners vanish: what they send from a phase on is lost."""

        def bend(sender: str, to: str, message: Signed) -> Iterable[Signed]:
            if sender in phases and message.header.phase >= phases[sender]:
                self.gone.add(sender)
                return []
            return [message]

        self.bend = bend


def attempt(
    n: int = 6,
    dimension: int = 5,
    *,
    gamma: float = 0.0,
    delta: float = 0.34,
    seed: int = 0,
    real: bool = False,
    vectors: NDArray[np.int64] | None = None,
    clip_int: int = 4096,
    snapshot_every: int = 2,
    turn: tuple[int, int] = (1, 0),
    floors: Floors | None = None,
    stores: dict[str, MemorySecretStore] | None = None,
    degree: tuple[int, int] | None = None,
    groups: int = 1,
    deadline: int = 600 * SECOND,
) -> Attempt:
    """Return a fresh attempt of n owners."""
    entropy = SeededEntropy(10_000 + seed)
    owners = [f"desk-{i:04d}" for i in range(n)]
    identities = {o: Identity(o, new_signing_key(entropy)) for o in owners}
    hub = Identity(HUB, new_signing_key(entropy))
    cohort = Cohort({o: Member(i.signing.public) for o, i in identities.items()})
    params = SumParams.plan(
        session="s",
        round=turn[0],
        attempt=turn[1],
        cohort=cohort.digest,
        participants=n,
        dimension=dimension,
        clip_int=clip_int,
        gamma=gamma,
        delta=delta,
        deadlines=(deadline,) * STAGES,
    )
    if groups > 1:
        # Terms of an even split: fewer owners than any session of random groups would take.
        each = degree_for(n // groups, gamma, delta)
        inside: dict[str, Any] = {
            "neighbours": each.neighbours,
            "threshold": each.threshold,
            "survivors": least_survivors(n // groups, delta),
        }
        params = replace(params, groups=groups, **inside)
        margin = 2 * each.threshold - each.neighbours
        floors = floors or Floors(participants=n, groups=groups, margin=margin, **inside)
    if degree is not None:
        # Fewer neighbours than so few owners would have: what is else seen from 129 on.
        params = replace(params, neighbours=degree[0], threshold=degree[1])
        floors = replace(Floors.of(n, gamma, delta), neighbours=1, threshold=1, margin=1)
    if vectors is None:
        vectors = np.random.default_rng(seed).integers(-clip_int, clip_int + 1, (n, dimension))
    stores = stores if stores is not None else {o: MemorySecretStore() for o in owners}
    floors = floors or Floors.of(n, gamma, delta)
    by_owner = dict(zip(owners, vectors, strict=True))

    def make(owner: str) -> SumParticipant:
        own = 1_000_000 * seed + owners.index(owner)
        return SumParticipant(
            session="s",
            identity=identities[owner],
            coordinator=(HUB, Member(hub.signing.public)),
            cohort=cohort,
            floors=floors,
            entropy=SystemEntropy() if real else SeededEntropy(own),
            store=stores[owner],
            vector=by_owner[owner],
        )

    return Attempt(
        SumCoordinator(params, hub, cohort, snapshot_every=snapshot_every),
        {owner: make(owner) for owner in owners},
        stores,
        by_owner,
        identities,
        hub,
        cohort,
        params,
        make,
        snapshot_every,
    )


def told(played: Attempt, message: Signed, *, to: str = VICTIM) -> str:
    """Deliver one message; return why it was not followed."""
    before = len(played.refused[to])
    played.give(to, message)
    reasons = played.refused[to][before:]
    return reasons[0] if reasons else played.aborted.get(to, "")


def sent_by(played: Attempt, owner: str, phase: Phase) -> list[Signed]:
    return [m for sender, _, m in played.travelled if sender == owner and m.header.phase is phase]
