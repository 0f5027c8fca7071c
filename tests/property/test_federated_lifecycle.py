"""The life of a session under any order of joining, rounds, silence, junk, pauses and restarts."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consilium.domain import ConsiliumError
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.rounds import Answered, Closed, RoundEffect, Tick
from consilium.federated.sampling import version_of
from consilium.federated.session import MOVES, SessionState
from consilium.federated.visible_round import Received, VisibleRound
from federated_cases import D, Desk, terms_of, update_of

DESK = Desk(("a", "b", "c", "d", "e"))
NAMES = st.sampled_from(DESK.names)
ROUNDS = 4


class SessionLife(RuleBasedStateMachine):
    """Beside the session runs a plain count of what must be true of it."""

    @initialize(optimizer=st.sampled_from(["fedavg", "fedadam"]))
    def begin(self, optimizer: str) -> None:
        self.terms = terms_of(optimizer=optimizer, rounds=ROUNDS, failed_rounds=2)
        self.kept = SessionCoordinator(self.terms, DESK.owners, np.zeros(D))
        self.now = 0
        self.joined: dict[str, int] = {}
        self.sent: dict[str, np.ndarray] = {}
        self.out: set[str] = set()
        self.done = 0

    @property
    def machine(self) -> VisibleRound | None:
        machine = self.kept.round
        assert machine is None or isinstance(machine, VisibleRound)
        return machine

    @rule(to=st.sampled_from(list(SessionState)))
    def move(self, to: SessionState) -> None:
        before = self.kept.session
        if to in (SessionState.COMPLETED, SessionState.FAILED, SessionState.CANCELLED) and self.now % 5:
            return
        self.now += 1
        try:
            self.kept.move(to, ts=self.now)
        except ConsiliumError:
            assert to not in MOVES[before.state]
            assert self.kept.session == before
        else:
            assert to in MOVES[before.state]

    @rule(name=NAMES)
    def join(self, name: str) -> None:
        state = self.kept.session.state
        on = self.kept.round is not None
        try:
            joined = self.kept.register(DESK.registration(name, self.terms))
        except ConsiliumError:
            assert state not in (SessionState.OPEN, SessionState.RUNNING, SessionState.PAUSED)
        else:
            self.joined.setdefault(name, self.done + 1 + on)
            assert joined.first_round == self.joined[name]

    @rule()
    def open(self) -> None:
        ready = [name for name, first in self.joined.items() if first <= self.done + 1]
        may = self.kept.session.state is SessionState.RUNNING and self.kept.round is None and len(ready) >= 3
        try:
            self.kept.open_round(self.now)
        except ConsiliumError:
            assert not may
        else:
            assert may
            self.sent, self.out = {}, set()
            assert self.machine is not None
            assert list(self.machine.plan.by_id) == sorted(f"{name}-1" for name in ready)

    @precondition(lambda self: self.machine is not None)
    @rule(
        name=NAMES,
        kind=st.sampled_from(["good", "good", "good", "again", "other", "nan", "long", "huge", "old"]),
    )
    def send(self, name: str, kind: str) -> None:
        machine, who = self.machine, f"{name}-1"
        assert machine is not None
        fresh = np.random.default_rng((self.done, len(name), ord(name[0]))).normal(scale=0.1, size=D)
        delta = {
            "other": fresh + 0.01,
            "nan": np.full(D, np.nan),
            "long": np.zeros(D + 1),
            "huge": np.full(D, 1e200),
        }.get(kind, fresh)
        version = "0" * 64 if kind == "old" else self.kept.version
        update = update_of(who, delta, round=machine.plan.number, base_version=version)
        self.now += 1
        effects = machine.handle(Received(update=update, now=self.now))
        answer = effects[0]
        assert isinstance(answer, Answered)
        member = who in machine.plan.by_id
        known = self.sent.get(who)
        same = known is not None and known.tobytes() == delta.tobytes() and kind != "old"
        good = kind in ("good", "again", "other")
        accepted = member and who not in self.out and (same or (known is None and good))
        assert answer.accepted is accepted, (kind, answer)
        if accepted:
            self.sent[who] = delta
        elif member:
            self.sent.pop(who, None)
            self.out.add(who)
        self._close(effects)

    @precondition(lambda self: self.machine is not None)
    @rule()
    def cut_off(self) -> None:
        assert self.machine is not None
        self.now = max(self.now, self.machine.plan.ts_cut_off)
        self._close(self.machine.handle(Tick(now=self.now)))

    def _close(self, effects: list[RoundEffect]) -> None:
        for effect in effects:
            if not isinstance(effect, Closed):
                continue
            before, number = self.kept.parameters.copy(), self.kept.number
            report = self.kept.close_round(effect.outcome, now=self.now)
            self.done += 1
            assert report.number == number == self.done
            assert set(report.survivors) == set(self.sent)
            assert {one.participant for one in report.excluded} == set(report.weights) - set(self.sent)
            assert bool(report.failed) is (len(self.sent) < 3)
            if report.failed:
                assert np.array_equal(before, self.kept.parameters)
            elif self.terms.optimizer == "fedavg":
                mean = sum(self.sent[name] for name in sorted(self.sent)) / len(self.sent)
                np.testing.assert_allclose(self.kept.parameters, before + mean, rtol=1e-12, atol=1e-15)

    @rule()
    def restart(self) -> None:
        """A crash loses updates of the round that is on, which are told again, and nothing else."""
        before, on = self.kept.parameters.tobytes(), None if self.machine is None else self.machine.plan
        self.sent, self.out = {}, set()
        self.kept = SessionCoordinator.restore(self.kept.state(), DESK.owners)
        assert self.kept.parameters.tobytes() == before
        assert (None if self.machine is None else self.machine.plan) == on
        assert set(self.kept.registry.joined) == {f"{name}-1" for name in self.joined}

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "kept"):
            return
        session = self.kept.session
        assert session.done == self.done <= ROUNDS
        assert self.kept.version == version_of(self.kept.parameters)
        assert np.all(np.isfinite(self.kept.parameters))
        if self.kept.round is not None:
            assert session.state is SessionState.RUNNING
        if self.done == ROUNDS:
            assert session.ended


SessionLife.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestSessionLife = SessionLife.TestCase
