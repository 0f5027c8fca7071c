"""One session whose updates the coordinator sees, at its coordinator."""

from typing import Any

from consilium.app.federated.session_desk import SessionDesk
from consilium.app.federated.visible_desk import VisibleDesk
from consilium.domain import InvalidValue
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.rounds import Closed, StartAttempt
from consilium.federated.rounds import Tick as RoundTick
from consilium.federated.session import Mode, SessionState
from consilium.federated.visible_round import VisibleRound


class SeenDesk(SessionDesk):
    """Carries a session in mode visible: rounds of all members, or of the first that are ready.

    Parameters are those of `SessionDesk`.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.seen = VisibleDesk(self.folder.path, self.kept)
        """Keeps updates, and tells them to the round."""

    @property
    def _buffered(self) -> bool:
        return self.kept.buffer is not None

    def most_update_bytes(self) -> int:
        """Return the bytes of the longest update."""
        with self.guard.held():
            return self.seen.most_bytes

    def take_update(self, raw: bytes) -> None:
        """Take a signed update; it is on the disk, and counts, when this returns.

        Raises
        ------
        InvalidValue
            It does not count, and why.
        """
        with self.guard.changing(InvalidValue):
            self._ready()
            taken = self.seen.take(raw, self._now)
            self._follow([one for one in taken.effects if isinstance(one, Closed)], self._now)
            if self._buffered and self.kept.session.state is SessionState.RUNNING:
                self._open(self._now)
        if taken.refused:
            raise InvalidValue("an update must count", taken.refused, "the round goes on without it")

    def tick(self, now: int) -> None:
        """Let time pass: cut-offs, the next round."""
        super().tick(now)
        with self.guard.changing():
            if isinstance(self.kept.round, VisibleRound):
                self._follow(self.kept.round.handle(RoundTick(now=now)), now)

    def _let_go(self) -> None:
        self.seen.close()
        super()._let_go()

    def _ready(self) -> None:
        """Read what waits in the buffer, once, when the session runs."""
        if self._buffered and not self.seen.opened and self.kept.session.state is SessionState.RUNNING:
            self.seen.resume()

    def _open(self, now: int) -> None:
        self._ready()
        try:
            if self._buffered:
                effects = self.seen.cohort(now)
                self.waiting = "" if effects else self.seen.waiting
                self._follow([one for one in effects if isinstance(one, Closed)], now)
                return
            machine = self.kept.open_round(now)
        except InvalidValue as waits:
            self.waiting = str(waits)
            return
        assert isinstance(machine, VisibleRound)  # noqa: S101 - a session in mode visible has no other
        self.waiting = ""
        self._begun()
        self._save()
        self.seen.begin()
        self.bell.ring_all()

    def _begun(self) -> None:
        plan = self.kept.round.plan if self.kept.round is not None else None
        if plan is not None:
            self._start = StartAttempt(
                attempt=self.kept.begun + 1, members=tuple(plan.by_id), size=plan.dimension
            )

    def _resume(self) -> None:
        if isinstance(self.kept.round, VisibleRound):
            self._begun()
            effects = self.seen.resume()
            self._follow([one for one in effects if isinstance(one, Closed)], self.kept.session.ts_changed)

    def _save(self) -> None:
        self.seen.keep_up()
        super()._save()
        self.seen.clean()


def desk_for(kept: SessionCoordinator) -> type[SessionDesk]:
    """Return who carries a session of several machines.

    Raises
    ------
    InvalidValue
        A mode that none can carry yet.
    """
    terms = kept.terms
    if terms.mode is Mode.GROUPED:
        raise InvalidValue(
            "a session of several machines must be in mode sum or visible",
            "mode grouped",
            "run grouped sessions in one process",
        )
    if terms.mode is Mode.SUM and terms.buffering is not None:
        raise InvalidValue(
            "a buffered session of several machines must be in mode visible",
            "mode sum: its members train from models of different ages, and a coordinator that lies about "
            "them can leave one update alone in the sum",
            "leave the buffer out, or use mode visible",
        )
    return SeenDesk if terms.mode is Mode.VISIBLE else SessionDesk
