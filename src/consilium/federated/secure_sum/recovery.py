"""From released shares to the sum: every mask that did not cancel is made again and taken off."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import Bytes, Reader, block, number, read_bits, write_bits
from consilium.federated.masks import add_masks
from consilium.federated.primitives import exchange_public
from consilium.federated.roster import Cohort
from consilium.federated.secure_sum.board import Board
from consilium.federated.shamir import as_bytes, as_number, combine


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
    liars
        Owners who released a wrong share.
    fallen
        Why a group has no sum, by its number.
    """

    total: NDArray[np.int64] = field(repr=False)
    survivors: tuple[str, ...]
    dropped: tuple[str, ...]
    groups: tuple[GroupSum, ...] = field(repr=False)
    liars: tuple[str, ...] = ()
    fallen: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, sums: Sequence[GroupSum], liars: Sequence[str] = (), fallen: Mapping[int, str] | None = None
    ) -> "SumResult":
        """Return the result of some groups."""
        return cls(
            total=np.sum([s.total for s in sums], axis=0, dtype=np.int64),
            survivors=tuple(sorted(name for s in sums for name in s.survivors)),
            dropped=tuple(sorted(name for s in sums for name in s.dropped)),
            groups=tuple(sums),
            liars=tuple(liars),
            fallen=dict(fallen or {}),
        )

    def encode(self, cohort: Cohort) -> bytes:
        """Return bytes to write down."""
        parts = [_names(self.liars, cohort), number(len(self.fallen), 4)]
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
        liars = _read_names(reader, cohort)
        fallen = {reader.number(4): bytes(reader.block(most)).decode() for _ in range(reader.number(4))}
        sums = []
        while reader.left:
            group, alive, gone = reader.number(4), _read_names(reader, cohort), _read_names(reader, cohort)
            total = np.frombuffer(reader.block(most), dtype="<i8").astype(np.int64)
            sums.append(GroupSum(group, total, alive, gone))
        return cls.of(sums, liars, fallen)


def _names(owners: Sequence[str], cohort: Cohort) -> bytes:
    bits = np.zeros(len(cohort), dtype=np.bool_)
    bits[[cohort.index_of(owner) for owner in owners]] = True
    return block(write_bits(bits))


def _read_names(reader: Reader, cohort: Cohort) -> tuple[str, ...]:
    bits = read_bits(reader.block((len(cohort) + 7) // 8), len(cohort), reader.what)
    return tuple(cohort.owners[i] for i in np.flatnonzero(bits).tolist())


def unmask(board: Board) -> SumResult | None:
    """Return the sums of all groups whose secrets come back, or None where no group's do."""
    liars: set[int] = set()
    sums = []
    for group in board.groups:
        try:
            sums.append(_unmask_group(board, group, liars))
        except InvalidValue as problem:
            board.drop(group, str(problem))
    if not sums:
        return None
    return SumResult.of(sums, [board.cohort.owners[i] for i in sorted(liars)], board.fallen)


def _unmask_group(board: Board, group: int, liars: set[int]) -> GroupSum:
    own = board.group == group
    alive = np.flatnonzero(board.alive & own).tolist()
    gone = np.flatnonzero(board.shared & own & ~board.alive).tolist()
    total = board.running.sums[group].copy()
    keys = [(board.context.self_mask(_self_secret(board, i, liars), i), -1) for i in alive]
    for j in gone:
        keys += _pair_masks(board, j, liars)
    add_masks(total, keys)
    names = board.cohort.owners
    return GroupSum(
        group, board.params.ring.decode(total), tuple(names[i] for i in alive), tuple(names[j] for j in gone)
    )


def _self_secret(board: Board, index: int, liars: set[int]) -> bytes:
    context, committed = board.context, board.commitments[index]
    return _recover(board, index, lambda secret: context.commitment(secret, index) == committed, liars)


def _pair_masks(board: Board, gone: int, liars: set[int]) -> list[tuple[bytes, int]]:
    """Return the masks that the survivors share with one who dropped out, with the sign that removes them."""
    public = board.keys[gone].mask_key
    private = _recover(board, gone, lambda secret: exchange_public(secret) == public, liars)
    beside = {*board.neighbours[gone].tolist(), *board.senders[gone]}
    # The sign is that of the one who is gone: the survivor added the opposite.
    return [
        board.context.pair_mask(private, board.keys[i].mask_key, gone, i)
        for i in sorted(beside)
        if board.alive[i]
    ]


def _recover(board: Board, index: int, right: Callable[[bytes], bool], liars: set[int]) -> bytes:
    """Return a secret that fits what was committed to; where a share is wrong, look for it."""
    t = board.params.threshold
    known = {x: as_number(s) for x, s in board.shares_of(index).items() if x - 1 not in liars}
    points = sorted(known)
    for start in range(max(1, len(points))):
        chosen = (points[start:] + points[:start])[:t]
        secret = as_bytes(combine({x: known[x] for x in chosen}, t))
        if right(secret):
            if start:
                liars.update(_wrong(known, chosen, secret, t))
            return secret
    raise InvalidValue(
        f"{t} right shares must come back of '{board.cohort.owners[index]}'",
        f"{len(known)}, some of them wrong",
        "start a new attempt without those who lie",
    )


def _wrong(known: Mapping[int, int], chosen: list[int], secret: bytes, threshold: int) -> set[int]:
    """Return the indices of those whose share does not lie on the polynomial of the right ones."""
    right = {x: known[x] for x in chosen[:-1]}
    rest = set(known) - set(right)
    return {x - 1 for x in rest if as_bytes(combine({**right, x: known[x]}, threshold)) != secret}
