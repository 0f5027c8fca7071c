"""Where unpredictable bytes come from: the operating system, or a seed where nothing is at stake."""

import os
from hashlib import sha256
from typing import Protocol

from consilium.domain.checks import require_at_least
from consilium.domain.tables import missing_package

_AHEAD = 1 << 12


class Entropy(Protocol):
    """A source of bytes for keys, nonces, shares and noise.

    What leaves this machine refuses a source that is not real.
    """

    @property
    def real(self) -> bool:
        """Whether nobody can predict the bytes."""
        ...

    def token(self, size: int) -> bytes:
        """Return ``size`` bytes."""
        ...


class SystemEntropy:
    """Bytes of the operating system.

    Examples
    --------
    >>> entropy = SystemEntropy()
    >>> entropy.real, len(entropy.token(32))
    (True, 32)
    """

    @property
    def real(self) -> bool:
        """Nobody can predict them."""
        return True

    def token(self, size: int) -> bytes:
        """Return ``size`` bytes, by default never the same twice."""
        require_at_least("size of a token", size, 0)
        return os.urandom(size)


class SeededEntropy:
    """Bytes that follow from a seed: for simulations that must repeat, refused by every real carrier.

    The stream is AES-256 in counter mode under SHA-256 of the seed.

    Parameters
    ----------
    seed
        A number >= 0, or bytes.

    Examples
    --------
    >>> SeededEntropy(7).token(8) == SeededEntropy(7).token(8)
    True
    >>> SeededEntropy(7).real
    False
    """

    def __init__(self, seed: int | bytes) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        except ModuleNotFoundError as error:
            raise missing_package("a seeded simulation", error) from None
        if isinstance(seed, int):
            require_at_least("seed", seed, 0)
            seed = seed.to_bytes(max(1, (seed.bit_length() + 7) // 8), "big")
        key = sha256(b"consilium seeded entropy\0" + seed).digest()
        self._stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self._left = b""

    @property
    def real(self) -> bool:
        """Who knows the seed knows them all."""
        return False

    def token(self, size: int) -> bytes:
        """Return the next ``size`` bytes of the stream."""
        require_at_least("size of a token", size, 0)
        if size > len(self._left):
            self._left += self._stream.update(bytes(size - len(self._left) + _AHEAD))
        token, self._left = self._left[:size], self._left[size:]
        return token
