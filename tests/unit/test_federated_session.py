"""Terms of a session, its states, and what its coordinator allows when."""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest

from consilium.domain import ConsiliumError, InvalidValue, UnknownName
from consilium.federated.coordinator import SessionCoordinator
from consilium.federated.local import LocalPlan
from consilium.federated.rounds import StartAttempt, Tick
from consilium.federated.secure_round import AttemptFailed, SecureRound
from consilium.federated.session import (
    ENDED,
    MODEL_TYPES,
    MOVES,
    Buffering,
    Mode,
    Session,
    SessionState,
    Terms,
)
from consilium.federated.threats import statement
from consilium.federated.visible_round import Received, VisibleRound
from federated_cases import SECOND, D, Desk, mean_in, outcome_in, running, terms_of, update_of

DESK = Desk(("a", "b", "c", "d"))


def _visible(kept: SessionCoordinator) -> VisibleRound:
    machine = kept.open_round(0)
    assert isinstance(machine, VisibleRound)
    return machine


@pytest.mark.promise("003", "epochs: 5, batchSize: 32, learningRate: 0.001")
def test_local_training_is_by_default_as_the_seed_says() -> None:
    assert LocalPlan() == LocalPlan(epochs=5, batch_size=32, learning_rate=1e-3)
    assert MODEL_TYPES == ("trading-strategy", "risk-model", "sentiment-analysis")


@pytest.mark.parametrize(("before", "after"), list(product(SessionState, SessionState)))
def test_only_the_moves_of_the_table_are_allowed(before: SessionState, after: SessionState) -> None:
    session = Session(terms=terms_of(), state=before, ts_changed=5)
    if after in MOVES[before]:
        moved = session.moved(after, ts=6, reason="so")
        assert (moved.state, moved.reason, moved.ts_changed) == (after, "so", 6)
        assert not session.ended
    else:
        with pytest.raises(InvalidValue, match=f"a session that is {before} may become .*; got '{after}'"):
            session.moved(after, ts=6)


def test_an_ended_session_stays_ended() -> None:
    assert set(ENDED) == {"completed", "cancelled", "failed"}
    assert all(Session(terms=terms_of(), state=state).ended for state in ENDED)
    with pytest.raises(UnknownName, match="state of a session must be one of"):
        Session(terms=terms_of()).moved("done", ts=1)
    with pytest.raises(InvalidValue, match="ts must be >= 5, the last change; got 4"):
        Session(terms=terms_of(), ts_changed=5).moved("open", ts=4)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"mode": "secret"}, "mode must be one of grouped, sum, visible; got 'secret'"),
        ({"model_type": "other"}, "model type must be one of risk-model"),
        ({"rounds": 0}, "rounds must be finite and >= 1; got 0"),
        ({"clip": float("inf")}, "clip must be finite and > 0; got inf"),
        ({"clip": 0.0}, "clip must be finite and > 0"),
        ({"gamma": 0.5}, r"gamma must lie in \[0, 0.5\); got 0.5"),
        ({"delta": 1.0}, r"delta must lie in \[0, 1\); got 1"),
        ({"sample_fraction": 0.0}, "sample_fraction must be finite and > 0"),
        ({"sample_fraction": 1.5}, r"sample_fraction must lie in \[0, 1\]"),
        ({"session": ""}, "session must not be empty"),
        ({"session": "x" * 65}, "session must be <= 64 printable characters"),
        (
            {"mode": "sum", "least_participants": 2},
            "least_participants must be >= 3 in mode sum; got 2: ask for more",
        ),
        ({"buffering": Buffering(size=2)}, "size of a buffer must be >= 3, the fewest of a round; got 2"),
    ],
)
def test_terms_outside_their_bounds_are_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConsiliumError, match=told):
        terms_of(**changed)


def test_terms_survive_json_and_another_word_is_another_digest() -> None:
    terms = terms_of(buffering=Buffering(size=5), optimizer="fedprox", options={"mu": 0.1}, mode="sum")
    again = Terms.from_dict(json.loads(json.dumps(terms.as_dict())))
    assert again == terms
    assert again.digest() == terms.digest()
    assert terms_of(rounds=6).digest() != terms_of(rounds=5).digest()
    with pytest.raises(InvalidValue, match="terms must have the fields of a session"):
        Terms.from_dict({**terms.as_dict(), "more": 1})


def test_a_round_opens_only_in_a_running_session_and_one_at_a_time() -> None:
    kept = SessionCoordinator(terms_of(), DESK.owners, np.zeros(D))
    with pytest.raises(InvalidValue, match="must be running to be given a round; got proposed"):
        kept.open_round(0)
    with pytest.raises(InvalidValue, match="must be open, running or paused to join it; got proposed"):
        kept.register(DESK.registration("a", kept.terms))
    kept = running(DESK, terms_of())
    _visible(kept)
    with pytest.raises(InvalidValue, match="one round is on at a time; got round 1"):
        kept.open_round(0)


def test_too_few_participants_open_no_round() -> None:
    kept = SessionCoordinator(terms_of(), DESK.owners, np.zeros(D))
    kept.move("open", ts=0)
    for name in ("a", "b"):
        kept.register(DESK.registration(name, kept.terms))
    kept.move("running", ts=0)
    with pytest.raises(
        InvalidValue, match="a round needs >= 3 participants with a weight; got 2: wait until more"
    ):
        kept.open_round(0)


def test_a_secure_session_that_no_threshold_protects_says_so_before_anybody_trains() -> None:
    kept = running(DESK, terms_of(mode=Mode.SUM, delta=0.9))
    with pytest.raises(InvalidValue, match="4 participants must leave 2 neighbours for the threshold; got 0"):
        kept.open_round(0)


def test_who_joins_during_a_round_waits_for_the_next() -> None:
    terms = terms_of(rounds=3)
    kept = SessionCoordinator(terms, DESK.owners, np.zeros(D))
    kept.move("open", ts=0)
    for name in ("a", "b", "c"):
        kept.register(DESK.registration(name, terms))
    kept.move("running", ts=0)
    machine = _visible(kept)
    kept.register(DESK.registration("d", terms))
    assert [one.participant for one in machine.plan.members] == ["a-1", "b-1", "c-1"]
    report = kept.close_round(outcome_in(machine.handle(Tick(now=10**15))), now=1)
    assert report.next_round_eligibility == ("a-1", "b-1", "c-1", "d-1")
    assert report.participation.eligible == 3
    assert [one.participant for one in _visible(kept).plan.members] == ["a-1", "b-1", "c-1", "d-1"]


def test_owners_without_stake_are_not_chosen() -> None:
    desk = Desk(("a", "b", "c", "d"), {"b": 0})
    kept = running(desk, terms_of())
    assert [one.participant for one in _visible(kept).plan.members] == ["a-1", "c-1", "d-1"]


def test_one_large_stake_weighs_no_more_than_its_cap() -> None:
    desk = Desk(("a", "b", "c", "d"), {"a": 10**6})
    kept = running(desk, terms_of(owner_cap=0.0001))
    weights = {one.participant: one.weight for one in _visible(kept).plan.members}
    assert weights == {"a-1": 100, "b-1": 10, "c-1": 10, "d-1": 10}


def test_pausing_drops_the_round_and_the_model_stays() -> None:
    kept = running(DESK, terms_of())
    machine = _visible(kept)
    kept.move("paused", ts=1, reason="maintenance")
    with pytest.raises(InvalidValue, match="an outcome must be of round 1, which is on"):
        kept.close_round(outcome_in(machine.handle(Tick(now=10**15))), now=2)
    assert kept.session.done == 0
    kept.move("running", ts=3)
    assert _visible(kept).plan.number == 1


def test_a_session_goes_on_from_its_state_to_the_same_bits() -> None:
    ends = []
    for broken in (False, True):
        kept = running(DESK, terms_of(optimizer="fedadam", rounds=4))
        for number in range(1, 5):
            if broken:
                kept = SessionCoordinator.restore(kept.state(), DESK.owners)
            machine = _visible(kept)
            for place, name in enumerate(("a", "b", "c", "d")):
                delta = np.random.default_rng((number, place)).normal(scale=0.1, size=D)
                update = update_of(f"{name}-1", delta, round=number, base_version=kept.version)
                effects = machine.handle(Received(update=update, now=1))
            kept.close_round(outcome_in(effects), now=number)
        assert kept.session.state is SessionState.COMPLETED
        ends.append(kept.parameters.tobytes())
    assert ends[0] == ends[1]


def test_a_step_that_leaves_the_numbers_gives_a_failed_round_and_the_old_model() -> None:
    kept = running(DESK, terms_of(options={"learning_rate": 1.7e308}, clip=10.0))
    kept.parameters[:] = 1.7e308
    kept.version = "v1"
    machine = _visible(kept)
    for name in ("a", "b", "c", "d"):
        update = update_of(f"{name}-1", [5.0, 0.0, 0.0, 0.0])
        effects = machine.handle(Received(update=update, now=1))
    with np.errstate(over="ignore"):
        report = kept.close_round(outcome_in(effects), now=1)
    assert "parameters must stay finite after a step of fedavg" in report.failed
    assert kept.parameters.tolist() == [1.7e308] * D
    assert report.version == report.base_version == "v1"


def test_a_secret_session_plans_the_bit_and_the_numbers_of_both_parts() -> None:
    kept = running(DESK, terms_of(mode=Mode.SUM, delta=0.2, optimizer="scaffold", adapt_clip=True))
    machine = kept.open_round(7)
    assert isinstance(machine, SecureRound)
    assert machine.plan.dimension == 2 * D
    assert machine.size == 2 * D + 1
    assert machine.plan.ts_cut_off == 7 + 600 * SECOND


def test_no_attempt_of_a_round_is_numbered_twice_after_a_pause_or_a_restart() -> None:
    kept = running(DESK, terms_of(mode=Mode.SUM, delta=0.2, attempts=2))
    machine = kept.open_round(0)
    assert isinstance(machine, SecureRound)
    machine.start()
    assert machine.handle(AttemptFailed(attempt=1, why="silence"))
    restored = SessionCoordinator.restore(kept.state(), DESK.owners)
    assert isinstance(restored.round, SecureRound)
    assert restored.round.attempt == 2
    for one in (kept, restored):
        one.move("paused", ts=1)
        one.move("running", ts=2)
        fresh = SessionCoordinator.restore(one.state(), DESK.owners).open_round(3)
        assert isinstance(fresh, SecureRound)
        assert [effect.attempt for effect in fresh.start() if isinstance(effect, StartAttempt)] == [3]
        fresh = SecureRound.restore(fresh.state())
        fresh.handle(AttemptFailed(attempt=3, why="silence"))
        outcome = outcome_in(fresh.handle(AttemptFailed(attempt=4, why="silence")))
        assert outcome.failed == "no sum in 2 attempts; the last: silence"


def test_a_first_model_that_is_no_vector_of_numbers_is_refused() -> None:
    for wrong in (np.zeros((2, 2)), np.zeros(0), np.array([np.nan])):
        with pytest.raises(InvalidValue, match="the first model must be flat, finite and not empty"):
            SessionCoordinator(terms_of(), DESK.owners, wrong)


def test_only_buffered_sessions_take_updates_at_any_time() -> None:
    kept = running(DESK, terms_of())
    with pytest.raises(InvalidValue, match="must be buffered"):
        kept.ready("a-1", kept.version)
    kept = running(DESK, terms_of(buffering=Buffering(size=3)))
    with pytest.raises(InvalidValue, match="a participant must have joined; got eve"):
        kept.ready("eve", kept.version)
    assert kept.open_round(0) is None
    for name in ("b-1", "a-1", "d-1"):
        kept.ready(name, kept.version)
    assert [one.participant for one in _visible(kept).plan.members] == ["a-1", "b-1", "d-1"]


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_says_what_it_does_not_give(mode: Mode) -> None:
    told = " ".join(statement(terms_of(mode=mode, delta=0.05, gamma=0.1), 300))
    assert "no differential privacy" in told
    assert ("Nothing is secret" in told) is (mode is Mode.VISIBLE)
    assert ("up to 30 owners" in told) is (mode is not Mode.VISIBLE)
    assert ("at least 285 participants" in told) is (mode is Mode.SUM)
    assert ("at least 8 participants who do not collude" in told) is (mode is Mode.GROUPED)
    assert ("leak by linear algebra" in told) is (mode is Mode.GROUPED)
    assert ("sums of several rounds can be subtracted from each other" in told) is (mode is not Mode.VISIBLE)


def test_a_round_of_equal_updates_moves_the_model_by_one_of_them() -> None:
    kept = running(DESK, terms_of())
    machine = _visible(kept)
    for name in ("d", "b", "a", "c"):
        update = update_of(f"{name}-1", base_version=kept.version)
        effects = machine.handle(Received(update=update, now=1))
    outcome = outcome_in(effects)
    kept.close_round(outcome, now=1)
    assert kept.parameters.tolist() == mean_in(outcome).tolist()
