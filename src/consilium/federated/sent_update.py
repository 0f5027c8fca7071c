"""An update as it travels where the coordinator sees it: canonical bytes, signed by its owner's key."""

from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from consilium.domain import InvalidValue, Update
from consilium.federated.encoding import Bytes, Reader, malformed, number, text
from consilium.federated.primitives import SIGNATURE_SIZE, digest, sign, verify

DOMAIN: Final = b"consilium update\0"
VERSION: Final = 1
MOST_HEADER: Final = 1024
_MILLION: Final = 1_000_000
_NOTHING: Final = 1 << 63
"""Stands for a performance that was not told."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SentUpdate:
    """An update with the session it belongs to, and its signature over both.

    What is signed holds no float: the numbers of the delta are there as the digest of their raw bytes, the
    participant's own figures as whole millionths.

    Parameters
    ----------
    session
        Which session.
    update
        What is sent; ``clip_norm`` and ``spend`` do not travel.
    signature
        64 bytes.

    Examples
    --------
    >>> from consilium.federated.entropy import SystemEntropy
    >>> from consilium.federated.primitives import new_signing_key
    >>> keys = new_signing_key(SystemEntropy())
    >>> update = Update(participant="a", round=1, base_version="00" * 32, delta=np.ones(3), num_examples=9)
    >>> data = SentUpdate.signed("s", update, keys.private).encode()
    >>> SentUpdate.decode(data, session="s", dimension=3).checked(keys.public).delta.tolist()
    [1.0, 1.0, 1.0]
    """

    session: str
    update: Update
    signature: bytes = field(default=b"", repr=False)

    @classmethod
    def signed(cls, session: str, update: Update, private: bytes) -> Self:
        """Sign an update by its owner's key."""
        unsigned = cls(session=session, update=update)
        return cls(session=session, update=update, signature=sign(private, unsigned._header()))

    def checked(self, key: bytes) -> Update:
        """Return the update if its signature is that of the key.

        Raises
        ------
        InvalidValue
            It is not: nothing is known of who sent it, so nobody is to be excluded for it.
        """
        if not verify(key, self.signature, self._header()):
            raise InvalidValue(
                f"an update of {self.update.participant} must be signed by its owner's key",
                "another signature",
                "sign it again",
            )
        return self.update

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        header = self._header()
        return b"".join((number(len(header), 4), header, self.signature, self._numbers()))

    def _numbers(self) -> bytes:
        return np.ascontiguousarray(self.update.delta, dtype="<f8").tobytes()

    def _header(self) -> bytes:
        update = self.update
        numbers = self._numbers()
        told = update.local_performance
        performance = _NOTHING if told is None else round(told * _MILLION) % _NOTHING
        return b"".join(
            (
                DOMAIN,
                number(VERSION, 2),
                text(self.session),
                number(update.round, 4),
                text(update.participant),
                text(update.base_version),
                number(update.num_examples, 8),
                number(performance, 8),
                number(round(update.seconds * _MILLION), 8),
                number(update.delta.size, 4),
                digest(numbers),
            )
        )

    @classmethod
    def decode(cls, data: Bytes, *, session: str, dimension: int) -> Self:
        """Read what `encode` wrote; sizes are checked before anything is laid out.

        Parameters
        ----------
        data
            From anybody.
        session
            Which session it must be of.
        dimension
            Numbers that an update of it has.

        Raises
        ------
        InvalidValue
            Another version, session or dimension, or numbers that are not those signed.
        """
        reader = Reader(data, "an update")
        size = reader.number(4)
        if size > MOST_HEADER:
            raise malformed("an update", f"a header of at most {MOST_HEADER} bytes", f"{size}")
        header = Reader(reader.take(size), "the header of an update")
        signature = reader.raw(SIGNATURE_SIZE)
        if header.raw(len(DOMAIN)) != DOMAIN:
            raise malformed("an update", "the mark of one", "another")
        version = header.number(2)
        if version != VERSION:
            raise InvalidValue(f"version of an update must be {VERSION}", version, "upgrade consilium")
        of = header.text()
        if of != session:
            raise InvalidValue(f"session of an update must be {session}", repr(of), "send it to its own")
        number_of_round, participant, base = header.number(4), header.text(), header.text()
        examples, performance, seconds = header.number(8), header.number(8), header.number(8)
        count, content = header.number(4), header.raw(32)
        header.end()
        if count != dimension or reader.left != 8 * dimension:
            raise InvalidValue(
                f"an update of {participant} must have {dimension} numbers",
                f"{count} said and {reader.left / 8:g} sent",
                "send every number of this model",
            )
        numbers = reader.raw(8 * dimension)
        if digest(numbers) != content:
            raise InvalidValue("numbers of an update must be those signed", "others", "send it again")
        update = Update(
            participant=participant,
            round=number_of_round,
            base_version=base,
            delta=np.frombuffer(numbers, dtype="<f8"),
            num_examples=examples,
            local_performance=_told(performance),
            seconds=seconds / _MILLION,
        )
        return cls(session=session, update=update, signature=signature)


def _told(performance: int) -> float | None:
    if performance == _NOTHING:
        return None
    signed = performance - _NOTHING if performance >= _NOTHING // 2 else performance
    return signed / _MILLION
