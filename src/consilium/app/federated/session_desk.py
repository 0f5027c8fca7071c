"""One session at its coordinator: rounds one after the other, each step on the disk before it is answered."""

from collections.abc import Callable, Mapping, Sequence
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.federated.agreeing import params_of
from consilium.app.federated.judging import Judge
from consilium.app.federated.session_folder import SessionFolder
from consilium.app.federated.session_shown import agreed, owner_of, planned, stands
from consilium.domain import InvalidValue
from consilium.federated.agreement import Agreement, model_digest
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.effects import Aborted, Effect, Finished, Persist, Refused, Tick
from consilium.federated.messages import Signed
from consilium.federated.owners import OwnerList
from consilium.federated.registration import Joined, Registration
from consilium.federated.report import RoundReport
from consilium.federated.roster import Cohort, Member
from consilium.federated.rounds import Closed, RoundEffect, RoundPlan, StartAttempt
from consilium.federated.rounds import Tick as RoundTick
from consilium.federated.secure_round import AttemptDone, AttemptFailed, SecureRound
from consilium.federated.secure_sum.coordinator import SumCoordinator
from consilium.federated.secure_sum.memory import Identity
from consilium.federated.secure_sum.recovery import SumResult
from consilium.federated.session import Mode, SessionState, Terms

Floats = NDArray[np.float64]
MOST_REASONS = 1000


class SessionDesk:
    """Carries one session: messages and time in, answers out; thread-safe.

    Participants pull: `outbox` says what one of them should have now. Whatever is answered was written to the
    folder before, so that a kill at any instant loses nothing that anybody was told.

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
    ) -> None:
        if kept.terms.mode is not Mode.SUM or kept.terms.buffering is not None:
            raise InvalidValue(
                "a session of several machines must be in mode sum, without a buffer",
                f"mode {kept.terms.mode}",
                "run visible, grouped and buffered sessions in one process",
            )
        self.folder, self.kept, self.hub = folder, kept, hub
        self.owners_text, self.options = owners_text, dict(options or {})
        self._judge, self._told = judge, told
        self._lock = RLock()
        self.changes = 0
        """Grows with whatever an outbox may show."""
        self._sum: SumCoordinator | None = None
        self._start: StartAttempt | None = None
        self._cohort = Cohort({})
        self._named: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self.waiting = ""
        """Why no round is on, where one should be."""

    @classmethod
    def restore(
        cls,
        folder: SessionFolder,
        hub: Identity,
        owners: Callable[[str, bytes], OwnerList],
        told: Callable[[RoundReport], None] | None = None,
    ) -> "SessionDesk":
        """Return to where a folder's session stands, the attempt that is on included.

        Parameters
        ----------
        folder
            Of the session.
        hub
            As before.
        owners
            Reads the owner list: text, admission key.
        told
            As for the constructor.

        Raises
        ------
        DataProblem
            A damaged folder.
        """
        state, about = folder.load()
        text = folder.owners()
        kept = SessionCoordinator.restore(state, owners(text, bytes.fromhex(about["admission_key"])))
        names = tuple(one.owner for one in kept.owners.owners)
        judge = Judge(kept.terms.task, about["options"], names, data=about.get("judge_data"))
        desk = cls(folder, kept, hub, owners_text=text, options=about["options"], judge=judge, told=told)
        desk.admission_key = bytes.fromhex(about["admission_key"])
        desk._resume()
        return desk

    admission_key: bytes = b""
    """Public key with which the owner list is signed."""

    # What is asked.

    @property
    def terms(self) -> Terms:
        """What was agreed."""
        return self.kept.terms

    def summary(self) -> dict[str, Any]:
        """Return how the session stands, for a list."""
        with self._lock:
            return stands(self.kept, self._start, self._sum, self.waiting)

    def about(self) -> dict[str, Any]:
        """Return all that a participant must know before it joins."""
        with self._lock:
            return self.summary() | agreed(self.kept, self.hub, self.options)

    def plan(self) -> dict[str, Any] | None:
        """Return the round that is on, as each participant checks it; None between rounds."""
        with self._lock:
            return planned(self.kept, self._start)

    def model(self) -> tuple[str, dict[str, Floats]]:
        """Return the version of the model, and its arrays: parameters and the optimizer's public state."""
        with self._lock:
            arrays = {f"optimizer/{name}": value for name, value in self.kept.optimizer_state.items()}
            return self.kept.version, {"parameters": self.kept.parameters, **arrays}

    def outbox(self, owner: str) -> list[bytes]:
        """Return what an owner should have now, as encoded messages."""
        with self._lock:
            if self._sum is None or owner not in self._cohort.members:
                return []
            return [message.encode() for message in self._sum.outbox(owner)]

    def reports(self) -> list[dict[str, Any]]:
        """Return the reports of all rounds, the oldest first."""
        with self._lock:
            return self.folder.reports()

    # What is done.

    def move(self, to: str, *, now: int, reason: str = "") -> None:
        """Bring the session into another state.

        Raises
        ------
        InvalidValue
            A move that is not allowed; nothing is changed.
        """
        with self._lock:
            self.kept.move(to, ts=now, reason=reason)
            if self.kept.session.state is not SessionState.RUNNING:
                self._forget_round()
            self._save()
            self.changes += 1

    def register(self, registration: Registration) -> Joined:
        """Let a participant join; it has joined when this returns, whatever happens then."""
        with self._lock:
            if registration.participant != registration.owner:
                # Names are drawn by their hash: one that could be chosen would be drawn when its owner likes.
                raise InvalidValue(
                    f"a participant must go by the name of its owner, {registration.owner}",
                    repr(registration.participant)[:80],
                    "join under that name",
                )
            joined = self.kept.register(registration)
            self._save()
            self.changes += 1
            return joined

    def take(self, message: Signed) -> None:
        """Take a participant's message of the attempt that is on.

        Raises
        ------
        InvalidValue
            It is refused, and why; the round goes on without it.
        """
        with self._lock:
            if self._sum is None:
                raise InvalidValue(
                    "a message must belong to an attempt that is on",
                    f"{message.header.phase.name} of round {message.header.round}",
                    "look at the session first",
                )
            effects = self._sum.handle(message)
            self._do(effects)
            refused = [effect for effect in effects if isinstance(effect, Refused)]
            if refused:
                self._note(message.header.sender, refused[0].why)
                raise InvalidValue(refused[0].why, message.header.phase.name, "the round goes on without it")

    def tick(self, now: int) -> None:
        """Let time pass: deadlines, cut-offs, the next round."""
        with self._lock:
            if self.kept.session.state is not SessionState.RUNNING:
                return
            if self.kept.round is None:
                self._open(now)
            elif self._sum is not None:
                self._note_silent(now)
                self._do(self._sum.handle(Tick(now)))
            if isinstance(self.kept.round, SecureRound):
                self._follow(self.kept.round.handle(RoundTick(now=now)), now)

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self.folder.end_attempt()

    # Rounds.

    def _open(self, now: int) -> None:
        try:
            machine = self.kept.open_round(now)
        except InvalidValue as waits:
            self.waiting = str(waits)
            return
        assert isinstance(machine, SecureRound)  # noqa: S101 - other modes are refused above
        self.waiting, self._reasons = "", {}
        self._follow(machine.start(), now)

    def _follow(self, effects: Sequence[RoundEffect], now: int) -> None:
        """Do what the round asks."""
        for effect in effects:
            if isinstance(effect, StartAttempt):
                self._begin(effect, now)
            elif isinstance(effect, Closed):
                self._sum = self._start = None
                report = self.kept.close_round(effect.outcome, now=now, judge=self._judge)
                self.folder.add_report(report.as_dict())
                self._save()
                self._forget_round()
                if self._told is not None:
                    self._told(report)
        if effects:
            self.changes += 1

    def _begin(self, start: StartAttempt, now: int) -> None:
        self._start, self._reasons = start, {}
        try:
            machine = self._machine(start)
        except InvalidValue as refused:
            self._failed(AttemptFailed(attempt=start.attempt, why=str(refused)), now)
            return
        self._save()
        self.folder.begin_attempt(self._name(start))
        self._sum = machine
        self._do(machine.handle(Tick(now)))

    def _machine(self, start: StartAttempt) -> SumCoordinator:
        self._named = {owner_of(self.kept, name): name for name in start.members}
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
                case Aborted(why, released):
                    self._aborted(why, released)
        if effects:
            self.changes += 1

    def _finished(self, result: SumResult) -> None:
        assert self._start is not None  # noqa: S101 - it belongs to an attempt
        survivors = tuple(self._named[owner] for owner in result.survivors)
        reasons = {self._named[owner]: why for owner, why in self._reasons.items() if owner in self._named}
        done = AttemptDone(
            attempt=self._start.attempt,
            total=result.total,
            survivors=survivors,
            excluded={name: why for name, why in reasons.items() if name not in survivors},
        )
        self._sum = None
        self.folder.end_attempt()
        self._follow(self._secure().handle(done), self._plan().ts_opened)

    def _aborted(self, why: str, released: bool) -> None:
        assert self._start is not None  # noqa: S101 - it belongs to an attempt
        reasons = {self._named[owner]: said for owner, said in self._reasons.items() if owner in self._named}
        failed = AttemptFailed(attempt=self._start.attempt, why=why, released=released, excluded=reasons)
        self._sum = None
        self.folder.end_attempt()
        self._failed(failed, self._plan().ts_opened)

    def _failed(self, failed: AttemptFailed, now: int) -> None:
        self._follow(self._secure().handle(failed), now)

    def _resume(self) -> None:
        """Go on in the round that was on, and in its attempt."""
        if not isinstance(self.kept.round, SecureRound):
            return
        start, opened = self.kept.round.current, self._plan().ts_opened
        self._start, self._reasons = start, {}
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

    def _secure(self) -> SecureRound:
        if not isinstance(self.kept.round, SecureRound):
            raise InvalidValue("a round must be on", "none", "report this")
        return self.kept.round

    def _plan(self) -> RoundPlan:
        return self._secure().plan

    def _name(self, start: StartAttempt) -> str:
        return f"{self._plan().number}-{start.attempt}"

    def _note(self, owner: str, why: str) -> None:
        if owner in self._named and len(self._reasons) < MOST_REASONS:
            self._reasons.setdefault(owner, why)

    def _note_silent(self, now: int) -> None:
        """Remember who is missing when a stage ends by its deadline."""
        machine = self._sum
        if machine is None or not machine.late(now):
            return
        for owner in machine.waits_for():
            self._note(owner, f"nothing came in stage {machine.stage.name.lower()}")
