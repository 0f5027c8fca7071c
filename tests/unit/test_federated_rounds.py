"""Rounds above the secure sum: bad input, stragglers, retries, cohorts."""

import json
from typing import Any

import numpy as np
import pytest

from consilium.domain import InvalidValue, UnknownName
from consilium.federated.aggregators.mean import Mean
from consilium.federated.buffer import Buffer
from consilium.federated.clipping import next_clip
from consilium.federated.entropy import SystemEntropy
from consilium.federated.learner import masked_input
from consilium.federated.quantising import Scale, quantise
from consilium.federated.rounds import Answered, Closed, RoundPlan, StartAttempt, Tick, Withdrawn
from consilium.federated.secure_round import AttemptDone, AttemptFailed, SecureRound
from consilium.federated.session import Buffering, Mode
from consilium.federated.visible_round import Received, VisibleRound
from federated_cases import SECOND, D, mean_in, outcome_in, plan_of, update_of

EXAMPLES = {"a": 100, "b": 100, "c": 100}


def _visible(**changed: Any) -> VisibleRound:
    return VisibleRound(plan_of(**changed), Mean(), EXAMPLES)


def test_a_round_closes_when_all_have_answered_and_holds_the_plain_mean() -> None:
    machine = _visible()
    deltas = {"a": [0.5, 0.0, 0.0, 0.1], "b": [0.1, 0.2, 0.3, 0.4], "c": [-0.3, 0.1, 0.0, 0.2]}
    for name in ("c", "a"):
        effects = machine.handle(Received(update=update_of(name, deltas[name]), now=1))
        assert effects == [Answered(participant=name, accepted=True)]
    outcome = outcome_in(machine.handle(Received(update=update_of("b", deltas["b"]), now=2)))
    expected = (np.array(deltas["a"]) + np.array(deltas["b"]) + np.array(deltas["c"])) / 3
    assert outcome.mean is not None
    assert outcome.mean.tolist() == expected.tolist()
    assert outcome.survivors == ("a", "b", "c")
    assert outcome.excluded == ()


def test_weights_are_those_of_the_table() -> None:
    machine = _visible(names=("a", "b"), weights={"a": 3, "b": 1})
    machine.handle(Received(update=update_of("a", [0.4, 0, 0, 0]), now=1))
    outcome = outcome_in(machine.handle(Received(update=update_of("b", [0, 0.4, 0, 0]), now=1)))
    np.testing.assert_allclose(mean_in(outcome), [0.3, 0.1, 0, 0])


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a wrong dimension": (
        {"delta": [0.1, 0.2]},
        r"delta must have shape \(4,\); got \(2,\): send every number",
    ),
    "two dimensions": ({"delta": [[0.1, 0.2, 0.0, 0.0]]}, r"delta must have shape \(4,\); got \(1, 4\)"),
    "nan": (
        {"delta": [0.1, np.nan, 0.0, np.nan]},
        "delta must be finite; got nan at 1 and 1 more: lower the",
    ),
    "infinite": ({"delta": [0.1, 0.0, -np.inf, 0.0]}, "delta must be finite; got -inf at 2 and 0 more"),
    "huge": (
        {"delta": [1e300, 0.0, 0.0, 1e300]},
        r"the norm of delta must be <= 1; got 1.41421e\+300: clip it",
    ),
    "just too long": ({"delta": [1.00001, 0.0, 0.0, 0.0]}, "the norm of delta must be <= 1; got 1.00001"),
    "an unknown version": ({"base_version": "v0"}, "base_version must be v1; got 'v0': train from the model"),
    "another round": ({"round": 2}, "round must be 1; got 2: take part in the round that is open"),
    "a lie about size": (
        {"num_examples": 10**9},
        "num_examples of a must be the 100 that it joined with; got 10",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_update_is_refused_and_the_round_goes_on_without_it(what: str) -> None:
    changed, told = BAD[what]
    machine = _visible()
    (answer,) = machine.handle(Received(update=update_of("a", **changed), now=1))
    assert isinstance(answer, Answered)
    assert not answer.accepted
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(answer.reason)
    machine.handle(Received(update=update_of("b"), now=2))
    outcome = outcome_in(machine.handle(Received(update=update_of("c"), now=3)))
    assert outcome.survivors == ("b", "c")
    assert [(one.participant, one.reason) for one in outcome.excluded] == [("a", answer.reason)]
    np.testing.assert_allclose(mean_in(outcome), [0.1, 0.2, 0.0, -0.1])


def test_who_was_not_chosen_is_no_part_of_the_round() -> None:
    machine = _visible()
    (answer,) = machine.handle(Received(update=update_of("eve"), now=1))
    assert isinstance(answer, Answered)
    assert "member of round 1 must be one of a, b, c; got 'eve'" in answer.reason
    outcome = outcome_in(machine.handle(Tick(now=60 * SECOND)))
    assert "eve" not in [one.participant for one in outcome.excluded]


def test_a_repeated_update_counts_once_and_gets_the_same_answer_even_late() -> None:
    machine = _visible()
    for now in (1, 2, 3):
        (answer,) = machine.handle(Received(update=update_of("a"), now=now))
        assert answer == Answered(participant="a", accepted=True)
    machine.handle(Received(update=update_of("b"), now=4))
    outcome = outcome_in(machine.handle(Tick(now=60 * SECOND)))
    assert outcome.survivors == ("a", "b")
    assert machine.handle(Received(update=update_of("a"), now=61 * SECOND)) == [
        Answered(participant="a", accepted=True)
    ]


def test_a_second_update_that_differs_is_evidence_and_neither_counts() -> None:
    machine = _visible()
    machine.handle(Received(update=update_of("a"), now=1))
    (answer,) = machine.handle(Received(update=update_of("a", [0.0, 0.0, 0.0, 0.1]), now=2))
    assert isinstance(answer, Answered)
    assert answer.reason.startswith("a may send 1 update in round 1; got a second that differs")
    for name in ("b", "c"):
        effects = machine.handle(Received(update=update_of(name), now=3))
    outcome = outcome_in(effects)
    assert outcome.survivors == ("b", "c")
    assert outcome.excluded[0].reason == answer.reason


def test_stragglers_are_cut_off_and_late_updates_refused() -> None:
    machine = _visible()
    machine.handle(Received(update=update_of("a"), now=1))
    machine.handle(Received(update=update_of("c"), now=2))
    assert machine.handle(Tick(now=60 * SECOND - 1)) == []
    (late,) = machine.handle(Received(update=update_of("b"), now=61 * SECOND))
    assert isinstance(late, Answered)
    assert (
        "must come while it is open; got one of b 61.000 s after its opening: wait for the next"
        in late.reason
    )
    outcome = outcome_in(machine.handle(Tick(now=62 * SECOND)))
    assert outcome.survivors == ("a", "c")
    assert [one.reason for one in outcome.excluded] == ["nothing came before the cut-off of round 1"]
    assert machine.closed
    assert machine.handle(Tick(now=70 * SECOND)) == []


def test_too_few_updates_leave_the_model_as_it_is() -> None:
    machine = _visible()
    machine.handle(Received(update=update_of("a"), now=1))
    outcome = outcome_in(machine.handle(Tick(now=60 * SECOND)))
    assert outcome.mean is None
    assert outcome.failed == "a round needs >= 2 updates; got 1: wait longer or ask more"


# In secret.


def _secure(**changed: Any) -> SecureRound:
    return SecureRound(plan_of(mode=Mode.SUM, **changed))


def _total(deltas: dict[str, list[float]], machine: SecureRound, within: int = 1) -> np.ndarray:
    vectors = [
        masked_input(update_of(name, delta), bool(within), machine.plan, SystemEntropy())
        for name, delta in deltas.items()
    ]
    total: np.ndarray = np.sum(vectors, axis=0)
    return total


def test_the_mean_of_a_secret_sum_is_that_of_its_survivors() -> None:
    machine = _secure(weights={"a": 2, "b": 1, "c": 1})
    assert machine.start() == [StartAttempt(attempt=1, members=("a", "b", "c"), size=D)]
    total = _total({"a": [0.4, 0, 0, 0.1], "c": [0, 0.4, 0, 0.1]}, machine)
    outcome = outcome_in(machine.handle(AttemptDone(attempt=1, total=total, survivors=("a", "c"))))
    np.testing.assert_allclose(mean_in(outcome), [0.8 / 3, 0.4 / 3, 0, 0.1], atol=2 / 65_536)
    assert outcome.survivors == ("a", "c")
    assert [one.as_dict() for one in outcome.excluded] == [
        {"participant": "b", "reason": "fell silent in attempt 1"}
    ]


def test_a_failed_attempt_is_followed_by_another_without_those_who_were_refused() -> None:
    machine = _secure()
    machine.start()
    effects = machine.handle(AttemptFailed(attempt=1, why="no shares", excluded={"b": "wrong key"}))
    assert effects == [StartAttempt(attempt=2, members=("a", "c"), size=D)]
    assert machine.handle(AttemptFailed(attempt=1, why="again")) == []
    total = _total({"a": [0.2, 0, 0, 0], "c": [0.4, 0, 0, 0]}, machine)
    outcome = outcome_in(machine.handle(AttemptDone(attempt=2, total=total, survivors=("a", "c"))))
    assert outcome.attempts == 2
    assert outcome.excluded[0].reason == "wrong key"


def test_attempts_run_out() -> None:
    machine = _secure(attempts=2)
    machine.start()
    machine.handle(AttemptFailed(attempt=1, why="too few"))
    outcome = outcome_in(machine.handle(AttemptFailed(attempt=2, why="too few")))
    assert outcome.failed == "no sum in 2 attempts; the last: too few"
    assert outcome.mean is None


def test_no_update_is_used_again_once_shares_may_be_out() -> None:
    machine = _secure()
    machine.start()
    outcome = outcome_in(machine.handle(AttemptFailed(attempt=1, why="too few acks", released=True)))
    assert outcome.failed == "too few acks; shares may be out, so the updates are not used again"


def test_a_round_below_its_least_ends() -> None:
    machine = _secure()
    machine.start()
    effects = machine.handle(
        AttemptFailed(attempt=1, why="silence", excluded={"a": "silent", "b": "silent", "x": "who?"})
    )
    outcome = outcome_in(effects)
    assert outcome.failed == "a round needs >= 2 participants; got 1: silence"
    assert [one.participant for one in outcome.excluded] == ["a", "b"]


def test_the_cut_off_ends_a_secret_round() -> None:
    machine = _secure()
    machine.start()
    assert machine.handle(Tick(now=59 * SECOND)) == []
    assert outcome_in(machine.handle(Tick(now=60 * SECOND))).failed == "no sum before the cut-off of round 1"
    late = AttemptDone(attempt=1, total=np.zeros(D, dtype=np.int64), survivors=("a", "b"))
    assert machine.handle(late) == []


@pytest.mark.parametrize(
    ("total", "survivors", "told"),
    [
        (
            np.full(D, 65_536 * 9),
            ("a", "b"),
            "the norm of a sum of 2 clipped updates must be <= 131074; got 1179648",
        ),
        (np.zeros(D + 1), ("a", "b"), r"a sum must have shape \(4,\); got \(5,\)"),
        (np.zeros(D), ("a", "eve"), "survivors must have been asked"),
        (np.zeros(D), (), "survivors must have been asked"),
    ],
)
def test_a_sum_that_no_honest_participants_can_have_is_refused(
    total: np.ndarray, survivors: tuple[str, ...], told: str
) -> None:
    machine = _secure()
    machine.start()
    done = AttemptDone(attempt=1, total=total.astype(np.int64), survivors=survivors)
    outcome = outcome_in(machine.handle(done))
    assert outcome.mean is None
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(outcome.failed)


def test_the_bit_tells_how_many_were_within_the_clip_and_nothing_more() -> None:
    machine = _secure(with_bit=True)
    assert machine.start() == [StartAttempt(attempt=1, members=("a", "b", "c"), size=D + 1)]
    parts = [
        masked_input(update_of(name), within, machine.plan, SystemEntropy())
        for name, within in (("a", True), ("b", False), ("c", True))
    ]
    done = AttemptDone(attempt=1, total=np.sum(parts, axis=0), survivors=("a", "b", "c"))
    outcome = outcome_in(machine.handle(done))
    assert outcome.share_below == pytest.approx(2 / 3)
    assert next_clip(1.0, 2 / 3) < 1.0 < next_clip(1.0, 1 / 3)
    lied = _secure(with_bit=True)
    lied.start()
    total = np.array([0, 0, 0, 0, 9])
    assert (
        "must lie in [0, 3]; got 9"
        in outcome_in(lied.handle(AttemptDone(attempt=1, total=total, survivors=("a", "b", "c")))).failed
    )


def test_who_leaves_a_round_out_is_not_waited_for() -> None:
    machine = _visible()
    assert machine.handle(Withdrawn(participant="b", reason="diverged")) == []
    assert machine.handle(Withdrawn(participant="eve", reason="hello")) == []
    machine.handle(Received(update=update_of("a"), now=1))
    outcome = outcome_in(machine.handle(Received(update=update_of("c"), now=1)))
    assert [one.as_dict() for one in outcome.excluded] == [{"participant": "b", "reason": "diverged"}]
    secret = _secure()
    secret.handle(Withdrawn(participant="b", reason="diverged"))
    assert secret.start() == [StartAttempt(attempt=1, members=("a", "c"), size=D)]
    total = _total({"a": [0.2, 0, 0, 0], "c": [0.4, 0, 0, 0]}, secret)
    done = AttemptDone(attempt=1, total=total, survivors=("a", "c"))
    assert outcome_in(secret.handle(done)).excluded[0].reason == "diverged"


def test_a_secret_round_goes_on_from_its_state() -> None:
    machine = _secure(attempts=2)
    machine.start()
    machine.handle(AttemptFailed(attempt=1, why="no shares", excluded={"b": "wrong key"}))
    again = SecureRound.restore(json.loads(json.dumps(machine.state())))
    assert again.plan == machine.plan
    assert again.attempt == 2
    total = _total({"a": [0.2, 0, 0, 0], "c": [0.4, 0, 0, 0]}, again)
    outcome = outcome_in(again.handle(AttemptDone(attempt=2, total=total, survivors=("a", "c"))))
    np.testing.assert_allclose(mean_in(outcome), [0.3, 0, 0, 0], atol=2 / 65_536)
    assert (outcome.attempts, outcome.excluded[0].reason) == (2, "wrong key")
    with pytest.raises(InvalidValue, match="a plan must have the fields of a round"):
        RoundPlan.from_dict({**machine.plan.as_dict(), "more": 1})


# Cohorts.


def test_a_cohort_forms_of_those_who_were_ready_first_with_weights_fixed_by_staleness() -> None:
    buffer = Buffer(Buffering(size=2, exponent=0.5), ("v1", "v2", "v3", "v4"))
    buffer.add("late", "v1")
    assert buffer.cohort({"late": 4}) is None
    buffer.add("fresh", "v4")
    buffer.add("more", "v4")
    members = buffer.cohort({"late": 4, "fresh": 2, "more": 1})
    assert members is not None
    assert [(one.participant, one.staleness, one.base_version) for one in members] == [
        ("fresh", 0, "v4"),
        ("late", 3, "v1"),
    ]
    plan = plan_of(names=("fresh", "late"), weights={"late": 4, "fresh": 2}, staleness={"late": 3})
    assert plan.factors == {"fresh": 0.5, "late": 0.5}
    assert plan.shares == {"fresh": 0.5, "late": 1.0}
    assert buffer.ready == {"more": "v4"}
    assert buffer.cohort({}) is None
    with pytest.raises(InvalidValue, match="late must not be in a running cohort"):
        buffer.add("late", "v4")
    buffer.ended("v5", number=4)
    with pytest.raises(
        InvalidValue, match="trained after round 4, in which its last one was; got for round 4"
    ):
        buffer.add("late", "v5", number=4)
    buffer.add("late", "v5", number=5)
    assert buffer.state() == {
        "versions": ["v1", "v2", "v3", "v4", "v5"],
        "ready": {"more": "v4", "late": "v5"},
        "taken": {"fresh": 4, "late": 4},
    }


def test_a_stale_update_shrinks_and_does_not_count_for_more() -> None:
    """FedBuff: each delta is multiplied by (1 + staleness)^-a, the sum divided by the number of updates."""
    staleness, deltas = (
        {"a": 0, "b": 3, "c": 8},
        {"a": [0.6, 0, 0, 0], "b": [0, 0.6, 0, 0], "c": [0, 0, 0.6, 0]},
    )
    expected = np.array([0.6 / 3, 0.6 / 2 / 3, 0.6 / 3 / 3, 0.0])
    secret = _secure(staleness=staleness)
    secret.start()
    outcome = outcome_in(
        secret.handle(AttemptDone(attempt=1, total=_total(deltas, secret), survivors=("a", "b", "c")))
    )
    np.testing.assert_allclose(mean_in(outcome), expected, atol=2 / 65_536)
    seen = _visible(staleness=staleness)
    for name, delta in deltas.items():
        effects = seen.handle(Received(update=update_of(name, delta), now=1))
    np.testing.assert_allclose(mean_in(outcome_in(effects)), expected, rtol=1e-14)


def test_what_is_unknown_or_too_stale_or_twice_is_not_buffered() -> None:
    buffer = Buffer(Buffering(size=2, most_stale=1), ("v1", "v2", "v3"))
    with pytest.raises(InvalidValue, match="base_version must be a version of this session; got 'v9'"):
        buffer.add("a", "v9")
    with pytest.raises(
        InvalidValue, match="an update of a may be <= 1 versions behind; got 2: train on the newest"
    ):
        buffer.add("a", "v1")
    buffer.add("a", "v2")
    buffer.add("a", "v2")
    assert len(buffer) == 1
    with pytest.raises(InvalidValue, match="a may wait with 1 update"):
        buffer.add("a", "v3")
    buffer.ended("v4")
    buffer.add("b", "v4")
    assert buffer.cohort({"a": 1, "b": 1}) is None
    assert buffer.ready == {"b": "v4"}


def test_members_of_a_plan_differ_and_are_known() -> None:
    with pytest.raises(InvalidValue, match="members of a round must differ, in the order of ids"):
        plan_of(names=("b", "a"))
    with pytest.raises(InvalidValue, match="members of a round must differ"):
        plan_of(names=())
    with pytest.raises(InvalidValue, match="weight of a must be finite and >= 1"):
        plan_of(weights={"a": 0})
    with pytest.raises(UnknownName, match="member of round 1 must be one of a, b, c; got 'eve'"):
        plan_of().member("eve")


def test_a_factor_never_lengthens_an_update_beyond_the_clip() -> None:
    plan = plan_of(mode=Mode.SUM, weights={"a": 1, "b": 7, "c": 3}, staleness={"b": 2})
    assert max(plan.factors.values()) <= 1.0
    vector = masked_input(update_of("b", [1.0, 0, 0, 0]), True, plan, SystemEntropy())
    scale = Scale(clip=1.0, clip_int=65_536)
    assert np.linalg.norm(vector) <= scale.norm_bound(D)
    plain = quantise(np.array([3.0**-0.5, 0, 0, 0]), scale, SystemEntropy())
    assert abs(int(vector[0]) - int(plain[0])) <= 1


def test_closed_is_the_last_effect_of_a_round() -> None:
    machine = _visible()
    effects = [
        effect
        for name in ("a", "b", "c")
        for effect in machine.handle(Received(update=update_of(name), now=1))
    ]
    assert [type(effect) for effect in effects] == [Answered, Answered, Answered, Closed]
