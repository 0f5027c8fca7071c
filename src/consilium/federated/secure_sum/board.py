"""What a coordinator knows: all of it public but the released shares, which it never writes down."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import Bytes, read_vector
from consilium.federated.messages import (
    NO_ROOT,
    SEALED,
    TAG,
    Ack,
    Acks,
    Advertise,
    Ask,
    Group,
    Inbox,
    Leaves,
    Phase,
    Release,
    Reveal,
    Roster,
    Shares,
    Survivors,
)
from consilium.federated.roster import ABSENT, Cohort, Tree, commitment_to, group_of, root_of
from consilium.federated.secure_sum.keys import Context
from consilium.federated.secure_sum.rows import Rows
from consilium.federated.secure_sum.running import RunningSum
from consilium.federated.secure_sum.terms import SumParams
from consilium.federated.shamir import SIZE

_P: Final = 2**255 - 19
LOW_ORDER: Final = frozenset(
    (point | top << 255).to_bytes(32, "little")
    for top in (0, 1)
    for point in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _P - 1,
        _P,
        _P + 1,
    )
)
"""Public keys of X25519 whose agreed secret everybody knows."""

Seen = tuple[bytes, bytes]
"""Digest of a body and its signature."""


@dataclass(slots=True)
class Board:
    """The state of one attempt, and the bodies of the messages that follow from it.

    Parameters
    ----------
    params, cohort
        The terms and who may take part.
    """

    params: SumParams
    cohort: Cohort
    running: RunningSum = field(init=False, repr=False)
    keys: dict[int, Advertise] = field(default_factory=dict, repr=False)
    signatures: dict[int, bytes] = field(default_factory=dict, repr=False)
    root: bytes = NO_ROOT
    present: NDArray[np.bool_] = field(init=False, repr=False)
    group: NDArray[np.int64] = field(init=False, repr=False)
    """Group by index; -1 where one takes no part, or its group fell."""
    numbers: dict[int, bytes] = field(default_factory=dict, repr=False)
    neighbours: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False)
    commitments: dict[int, bytes] = field(default_factory=dict, repr=False)
    letters: dict[int, bytes] = field(default_factory=dict, repr=False)
    shared: NDArray[np.bool_] = field(init=False, repr=False)
    senders: dict[int, Sequence[int]] = field(default_factory=dict, repr=False)
    """By receiver: who sent it a letter."""
    alive: NDArray[np.bool_] = field(init=False, repr=False)
    acks: dict[int, Rows] = field(default_factory=dict, repr=False)
    released: dict[int, Rows] = field(default_factory=dict, repr=False)
    """Shares by owner, of each who released."""
    fallen: dict[int, str] = field(default_factory=dict)
    """Why a group has no sum."""
    faults: dict[int, str] = field(default_factory=dict)
    """Who is at fault, by index, and why."""
    _tree: Tree | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n = self.params.participants
        self.running = RunningSum(self.params)
        self.present, self.shared, self.alive = (np.zeros(n, dtype=np.bool_) for _ in range(3))
        self.group = np.full(n, -1, dtype=np.int64)

    @property
    def context(self) -> Context:
        """Names of derived keys."""
        return Context(self.params.digest, self.root)

    # What is accepted at each phase.

    def accept(self, phase: Phase, index: int, body: Bytes, seen: Seen) -> None:
        """Take a message of a participant.

        Raises
        ------
        InvalidValue
            One that does not fit; nothing changed.
        """
        match phase:
            case Phase.ADVERTISE:
                self._advertised(index, Advertise.decode(body), seen[1])
            case Phase.REVEAL:
                self._reveal(index, Reveal.decode(body).number)
            case Phase.ASK:
                self._asked(index, Ask.decode(body, self.params.participants))
            case Phase.SHARES:
                self._shares(index, body)
            case Phase.MASKED:
                if not self.shared[index]:
                    raise InvalidValue(
                        "a vector must be of one who shared", "one who did not", "join the next attempt"
                    )
                vector = read_vector(body, self.params.ring_bits, self.params.dimension)
                self.running.add(index, int(self.group[index]), vector, seen)
            case Phase.ACK:
                self._acknowledged(index, Ack.decode(body, self.params.participants))
            case Phase.RELEASE:
                self._release(index, Release.decode(body, self.params.participants))

    def _advertised(self, index: int, keys: Advertise, signature: bytes) -> None:
        if keys.seal_key in LOW_ORDER or keys.mask_key in LOW_ORDER:
            raise InvalidValue("public keys must not be of low order", "one that is", "draw fresh keys")
        self.keys[index], self.signatures[index] = keys, signature

    def _reveal(self, index: int, revealed: bytes) -> None:
        if not self.present[index] or commitment_to(revealed) != self.keys[index].commitment:
            raise InvalidValue("a revealed number must be the one committed to", "another", "reveal that one")
        self.numbers[index] = revealed

    def _asked(self, index: int, ask: Ask) -> None:
        if self.group[index] < 0:
            raise InvalidValue(
                "neighbours must be drawn by one of the roster", "another", "join the next attempt"
            )
        self._reveal(index, ask.number)
        drawn = np.array(ask.neighbours, dtype=np.int64)
        members = int((self.group == self.group[index]).sum())
        wanted = min(self.params.neighbours, members - 1)
        if len(drawn) != wanted or index in ask.neighbours or (self.group[drawn] != self.group[index]).any():
            raise InvalidValue(
                f"neighbours must be {wanted} others of the group", len(drawn), "draw them from it"
            )
        self.neighbours[index] = drawn

    def _shares(self, index: int, body: Bytes) -> None:
        if index not in self.neighbours:
            raise InvalidValue(
                "shares must come after the neighbours", "none asked for", "ask for leaves first"
            )
        shares = Shares.decode(body, len(self.neighbours[index]))
        self.commitments[index], self.letters[index] = shares.commitment, shares.sealed
        self.shared[index] = True

    def _acknowledged(self, index: int, ack: Ack) -> None:
        if not self.alive[index] or ack.listed != self.context.listed(self.shared, self.alive):
            raise InvalidValue(
                "an acknowledgement must be of the published list", "another", "compare the lists"
            )
        self.acks[index] = Rows(ack.tags, TAG)

    def _release(self, index: int, release: Release) -> None:
        if index not in self.acks or self.group[index] < 0:
            raise InvalidValue(
                "shares must come from one who acknowledged", "another", "join the next attempt"
            )
        senders = set(self.senders[index])
        if any(owner not in senders for owner, _ in release.shares):
            raise InvalidValue("released shares must be of those who sent them", "others", "send those held")
        self.released[index] = Rows(release.shares, SIZE)

    # How each stage ends: each leaves out groups that cannot give a sum any more.

    def close_advertise(self) -> None:
        """Fix the roster."""
        for index in self.keys:
            self.present[index] = True
        top = self.tree.top
        self.root = root_of(top, self.present)
        if self.params.groups == 1:
            self.group[self.present] = 0
            self._drop_small("present", self.present)

    def close_reveal(self) -> None:
        """Fix the groups."""
        for index, revealed in self.numbers.items():
            self.group[index] = group_of(self.root, revealed, self.params.groups)
        self._drop_small("present", self.group >= 0)

    def close_shares(self) -> None:
        """Fix who shared, and sort the letters by receiver."""
        self._drop_small("shared", self.shared)
        self.shared &= self.group >= 0
        senders = {int(i): array("I") for i in np.flatnonzero(self.shared)}
        for sender in sorted(senders):
            for receiver in self.neighbours[sender].tolist():
                if receiver in senders:
                    senders[receiver].append(sender)
        self.senders = dict(senders)

    def close_masked(self) -> None:
        """Fix the list of survivors."""
        self.alive = self.running.contains()
        self._drop_small("survivors", self.alive)
        self._drop_thin("survivors", self.alive)
        self.alive &= self.group >= 0
        self.letters = {}

    def shares_of(self, index: int) -> dict[int, bytes]:
        """Return the released shares of one, by point."""
        found = {}
        for j in self.neighbours[index].tolist():
            share = self.released[j].get(index) if j in self.released else None
            if share is not None:
                found[j + 1] = share
        return found

    def close_acks(self) -> None:
        """See whether those who acknowledged can give every secret back."""
        acked = np.zeros(self.params.participants, dtype=np.bool_)
        acked[list(self.acks)] = True
        self._drop_thin("acknowledgements", acked)

    def _drop_small(self, what: str, who: NDArray[np.bool_]) -> None:
        for group in self.groups:
            count = int((who & (self.group == group)).sum())
            if count < self.params.survivors:
                self.drop(
                    group, f"{what} must be >= {self.params.survivors}; got {count}: start a new attempt"
                )

    def _drop_thin(self, what: str, who: NDArray[np.bool_]) -> None:
        t = self.params.threshold
        for group in self.groups:
            for i in np.flatnonzero(self.shared & (self.group == group)).tolist():
                count = int(who[self.neighbours[i]].sum())
                if count < t:
                    why = f"{what} among neighbours of each must be >= {t}; got {count}: start a new attempt"
                    self.drop(group, why)
                    break

    def drop(self, group: int, why: str) -> None:
        """Give up a group."""
        self.fallen[group] = why
        self.group[self.group == group] = -1

    @property
    def groups(self) -> list[int]:
        """Groups that still may give a sum."""
        return [int(g) for g in np.unique(self.group) if g >= 0]

    @property
    def failure(self) -> str:
        """Why no group is left; empty while one is."""
        if self.groups:
            return ""
        return next(
            iter(self.fallen.values()),
            f"present must be >= {self.params.survivors}; got 0: start a new attempt",
        )

    # The bodies of the coordinator's messages.

    @property
    def tree(self) -> Tree:
        """Over the leaves of all, present or not."""
        if self._tree is None:
            n = self.params.participants
            self._tree = Tree(
                [self.cohort.leaf(i, self.keys[i]) if i in self.keys else ABSENT for i in range(n)]
            )
        return self._tree

    def roster(self) -> bytes:
        """Return the body that all get after the advertisements."""
        return Roster(self.root, self.present).encode()

    def members(self, index: int) -> bytes:
        """Return the body that tells one its group."""
        return Group(self.group == self.group[index]).encode()

    def leaves(self, index: int) -> bytes:
        """Return the body that answers a draw of neighbours."""
        wanted = sorted((*self.neighbours[index].tolist(), index))
        rows = [(i, *_parts(self.keys[i]), self.signatures[i]) for i in wanted]
        numbers = b"".join(self.numbers[i] for i in wanted) if self.params.groups > 1 else b""
        return Leaves(rows, self.tree.siblings(wanted), numbers).encode()

    def inbox(self, index: int) -> bytes:
        """Return the body with the letters to one."""
        rows = []
        for i in self.senders[index]:
            at = SEALED * int(self.neighbours[i].searchsorted(index))
            rows.append((i, *_parts(self.keys[i]), self.letters[i][at : at + SEALED]))
        siblings = self.tree.siblings([row[0] for row in rows]) if rows else b""
        return Inbox(self.shared, rows, siblings).encode()

    def survivors(self) -> bytes:
        """Return the body with the list L."""
        return Survivors(self.alive).encode()

    def proofs(self, index: int) -> bytes:
        """Return the body with what the neighbours of one acknowledged to it."""
        found = [(j, self.acks[j].get(index)) for j in self.neighbours[index].tolist() if j in self.acks]
        return Acks([(j, tag) for j, tag in found if tag is not None]).encode()


def _parts(keys: Advertise) -> tuple[bytes, bytes, bytes]:
    return keys.seal_key, keys.mask_key, keys.commitment
