"""Participants of a simulated attempt: the real machines, each fed and read by encoded messages."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import process_time
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.federated.effects import Aborted, Persist, Refused, Send
from consilium.federated.entropy import SeededEntropy
from consilium.federated.envelope import Phase, Signed
from consilium.federated.primitives import new_signing_key
from consilium.federated.quantising import Scale, quantise
from consilium.federated.roster import Cohort, Member
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.secure_sum.participant import SumParticipant
from consilium.federated.secure_sum.terms import Floors

Whole = NDArray[np.int64]


class Vectors(Protocol):
    """What each participant adds to the sum."""

    def vector(self, owner: str) -> Whole:
        """Return the integers of one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """Updates of no meaning: normal values, clipped and rounded as real ones are.

    Parameters
    ----------
    seed, dimension
        Each owner's update follows from the seed and its name.
    scale
        Of the rounding.
    """

    seed: int
    dimension: int
    scale: Scale

    def vector(self, owner: str) -> Whole:
        """Return the integers of one owner."""
        entropy = SeededEntropy(_seed(self.seed, "update", owner))
        rng = np.random.default_rng(int.from_bytes(entropy.token(16), "little"))
        return quantise(rng.standard_normal(self.dimension), self.scale, entropy)


@dataclass(frozen=True, slots=True)
class Given:
    """Vectors that were made before."""

    vectors: Mapping[str, Whole]

    def vector(self, owner: str) -> Whole:
        """Return the integers of one owner."""
        return self.vectors[owner]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who plays: enough for any process to make its share of the participants.

    Parameters
    ----------
    session
        Its name.
    seed
        Of all keys: a simulation repeats, so its keys are no secret.
    members
        Every owner of the attempt.
    coordinator
        Its name and key.
    floors
        What each participant asks of the terms.
    vectors
        What each adds.
    agreed
        Digest of what the round is over, as participants hold it.
    times
        Round and attempt: other ones, other keys.
    """

    session: str
    seed: int
    members: Mapping[str, Member]
    coordinator: tuple[str, Member]
    floors: Floors
    vectors: Vectors
    agreed: bytes = bytes(32)
    times: tuple[int, int] = (1, 0)


def identity_of(seed: int, owner: str) -> Identity:
    """Return the signing key of an owner, or of the coordinator, in a simulation."""
    return Identity(owner, new_signing_key(SeededEntropy(_seed(seed, "signing", owner))))


def _seed(seed: int, use: str, owner: str) -> bytes:
    return f"{seed}\0{use}\0{owner}".encode()


class CountingStore:
    """A SecretStore that counts records and their bytes and keeps none: nobody comes back in a simulation."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int, int], int] = {}
        self.bytes = 0

    def append(self, attempt: tuple[str, int, int], record: bytes) -> None:
        """Count a record."""
        self._counts[attempt] = self._counts.get(attempt, 0) + 1
        self.bytes += len(record)

    def records(self, attempt: tuple[str, int, int]) -> list[bytes]:
        """Return nothing."""
        del attempt
        return []

    def counter(self, attempt: tuple[str, int, int]) -> int:
        """Return how many records of an attempt were counted."""
        return self._counts.get(attempt, 0)

    def latest(self, session: str) -> tuple[int, int] | None:
        """Return the last round and attempt of a session that was begun, or None."""
        return max(((r, a) for s, r, a in self._counts if s == session), default=None)


@dataclass(slots=True)
class Answer:
    """What came of one message to one participant.

    Parameters
    ----------
    owner
        Who.
    sent
        Encoded messages to the coordinator.
    cpu_s, update_s
        Processor time of the protocol, and of making the update.
    trouble
        Why it refused or left; empty as a rule.
    """

    owner: str
    sent: list[bytes] = field(default_factory=list)
    cpu_s: float = 0.0
    update_s: float = 0.0
    trouble: str = ""


class Crowd:
    """Some of the participants, in this process.

    Parameters
    ----------
    cast
        Who plays.
    owners
        Those of this process.
    """

    def __init__(self, cast: Cast, owners: Iterable[str]) -> None:
        self._cast = cast
        self._owners = frozenset(owners)
        self._cohort = Cohort(cast.members)
        self._machines: dict[str, SumParticipant] = {}
        self._stores: dict[str, CountingStore] = {}
        self._masked: dict[str, None] = {}
        self._sum: Whole | None = None

    def answers(self, messages: Iterable[tuple[str, bytes]]) -> Iterator[Answer]:
        """Deliver encoded messages; yield what each receiver answers, in order."""
        for owner, data in messages:
            yield self._answer(owner, data)

    def drop(self, owners: Iterable[str]) -> None:
        """Let some fall silent for good."""
        for owner in owners:
            self._machines.pop(owner, None)
            self._stores.pop(owner, None)

    def finish(self) -> tuple[tuple[str, ...], Whole | None, int]:
        """Return whose vectors were masked and sent, the sum of them, and bytes written to SecretStores."""
        return tuple(self._masked), self._sum, sum(store.bytes for store in self._stores.values())

    def _answer(self, owner: str, data: bytes) -> Answer:
        answer = Answer(owner)
        began = process_time()
        message = Signed.decode(data)
        machine = self._machine(owner)
        effects = machine.handle(message)
        if message.header.phase is Phase.INBOX and not effects:
            vector, answer.update_s = self._vector(owner)
            effects = machine.provide(vector)
        store = self._stores[owner]
        for effect in effects:
            if isinstance(effect, Persist):
                terms = machine.params
                if terms is not None:
                    store.append(terms.identity, effect.record)
            elif isinstance(effect, Send):
                answer.sent.append(effect.message.encode())
                if effect.message.header.phase is Phase.MASKED:
                    self._add(owner, vector)
            elif isinstance(effect, Aborted | Refused):
                answer.trouble = effect.why
        answer.cpu_s = process_time() - began - answer.update_s
        return answer

    def _vector(self, owner: str) -> tuple[Whole, float]:
        began = process_time()
        vector = self._cast.vectors.vector(owner)
        return vector, process_time() - began

    def _add(self, owner: str, vector: Whole) -> None:
        if self._sum is None:
            self._sum = np.zeros(len(vector), dtype=np.int64)
        self._sum += vector
        self._masked[owner] = None

    def _machine(self, owner: str) -> SumParticipant:
        if owner not in self._machines:
            cast = self._cast
            self._stores[owner] = CountingStore()
            self._machines[owner] = SumParticipant(
                session=cast.session,
                identity=identity_of(cast.seed, owner),
                coordinator=cast.coordinator,
                cohort=self._cohort,
                floors=cast.floors,
                entropy=SeededEntropy(_seed(cast.seed, "keys {}.{}".format(*cast.times), owner)),
                store=self._stores[owner],
                model_digest=cast.agreed,
            )
        return self._machines[owner]
