"""What a participant remembers during an attempt, and the records from which it remembers it again."""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import Reader, block, number, read_bits, read_rows, write_bits, write_rows
from consilium.federated.messages import NO_ROOT, Ask, Group, Header, Phase, Roster, Signed, Survivors
from consilium.federated.primitives import KeyPair, exchange_public
from consilium.federated.secure_sum.terms import SumParams

_BESIDE = struct.Struct("<I32s32s")
_HELD = struct.Struct("<I64s32s")
_ABORT = 255
_MOST = 1 << 31

Evidence = tuple[bytes, bytes]
"""Two signed headers of one sender and one phase whose bodies differ."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs: the owner's name, its signing key and which of its keys that is."""

    owner: str
    signing: KeyPair
    key_epoch: int = 0


@dataclass(slots=True)
class Memory:
    """Everything a participant knows of an attempt; most of it is secret, and none of it is in a repr."""

    params: SumParams | None = field(default=None, repr=False)
    cohort: tuple[str, ...] = field(default=(), repr=False)
    """Who is asked."""
    seal_key: KeyPair = field(default=KeyPair(b"", b""), repr=False)
    mask_key: KeyPair = field(default=KeyPair(b"", b""), repr=False)
    self_secret: bytes = field(default=b"", repr=False)
    number: bytes = field(default=b"", repr=False)
    root: bytes = NO_ROOT
    present: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_), repr=False)
    members: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_), repr=False)
    neighbours: tuple[int, ...] = field(default=(), repr=False)
    mask_keys: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Public mask key by neighbour."""
    agreed: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Secret of both seal keys by neighbour, for its letters too; in no record, made again where lost."""
    owner_keys: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Key by neighbour with which it proves its acknowledgement."""
    shared: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_), repr=False)
    held: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Shares of b and of the mask key by their owner."""
    holder_keys: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Key by owner of held shares with which this participant proves its acknowledgement."""
    alive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_), repr=False)
    expects: Phase = Phase.ANNOUNCE
    seen: dict[Phase, tuple[Header, bytes]] = field(default_factory=dict, repr=False)
    answers: dict[Phase, Signed] = field(default_factory=dict, repr=False)
    """Answer by the phase that it answers."""
    aborted: str = ""
    released: bool = False
    written: int = 0
    """Records so far."""

    @property
    def terms(self) -> SumParams:
        """The accepted terms."""
        if self.params is None:
            raise InvalidValue(
                "an attempt must be announced first", "nothing announced", "wait for the terms"
            )
        return self.params

    @property
    def masked(self) -> bool:
        """Whether a masked vector was made, and may be in a sum."""
        return Phase.INBOX in self.answers

    @property
    def last(self) -> Signed | None:
        """The answer sent last."""
        return next(reversed(self.answers.values()), None)

    def note(self, message: Signed, answer: Signed) -> None:
        """Remember a message and its answer, and what comes next."""
        phase = message.header.phase
        self.seen[phase] = (message.header, message.signature)
        self.answers[phase] = answer
        self.released = self.released or answer.header.phase is Phase.RELEASE
        self.expects = self._next(phase)

    def _next(self, phase: Phase) -> Phase:
        if phase is Phase.ROSTER:
            return Phase.GROUP if self.terms.groups > 1 else Phase.LEAVES
        following = {
            Phase.ANNOUNCE: Phase.ROSTER,
            Phase.GROUP: Phase.LEAVES,
            Phase.LEAVES: Phase.INBOX,
            Phase.INBOX: Phase.SURVIVORS,
        }
        return following.get(phase, Phase.ACKS)

    def forget(self, phase: Phase) -> None:
        """Drop the keys that no later phase needs."""
        if phase is Phase.INBOX:
            self.seal_key = self.mask_key = KeyPair(b"", b"")
            self.self_secret = b""
            self.mask_keys, self.agreed = {}, {}
        elif phase is Phase.ACKS:
            self.owner_keys, self.held, self.holder_keys = {}, {}, {}

    def record(self, message: Signed) -> bytes:
        """Return the record of the last transition: what came, what is answered, what was learnt."""
        header, phase = message.header, message.header.phase
        self.written += 1
        return b"".join(
            (
                number(self.written, 4),
                number(phase, 1),
                header.encode(),
                message.signature,
                block(self.answers[phase].encode()),
                self._learnt(message),
            )
        )

    def abort_record(self, why: str) -> bytes:
        """Return the record of an end."""
        self.aborted = why
        self.written += 1
        return number(self.written, 4) + number(_ABORT, 1) + why.encode()

    def _learnt(self, message: Signed) -> bytes:
        match message.header.phase:
            case Phase.ANNOUNCE:
                keys = self.seal_key.private + self.mask_key.private + self.self_secret + self.number
                return keys + block("\0".join(self.cohort).encode()) + bytes(message.body)
            case Phase.LEAVES:
                rows = [(j, self.mask_keys[j], self.owner_keys[j]) for j in self.neighbours]
                return write_rows(_BESIDE, rows)
            case Phase.INBOX:
                rows = [(i, self.held[i], self.holder_keys[i]) for i in self.held]
                return block(write_bits(self.shared)) + write_rows(_HELD, rows)
            case Phase.ROSTER | Phase.GROUP | Phase.SURVIVORS:
                return bytes(message.body)
        return b""

    @classmethod
    def restored(cls, records: list[bytes]) -> "Memory":
        """Return the memory that these records, in order, describe.

        Raises
        ------
        InvalidValue
            Damaged records, or some missing in between.
        """
        memory = cls()
        for record in records:
            memory._recall(record)
        return memory

    def _recall(self, record: bytes) -> None:
        reader = Reader(record, "a record of this participant")
        sequence, kind = reader.number(4), reader.number(1)
        if sequence != self.written + 1:
            raise InvalidValue(
                f"the next record of this participant must be number {self.written + 1}",
                sequence,
                "restore the whole SecretStore, or leave this attempt",
            )
        self.written = sequence
        if kind == _ABORT:
            self.aborted = reader.raw(reader.left).decode()
            return
        header, signature = Header.read(reader), reader.raw(64)
        answer = Signed.decode(bytes(reader.block(_MOST)))
        self._relearn(header.phase, reader, answer)
        self.note(Signed(header, b"", signature), answer)
        self.forget(header.phase)

    def _relearn(self, phase: Phase, reader: Reader, answer: Signed) -> None:
        match phase:
            case Phase.ANNOUNCE:
                seal, mask = reader.raw(32), reader.raw(32)
                self.seal_key = KeyPair(seal, exchange_public(seal))
                self.mask_key = KeyPair(mask, exchange_public(mask))
                self.self_secret, self.number = reader.raw(32), reader.raw(32)
                self.cohort = tuple(bytes(reader.block(_MOST)).decode().split("\0"))
                self.params = SumParams.decode(reader.take(reader.left))
            case Phase.ROSTER:
                roster = Roster.decode(reader.take(reader.left), self.terms.participants)
                self.root, self.present = roster.root, roster.present
                self.members = roster.present
            case Phase.GROUP:
                self.members = Group.decode(reader.take(reader.left), self.terms.participants).members
            case Phase.LEAVES:
                for j, mask_key, owner_key in read_rows(reader, _BESIDE, self.terms.participants):
                    self.mask_keys[j], self.owner_keys[j] = mask_key, owner_key  # type: ignore[index, assignment]
            case Phase.INBOX:
                bits = reader.block((self.terms.participants + 7) // 8)
                self.shared = read_bits(bits, self.terms.participants, reader.what)
                for i, shares, key in read_rows(reader, _HELD, self.terms.participants):
                    self.held[i], self.holder_keys[i] = shares, key  # type: ignore[index, assignment]
            case Phase.SURVIVORS:
                self.alive = Survivors.decode(reader.take(reader.left), self.terms.participants).alive
        if answer.header.phase is Phase.ASK:
            self.neighbours = Ask.decode(answer.body, self.terms.participants).neighbours
