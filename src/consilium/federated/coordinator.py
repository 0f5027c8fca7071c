"""A session from its opening to its end: who joined, which round is on, and the model so far."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from consilium.domain import InvalidValue
from consilium.federated.aggregators import make_aggregator
from consilium.federated.buffer import Buffer
from consilium.federated.clipping import next_clip
from consilium.federated.groups import group_count
from consilium.federated.optimizers import make_optimizer
from consilium.federated.owners import OwnerList
from consilium.federated.parameters import count_of, degree_for, ring_for
from consilium.federated.registration import Joined, Registration, Registry
from consilium.federated.report import NO_JUDGE, NOT_LEARNED, Judging, Participation, RoundReport, judged_by
from consilium.federated.rounds import Floats, Member, RoundOutcome, RoundPlan
from consilium.federated.sampling import choose, require_first_model, sample_size, version_of
from consilium.federated.secure_round import SecureRound, barred_after
from consilium.federated.session import Mode, Session, SessionState, Terms
from consilium.federated.threats import statement
from consilium.federated.visible_round import VisibleRound

SECOND = 1_000_000_000


class SessionCoordinator:
    """Keeps a session; pure: carriers bring messages and time, and take away what is to be done.

    Parameters
    ----------
    terms
        What was agreed.
    owners
        Who was admitted, as the admission key signed it.
    parameters
        The first model, shape (d,).

    Examples
    --------
    >>> from consilium.federated.owners import Owner
    >>> admitted = OwnerList(owners=(Owner(owner="a", key=b"1" * 32),))
    >>> kept = SessionCoordinator(Terms(session="s", task="digits"), admitted, np.zeros(3))
    >>> kept.move("open", ts=1).state
    <SessionState.OPEN: 'open'>
    """

    def __init__(self, terms: Terms, owners: OwnerList, parameters: Floats) -> None:
        require_first_model(parameters)
        owners.require_for(terms.session)
        self.session = Session(terms=terms)
        self.owners = owners
        self.registry = Registry(terms.session, owners, needs=(terms.task, str(terms.mode)))
        self.optimizer = make_optimizer(terms.optimizer, **terms.options)
        self.aggregator = make_aggregator(terms.aggregator)
        self.parameters = np.array(parameters, dtype=np.float64)
        self.optimizer_state = self.optimizer.start(len(parameters))
        self.clip = terms.clip
        self.version = version_of(self.parameters)
        self.round: VisibleRound | SecureRound | None = None
        self.buffer = None if terms.buffering is None else Buffer(terms.buffering, (self.version,))
        self._failed = 0
        self._begun = 0
        self.barred: dict[str, str] = {}
        """By participant, why it is asked in no round any more."""
        if terms.buffering is not None:
            self._require_secret(terms.buffering.size)

    @property
    def terms(self) -> Terms:
        """What was agreed."""
        return self.session.terms

    @property
    def begun(self) -> int:
        """How often the round that comes next, or is on, was begun and dropped before."""
        return self._begun

    @property
    def number(self) -> int:
        """The round that is on, or comes next; from 1."""
        return self.session.done + 1

    def move(self, to: str, *, ts: int, reason: str = "", keep_round: bool = False) -> Session:
        """Bring the session into another state; a round that is on is dropped when it ends or pauses.

        Parameters
        ----------
        to
            The state.
        ts
            UTC nanoseconds.
        reason
            In one line.
        keep_round
            Whether a pause lets the round that is on come to its end: its shares may be out, so that its
            updates cannot be summed again.

        Raises
        ------
        InvalidValue
            A move that is not allowed.
        """
        self.session = self.session.moved(to, ts=ts, reason=reason)
        paused = self.session.state is SessionState.PAUSED
        if self.session.state is not SessionState.RUNNING and not (paused and keep_round):
            self._drop_round()
        return self.session

    def register(self, registration: Registration) -> Joined:
        """Let a participant join; while a round is on, from the next one.

        Raises
        ------
        InvalidValue, UnknownName
            The session does not take participants, or the registration is refused.
        """
        if self.session.state not in (SessionState.OPEN, SessionState.RUNNING, SessionState.PAUSED):
            raise InvalidValue(
                "a session must be open, running or paused to join it", self.session.state, "join another one"
            )
        joined = self.registry.register(registration, first_round=self.number + (self.round is not None))
        if isinstance(self.round, VisibleRound):
            self.round.examples = self.registry.claims()
        return joined

    def ready(self, participant: str, base_version: str, *, number: int | None = None) -> None:
        """Note that a participant of a buffered session has trained from a version, for a round or later.

        Raises
        ------
        InvalidValue, UnknownName
            The session is not buffered, or the buffer refuses it.
        """
        if self.buffer is None:
            raise InvalidValue(
                "a session must be buffered to take updates at any time", "one that waits", "wait"
            )
        self._require_running("taken an update")
        if not self.registry.may(participant, self.number):
            raise InvalidValue("a participant must have joined", participant, "register first")
        self._require_weight(participant)
        self.buffer.add(participant, base_version, number=number)

    def open_round(self, now: int) -> VisibleRound | SecureRound | None:
        """Plan the next round and return its machine; None while a buffer fills.

        Raises
        ------
        InvalidValue
            The session is not running, a round is on, or too few may be chosen.
        """
        self._require_running("given a round")
        if self.round is not None:
            raise InvalidValue("one round is on at a time", f"round {self.number}", "close it first")
        members = self._members()
        if members is None:
            return None
        asked, least = self._askable(tuple(one.participant for one in members)), self.terms.least_participants
        if len(asked) < least:
            raise InvalidValue(
                f"a round needs >= {least} participants with a weight",
                len(asked),
                "wait until more have joined",
            )
        self._require_secret(len(asked))
        plan = self._plan(members, now)
        secret = self.terms.mode is not Mode.VISIBLE
        self.round = (
            SecureRound(plan, begun=self._begun, barred=self.barred) if secret else self._visible(plan)
        )
        return self.round

    def _visible(self, plan: RoundPlan) -> VisibleRound:
        return VisibleRound(plan, self.aggregator, self.registry.claims())

    def close_round(
        self, outcome: RoundOutcome, *, now: int, judge: Judging | None = None, note: str = NO_JUDGE
    ) -> RoundReport:
        """Take the outcome of the round that is on: move the model, and report.

        Parameters
        ----------
        outcome
            As the round's machine closed it.
        now
            UTC nanoseconds.
        judge
            Says how good parameters are, on rows that nobody learned from; what it raises of ours is told in
            the report. It is not asked where nothing was learned.
        note
            What the report says where there is no judge: that it is judged later, or why not.

        Raises
        ------
        InvalidValue
            An outcome of another round.
        """
        if self.round is None or outcome.plan is not self.round.plan:
            raise InvalidValue(
                f"an outcome must be of round {self.number}, which is on", "another", "drop it"
            )
        before, number = self.version, self.number
        failed = outcome.failed or self._learn(outcome)
        self._failed = self._failed + 1 if failed else 0
        self.round, self._begun = None, 0
        if self.buffer is not None:
            self.buffer.ended(None if failed else self.version, number=number)
        self.barred = barred_after(self.barred, outcome, count_of(self.terms.gamma, len(self.owners.owners)))
        self.session = replace(self.session, done=number)
        performance, note = (None, NOT_LEARNED) if failed else judged_by(judge, self.parameters, note)
        report = self._report(
            outcome, before=before, failed=failed, performance=performance, performance_note=note
        )
        self._end_if_over(now)
        return report

    def _report(self, outcome: RoundOutcome, *, before: str, failed: str, **judged: Any) -> RoundReport:
        """Return the report of the round that is over now."""
        number = self.session.done
        return RoundReport(
            session=self.terms.session,
            number=number,
            mode=str(self.terms.mode),
            base_version=before,
            version=self.version,
            participation=Participation.of(outcome, len(self.registry), len(self.registry.eligible(number))),
            survivors=outcome.survivors,
            excluded=outcome.excluded,
            next_round_eligibility=self._askable(self.registry.eligible(number + 1)),
            weights={one.participant: one.weight for one in outcome.plan.members},
            owners=self.owners.digest(),
            terms=self.terms.digest(),
            clip=outcome.plan.clip,
            clip_enforced=self.terms.mode is Mode.VISIBLE,
            share_below=outcome.share_below,
            threats=statement(self.terms, len(outcome.plan.members), admitted=len(self.owners.owners)),
            claimed=outcome.claimed,
            failed=failed,
            **judged,
        )

    def state(self) -> dict[str, Any]:
        """Return all that is public and lasts; arrays as they are, the rest as JSON can hold it."""
        return {
            "session": {
                "terms": self.terms.as_dict(),
                "state": str(self.session.state),
                "done": self.session.done,
                "reason": self.session.reason,
                "ts_changed": self.session.ts_changed,
            },
            "registry": self.registry.state(),
            "parameters": self.parameters.copy(),
            "optimizer_state": {name: value.copy() for name, value in self.optimizer_state.items()},
            "clip": self.clip,
            "buffer": None if self.buffer is None else self.buffer.state(),
            "failed": self._failed,
            "begun": self._begun,
            "barred": dict(self.barred),
            "round": None if self.round is None else self.round.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], owners: OwnerList) -> "SessionCoordinator":
        """Make a coordinator that goes on where `state` was taken.

        A round that was on is on again. The attempt of a secret one is resumed, or told failed, so that no
        attempt is numbered twice; to a visible one its carrier tells what had come, or it is sent again.
        """
        kept = state["session"]
        made = cls(Terms.from_dict(kept["terms"]), owners, np.asarray(state["parameters"], dtype=np.float64))
        made.registry.restore(state["registry"])
        made.session = Session(
            terms=made.terms,
            state=SessionState(kept["state"]),
            done=int(kept["done"]),
            reason=str(kept["reason"]),
            ts_changed=int(kept["ts_changed"]),
        )
        made.optimizer_state = {
            name: np.asarray(value, dtype=np.float64) for name, value in state["optimizer_state"].items()
        }
        made.clip, made._failed, made._begun = float(state["clip"]), int(state["failed"]), int(state["begun"])
        made.barred = dict(state.get("barred", {}))
        if state["round"] is not None:
            plan = RoundPlan.from_dict(state["round"]["plan"])
            secret = plan.mode is not Mode.VISIBLE
            made.round = SecureRound.restore(state["round"]) if secret else made._visible(plan)
        if made.buffer is not None:
            summing = () if made.round is None else tuple(made.round.plan.by_id)
            made.buffer.restore(state["buffer"], summing=summing)
        return made

    def _require_secret(self, count: int) -> None:
        """Refuse numbers with which no secure sum is safe; the errors say with which it would be."""
        if self.terms.mode is not Mode.VISIBLE:
            groups = self._groups(count)
            if groups == 1:
                # All who collude may be among those who are asked.
                colluders = count_of(self.terms.gamma, len(self.owners.owners))
                degree_for(count, self.terms.gamma, self.terms.delta, colluders=colluders)
            ring_for(count, self.terms.clip_int)

    def _groups(self, count: int) -> int:
        """Return into how many groups a round is drawn; refuse where no size hides and bears attackers."""
        terms = self.terms
        if terms.mode is not Mode.GROUPED:
            return 1
        return group_count(count, terms.gamma, terms.byzantine, delta=terms.delta)

    def _require_running(self, what: str) -> None:
        if self.session.state is not SessionState.RUNNING:
            raise InvalidValue(
                f"a session must be running to be {what}", self.session.state, "start it first"
            )

    def _require_weight(self, participant: str) -> None:
        if participant in self.barred:
            raise InvalidValue("a participant must not be at fault", self.barred[participant], "stay away")
        if not self._weighted((participant,)):
            raise InvalidValue("a participant must have public stake", f"{participant} with 0", "lock stake")

    def _weighted(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if self.registry.weight(name, self.terms.owner_cap) > 0)

    def _askable(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in self._weighted(names) if name not in self.barred)

    def _candidates(self) -> tuple[str, ...]:
        """Return of whom a round is drawn; nobody where the first who are ready form it."""
        return () if self.buffer is not None else self._weighted(self.registry.eligible(self.number))

    def _members(self) -> tuple[Member, ...] | None:
        weights = self.registry.weights(self.terms.owner_cap)
        if self.buffer is not None:
            return self.buffer.cohort(weights)
        candidates = self._candidates()
        if not candidates:
            return ()
        count = sample_size(len(candidates), self.terms.sample_fraction, self.terms.least_participants)
        chosen = choose(
            candidates, count, seed=self.terms.seed, session=self.terms.session, round_number=self.number
        )
        return tuple(
            Member(participant=name, weight=weights[name], base_version=self.version) for name in chosen
        )

    def _plan(self, members: tuple[Member, ...], now: int) -> RoundPlan:
        terms = self.terms
        return RoundPlan(
            session=terms.session,
            number=self.number,
            mode=terms.mode,
            members=members,
            dimension=self.optimizer.parts * len(self.parameters),
            clip=self.clip,
            clip_int=terms.clip_int,
            with_bit=terms.adapt_clip and terms.mode is not Mode.VISIBLE,
            least=terms.least_participants,
            attempts=terms.attempts,
            exponent=0.0 if terms.buffering is None else terms.buffering.exponent,
            groups=self._groups(len(members)),
            eligible=self._candidates(),
            ts_opened=now,
            ts_cut_off=now + terms.cut_off_seconds * SECOND,
        )

    def _learn(self, outcome: RoundOutcome) -> str:
        """Move the model by a mean; return why that was refused, if it was."""
        assert outcome.mean is not None  # noqa: S101 - an outcome has a mean or a reason
        share = min(1.0, len(outcome.survivors) / max(1, len(self.registry)))
        try:
            moved, state = self.optimizer.step(
                self.parameters, outcome.mean, self.optimizer_state, share=share
            )
        except InvalidValue as refused:
            return str(refused)
        self.parameters, self.optimizer_state = moved, state
        self.version = version_of(moved)
        if outcome.share_below is not None:
            self.clip = next_clip(self.clip, outcome.share_below)
        return ""

    def _drop_round(self) -> None:
        if isinstance(self.round, SecureRound):
            # Numbers of attempts are used once, also where the round is opened anew after a pause.
            self._begun = max(self._begun, self.round.attempt)
        elif self.round is not None:
            self._begun += 1
        self.round = None
        if self.buffer is not None:
            self.buffer.ended(None)

    def _end_if_over(self, now: int) -> None:
        if self._failed >= self.terms.failed_rounds:
            self.move("failed", ts=now, reason=f"{self._failed} rounds in a row gave nothing")
        elif self.session.done >= self.terms.rounds:
            self.move("completed", ts=now)
