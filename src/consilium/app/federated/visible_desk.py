"""The coordinator's side of rounds whose updates are seen: each is on the disk before it counts."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from consilium.app.federated.record_log import RecordLog
from consilium.domain import DataProblem, InvalidValue, Update
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.primitives import SIGNATURE_SIZE
from consilium.federated.rounds import Answered, RoundEffect, Tick
from consilium.federated.sent_update import MOST_HEADER, SentUpdate
from consilium.federated.session import SessionState
from consilium.federated.visible_round import Received, VisibleRound, check_update, same_content

EVIDENCE_FILE: Final = "evidence.log"
_CAME: Final = struct.Struct("<q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of an update.

    Parameters
    ----------
    effects
        What the round does.
    refused
        Why it does not count; empty where it does.
    """

    effects: tuple[RoundEffect, ...] = ()
    refused: str = ""


class VisibleDesk:
    """Takes signed updates, keeps them with the time they came, and tells them to the round that is on.

    The log of a round holds at most two updates of each participant: what repeats another, or comes of one
    who counts no more, changes nothing and is not kept. In a buffered session updates wait here until enough
    are ready; then they are told all at once, and the round is over.

    Parameters
    ----------
    folder
        Of the session.
    kept
        The session.
    """

    def __init__(self, folder: Path, kept: SessionCoordinator) -> None:
        self._folder, self._kept = folder, kept
        self._log: RecordLog | None = None
        self._came: dict[str, tuple[bytes, Update]] = {}
        """By participant: what came first, as it came and as it was read."""
        self._out: dict[str, int] = {}
        """Of which round the update was that a participant contradicted while it waited."""

    @property
    def most_bytes(self) -> int:
        """Bytes of the longest update."""
        return MOST_HEADER + 128 + 8 * self._dimension

    @property
    def opened(self) -> bool:
        """Whether the log of a round is open."""
        return self._log is not None

    @property
    def waiting(self) -> str:
        """How full the buffer is."""
        buffer = self._kept.buffer
        return "" if buffer is None else f"{len(buffer)} of {buffer.buffering.size} updates are there"

    def begin(self) -> None:
        """Make room for the updates of the round that comes next, or is on; what waits is carried along."""
        self.close()
        path = self._path()
        path.unlink(missing_ok=True)
        buffered = self._kept.buffer is not None
        self._came = {name: one for name, one in self._came.items() if buffered and self._waits(name)}
        self._log = RecordLog(path)
        for raw, _ in self._came.values():
            self._log.append(raw)

    def keep_up(self) -> None:
        """Where a buffered round is over, begin the log of the next one: before the session is saved."""
        if self._kept.buffer is not None and self._log is not None and self._log.path != self._path():
            self.begin()

    def clean(self) -> None:
        """Delete logs of rounds that are over; the session was saved before."""
        for path in self._folder.glob("updates-*.log"):
            if path != self._path():
                path.unlink(missing_ok=True)

    def resume(self) -> list[RoundEffect]:
        """Tell the round that is on, or the buffer, what had come; return what it does."""
        self.close()
        self._came, self._out, effects = {}, {}, list[RoundEffect]()
        self._log = RecordLog(self._path())
        for record in list(self._log.records):
            (now,) = _CAME.unpack_from(record)
            with suppress(InvalidValue):
                effects += self._tell(record, self._read(record[_CAME.size :]), now, again=True).effects
        return effects

    def take(self, raw: bytes, now: int) -> Taken:
        """Take an update; it is on the disk before the round hears of it.

        Raises
        ------
        InvalidValue
            Bytes that are no update of somebody who joined, or nothing is to be sent now: nobody is excluded.
        """
        if self._kept.session.state is not SessionState.RUNNING or self._log is None:
            raise InvalidValue(
                "updates must come while a round is on", self._kept.session.state, "look at the session first"
            )
        return self._tell(_CAME.pack(now) + raw, self._read(raw), now)

    def cohort(self, now: int) -> list[RoundEffect]:
        """Begin a buffered round if enough are ready; tell it their updates, with which it is over."""
        machine = self._kept.open_round(now)
        if not isinstance(machine, VisibleRound):
            return []
        effects: list[RoundEffect] = []
        for name in machine.plan.by_id:
            update = replace(self._came[name][1], round=machine.plan.number)
            effects += machine.handle(Received(update=update, now=machine.plan.ts_opened))
        return [*effects, *machine.handle(Tick(now=machine.plan.ts_cut_off))]

    def evidence(self) -> list[tuple[bytes, bytes]]:
        """Return what was kept against participants: pairs of signed headers that contradict each other."""
        if not (self._folder / EVIDENCE_FILE).exists():
            return []
        with RecordLog(self._folder / EVIDENCE_FILE) as log:
            return [_pair(record) for record in log.records]

    def close(self) -> None:
        """Let go of the file."""
        if self._log is not None:
            self._log.close()
            self._log = None

    # One update.

    @property
    def _dimension(self) -> int:
        return self._kept.optimizer.parts * len(self._kept.parameters)

    def _path(self) -> Path:
        return self._folder / f"updates-{self._kept.number}-{self._kept.begun}.log"

    def _waits(self, name: str) -> bool:
        return self._kept.buffer is not None and name in self._kept.buffer.ready

    def _read(self, raw: bytes) -> Update:
        """Return an update whose signature is that of its participant."""
        sent = SentUpdate.decode(raw, session=self._kept.terms.session, dimension=self._dimension)
        joined = self._kept.registry.joined.get(sent.update.participant)
        if joined is None:
            raise InvalidValue(
                "an update must be of one who joined", f"{sent.update.participant!r}"[:80], "register first"
            )
        return sent.checked(joined.registration.key)

    def _tell(self, record: bytes, update: Update, now: int, *, again: bool = False) -> Taken:
        if self._kept.buffer is not None:
            return self._wait(record, update, again=again)
        machine, before = self._kept.round, self._came.get(update.participant)
        if not isinstance(machine, VisibleRound):
            if before is not None and same_content(before[1], update):
                return Taken()  # of the round that was on: its answer was lost
            raise InvalidValue("updates must come while a round is on", "none", "wait for the next round")
        if update.participant not in machine.plan.by_id:
            raise InvalidValue(
                f"round {machine.plan.number} must ask for an update",
                f"one of {update.participant}, who was not chosen",
                "wait for the next round",
            )
        if not machine.settled(update) and not again:
            self._keep(record)
        effects = machine.handle(Received(update=update, now=now))
        answer = next(one for one in effects if isinstance(one, Answered))
        if answer.accepted:
            self._came.setdefault(update.participant, (record, update))
        elif before is not None and not same_content(before[1], update):
            self._accuse(before[0], record)
        return Taken(effects=tuple(effects), refused=answer.reason)

    def _wait(self, record: bytes, update: Update, *, again: bool) -> Taken:
        """Let an update wait in the buffer."""
        kept, name = self._kept, update.participant
        before = self._came.get(name)
        if before is not None and self._waits(name):
            if same_content(before[1], update):
                return Taken()
            if not again:
                self._keep(record)
            self._accuse(before[0], record)
            del self._came[name]
            self._out[name] = before[1].round
            assert kept.buffer is not None  # noqa: S101 - it waits there
            kept.buffer.drop(name)
            return Taken(refused=f"{name} may wait with 1 update; got a second that differs: neither counts")
        claimed = kept.registry.joined[name].claims
        check_update(update, dimension=self._dimension, clip=kept.clip, claimed=claimed)
        least = self._out.get(name, 0) + 1
        if not least <= update.round <= kept.number:
            raise InvalidValue(
                f"an update of {name} must be trained for a round in [{least}, {kept.number}]",
                update.round,
                "train from the newest model",
            )
        kept.ready(name, update.base_version, number=update.round)
        if not again:
            self._keep(record)
        self._came[name] = record, update
        return Taken()

    def _keep(self, record: bytes) -> None:
        assert self._log is not None  # noqa: S101 - a round begins with it
        self._log.append(record)

    def _accuse(self, first: bytes, second: bytes) -> None:
        """Keep the two signed headers, once."""
        parts = [_signed_part(one[_CAME.size :]) for one in (first, second)]
        record = b"".join(struct.pack("<I", len(part)) + part for part in parts)
        with RecordLog(self._folder / EVIDENCE_FILE) as log:
            if record not in log.records:
                log.append(record)


def _signed_part(raw: bytes) -> bytes:
    """Return header and signature of an encoded update: the numbers are there by their digest."""
    return raw[: 4 + int.from_bytes(raw[:4], "little") + SIGNATURE_SIZE]


def _pair(record: bytes) -> tuple[bytes, bytes]:
    first, second = _blocks(record)
    return first, second


def _blocks(record: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(record):
        (size,) = struct.unpack_from("<I", record, at)
        yield record[at + 4 : at + 4 + size]
        at += 4 + size
    if at != len(record):
        raise DataProblem("evidence must be whole", "torn records", "restore the folder from a copy")
