"""One session at its coordinator: rounds one after the other, each step on the disk before it is answered."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.agreeing import params_of
from consilium.app.federated.bell import Bell
from consilium.app.federated.guard import Guard
from consilium.app.federated.judged_later import Heard, JudgedLater
from consilium.app.federated.judging import Judge
from consilium.app.federated.reasons import Reasons
from consilium.app.federated.session_folder import SessionFolder
from consilium.app.federated.session_shown import Shown, agreed, arrays_of, owner_of, planned, stands
from consilium.domain import InvalidValue, OutputProblem, UnknownName
from consilium.federated.agreement import Agreement, model_digest
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.effects import EVERYONE, Aborted, Effect, Finished, Persist, Refused, Send, Tick
from consilium.federated.messages import Signed
from consilium.federated.registration import Joined, Registration
from consilium.federated.report import RoundReport
from consilium.federated.roster import Cohort, Member
from consilium.federated.rounds import Closed, RoundEffect, RoundOutcome, RoundPlan, StartAttempt
from consilium.federated.rounds import Tick as RoundTick
from consilium.federated.secure_round import AttemptDone, AttemptFailed, SecureRound
from consilium.federated.secure_sum.coordinator import Stage, SumCoordinator
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.secure_sum.recovery import SumResult
from consilium.federated.session import SessionState, Terms

Floats = NDArray[np.float64]
LEAST_BODY = 65_536
"""Bytes of a message that are read while no attempt is on."""


class SessionDesk:
    """Carries one session: messages and time in, answers out; thread-safe.

    Participants pull: `outbox` says what one of them should have now. Whatever is answered was written to the
    folder before, so that a kill at any instant loses nothing that anybody was told. Where writing fails
    this object answers nothing any more, and another one is made from the folder.

    Parameters
    ----------
    folder
        Where it is kept.
    kept
        The session.
    hub
        The coordinator's name and signing key.
    owners_text
        The signed owner list as it came.
    options
        Of the task: what each side makes it of, beside its own rows.
    judge
        Says how good a model is, on rows of the coordinator; nobody if not given.
    told
        Gets the report of each round, once it is kept.
    judged
        Gets it again, once the judge has said how good its model is.
    """

    def __init__(
        self,
        folder: SessionFolder,
        kept: SessionCoordinator,
        hub: Identity,
        *,
        owners_text: str,
        options: Mapping[str, Any] | None = None,
        judge: Judge | None = None,
        told: Callable[[RoundReport], None] | None = None,
        judged: Heard | None = None,
    ) -> None:
        self.folder, self.kept, self.hub = folder, kept, hub
        self.owners_text, self.options = owners_text, dict(options or {})
        self._judge, self._told = judge, told
        self.guard = Guard(f"session {kept.terms.session}", self._let_go)
        self._judgements = JudgedLater(folder, self.guard, judge, judged)
        self.bell = Bell()
        """Rings for whom the outbox may show something else."""
        self._away, self._now = False, 0
        self._sum: SumCoordinator | None = None
        self._stage = Stage.START
        self._start: StartAttempt | None = None
        self._cohort = Cohort({})
        self._named, self._reasons = dict[str, str](), Reasons({})
        self.waiting = ""
        """Why no round is on, where one should be."""

    admission_key: bytes = b""
    """Public key with which the owner list is signed."""

    # What is asked.

    @property
    def terms(self) -> Terms:
        """What was agreed."""
        return self.kept.terms

    def summary(self) -> dict[str, Any]:
        """Return how the session stands, for a list."""
        with self.guard.held():
            return stands(self.kept, self._start, self._sum, self.waiting)

    def about(self) -> dict[str, Any]:
        """Return all that a participant must know before it joins."""
        with self.guard.held():
            return self.summary() | agreed(self.kept, self.hub, self.options)

    def plan(self) -> dict[str, Any] | None:
        """Return the round that is on, as each participant checks it; None between rounds."""
        with self.guard.held():
            return planned(self.kept, self._start)

    def model(self) -> tuple[str, dict[str, Floats]]:
        """Return the version of the model, and its arrays: parameters and the optimizer's public state."""
        with self.guard.held():
            return self.kept.version, arrays_of(self.kept)

    def outbox(self, owner: str) -> Shown:
        """Return what an owner should have now.

        Raises
        ------
        UnknownName
            It was not admitted.
        """
        self.kept.owners.of(owner)
        with self.guard.held():
            # Before the messages: what changes after it is shown once more.
            change, number = self.bell.mark(owner), self._on
            messages: list[Signed] = []
            if self._sum is not None and owner in self._cohort.members:
                messages = self._sum.outbox(owner)
        self._written()
        return Shown(change=change, attempt=number, messages=tuple(message.encode() for message in messages))

    def reports(self, since: int = 1) -> list[dict[str, Any]]:
        """Return the reports of the rounds from one on, the oldest first."""
        with self.guard.held():
            return self.folder.reports(since)

    def most_bytes(self) -> int:
        """Return the bytes of the longest message that a participant may send now."""
        with self.guard.held():
            return LEAST_BODY if self._sum is None else self._sum.most_bytes()

    # What is done.

    def move(self, to: str, *, now: int, reason: str = "") -> None:
        """Bring the session into another state.

        Raises
        ------
        InvalidValue
            A move that is not allowed; nothing is changed.
        """
        with self.guard.changing(InvalidValue, UnknownName):
            self._now = max(self._now, now)
            self.kept.move(to, ts=now, reason=reason, keep_round=self._releasing)
            if self.kept.round is None:
                self._forget_round()
            self._save()
            self.bell.ring_all()

    def register(self, registration: Registration) -> Joined:
        """Let a participant join; it has joined when this returns, whatever happens then."""
        with self.guard.changing(InvalidValue, UnknownName):
            if registration.participant != registration.owner:
                # Names are drawn by their hash: one that could be chosen would be drawn when its owner likes.
                raise InvalidValue(
                    f"a participant must go by the name of its owner, {registration.owner}",
                    repr(registration.participant)[:80],
                    "join under that name",
                )
            known = self.kept.registry.joined.get(registration.participant)
            joined = self.kept.register(registration)
            if joined is not known:
                self._save()
        return joined

    def take(self, message: Signed) -> None:
        """Take a participant's message of the attempt that is on.

        Raises
        ------
        InvalidValue
            It is refused, and why; the round goes on without it.
        """
        with self.guard.held():
            if self._sum is None:
                raise InvalidValue(
                    "a message must belong to an attempt that is on",
                    f"{message.header.phase.name} of round {message.header.round}",
                    "look at the session first",
                )
            with self.guard.changing():
                effects = self._sum.handle(message)
                self._do(effects)
            refused = [effect for effect in effects if isinstance(effect, Refused)]
            if refused and refused[0].proven:
                # What anybody may have sent in its name is not held against it.
                self._reasons.note(message.header.sender, refused[0].why)
        self._written()
        if refused:
            raise InvalidValue(refused[0].why, message.header.phase.name, "the round goes on without it")

    def tick(self, now: int) -> None:
        """Let time pass: deadlines, cut-offs, the next round."""
        with self.guard.changing():
            self._now = max(self._now, now)
            if self._sum is not None:
                if self._away:
                    self._sum.renew(now)
                self._reasons.note_silent(self._sum, now)
                self._do(self._sum.handle(Tick(now)))
            elif self.kept.round is None and self.kept.session.state is SessionState.RUNNING:
                self._open(now)
            self._away = False
            # Where shares may be out the updates are not summed again: that stage ends by its own deadline.
            if isinstance(self.kept.round, SecureRound) and not self._releasing:
                self._follow(self.kept.round.handle(RoundTick(now=now)), now)
        self._written()

    def close(self) -> None:
        """Let go of the files; nothing is answered any more."""
        self.guard.give_up("closed")

    def _let_go(self) -> None:
        self.folder.end_attempt()
        self.bell.ring_all()

    def _written(self) -> None:
        """Return when all that was done so far is on the disk: many who wait share one write."""
        try:
            self.folder.sync()
        except OutputProblem as error:
            self.guard.give_up(str(error.value))
            raise
        self.guard.require()

    # Rounds.

    def _open(self, now: int) -> None:
        try:
            machine = self.kept.open_round(now)
        except InvalidValue as waits:
            self.waiting = str(waits)
            return
        assert isinstance(machine, SecureRound)  # noqa: S101 - other modes have another desk
        self.waiting = ""
        self._follow(machine.start(), now)

    def _follow(self, effects: Sequence[RoundEffect], now: int) -> None:
        """Do what the round asks."""
        for effect in effects:
            if isinstance(effect, StartAttempt):
                self._begin(effect, now)
            elif isinstance(effect, Closed):
                self._sum = self._start = None
                self._close(effect.outcome, now)
        if effects:
            self.bell.ring_all()

    def _close(self, outcome: RoundOutcome, now: int) -> None:
        report = self.kept.close_round(outcome, now=now, note=self._judgements.note)
        self.folder.add_report(report.as_dict())
        self._save()
        self._forget_round()
        if self._told is not None:
            self._told(report)
        # Beside the rounds: whoever asks or sends meanwhile does not wait for it.
        self._judgements.add(report, self.kept.parameters)

    def _begin(self, start: StartAttempt, now: int) -> None:
        self._start = start
        try:
            machine = self._machine(start)
        except InvalidValue as refused:
            self._ended(AttemptFailed(attempt=start.attempt, why=str(refused)))
            return
        self._save()
        self.folder.begin_attempt(self._name(start))
        self._sum = machine
        self._do(machine.handle(Tick(now)))

    def _machine(self, start: StartAttempt) -> SumCoordinator:
        self._named = {owner_of(self.kept, name): name for name in start.members}
        self._reasons = Reasons(self._named)
        keys = {owner: self.kept.owners.of(owner).key for owner in self._named}
        self._cohort = Cohort({owner: Member(key) for owner, key in keys.items()})
        agreement = Agreement(
            terms=self.terms,
            options=self.options,
            owners=self.kept.owners,
            coordinator=self.hub.signing.public,
        )
        model = model_digest(self.kept.parameters, self.kept.optimizer_state)
        params = params_of(agreement, self._plan(), start, self._cohort, model=model)
        return SumCoordinator(params, self.hub, self._cohort)

    def _do(self, effects: Sequence[Effect]) -> None:
        """Keep what is to be kept; what is sent is pulled; an attempt that ended moves the round."""
        for effect in effects:
            match effect:
                case Persist():
                    assert self._start is not None  # noqa: S101 - it belongs to an attempt
                    self.folder.keep(self._name(self._start), effect)
                case Finished(result):
                    self._finished(result)
                case Aborted() as end:
                    self._aborted(end)
                case Send(to, _) if to != EVERYONE:
                    self.bell.ring(to)
        if self._sum is not None and self._sum.stage is not self._stage:
            self._stage = self._sum.stage
            self.bell.ring_all()

    def _finished(self, result: SumResult) -> None:
        assert self._start is not None  # noqa: S101 - it belongs to an attempt
        survivors = tuple(self._named[owner] for owner in result.survivors)
        reasons = self._reasons.of_participants()
        excluded = {name: why for name, why in reasons.items() if name not in survivors}
        self._ended(
            AttemptDone(
                attempt=self._start.attempt,
                total=result.total,
                survivors=survivors,
                excluded=excluded,
                faults={self._named[owner]: why for owner, why in result.faults.items()},
            )
        )

    def _aborted(self, end: Aborted) -> None:
        assert self._start is not None  # noqa: S101 - it belongs to an attempt
        self._ended(
            AttemptFailed(
                attempt=self._start.attempt,
                why=end.why,
                released=end.released,
                excluded=self._reasons.of_participants(),
                faults={self._named[owner]: why for owner, why in end.faults.items()},
            )
        )

    def _ended(self, event: AttemptDone | AttemptFailed) -> None:
        self._sum = None
        self.folder.end_attempt()
        self._follow(self._secure().handle(event), self._ts())

    def resume(self) -> None:
        """Go on in the attempt that was on, once: after the session was read from its folder."""
        with self.guard.changing():
            self._away = True
            self._resume()
            self._judgements.resume(self.kept.version, self.kept.parameters)

    def _resume(self) -> None:
        if not isinstance(self.kept.round, SecureRound):
            return
        start, opened = self.kept.round.current, self._plan().ts_opened
        self._start = start
        self._sum = self._machine(start)
        records = self.folder.resume_attempt(self._name(start))
        if records:
            self._do(self._sum.restore(records).resume())
        else:
            self._do(self._sum.handle(Tick(opened)))

    # What is kept.

    def _save(self) -> None:
        about = {
            "options": self.options,
            "admission_key": self.admission_key.hex(),
            "judge_data": None if self._judge is None else self._judge.data,
        }
        self.folder.save(self.kept.state(), about)

    def _forget_round(self) -> None:
        self._sum = self._start = None
        self.folder.end_attempt()

    # Small things.

    @property
    def _on(self) -> tuple[int, int] | None:
        on = self._start
        return None if on is None or self.kept.round is None else (self.kept.number, on.attempt)

    @property
    def _releasing(self) -> bool:
        """Whether shares may be out, and the sum is not there yet."""
        return self._sum is not None and self._sum.stage is Stage.RELEASE

    def _ts(self) -> int:
        return max(self._now, self._plan().ts_opened, self.kept.session.ts_changed)

    def _secure(self) -> SecureRound:
        if not isinstance(self.kept.round, SecureRound):
            raise InvalidValue("a round must be on", "none", "report this")
        return self.kept.round

    def _plan(self) -> RoundPlan:
        return self._secure().plan

    def _name(self, start: StartAttempt) -> str:
        return f"{self._plan().number}-{start.attempt}"
