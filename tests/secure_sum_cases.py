"""A whole attempt of the secure sum in memory: real keys, real bytes, and a carrier that tests can bend."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consilium.federated.effects import EVERYONE, Aborted, Effect, Finished, Persist, Refused, Send, Tick
from consilium.federated.entropy import SeededEntropy, SystemEntropy
from consilium.federated.messages import Phase, Signed
from consilium.federated.primitives import new_signing_key
from consilium.federated.roster import Cohort, Member
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.secure_sum.participant import SumParticipant
from consilium.federated.secure_sum.secrets import MemorySecretStore
from consilium.federated.secure_sum.terms import STAGES, Floors, SumParams

HUB = "hub"
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
    journal: list[bytes] = field(default_factory=list)
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

    def total(self, owners: Iterable[str]) -> NDArray[np.int64]:
        total = np.zeros(self.params.dimension, dtype=np.int64)
        for owner in owners:
            total += self.vectors[owner]
        return total

    def carry(self, who: str, effects: list[Effect]) -> None:
        """Do what a machine asks, in order."""
        for effect in effects:
            match effect:
                case Persist(record, secret=True):
                    self.stores[who].append(self.params.identity, record)
                case Persist(record):
                    self.journal.append(record)
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
            sender, to, data = self.queue.popleft()
            message = Signed.decode(data)
            bent = [message] if self.bend is None else self.bend(sender, to, message)
            for one in bent:
                self.travelled.append((sender, to, one))
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
            self.tick(601)
        self.deliver()
        return self

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
        groups=groups,
        deadlines=(deadline,) * STAGES,
    )
    if vectors is None:
        vectors = np.random.default_rng(seed).integers(-clip_int, clip_int + 1, (n, dimension))
    stores = stores if stores is not None else {o: MemorySecretStore() for o in owners}
    floors = floors or Floors.of(n, gamma, delta, groups=params.groups)
    participants = {
        o: SumParticipant(
            session="s",
            identity=identities[o],
            coordinator=(HUB, Member(hub.signing.public)),
            cohort=cohort,
            floors=floors,
            entropy=SystemEntropy() if real else SeededEntropy(1_000_000 * seed + i),
            store=stores[o],
            vector=vectors[i],
        )
        for i, o in enumerate(owners)
    }
    coordinator = SumCoordinator(params, hub, cohort, snapshot_every=snapshot_every)
    return Attempt(
        coordinator,
        participants,
        stores,
        dict(zip(owners, vectors, strict=True)),
        identities,
        hub,
        cohort,
        params,
    )
