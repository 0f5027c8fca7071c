"""What a participant computes at each phase: from a message and its memory to the body of its answer."""

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.encoding import Bytes, write_vector
from consilium.federated.entropy import Entropy
from consilium.federated.masks import add_masks
from consilium.federated.messages import (
    NO_ROOT,
    Ack,
    Acks,
    Advertise,
    Ask,
    Group,
    Header,
    Inbox,
    Leaves,
    Phase,
    Release,
    Reveal,
    Roster,
    Shares,
    Survivors,
    body_digest,
)
from consilium.federated.primitives import agree, new_exchange_key
from consilium.federated.roster import Cohort, commitment_to, draw_neighbours, group_of
from consilium.federated.secure_sum import checks
from consilium.federated.secure_sum.keys import Context, tag_of
from consilium.federated.secure_sum.memory import Memory
from consilium.federated.secure_sum.terms import SumParams
from consilium.federated.shamir import as_bytes, as_number, draw_secret, split

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Steps:
    """The work of one participant; whether it may be done at all is asked before.

    Parameters
    ----------
    own
        Index in the cohort.
    cohort
        Who takes part.
    entropy
        For keys, shares and the draw of neighbours.
    memory
        What is known so far; each step adds to it.
    vector
        What is added to the sum.
    """

    own: int
    cohort: Cohort
    entropy: Entropy
    memory: Memory
    vector: NDArray[np.int64] | None = None

    def run(self, phase: Phase, body: Bytes) -> bytes:
        """Return the answer's body to the body of a phase after the announcement."""
        table: dict[Phase, Callable[[Bytes], bytes]] = {
            Phase.ROSTER: self._see_roster,
            Phase.GROUP: self._see_group,
            Phase.LEAVES: self._share,
            Phase.INBOX: self._mask,
            Phase.SURVIVORS: self._acknowledge,
            Phase.ACKS: self._release,
        }
        return table[phase](body)

    def advertise(self, params: SumParams) -> bytes:
        """Draw the keys of this attempt."""
        memory = self.memory
        memory.params, memory.cohort = params, self.cohort.owners
        memory.seal_key, memory.mask_key = new_exchange_key(self.entropy), new_exchange_key(self.entropy)
        memory.self_secret, memory.number = draw_secret(self.entropy), self.entropy.token(32)
        return self._advertised().encode()

    def _advertised(self) -> Advertise:
        memory = self.memory
        return Advertise(memory.seal_key.public, memory.mask_key.public, commitment_to(memory.number))

    @property
    def _context(self) -> Context:
        return Context(self.memory.terms.digest, self.memory.root)

    def _see_roster(self, body: Bytes) -> bytes:
        memory = self.memory
        roster = Roster.decode(body, memory.terms.participants)
        checks.check_roster(memory.terms, roster.present, self.own)
        memory.root, memory.present, memory.members = roster.root, roster.present, roster.present
        return Reveal(memory.number).encode() if memory.terms.groups > 1 else self._draw()

    def _see_group(self, body: Bytes) -> bytes:
        memory = self.memory
        memory.members = Group.decode(body, memory.terms.participants).members
        checks.check_group(memory.terms, memory.present, memory.members, self.own)
        return self._draw()

    def _draw(self) -> bytes:
        memory = self.memory
        others = [i for i in np.flatnonzero(memory.members).tolist() if i != self.own]
        memory.neighbours = draw_neighbours(others, memory.terms.neighbours, self.entropy)
        checks.check_drawn(memory.terms, len(memory.neighbours))
        return Ask(memory.number, memory.neighbours).encode()

    def _share(self, body: Bytes) -> bytes:
        memory, terms, context = self.memory, self.memory.terms, self._context
        leaves = Leaves.decode(body, terms.participants)
        self._check_leaves(leaves)
        points = [j + 1 for j in memory.neighbours]
        of_self = split(as_number(memory.self_secret), terms.threshold, points, self.entropy)
        of_mask = split(as_number(memory.mask_key.private), terms.threshold, points, self.entropy)
        sealed = []
        rows = [row for row in leaves.rows if row[0] != self.own]
        for (j, seal_key, mask_key, *_), first, second in zip(rows, of_self, of_mask, strict=True):
            agreed = memory.agreed[j] = agree(memory.seal_key.private, seal_key)
            memory.mask_keys[j] = mask_key
            memory.owner_keys[j] = context.ack_key(agreed, self.own, j)
            sealed.append(context.seal_shares(agreed, as_bytes(first) + as_bytes(second), self.own, j))
        return Shares(context.commitment(memory.self_secret, self.own), b"".join(sealed)).encode()

    def _check_leaves(self, leaves: Leaves) -> None:
        memory = self.memory
        wanted = sorted((*memory.neighbours, self.own))
        if [row[0] for row in leaves.rows] != wanted:
            raise InvalidValue("leaves must be those asked for and the own one", "others", checks.LEAVE)
        keys = [(row[0], Advertise(row[1], row[2], row[3])) for row in leaves.rows]
        hashes = [(i, self.cohort.leaf(i, advertised)) for i, advertised in keys]
        checks.check_proof(hashes, leaves.siblings, memory.present, memory.root)
        for (i, advertised), row in zip(keys, leaves.rows, strict=True):
            if i == self.own:
                checks.check_own_leaf(advertised, self._advertised())
            else:
                header = self._advertise_header(i, advertised)
                checks.check_leaf_signature(header, row[4], self.cohort, i)
        self._check_groups(leaves)

    def _check_groups(self, leaves: Leaves) -> None:
        memory = self.memory
        groups = memory.terms.groups
        if groups == 1:
            return
        own = group_of(memory.root, memory.number, groups)
        for at, row in enumerate(leaves.rows):
            revealed = leaves.numbers[32 * at : 32 * at + 32]
            if commitment_to(revealed) != row[3] or group_of(memory.root, revealed, groups) != own:
                raise InvalidValue(
                    f"members must be of group {own} by the number they committed to",
                    f"'{self.cohort.owners[row[0]]}', who is not",
                    checks.LEAVE,
                )

    def _advertise_header(self, index: int, keys: Advertise) -> Header:
        terms, member = self.memory.terms, self.cohort.member(index)
        return Header(
            terms.session,
            terms.round,
            terms.attempt,
            Phase.ADVERTISE,
            self.cohort.owners[index],
            member.key_epoch,
            terms.digest,
            NO_ROOT,
            body_digest(keys.encode()),
        )

    def _mask(self, body: Bytes) -> bytes:
        memory, terms, context = self.memory, self.memory.terms, self._context
        if self.vector is None:
            raise InvalidValue("a vector must be there to be masked", "none", "provide it")
        inbox = Inbox.decode(body, terms.participants)
        memory.shared = inbox.shared
        checks.check_shared(terms, memory.shared, memory.members, self.own, memory.neighbours)
        self._open(inbox)
        beside = {j: key for j, key in memory.mask_keys.items() if memory.shared[j]}
        beside.update((row[0], row[2]) for row in inbox.rows)
        keys = [(context.self_mask(memory.self_secret, self.own), 1)]
        private = memory.mask_key.private
        keys += [context.pair_mask(private, public, self.own, j) for j, public in beside.items()]
        masked = terms.ring.encode(checks.check_vector(terms, self.vector))
        add_masks(masked, keys)
        return write_vector(masked)

    def _open(self, inbox: Inbox) -> None:
        memory, context = self.memory, self._context
        rows = inbox.rows
        if any(row[0] == self.own or not memory.shared[row[0]] for row in rows):
            raise InvalidValue("letters must be from others who shared", "another", checks.LEAVE)
        if rows:
            hashes = [(row[0], self.cohort.leaf(row[0], Advertise(row[1], row[2], row[3]))) for row in rows]
            checks.check_proof(hashes, inbox.siblings, memory.present, memory.root)
        for i, seal_key, _, _, sealed in rows:
            # Under one root a neighbour drawn by both sides has one key, so one agreement serves both ways.
            agreed = memory.agreed.get(i) or agree(memory.seal_key.private, seal_key)
            shares = context.open_shares(agreed, sealed, i, self.own)
            if shares is not None:
                memory.held[i] = shares
                memory.holder_keys[i] = context.ack_key(agreed, i, self.own)
        checks.check_letters(memory.terms, len(rows) - len(memory.held))

    def _acknowledge(self, body: Bytes) -> bytes:
        memory = self.memory
        memory.alive = Survivors.decode(body, memory.terms.participants).alive
        checks.check_survivors(
            memory.terms, memory.alive, memory.shared, memory.members, self.own, memory.neighbours
        )
        listed = self._context.listed(memory.shared, memory.alive)
        return Ack(listed, [(i, tag_of(key, listed)) for i, key in memory.holder_keys.items()]).encode()

    def _release(self, body: Bytes) -> bytes:
        memory = self.memory
        listed = self._context.listed(memory.shared, memory.alive)
        valid = 0
        for j, tag in Acks.decode(body, memory.terms.participants).tags:
            key = memory.owner_keys.get(j)
            if key is not None and memory.alive[j] and hmac.compare_digest(tag, tag_of(key, listed)):
                valid += 1
        checks.check_acks(memory.terms, valid)
        # One of the two for each: b opens the mask of a survivor, the mask key those of one who dropped out.
        shares = [(i, both[:32] if memory.alive[i] else both[32:]) for i, both in memory.held.items()]
        return Release(shares).encode()
