"""Who takes part: the cohort that everybody knows, and the Merkle tree over the keys they advertised."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import number, text, write_bits
from consilium.federated.entropy import Entropy
from consilium.federated.messages import Advertise

ABSENT: Final = sha256(b"\x00").digest()
"""Leaf of one who did not advertise keys."""


@dataclass(frozen=True, slots=True)
class Member:
    """An admitted owner: its public key of Ed25519, and which of its keys that is."""

    signing_key: bytes
    key_epoch: int = 0


@dataclass(frozen=True)
class Cohort:
    """The owners of one attempt, one participant each; an index is the rank of the owner's name.

    Ranks leave a coordinator nothing to choose: no owner can stand in the roster twice, or where it likes.

    Parameters
    ----------
    members
        Member by name of the owner.

    Examples
    --------
    >>> cohort = Cohort({"beta": Member(bytes(32)), "alpha": Member(bytes(32))})
    >>> cohort.owners, cohort.index_of("beta")
    (('alpha', 'beta'), 1)
    """

    members: Mapping[str, Member]

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """Names in the order of their indices."""
        return tuple(sorted(self.members))

    @cached_property
    def _index(self) -> dict[str, int]:
        return {owner: i for i, owner in enumerate(self.owners)}

    @cached_property
    def _prefixes(self) -> tuple[bytes, ...]:
        return tuple(
            b"\x00"
            + number(i, 4)
            + text(o)
            + self.members[o].signing_key
            + number(self.members[o].key_epoch, 4)
            for i, o in enumerate(self.owners)
        )

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over all names and keys."""
        return sha256(b"consilium cohort\0" + b"".join(self._prefixes)).digest()

    def index_of(self, owner: str) -> int:
        """Return the index of an owner.

        Raises
        ------
        InvalidValue
            One who is not of the cohort.
        """
        if owner not in self._index:
            raise InvalidValue(
                "a participant must be of the cohort", repr(owner), "wait until it is admitted and drawn"
            )
        return self._index[owner]

    def member(self, index: int) -> Member:
        """Return who has an index."""
        return self.members[self.owners[index]]

    def leaf(self, index: int, keys: Advertise) -> bytes:
        """Return the hash of a leaf: (index, owner, signing key, epoch, both exchange keys, commitment)."""
        return sha256(self._prefixes[index] + keys.encode()).digest()


def root_of(top: bytes, present: NDArray[np.bool_]) -> bytes:
    """Return the root of a roster: over the top of its tree and over who is present."""
    return sha256(
        b"\x02" + number(len(present), 4) + number(int(present.sum()), 4) + write_bits(present) + top
    ).digest()


@dataclass(frozen=True)
class Tree:
    """A Merkle tree; a node without a sibling moves up as it is.

    Parameters
    ----------
    leaves
        Hashes, at least one.
    """

    leaves: Sequence[bytes] = field(repr=False)

    @cached_property
    def levels(self) -> list[list[bytes]]:
        """Hashes from the leaves to the top."""
        levels = [list(self.leaves)]
        while len(levels[-1]) > 1:
            below = levels[-1]
            above = [_node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            levels.append(above + below[len(above) * 2 :])
        return levels

    @property
    def top(self) -> bytes:
        """The hash over all leaves."""
        return self.levels[-1][0]

    def siblings(self, indices: Iterable[int]) -> bytes:
        """Return the hashes that lead from some leaves to the top: from below, from the left."""
        known, found = sorted(indices), list[bytes]()
        for level in self.levels[:-1]:
            both = set(known)
            found += [level[i ^ 1] for i in known if i ^ 1 not in both and i ^ 1 < len(level)]
            known = list(dict.fromkeys([i >> 1 for i in known]))
        return b"".join(found)


def fold(leaves: Sequence[tuple[int, bytes]], siblings: bytes, size: int) -> bytes:
    """Return the top to which some leaves lead.

    Parameters
    ----------
    leaves
        Pairs (index, hash), ascending, at least one.
    siblings
        Those of `Tree.siblings` for these indices.
    size
        Leaves of the whole tree.

    Raises
    ------
    InvalidValue
        Fewer or more siblings than the way up takes.

    Examples
    --------
    >>> tree = Tree([bytes([i]) * 32 for i in range(5)])
    >>> fold([(1, bytes([1]) * 32), (4, bytes([4]) * 32)], tree.siblings([1, 4]), 5) == tree.top
    True
    """
    known, at = list(leaves), 0
    while size > 1:
        above, i = list[tuple[int, bytes]](), 0
        while i < len(known):
            index, value = known[i]
            other = index ^ 1
            if i + 1 < len(known) and known[i + 1][0] == other:
                i += 1
                value = _node(value, known[i][1])
            elif other < size:
                beside = siblings[at : at + 32]
                at += 32
                value = _node(beside, value) if index & 1 else _node(value, beside)
            above.append((index >> 1, value))
            i += 1
        known, size = above, (size + 1) // 2
    if at != len(siblings) or not known:
        raise InvalidValue(f"a proof must have {at} bytes", len(siblings), "send the proof of these leaves")
    return known[0][1]


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def group_of(root: bytes, revealed: bytes, groups: int) -> int:
    """Return the group of a participant, H(root, r) mod G: nobody can choose it.

    Examples
    --------
    >>> group_of(bytes(32), bytes(32), 1)
    0
    """
    return int.from_bytes(sha256(b"consilium group\0" + root + revealed).digest(), "little") % groups


def commitment_to(revealed: bytes) -> bytes:
    """Return what is shown of a number before it is revealed."""
    return sha256(b"consilium commitment\0" + revealed).digest()


def draw_neighbours(others: Sequence[int], neighbours: int, entropy: Entropy) -> tuple[int, ...]:
    """Draw neighbours without replacement, all sets equally likely; ascending.

    Parameters
    ----------
    others
        Indices to draw from.
    neighbours
        How many; all of them where there are no more.
    entropy
        The participant's own: a coordinator that could guess it would know whom to corrupt.
    """
    if neighbours >= len(others):
        return tuple(sorted(others))
    pool = list(others)
    for i in range(neighbours):
        # 128 bits over a few thousand others: the bias is below 2^-100.
        j = i + int.from_bytes(entropy.token(16), "little") % (len(pool) - i)
        pool[i], pool[j] = pool[j], pool[i]
    return tuple(sorted(pool[:neighbours]))
