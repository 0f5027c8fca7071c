"""What an attempt agrees on, hashed into every header, and what a participant accepts of it at least."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import Bytes, Reader, number, text
from consilium.federated.groups import split_for
from consilium.federated.messages import Phase
from consilium.federated.parameters import Degree, Ring, count_of, degree_for, least_survivors, ring_for

MILLION: Final = 1_000_000
MINUTE: Final = 60_000_000_000
STAGES: Final = 6
"""Stages that end at a deadline: advertise, reveal, shares, masked vectors, acknowledgements, release."""
MOST_DIMENSION: Final = 1 << 27
MOST_PARTICIPANTS: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SumParams:
    """The terms of one attempt; whole numbers only.

    Parameters
    ----------
    session, round, attempt
        Which attempt this is; each is used once.
    cohort
        Digest of the owners (`consilium.federated.roster.Cohort`), ``participants`` of them (N).
    dimension
        d, values of a vector.
    ring_bits
        32 or 64.
    clip_int
        Bound of an honest coordinate before rounding.
    neighbours, threshold, survivors
        k, t and M. With groups they hold inside each.
    gamma, delta
        Shares of colluders and of dropouts assumed, in millionths.
    groups
        G; 1 for one sum over all.
    deadlines
        How long each of the six stages may take, nanoseconds.
    model_digest
        SHA-256 of the model that the vectors change.
    noise_variance, noise_reach
        Of the noise each adds; 0 without noise.

    Raises
    ------
    InvalidValue
        Terms under which no sum is safe: 2 t <= k, t > k, M out of (t, N], or a ring that could wrap.
    """

    session: str
    round: int
    attempt: int
    cohort: bytes
    participants: int
    dimension: int
    ring_bits: int
    clip_int: int
    neighbours: int
    threshold: int
    survivors: int
    gamma: int
    delta: int
    model_digest: bytes = bytes(32)
    groups: int = 1
    deadlines: tuple[int, ...] = (5 * MINUTE,) * STAGES
    noise_variance: int = 0
    noise_reach: int = 0

    def __post_init__(self) -> None:
        n, k, t, m = self.participants, self.neighbours, self.threshold, self.survivors
        _require(2 <= n <= MOST_PARTICIPANTS, f"participants must lie in [2, {MOST_PARTICIPANTS}]", n)
        _require(
            1 <= self.dimension <= MOST_DIMENSION,
            f"dimension must lie in [1, {MOST_DIMENSION}]",
            self.dimension,
        )
        _require(1 <= k < n, f"neighbours must lie in [1, {n - 1}]", k)
        # Otherwise one set of neighbours can vote a participant alive and another one dead.
        _require(k // 2 < t <= k, f"threshold must lie in [{k // 2 + 1}, {k}]", t)
        _require(t < m <= n, f"survivors must lie in [{t + 1}, {n}]", m)
        _require(1 <= self.groups <= n // 2, f"groups must lie in [1, {n // 2}]", self.groups)
        _require(self.clip_int >= 1, "clip_int must be >= 1", self.clip_int)
        _require(self.ring_bits in (32, 64), "ring_bits must be 32 or 64", self.ring_bits)
        reach = n * self.most_coordinate
        _require(reach < 1 << (self.ring_bits - 1), f"N (C + 1 + R) must be < 2^{self.ring_bits - 1}", reach)
        _require(
            len(self.deadlines) == STAGES and min(self.deadlines) > 0,
            "six deadlines must be > 0",
            self.deadlines,
        )
        _require(
            len(self.cohort) == len(self.model_digest) == 32, "digests must have 32 bytes", len(self.cohort)
        )

    @classmethod
    def plan(
        cls,
        *,
        session: str,
        round: int,  # noqa: A002  # the field's word
        attempt: int,
        cohort: bytes,
        participants: int,
        dimension: int,
        clip_int: int,
        gamma: float,
        delta: float,
        groups: int = 1,
        colluders: int | None = None,
        least: int = 1,
        **rest: object,
    ) -> "SumParams":
        """Return terms with k, t, M and the ring computed from N, gamma and delta.

        ``colluders`` is c where the owners of this attempt are drawn from more than N, ``least`` the fewest
        survivors that were agreed.

        Examples
        --------
        >>> terms = SumParams.plan(session="s", round=1, attempt=0, cohort=bytes(32), participants=1000,
        ...     dimension=10, clip_int=4096, gamma=0.1, delta=0.05)
        >>> terms.neighbours, terms.threshold, terms.survivors, terms.ring_bits
        (62, 46, 950, 32)
        """
        reach = int(rest.get("noise_reach", 0))  # type: ignore[call-overload]
        degree, survivors = _inside(participants, groups, gamma, delta, colluders)
        return cls(
            session=session,
            round=round,
            attempt=attempt,
            cohort=cohort,
            participants=participants,
            dimension=dimension,
            ring_bits=ring_for(participants, clip_int, reach).bits,
            clip_int=clip_int,
            neighbours=degree.neighbours,
            threshold=degree.threshold,
            survivors=max(least, survivors),
            gamma=_millionths(gamma),
            delta=_millionths(delta),
            groups=groups,
            **rest,  # type: ignore[arg-type]
        )

    @property
    def most_coordinate(self) -> int:
        """C + 1 + R: what no coordinate of an honest vector exceeds in size."""
        return self.clip_int + 1 + self.noise_reach

    @property
    def ring(self) -> Ring:
        """In which vectors are summed."""
        return Ring(self.ring_bits)

    @property
    def identity(self) -> tuple[str, int, int]:
        """Session, round and attempt."""
        return self.session, self.round, self.attempt

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the terms, for every header."""
        return sha256(b"consilium terms\0" + self.encode()).digest()

    def encode(self) -> bytes:
        """Return canonical bytes: the body of phase 0."""
        return b"".join((text(self.session), *(number(value, size) for value, size in self._numbers()),
                         self.cohort, self.model_digest))  # fmt: skip

    def _numbers(self) -> list[tuple[int, int]]:
        short = (self.round, self.attempt, self.participants, self.dimension, self.ring_bits, self.neighbours,
                 self.threshold, self.survivors, self.gamma, self.delta, self.groups)  # fmt: skip
        long = (self.clip_int, self.noise_reach, self.noise_variance, *self.deadlines)
        return [(value, 4) for value in short] + [(value, 8) for value in long]

    @classmethod
    def decode(cls, body: Bytes) -> "SumParams":
        """Read canonical bytes."""
        reader = Reader(body, "terms")
        session = reader.text()
        short = [reader.number(4) for _ in range(11)]
        long = [reader.number(8) for _ in range(3 + STAGES)]
        cohort, model = reader.raw(32), reader.raw(32)
        reader.end()
        names = ("round", "attempt", "participants", "dimension", "ring_bits", "neighbours",
                 "threshold", "survivors", "gamma", "delta", "groups")  # fmt: skip
        fields = dict(zip(names, short, strict=True))
        clip, reach, variance, *deadlines = long
        return cls(session=session, cohort=cohort, model_digest=model, clip_int=clip, noise_reach=reach,
                   noise_variance=variance, deadlines=tuple(deadlines), **fields)  # fmt: skip

    def most_bytes(self, phase: Phase) -> int:
        """Return the bytes of the longest honest message of a phase: what is longer is not even read."""
        n, depth = self.participants, 32 * self.participants
        bodies = {
            Phase.MASKED: 5 + self.dimension * self.ring_bits // 8,
            Phase.LEAVES: 64 + n * (164 + 32) + depth,
            Phase.INBOX: 64 + n * (180 + 1) + depth,
            Phase.SHARES: 32 + 80 * self.neighbours,
        }
        return 1024 + bodies.get(phase, 64 + 37 * n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """What a participant asks of the terms, whatever a coordinator announces.

    Parameters
    ----------
    participants, survivors, neighbours, threshold
        Least N, M, k and t.
    margin
        Least 2 t - k: more colluding neighbours than that are needed to fool the others.
    clip_int, dimension, groups
        The most.
    noise_variance
        The least.
    colluders
        c: so many of those who take part may lie for the coordinator.
    """

    participants: int
    survivors: int
    neighbours: int
    threshold: int
    margin: int
    clip_int: int = 1 << 20
    dimension: int = MOST_DIMENSION
    groups: int = 1
    noise_variance: int = 0
    colluders: int = 0

    @classmethod
    def of(
        cls,
        participants: int,
        gamma: float,
        delta: float,
        *,
        groups: int = 1,
        colluders: int | None = None,
        least: int = 1,
        **rest: int,
    ) -> "Floors":
        """Return floors computed from the participant's own assumptions; see `SumParams.plan`.

        Examples
        --------
        >>> Floors.of(1000, 0.1, 0.05).margin
        30
        """
        degree, survivors = _inside(participants, groups, gamma, delta, colluders)
        return cls(
            participants=max(least, participants),
            survivors=max(least, survivors),
            neighbours=degree.neighbours,
            threshold=degree.threshold,
            margin=2 * degree.threshold - degree.neighbours,
            groups=groups,
            colluders=count_of(gamma, participants) if colluders is None else colluders,
            **rest,
        )


def _inside(
    participants: int, groups: int, gamma: float, delta: float, colluders: int | None
) -> tuple[Degree, int]:
    """Return k and t, and M, of the whole or of each group."""
    if groups == 1:
        degree = degree_for(participants, gamma, delta, colluders=colluders)
        return degree, least_survivors(participants, delta)
    split = split_for(participants, groups, gamma, delta)
    return split.degree, split.survivors


def _millionths(fraction: float) -> int:
    return round(fraction * MILLION)


def _require(holds: bool, bound: str, value: object) -> None:
    if not holds:
        raise InvalidValue(bound, value, "correct the terms of the attempt")
