"""From released shares to the sum: every mask that did not cancel is made again and taken off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import Bytes, Reader, block, number, read_bits, write_bits
from consilium.federated.masks import add_masks
from consilium.federated.primitives import exchange_public
from consilium.federated.roster import Cohort
from consilium.federated.secure_sum.board import Board
from consilium.federated.secure_sum.opening import Opening


@dataclass(frozen=True, slots=True, eq=False)
class GroupSum:
    """The sum of one group's survivors.

    Parameters
    ----------
    group
        Its number.
    total
        Shape (d,).
    survivors, dropped
        Names of owners: those in the sum, and those who shared and are not.
    """

    group: int
    total: NDArray[np.int64] = field(repr=False)
    survivors: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SumResult:
    """What an attempt gives.

    Parameters
    ----------
    total
        Shape (d,): the integer sum of what the survivors masked.
    survivors, dropped
        Names of owners, in the order of the cohort.
    groups
        The sum of each group; one without groups.
    faults
        Owners who are at fault beyond doubt, and why.
    fallen
        Why a group has no sum, by its number.
    """

    total: NDArray[np.int64] = field(repr=False)
    survivors: tuple[str, ...]
    dropped: tuple[str, ...]
    groups: tuple[GroupSum, ...] = field(repr=False)
    faults: Mapping[str, str] = field(default_factory=dict)
    fallen: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        sums: Sequence[GroupSum],
        faults: Mapping[str, str] | None = None,
        fallen: Mapping[int, str] | None = None,
    ) -> "SumResult":
        """Return the result of some groups."""
        return cls(
            total=np.sum([s.total for s in sums], axis=0, dtype=np.int64),
            survivors=tuple(sorted(name for s in sums for name in s.survivors)),
            dropped=tuple(sorted(name for s in sums for name in s.dropped)),
            groups=tuple(sums),
            faults=dict(faults or {}),
            fallen=dict(fallen or {}),
        )

    @property
    def liars(self) -> tuple[str, ...]:
        """Owners who are at fault, in the order of names."""
        return tuple(sorted(self.faults))

    def encode(self, cohort: Cohort) -> bytes:
        """Return bytes to write down."""
        parts = [block(write_faults(self.faults, cohort)), number(len(self.fallen), 4)]
        parts += [number(group, 4) + block(why.encode()) for group, why in self.fallen.items()]
        for s in self.groups:
            total = s.total.astype("<i8").tobytes()
            parts += [
                number(s.group, 4),
                _names(s.survivors, cohort),
                _names(s.dropped, cohort),
                block(total),
            ]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: Bytes, cohort: Cohort) -> "SumResult":
        """Read what `encode` wrote."""
        reader, most = Reader(data, "a sum"), len(data)
        faults = read_faults(reader.block(most), cohort)
        fallen = {reader.number(4): bytes(reader.block(most)).decode() for _ in range(reader.number(4))}
        sums = []
        while reader.left:
            group, alive, gone = reader.number(4), _read_names(reader, cohort), _read_names(reader, cohort)
            total = np.frombuffer(reader.block(most), dtype="<i8").astype(np.int64)
            sums.append(GroupSum(group, total, alive, gone))
        return cls.of(sums, faults, fallen)


def write_faults(faults: Mapping[str, str], cohort: Cohort) -> bytes:
    """Return bytes that say who is at fault, and why."""
    return b"".join(number(cohort.index_of(owner), 4) + block(why.encode()) for owner, why in faults.items())


def read_faults(data: Bytes, cohort: Cohort) -> dict[str, str]:
    """Read what `write_faults` wrote."""
    reader, found = Reader(data, "faults"), {}
    while reader.left:
        owner = cohort.owners[reader.number(4)]
        found[owner] = bytes(reader.block(len(data))).decode()
    return found


def _names(owners: Sequence[str], cohort: Cohort) -> bytes:
    bits = np.zeros(len(cohort), dtype=np.bool_)
    bits[[cohort.index_of(owner) for owner in owners]] = True
    return block(write_bits(bits))


def _read_names(reader: Reader, cohort: Cohort) -> tuple[str, ...]:
    bits = read_bits(reader.block((len(cohort) + 7) // 8), len(cohort), reader.what)
    return tuple(cohort.owners[i] for i in np.flatnonzero(bits).tolist())


def unmask(board: Board) -> SumResult | None:
    """Return the sums of all groups whose secrets come back, or None where no group's do."""
    sums = []
    for group in board.groups:
        try:
            sums.append(_unmask_group(board, group))
        except InvalidValue as problem:
            board.drop(group, str(problem))
    if not sums:
        return None
    return SumResult.of(sums, faults_of(board), board.fallen)


def faults_of(board: Board) -> dict[str, str]:
    """Return who is at fault, by name, and why."""
    return {board.cohort.owners[i]: why for i, why in sorted(board.faults.items())}


def _unmask_group(board: Board, group: int) -> GroupSum:
    own = board.group == group
    alive = np.flatnonzero(board.alive & own).tolist()
    gone = np.flatnonzero(board.shared & own & ~board.alive).tolist()
    secrets = _secrets(board, alive, gone)
    total = board.running.sums[group].copy()
    keys = [(board.context.self_mask(secrets[i], i), -1) for i in alive]
    for j in gone:
        keys += _pair_masks(board, j, secrets[j])
    add_masks(total, keys)
    names = board.cohort.owners
    return GroupSum(
        group, board.params.ring.decode(total), tuple(names[i] for i in alive), tuple(names[j] for j in gone)
    )


def _secrets(board: Board, alive: Sequence[int], gone: Sequence[int]) -> Mapping[int, bytes]:
    """Return b of those in the sum, and mask keys of those who are not."""
    opening = Opening(board.params.threshold, board.params.neighbours, board.shares_of)
    opening.open(
        {i: partial(_is_committed, board, i) for i in alive}
        | {j: partial(_is_mask_key, board, j) for j in gone}
    )
    board.faults |= opening.faults
    if opening.shut:
        index = opening.shut[0]
        raise InvalidValue(
            f"{opening.threshold} right shares must come back of '{board.cohort.owners[index]}'",
            f"{len(board.shares_of(index))}, "
            + ("of another secret than its own" if index in opening.faults else "some of them wrong"),
            "start a new attempt without those who lie",
        )
    return opening.secrets


def _is_committed(board: Board, index: int, secret: bytes) -> bool:
    return board.context.commitment(secret, index) == board.commitments[index]


def _is_mask_key(board: Board, index: int, secret: bytes) -> bool:
    return exchange_public(secret) == board.keys[index].mask_key


def _pair_masks(board: Board, gone: int, private: bytes) -> list[tuple[bytes, int]]:
    """Return the masks that the survivors share with one who dropped out, with the sign that removes them."""
    beside = {*board.neighbours[gone].tolist(), *board.senders[gone]}
    # The sign is that of the one who is gone: the survivor added the opposite.
    return [
        board.context.pair_mask(private, board.keys[i].mask_key, gone, i)
        for i in sorted(beside)
        if board.alive[i]
    ]
