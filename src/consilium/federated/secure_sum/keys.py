"""The keys of an attempt: each derived for one use, from a secret and the names of those who share it."""

import hmac
import struct
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import write_bits
from consilium.federated.messages import TAG
from consilium.federated.primitives import agree, derive, seal, unseal


@dataclass(frozen=True, slots=True)
class Context:
    """Binds keys to the terms and the roster: participants who were shown others derive other keys.

    Parameters
    ----------
    params, root
        Digest of the terms and root of the roster, 32 bytes each.
    """

    params: bytes
    root: bytes

    def info(self, use: bytes, first: int, second: int) -> bytes:
        """Return the name of a key: its use and the two indices."""
        return b"consilium " + use + b"\0" + self.params + self.root + struct.pack("<II", first, second)

    def pair_mask(self, private: bytes, public: bytes, own: int, other: int) -> tuple[bytes, int]:
        """Return key and sign of the mask that two participants share: the lower index adds."""
        low, high = min(own, other), max(own, other)
        return derive(agree(private, public), self.info(b"pair", low, high)), 1 if own == low else -1

    def self_mask(self, secret: bytes, own: int) -> bytes:
        """Return the key of the mask that a participant adds for itself."""
        return derive(secret, self.info(b"self", own, own))

    def commitment(self, secret: bytes, own: int) -> bytes:
        """Return what is shown of the secret of the own mask, to notice wrong shares of it."""
        return sha256(self.info(b"commitment", own, own) + secret).digest()

    def seal_shares(self, agreed: bytes, shares: bytes, sender: int, receiver: int) -> bytes:
        """Seal two shares for a neighbour; the agreed secret is that of both seal keys."""
        info = self.info(b"letter", sender, receiver)
        return seal(derive(agreed, info), shares, info)

    def open_shares(self, agreed: bytes, sealed: bytes, sender: int, receiver: int) -> bytes | None:
        """Return the two shares of a neighbour, or None where they were made for another roster."""
        info = self.info(b"letter", sender, receiver)
        try:
            return unseal(derive(agreed, info), sealed, info)
        except InvalidValue:
            return None

    def ack_key(self, agreed: bytes, owner: int, holder: int) -> bytes:
        """Return the key with which the holder of a share proves to its owner what it acknowledged."""
        return derive(agreed, self.info(b"ack", owner, holder))

    def listed(self, shared: NDArray[np.bool_], alive: NDArray[np.bool_]) -> bytes:
        """Return H(L), which acknowledgements are about; it binds those who shared, too.

        A coordinator that told everybody of other sharers could cut the masks between two halves, and take
        the sum of each.
        """
        return sha256(self.info(b"survivors", 0, 0) + write_bits(shared) + write_bits(alive)).digest()


def tag_of(key: bytes, listed: bytes) -> bytes:
    """Return the proof that a list was acknowledged."""
    return hmac.digest(key, listed, "sha256")[:TAG]
