"""How a message travels: a header of canonical bytes that is signed, and the body that it names by digest."""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Final

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import Bytes, Reader, malformed, number, text

DOMAIN: Final = b"consilium secure sum\0"
VERSION: Final = 1
NO_ROOT: Final = bytes(32)


class Phase(IntEnum):
    """What a message is, in the order of an attempt."""

    ANNOUNCE = 0
    ADVERTISE = 1
    ROSTER = 2
    REVEAL = 3
    GROUP = 4
    ASK = 5
    LEAVES = 6
    SHARES = 7
    INBOX = 8
    MASKED = 9
    RECEIPT = 10
    SURVIVORS = 11
    ACK = 12
    ACKS = 13
    RELEASE = 14


@dataclass(frozen=True, slots=True)
class Header:
    """What a signature covers; ``body`` is SHA-256 of the body, ``params`` that of the terms."""

    session: str
    round: int
    attempt: int
    phase: Phase
    sender: str
    key_epoch: int
    params: bytes
    root: bytes
    body: bytes
    version: int = VERSION

    def encode(self) -> bytes:
        """Return canonical bytes: what is signed."""
        return b"".join(
            (
                DOMAIN,
                number(self.version, 2),
                text(self.session),
                struct.pack("<IIB", self.round, self.attempt, self.phase),
                text(self.sender),
                struct.pack("<I", self.key_epoch),
                self.params,
                self.root,
                self.body,
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> "Header":
        """Take a header off bytes.

        Raises
        ------
        InvalidValue
            Other bytes, or a version that is not spoken here.
        """
        if reader.raw(len(DOMAIN)) != DOMAIN:
            raise malformed("a message", "the mark of the secure sum in front", "other bytes")
        version = reader.number(2)
        if version != VERSION:
            raise InvalidValue(
                f"version of a message must be {VERSION}", version, "let both sides run the same release"
            )
        session = reader.text()
        round_, attempt, phase = reader.number(4), reader.number(4), reader.number(1)
        if phase > max(Phase):
            raise malformed("a message", f"a phase up to {max(Phase)}", f"{phase}")
        sender, epoch = reader.text(), reader.number(4)
        params, root, body = reader.raw(32), reader.raw(32), reader.raw(32)
        return cls(session, round_, attempt, Phase(phase), sender, epoch, params, root, body, version)


@dataclass(frozen=True, slots=True)
class Signed:
    """A message as it travels."""

    header: Header
    body: Bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of the encoded message."""
        return len(self.header.encode()) + len(self.signature) + 4 + len(self.body)

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        return b"".join((self.header.encode(), self.signature, struct.pack("<I", len(self.body)), self.body))

    @classmethod
    def decode(cls, data: Bytes, most: int = 1 << 31) -> "Signed":
        """Read a message; its signature is checked by who knows the sender's key.

        Parameters
        ----------
        data
            The bytes; the body stays a view of them.
        most
            Bytes of the longest message taken.

        Raises
        ------
        InvalidValue
            Too long, truncated, with something after its end, or of another version.
        """
        if len(data) > most:
            raise InvalidValue(
                f"a message must have at most {most} bytes", len(data), "send the agreed vector"
            )
        reader = Reader(data, "a message")
        header = Header.read(reader)
        signature = reader.raw(64)
        body = reader.block(most)
        reader.end()
        return cls(header, body, signature)


def body_digest(body: Bytes) -> bytes:
    """Return what a header says of its body."""
    return sha256(body).digest()
