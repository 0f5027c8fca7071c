"""The running sum of masked vectors: one vector a group, however many are added."""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consilium.federated.encoding import Bytes, Reader, block, read_bits, write_bits, write_vector
from consilium.federated.masks import Words
from consilium.federated.secure_sum.terms import SumParams

_SEEN = struct.Struct("<32s64s")


@dataclass(slots=True)
class RunningSum:
    """Adds vectors once each, and writes itself down with the list of those added.

    Parameters
    ----------
    params
        The terms: dimension, ring, groups.
    """

    params: SumParams
    sums: dict[int, Words] = field(default_factory=dict, repr=False)
    added: dict[int, tuple[bytes, bytes]] = field(default_factory=dict, repr=False)
    """Digest of the body and signature by index, in order of arrival."""
    saved: int = 0
    """How many of them are in the last snapshot."""

    def add(self, index: int, group: int, vector: Words, seen: tuple[bytes, bytes]) -> None:
        """Add a vector modulo the ring."""
        if group not in self.sums:
            self.sums[group] = np.zeros(self.params.dimension, dtype=self.params.ring.dtype)
        total = self.sums[group]
        np.add(total, vector, out=total)
        self.added[index] = seen

    @property
    def unsaved(self) -> list[int]:
        """Those whose vectors are in no snapshot yet: they must send again after a crash."""
        return list(self.added)[self.saved :]

    def contains(self) -> NDArray[np.bool_]:
        """Return the bitmap of those added."""
        bits = np.zeros(self.params.participants, dtype=np.bool_)
        bits[list(self.added)] = True
        return bits

    def snapshot(self) -> bytes:
        """Return sums, bitmap and digests in one piece, which count as saved from now on."""
        self.saved = len(self.added)
        parts = [block(write_bits(self.contains()))]
        parts += [_SEEN.pack(*self.added[i]) for i in sorted(self.added)]
        for group in sorted(self.sums):
            parts += [struct.pack("<I", group), write_vector(self.sums[group])]
        return b"".join(parts)

    def restore(self, data: Bytes) -> None:
        """Return to a snapshot."""
        params = self.params
        reader = Reader(data, "a snapshot of the running sum")
        bits = read_bits(reader.block((params.participants + 7) // 8), params.participants, reader.what)
        self.added = {i: (reader.raw(32), reader.raw(64)) for i in np.flatnonzero(bits).tolist()}
        self.saved, self.sums = len(self.added), {}
        size = params.dimension * params.ring_bits // 8
        while reader.left:
            group = reader.number(4)
            reader.take(5)
            raw = reader.take(size)
            total: Words = np.zeros(params.dimension, dtype=params.ring.dtype)
            total[:] = np.frombuffer(raw, dtype=f"<u{params.ring_bits // 8}")
            self.sums[group] = total
