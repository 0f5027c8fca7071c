"""Masks: vectors that look random to all who lack their key, and cancel when added and subtracted."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.domain.tables import missing_package

try:
    from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
except ModuleNotFoundError as error:
    raise missing_package("a secure round", error) from None

KEY_SIZE = 32
CHUNK = 1 << 17
"""Bytes masked at a time: the key stream and this part of the vector stay in the cache of one core."""

_ZEROS = memoryview(bytes(CHUNK))
_COUNTER = bytes(16)

Words = NDArray[np.uint32] | NDArray[np.uint64]


def add_mask(vector: Words, key: bytes, sign: int) -> None:
    """Add to a vector, or subtract from it, the mask of a key, in place and modulo 2^32 or 2^64.

    ``v_i += sign * AES-256-CTR(key)_i``, the key stream read as little-endian words from counter 0.

    Parameters
    ----------
    vector
        Shape (d,), uint32 or uint64, in one piece.
    key
        32 bytes, of ONE mask.
    sign
        1 or -1.

    Raises
    ------
    InvalidValue
        Another dtype, shape, key or sign.

    Examples
    --------
    >>> vector = np.arange(4, dtype=np.uint32)
    >>> add_mask(vector, b"k" * 32, 1)
    >>> add_mask(vector, b"k" * 32, -1)
    >>> vector.tolist()
    [0, 1, 2, 3]

    References
    ----------
    NIST SP 800-38A, section 6.5.
    """
    add_masks(vector, [(key, sign)])


def add_masks(vector: Words, keys: Iterable[tuple[bytes, int]]) -> None:
    """Do `add_mask` for several keys: each part of the vector is loaded once for all of them.

    Parameters
    ----------
    vector
        As in `add_mask`.
    keys
        Pairs (key, sign).
    """
    _check_vector(vector)
    streams = [(_stream(key), _checked(sign)) for key, sign in keys]
    buffer = bytearray(CHUNK + 15)
    words = np.frombuffer(memoryview(buffer)[:CHUNK], dtype=vector.dtype.newbyteorder("<"))
    for start in range(0, len(vector), len(words)):
        part = vector[start : start + len(words)]
        zeros, mask = _ZEROS[: part.nbytes], words[: len(part)]
        for stream, sign in streams:
            stream.update_into(zeros, buffer)
            if sign > 0:
                np.add(part, mask, out=part)
            else:
                np.subtract(part, mask, out=part)


def _stream(key: bytes) -> CipherContext:
    if len(key) != KEY_SIZE:
        raise InvalidValue("the key of a mask must have 32 bytes", f"{len(key)} bytes", "derive it anew")
    return Cipher(algorithms.AES(key), modes.CTR(_COUNTER)).encryptor()


def _checked(sign: int) -> int:
    if sign not in (1, -1):
        raise InvalidValue("the sign of a mask must be 1 or -1", sign, "the lower of the two adds")
    return sign


def _check_vector(vector: Words) -> None:
    if vector.dtype not in (np.dtype(np.uint32), np.dtype(np.uint64)):
        raise InvalidValue(
            "a masked vector must be uint32 or uint64", vector.dtype, "encode it into the ring"
        )
    if vector.ndim != 1 or not vector.flags.c_contiguous:
        raise InvalidValue("a masked vector must be flat and in one piece", vector.shape, "copy it")
    if not vector.flags.writeable:
        raise InvalidValue("a masked vector must be writable", "one that is not", "copy it")
