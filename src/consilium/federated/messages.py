"""The messages of one attempt of the secure sum: one body for each phase."""

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consilium.federated.encoding import (
    Bytes,
    Reader,
    block,
    malformed,
    number,
    read_bits,
    read_rows,
    write_bits,
    write_rows,
)
from consilium.federated.envelope import DOMAIN, NO_ROOT, VERSION, Header, Phase, Signed, body_digest

__all__ = [
    "DOMAIN",
    "NO_ROOT",
    "VERSION",
    "Ack",
    "Acks",
    "Advertise",
    "Ask",
    "Group",
    "Header",
    "Inbox",
    "Leaves",
    "Phase",
    "Release",
    "Reveal",
    "Roster",
    "Shares",
    "Signed",
    "Survivors",
    "body_digest",
]

SEALED: Final = 80
"""Bytes of two sealed shares."""
TAG: Final = 16


@dataclass(frozen=True, slots=True)
class Advertise:
    """Phase 1: two fresh exchange keys, and the commitment to a number revealed after the roster."""

    seal_key: bytes
    mask_key: bytes
    commitment: bytes

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return self.seal_key + self.mask_key + self.commitment

    @classmethod
    def decode(cls, body: Bytes) -> "Advertise":
        """Read canonical bytes."""
        reader = Reader(body, "an advertisement")
        message = cls(reader.raw(32), reader.raw(32), reader.raw(32))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Roster:
    """Phase 2: who is present, and the root over their leaves, which binds that too."""

    root: bytes
    present: NDArray[np.bool_] = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return self.root + number(int(self.present.sum()), 4) + block(write_bits(self.present))

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Roster":
        """Read canonical bytes."""
        reader = Reader(body, "a roster")
        root, size = reader.raw(32), reader.number(4)
        present = read_bits(reader.block((participants + 7) // 8), participants, "a roster")
        reader.end()
        if int(present.sum()) != size:
            raise malformed("a roster", f"{size} participants, as it says", f"{int(present.sum())}")
        return cls(root, present)


@dataclass(frozen=True, slots=True)
class Reveal:
    """The number committed to in phase 1; only where there are groups it goes alone."""

    number: bytes

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return self.number

    @classmethod
    def decode(cls, body: Bytes) -> "Reveal":
        """Read canonical bytes."""
        reader = Reader(body, "a revealed number")
        message = cls(reader.raw(32))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Group:
    """Who is in the group of the receiver."""

    members: NDArray[np.bool_] = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return write_bits(self.members)

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Group":
        """Read canonical bytes."""
        return cls(read_bits(body, participants, "a group"))


@dataclass(frozen=True, slots=True)
class Ask:
    """The neighbours that a participant drew, whose leaves it wants; its revealed number beside them."""

    number: bytes
    neighbours: tuple[int, ...]

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return self.number + np.asarray(self.neighbours, dtype="<u4").tobytes()

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Ask":
        """Read canonical bytes: neighbours ascend."""
        reader = Reader(body, "a list of neighbours")
        revealed = reader.raw(32)
        if reader.left % 4 or reader.left > 4 * participants:
            raise malformed("a list of neighbours", f"up to {participants} numbers", f"{reader.left} bytes")
        neighbours = np.frombuffer(reader.take(reader.left), dtype="<u4")
        _check_ascending(neighbours, participants, "a list of neighbours")
        return cls(revealed, tuple(neighbours.tolist()))


LEAF = struct.Struct("<I32s32s32s64s")
LETTER = struct.Struct(f"<I32s32s32s{SEALED}s")
TAGGED = struct.Struct(f"<I{TAG}s")
SHARE = struct.Struct("<I32s")


@dataclass(frozen=True, slots=True)
class Leaves:
    """What a participant asked for: (index, seal key, mask key, commitment, signature of phase 1) and proof.

    Parameters
    ----------
    rows
        One for each neighbour and for the receiver itself, ascending.
    siblings
        The hashes with which the rows lead to the root.
    numbers
        The revealed numbers of the rows, 32 bytes each; empty where there are no groups.
    """

    rows: list[tuple[int, bytes, bytes, bytes, bytes]] = field(repr=False)
    siblings: bytes = field(repr=False)
    numbers: bytes = b""

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return write_rows(LEAF, self.rows) + block(self.siblings) + block(self.numbers)

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Leaves":
        """Read canonical bytes."""
        reader = Reader(body, "leaves of the roster")
        rows = read_rows(reader, LEAF, participants)
        siblings = bytes(reader.block(32 * 32 * max(1, len(rows))))
        numbers = bytes(reader.block(32 * len(rows)))
        reader.end()
        _check_ascending(np.array([row[0] for row in rows], dtype=np.int64), participants, reader.what)
        return cls(rows, siblings, numbers)  # type: ignore[arg-type]  # the layout says so


@dataclass(frozen=True, slots=True)
class Shares:
    """Phase 3: two shares sealed for each neighbour, in their order, and the commitment to the own mask."""

    commitment: bytes
    sealed: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return self.commitment + self.sealed

    @classmethod
    def decode(cls, body: Bytes, neighbours: int) -> "Shares":
        """Read canonical bytes: so many pairs of shares."""
        reader = Reader(body, "sealed shares")
        message = cls(reader.raw(32), reader.raw(SEALED * neighbours))
        reader.end()
        return message


@dataclass(frozen=True, slots=True)
class Inbox:
    """Who has shared, and the letters to the receiver: (index, three parts of its leaf, sealed shares)."""

    shared: NDArray[np.bool_] = field(repr=False)
    rows: list[tuple[int, bytes, bytes, bytes, bytes]] = field(repr=False)
    siblings: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return block(write_bits(self.shared)) + write_rows(LETTER, self.rows) + block(self.siblings)

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Inbox":
        """Read canonical bytes."""
        reader = Reader(body, "letters")
        shared = read_bits(reader.block((participants + 7) // 8), participants, "letters")
        rows = read_rows(reader, LETTER, participants)
        siblings = bytes(reader.block(32 * 32 * max(1, len(rows))))
        reader.end()
        _check_ascending(np.array([row[0] for row in rows], dtype=np.int64), participants, "letters")
        return cls(shared, rows, siblings)  # type: ignore[arg-type]  # the layout says so


@dataclass(frozen=True, slots=True)
class Survivors:
    """Phase 5: the list L of those whose masked vectors are in the sum."""

    alive: NDArray[np.bool_] = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return write_bits(self.alive)

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Survivors":
        """Read canonical bytes."""
        return cls(read_bits(body, participants, "a list of survivors"))


@dataclass(frozen=True, slots=True)
class Ack:
    """Phase 5: the one list agreed to, and a proof of it for each participant whose shares are held."""

    listed: bytes
    tags: list[tuple[int, bytes]] = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return self.listed + write_rows(TAGGED, self.tags)

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Ack":
        """Read canonical bytes."""
        reader = Reader(body, "an acknowledgement")
        listed, tags = reader.raw(32), read_rows(reader, TAGGED, participants)
        reader.end()
        _check_ascending(np.array([row[0] for row in tags], dtype=np.int64), participants, reader.what)
        return cls(listed, tags)  # type: ignore[arg-type]  # the layout says so


@dataclass(frozen=True, slots=True)
class Acks:
    """Phase 6: the proofs that the receiver's neighbours agreed to the list."""

    tags: list[tuple[int, bytes]] = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return write_rows(TAGGED, self.tags)

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Acks":
        """Read canonical bytes."""
        reader = Reader(body, "acknowledgements")
        tags = read_rows(reader, TAGGED, participants)
        reader.end()
        _check_ascending(np.array([row[0] for row in tags], dtype=np.int64), participants, reader.what)
        return cls(tags)  # type: ignore[arg-type]  # the layout says so


@dataclass(frozen=True, slots=True)
class Release:
    """Phase 6: for each held share one of the two, as the list says: (index, share)."""

    shares: list[tuple[int, bytes]] = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical bytes."""
        return write_rows(SHARE, self.shares)

    @classmethod
    def decode(cls, body: Bytes, participants: int) -> "Release":
        """Read canonical bytes."""
        reader = Reader(body, "released shares")
        shares = read_rows(reader, SHARE, participants)
        reader.end()
        _check_ascending(np.array([row[0] for row in shares], dtype=np.int64), participants, reader.what)
        return cls(shares)  # type: ignore[arg-type]  # the layout says so


def _check_ascending(indices: NDArray[np.integer], participants: int, what: str) -> None:
    if indices.size and (
        int(indices[-1]) >= participants or bool((np.diff(indices.astype(np.int64)) <= 0).any())
    ):
        raise malformed(what, f"indices that ascend below {participants}", "others")
