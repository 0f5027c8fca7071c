"""Canonical bytes: one text a value, little-endian, no floats; sizes are bounded before anything is built."""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue

Bytes = bytes | memoryview
MOST_NAME = 128
"""Bytes of a name, of an owner or a session."""


class Reader:
    """Takes fields off bytes, from the front; what is missing or left over is refused.

    Parameters
    ----------
    data
        The bytes.
    what
        What they should be, for the error.
    """

    def __init__(self, data: Bytes, what: str) -> None:
        self._data = memoryview(data)
        self._at = 0
        self.what = what

    @property
    def left(self) -> int:
        """Bytes not yet taken."""
        return len(self._data) - self._at

    def take(self, size: int) -> memoryview:
        """Return the next bytes without copying them."""
        if size > self.left:
            raise malformed(self.what, f"at least {size} bytes more", f"{self.left}")
        start = self._at
        self._at += size
        return self._data[start : self._at]

    def raw(self, size: int) -> bytes:
        """Return a copy of the next bytes."""
        return bytes(self.take(size))

    def number(self, size: int) -> int:
        """Return an unsigned number of so many bytes."""
        return int.from_bytes(self.take(size), "little")

    def text(self, most: int = MOST_NAME) -> str:
        """Return a text after its length in two bytes."""
        size = self.number(2)
        if size > most:
            raise malformed(self.what, f"a text of at most {most} bytes", f"{size}")
        try:
            return self.raw(size).decode("utf-8")
        except UnicodeDecodeError:
            raise malformed(self.what, "text in UTF-8", "other bytes") from None

    def block(self, most: int) -> memoryview:
        """Return bytes after their length in four bytes."""
        size = self.number(4)
        if size > most:
            raise malformed(self.what, f"a part of at most {most} bytes", f"{size}")
        return self.take(size)

    def end(self) -> None:
        """Refuse what is left over."""
        if self.left:
            raise malformed(self.what, "no bytes after its end", f"{self.left}")


def number(value: int, size: int) -> bytes:
    r"""Write an unsigned number.

    Examples
    --------
    >>> number(258, 4)
    b'\x02\x01\x00\x00'
    """
    if not 0 <= value < 1 << (8 * size):
        raise InvalidValue(f"a number must lie in [0, 2^{8 * size})", value, "correct the message")
    return value.to_bytes(size, "little")


def text(value: str) -> bytes:
    r"""Write a text after its length.

    Examples
    --------
    >>> text("desk")
    b'\x04\x00desk'
    """
    raw = value.encode("utf-8")
    if len(raw) > MOST_NAME:
        raise InvalidValue(f"a name must have at most {MOST_NAME} bytes", len(raw), "shorten it")
    return struct.pack("<H", len(raw)) + raw


def block(value: Bytes) -> bytes:
    """Write bytes after their length."""
    return struct.pack("<I", len(value)) + bytes(value)


def write_rows(layout: struct.Struct, rows: Sequence[tuple[object, ...]]) -> bytes:
    """Write rows of one layout after their number."""
    return struct.pack("<I", len(rows)) + b"".join([layout.pack(*row) for row in rows])


def read_rows(reader: Reader, layout: struct.Struct, most: int) -> list[tuple[object, ...]]:
    """Read what `write_rows` wrote: at most so many rows."""
    count = reader.number(4)
    if count > most:
        raise malformed(reader.what, f"at most {most} rows", f"{count}")
    return list(layout.iter_unpack(reader.take(count * layout.size)))


def write_bits(bits: NDArray[np.bool_]) -> bytes:
    r"""Write a bitmap, the first bit lowest.

    Examples
    --------
    >>> write_bits(np.array([True, False, True]))
    b'\x05'
    """
    return np.packbits(bits, bitorder="little").tobytes()


def read_bits(data: Bytes, size: int, what: str) -> NDArray[np.bool_]:
    """Read a bitmap of so many bits; those after the last must be zero."""
    if len(data) != (size + 7) // 8:
        raise malformed(what, f"a bitmap of {(size + 7) // 8} bytes", f"{len(data)}")
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little").astype(np.bool_)
    if bits[size:].any():
        raise malformed(what, f"a bitmap that ends after {size} bits", "bits behind it")
    return bits[:size]


def write_vector(vector: NDArray[np.uint32] | NDArray[np.uint64]) -> bytes:
    """Write a vector: bits of its numbers, how many, then the raw little-endian numbers."""
    words = vector.astype(vector.dtype.newbyteorder("<"), copy=False)
    return struct.pack("<BI", 8 * vector.dtype.itemsize, len(vector)) + words.tobytes()


def read_vector(data: Bytes, bits: int, dimension: int) -> NDArray[np.uint32] | NDArray[np.uint64]:
    """Read a vector without copying it; another type or dimension than agreed is refused."""
    reader = Reader(data, "a vector")
    came = (reader.number(1), reader.number(4))
    if came != (bits, dimension):
        raise malformed("a vector", f"{dimension} numbers of {bits} bits", f"{came[1]} of {came[0]} bits")
    raw = reader.take(dimension * bits // 8)
    reader.end()
    return np.frombuffer(raw, dtype=f"<u{bits // 8}")


def malformed(what: str, bound: str, value: str) -> InvalidValue:
    """Return the error of bytes that are not what they should be."""
    return InvalidValue(f"{what} must have {bound}", value, "send it again as its version prescribes")
