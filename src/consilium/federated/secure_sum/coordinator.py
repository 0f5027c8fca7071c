"""The coordinator of one attempt: a pure machine that gathers, lists survivors, and takes the masks off."""

from collections import Counter
from collections.abc import Collection
from enum import IntEnum
from typing import Final

import numpy as np

from consilium.domain.errors import InvalidValue
from consilium.federated.effects import EVERYONE, Aborted, Effect, Finished, Persist, Refused, Send, Tick
from consilium.federated.encoding import Reader, block, number
from consilium.federated.messages import NO_ROOT, Header, Phase, Signed, body_digest
from consilium.federated.primitives import sign
from consilium.federated.roster import Cohort
from consilium.federated.secure_sum import checks
from consilium.federated.secure_sum.board import Board
from consilium.federated.secure_sum.memory import Evidence, Identity
from consilium.federated.secure_sum.recovery import SumResult, faults_of, read_faults, unmask, write_faults
from consilium.federated.secure_sum.terms import SumParams

SUM_SLOT: Final = "sum"
MOST_HEADER: Final = 1024
"""Bytes of a message beside its body."""
MOST_EVIDENCE: Final = 4
"""Pairs kept of one sender in an attempt: one proves it, and no sender fills the disk."""


class Stage(IntEnum):
    """What the coordinator waits for."""

    START = 0
    ADVERTISE = 1
    REVEAL = 2
    SHARES = 3
    MASKED = 4
    ACK = 5
    RELEASE = 6
    OVER = 7


_TAKES: Final[dict[Stage, tuple[Phase, ...]]] = {
    Stage.ADVERTISE: (Phase.ADVERTISE,),
    Stage.REVEAL: (Phase.REVEAL,),
    Stage.SHARES: (Phase.ASK, Phase.SHARES),
    Stage.MASKED: (Phase.MASKED,),
    Stage.ACK: (Phase.ACK,),
    Stage.RELEASE: (Phase.RELEASE,),
}
_MESSAGE, _CLOSED, _SUM, _RESULT, _ABORTED, _EVIDENCE = b"M", b"C", b"V", b"R", b"A", b"E"


class SumCoordinator:
    """The coordinator's side of one attempt; everything it persists is public.

    The first Tick starts it. A stage ends when everybody answered, or at its deadline (by Tick). A message
    that does not fit is `Refused` and the attempt goes on without it. Vectors are added to one running sum,
    which is written down every ``snapshot_every`` vectors; receipts follow.

    Parameters
    ----------
    params
        The terms.
    identity
        The coordinator's name and signing key.
    cohort
        The owners: those of the terms.
    snapshot_every
        m: vectors between two snapshots.

    Raises
    ------
    InvalidValue
        Another cohort than that of the terms.
    """

    def __init__(
        self, params: SumParams, identity: Identity, cohort: Cohort, *, snapshot_every: int = 64
    ) -> None:
        checks.check_cohort(params, cohort)
        self._params, self._identity, self._cohort = params, identity, cohort
        self._every = snapshot_every
        self._board = Board(params, cohort)
        self._stage = Stage.START
        self._now = self._began = self._wanted = 0
        self._aborted, self._released = "", False
        self._faults: dict[str, str] = {}
        self._seen: dict[tuple[Phase, int], tuple[bytes, bytes]] = {}
        self._evidence: list[Evidence] = []
        self._caught: Counter[int] = Counter()
        """Pairs of evidence by index."""
        self._result: SumResult | None = None

    @property
    def stage(self) -> Stage:
        """What it waits for."""
        return self._stage

    @property
    def result(self) -> SumResult | None:
        """The sum, once it is there."""
        return self._result

    @property
    def aborted(self) -> str:
        """Why there is no sum; empty while there may be one."""
        return self._aborted

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Pairs of signed headers of one participant and phase that say different things."""
        return tuple(self._evidence)

    def waits_for(self) -> tuple[str, ...]:
        """Return the owners from whom a message is missing."""
        return tuple(self._cohort.owners[i] for i in sorted(self._expected().difference(self._got())))

    def most_bytes(self) -> int:
        """Return the bytes of the longest message of a participant, its header and signature among them."""
        longest = max(self._params.most_bytes(phase) for taken in _TAKES.values() for phase in taken)
        return longest + MOST_HEADER

    def late(self, now: int) -> bool:
        """Return whether a Tick at this time ends the stage by its deadline."""
        waits = self._stage not in (Stage.START, Stage.OVER)
        return waits and now - self._began >= self._params.deadlines[self._stage - 1]

    def handle(self, event: Signed | Tick) -> list[Effect]:
        """Take a message or the time; return effects in order."""
        if isinstance(event, Tick):
            return self._tick(event.now)
        header = event.header
        try:
            index = self._authenticate(event)
        except InvalidValue as problem:
            return [Refused(header.sender, str(problem))]
        try:
            known = self._seen.get((header.phase, index))
            if known is not None:
                return self._again(known, event)
            if header.phase not in _TAKES.get(self._stage, ()):
                raise checks.phase_error(header.phase, self._stage.name)
            seen = (header.body, event.signature)
            self._board.accept(header.phase, index, event.body, seen)
        except InvalidValue as problem:
            return [Refused(header.sender, str(problem), proven=True)]
        self._seen[header.phase, index] = seen
        effects: list[Effect] = []
        if header.phase not in (Phase.MASKED, Phase.RELEASE):
            # Vectors live on in the snapshots. Released shares are secrets of others: they stay in memory,
            # and after a crash participants send them again.
            effects.append(Persist(_MESSAGE + event.encode(), secret=False))
        if header.phase is Phase.ASK:
            effects.append(Send(header.sender, self._signed(Phase.LEAVES, self._board.leaves(index))))
        if header.phase is Phase.MASKED and len(self._board.running.unsaved) >= self._every:
            effects += self._snapshot()
        return effects + self._advance()

    def outbox(self, owner: str) -> list[Signed]:
        """Return what an owner should have at this stage, for those who pull: always the same bytes."""
        index, board, stage = self._cohort.index_of(owner), self._board, self._stage
        if self._aborted or stage in (Stage.START, Stage.OVER):
            return []
        if stage is Stage.ADVERTISE:
            return [self._signed(Phase.ANNOUNCE, self._params.encode())]
        if stage is Stage.REVEAL or (
            stage is Stage.SHARES and self._params.groups == 1 and index not in board.neighbours
        ):
            return [self._signed(Phase.ROSTER, board.roster())]
        if stage is Stage.SHARES:
            if index in board.neighbours:
                return [self._signed(Phase.LEAVES, board.leaves(index))]
            return [self._signed(Phase.GROUP, board.members(index))] if board.group[index] >= 0 else []
        if stage is Stage.ACK:
            return [self._signed(Phase.SURVIVORS, board.survivors())]
        if not (board.shared[index] and board.group[index] >= 0):
            return []
        if stage is Stage.RELEASE:
            return [self._signed(Phase.ACKS, board.proofs(index))] if index in board.acks else []
        if index not in board.running.added:
            return [self._signed(Phase.INBOX, board.inbox(index))]
        return [] if index in board.running.unsaved else [self._receipt([index])]

    def resume(self) -> list[Effect]:
        """Return what all should have at this stage: after `restore`."""
        if self._result is not None:
            return [Finished(self._result)]
        if self._aborted:
            return [Aborted(self._aborted, self._released, self._faults)]
        return self._stage_sends()

    def renew(self, now: int) -> None:
        """Give the stage that is on its whole time again: the coordinator was away, and none could answer."""
        if self._stage not in (Stage.START, Stage.OVER):
            self._now = self._began = max(self._now, now)

    def restore(self, records: list[bytes]) -> "SumCoordinator":
        """Return to where the records end; shares released before are asked for again.

        Raises
        ------
        InvalidValue
            Damaged records.
        """
        for record in records:
            self._recall(record[:1], record[1:])
        return self

    def _recall(self, kind: bytes, data: bytes) -> None:
        if kind == _MESSAGE:
            message = Signed.decode(data)
            header, index = message.header, self._cohort.index_of(message.header.sender)
            seen = (header.body, message.signature)
            self._board.accept(header.phase, index, message.body, seen)
            self._seen[header.phase, index] = seen
        elif kind == _CLOSED:
            reader = Reader(data, "the end of a stage")
            stage, self._now = Stage(reader.number(1)), reader.number(8)
            self._enter(stage)
        elif kind == _SUM:
            self._board.running.restore(data)
            self._seen.update({(Phase.MASKED, i): seen for i, seen in self._board.running.added.items()})
        elif kind == _RESULT:
            self._result, self._stage = SumResult.decode(data, self._cohort), Stage.OVER
        elif kind == _ABORTED:
            reader = Reader(data, "the end of an attempt")
            self._released, self._stage = bool(reader.number(1)), Stage.OVER
            self._aborted = bytes(reader.block(len(data))).decode()
            self._faults = read_faults(reader.take(reader.left), self._cohort)
        else:
            half = len(data) // 2
            self._evidence.append((data[:half], data[half:]))
            self._caught[self._cohort.index_of(Header.read(Reader(data, "evidence")).sender)] += 1

    # Messages.

    def _authenticate(self, message: Signed) -> int:
        header, params = message.header, self._params
        checks.check_size(params, message)
        index = self._cohort.index_of(header.sender)
        member = self._cohort.member(index)
        root = NO_ROOT if header.phase is Phase.ADVERTISE else self._board.root
        checks.check_header(header, params, (header.sender, member.key_epoch), params.digest, root)
        checks.check_signature(message, member)
        return index

    def _again(self, known: tuple[bytes, bytes], message: Signed) -> list[Effect]:
        """Answer a repeated message as before; keep two that differ as evidence."""
        header = message.header
        if known[0] == header.body:
            # Only what follows it: what it answered would be answered again, and so for ever.
            due = [m for m in self.outbox(header.sender) if m.header.phase > header.phase]
            return [Send(header.sender, message) for message in due]
        before = Header(**{name: getattr(header, name) for name in _NAMES} | {"body": known[0]})
        why = InvalidValue(
            f"{header.phase.name} must be sent once; it began with {known[0].hex()[:16]}",
            header.body.hex()[:16],
            "both signed headers are kept as evidence",
        )
        refused = Refused(header.sender, str(why), proven=True)
        index = self._cohort.index_of(header.sender)
        if self._caught[index] >= MOST_EVIDENCE:
            return [refused]
        self._caught[index] += 1
        pair = (before.encode() + known[1], header.encode() + message.signature)
        self._evidence.append(pair)
        return [Persist(_EVIDENCE + pair[0] + pair[1], secret=False), refused]

    def _signed(self, phase: Phase, body: bytes) -> Signed:
        params, identity = self._params, self._identity
        root = NO_ROOT if phase is Phase.ANNOUNCE else self._board.root
        header = Header(
            *params.identity,
            phase,
            identity.owner,
            identity.key_epoch,
            params.digest,
            root,
            body_digest(body),
        )
        return Signed(header, body, sign(identity.signing.private, header.encode()))

    def _receipt(self, indices: list[int]) -> Signed:
        return self._signed(Phase.RECEIPT, np.array(sorted(indices), dtype="<u4").tobytes())

    def _snapshot(self) -> list[Effect]:
        """Write the sum down; only then tell those in it that they need not send again."""
        fresh = self._board.running.unsaved
        if not fresh:
            return []
        record = Persist(_SUM + self._board.running.snapshot(), secret=False, slot=SUM_SLOT)
        receipt = self._receipt(fresh)
        return [record, *(Send(self._cohort.owners[i], receipt) for i in fresh)]

    # Stages.

    def _tick(self, now: int) -> list[Effect]:
        self._now = max(self._now, now)
        if self._stage is Stage.OVER:
            return []
        if self._stage is Stage.START:
            return self._close()
        effects = self._snapshot() if self._stage is Stage.MASKED else []
        return effects + (self._close() if self.late(self._now) else [])

    def _advance(self) -> list[Effect]:
        """End a stage in which everybody has answered."""
        return self._close() if len(self._got()) >= self._wanted else []

    def _got(self) -> Collection[int]:
        board = self._board
        came: dict[Stage, Collection[int]] = {
            Stage.ADVERTISE: board.keys,
            Stage.REVEAL: board.numbers,
            Stage.SHARES: board.letters,
            Stage.MASKED: board.running.added,
            Stage.ACK: board.acks,
        }
        return came.get(self._stage, board.released)

    def _expected(self) -> set[int]:
        board = self._board
        match self._stage:
            case Stage.ADVERTISE:
                return set(range(self._params.participants))
            case Stage.REVEAL:
                return set(np.flatnonzero(board.present).tolist())
            case Stage.SHARES:
                return set(np.flatnonzero(board.group >= 0).tolist())
            case Stage.MASKED:
                return set(np.flatnonzero(board.shared).tolist())
            case Stage.ACK:
                return set(np.flatnonzero(board.alive).tolist())
            case Stage.RELEASE:
                return {i for i in board.acks if board.group[i] >= 0}
        return set()

    def _close(self) -> list[Effect]:
        """End this stage and begin the next; or end the attempt."""
        effects = self._snapshot() if self._stage is Stage.MASKED else []
        following = Stage(self._stage + 1)
        if following is Stage.REVEAL and self._params.groups == 1:
            following = Stage.SHARES
        self._enter(following)
        # Before the numbers are revealed there are no groups that could have failed.
        why = self._board.failure if self._stage > Stage.REVEAL else ""
        if self._stage is Stage.OVER and not why:
            self._result = unmask(self._board)
            why = self._board.failure
        if why:
            return [*effects, *self._abort(why)]
        if self._result is not None:
            return [
                *effects,
                Persist(_RESULT + self._result.encode(self._cohort), secret=False),
                Finished(self._result),
            ]
        effects.append(Persist(_CLOSED + number(self._stage, 1) + number(self._now, 8), secret=False))
        return effects + self._stage_sends()

    def _enter(self, stage: Stage) -> None:
        """Do what the end of a stage does to what is known; `restore` does the same."""
        board = self._board
        ends = {
            Stage.ADVERTISE: board.close_advertise,
            Stage.REVEAL: board.close_reveal,
            Stage.SHARES: board.close_shares,
            Stage.MASKED: board.close_masked,
            Stage.ACK: board.close_acks,
        }
        if self._stage in ends:
            ends[self._stage]()
        self._stage, self._began = stage, self._now
        self._wanted = len(self._expected())

    def _abort(self, why: str) -> list[Effect]:
        released = bool(self._board.acks) and self._stage is Stage.OVER
        self._aborted, self._released, self._stage = why, released, Stage.OVER
        self._faults = faults_of(self._board)
        record = bytes([released]) + block(why.encode()) + write_faults(self._faults, self._cohort)
        return [Persist(_ABORTED + record, secret=False), Aborted(why, released, self._faults)]

    def _stage_sends(self) -> list[Effect]:
        board, owners = self._board, self._cohort.owners
        match self._stage:
            case Stage.ADVERTISE:
                return [Send(EVERYONE, self._signed(Phase.ANNOUNCE, self._params.encode()))]
            case Stage.REVEAL:
                return [Send(EVERYONE, self._signed(Phase.ROSTER, board.roster()))]
            case Stage.SHARES if self._params.groups == 1:
                return [Send(EVERYONE, self._signed(Phase.ROSTER, board.roster()))]
            case Stage.ACK:
                return [Send(EVERYONE, self._signed(Phase.SURVIVORS, board.survivors()))]
        return [Send(owners[i], m) for i in sorted(self._expected()) for m in self.outbox(owners[i])]


_NAMES: Final = ("session", "round", "attempt", "phase", "sender", "key_epoch", "params", "root", "version")
