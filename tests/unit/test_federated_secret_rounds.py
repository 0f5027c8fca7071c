"""Rounds whose updates are summed in secret: survivors, attempts, withdrawals, restarts, impossible sums."""

import json

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.federated.clipping import next_clip
from consilium.federated.entropy import SystemEntropy
from consilium.federated.learner import masked_input
from consilium.federated.rounds import RoundPlan, StartAttempt, Tick, Withdrawn
from consilium.federated.secure_round import AttemptDone, AttemptFailed, SecureRound
from consilium.federated.visible_round import Received
from federated_cases import SECOND, D, mean_in, outcome_in, secret_round, secret_sum, update_of, visible_round


def test_the_mean_of_a_secret_sum_is_that_of_its_survivors() -> None:
    machine = secret_round(weights={"a": 2, "b": 1, "c": 1})
    assert machine.start() == [StartAttempt(attempt=1, members=("a", "b", "c"), size=D)]
    total = secret_sum({"a": [0.4, 0, 0, 0.1], "c": [0, 0.4, 0, 0.1]}, machine)
    outcome = outcome_in(machine.handle(AttemptDone(attempt=1, total=total, survivors=("a", "c"))))
    np.testing.assert_allclose(mean_in(outcome), [0.8 / 3, 0.4 / 3, 0, 0.1], atol=2 / 65_536)
    assert outcome.survivors == ("a", "c")
    assert [one.as_dict() for one in outcome.excluded] == [
        {"participant": "b", "reason": "fell silent in attempt 1"}
    ]


def test_a_failed_attempt_is_followed_by_another_without_those_who_were_refused() -> None:
    machine = secret_round()
    machine.start()
    effects = machine.handle(AttemptFailed(attempt=1, why="no shares", excluded={"b": "wrong key"}))
    assert effects == [StartAttempt(attempt=2, members=("a", "c"), size=D)]
    assert machine.handle(AttemptFailed(attempt=1, why="again")) == []
    total = secret_sum({"a": [0.2, 0, 0, 0], "c": [0.4, 0, 0, 0]}, machine)
    outcome = outcome_in(machine.handle(AttemptDone(attempt=2, total=total, survivors=("a", "c"))))
    assert outcome.attempts == 2
    assert outcome.excluded[0].reason == "wrong key"


def test_attempts_run_out() -> None:
    machine = secret_round(attempts=2)
    machine.start()
    machine.handle(AttemptFailed(attempt=1, why="too few"))
    outcome = outcome_in(machine.handle(AttemptFailed(attempt=2, why="too few")))
    assert outcome.failed == "no sum in 2 attempts; the last: too few"
    assert outcome.mean is None


def test_no_update_is_used_again_once_shares_may_be_out() -> None:
    machine = secret_round()
    machine.start()
    outcome = outcome_in(machine.handle(AttemptFailed(attempt=1, why="too few acks", released=True)))
    assert outcome.failed == "too few acks; shares may be out, so the updates are not used again"


def test_a_round_below_its_least_ends() -> None:
    machine = secret_round()
    machine.start()
    effects = machine.handle(
        AttemptFailed(attempt=1, why="silence", excluded={"a": "silent", "b": "silent", "x": "who?"})
    )
    outcome = outcome_in(effects)
    assert outcome.failed == "a round needs >= 2 participants; got 1: silence"
    assert [one.participant for one in outcome.excluded] == ["a", "b"]


def test_the_cut_off_ends_a_secret_round() -> None:
    machine = secret_round()
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
    machine = secret_round()
    machine.start()
    done = AttemptDone(attempt=1, total=total.astype(np.int64), survivors=survivors)
    outcome = outcome_in(machine.handle(done))
    assert outcome.mean is None
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(outcome.failed)


def test_the_bit_tells_how_many_were_within_the_clip_and_nothing_more() -> None:
    machine = secret_round(with_bit=True)
    assert machine.start() == [StartAttempt(attempt=1, members=("a", "b", "c"), size=D + 1)]
    parts = [
        masked_input(update_of(name), within, machine.plan, SystemEntropy())
        for name, within in (("a", True), ("b", False), ("c", True))
    ]
    done = AttemptDone(attempt=1, total=np.sum(parts, axis=0), survivors=("a", "b", "c"))
    outcome = outcome_in(machine.handle(done))
    assert outcome.share_below == pytest.approx(2 / 3)
    assert next_clip(1.0, 2 / 3) < 1.0 < next_clip(1.0, 1 / 3)
    lied = secret_round(with_bit=True)
    lied.start()
    total = np.array([0, 0, 0, 0, 9])
    assert (
        "must lie in [0, 3]; got 9"
        in outcome_in(lied.handle(AttemptDone(attempt=1, total=total, survivors=("a", "b", "c")))).failed
    )


def test_who_leaves_a_round_out_is_not_waited_for() -> None:
    machine = visible_round()
    assert machine.handle(Withdrawn(participant="b", reason="diverged")) == []
    assert machine.handle(Withdrawn(participant="eve", reason="hello")) == []
    machine.handle(Received(update=update_of("a"), now=1))
    outcome = outcome_in(machine.handle(Received(update=update_of("c"), now=1)))
    assert [one.as_dict() for one in outcome.excluded] == [{"participant": "b", "reason": "diverged"}]
    secret = secret_round()
    secret.handle(Withdrawn(participant="b", reason="diverged"))
    assert secret.start() == [StartAttempt(attempt=1, members=("a", "c"), size=D)]
    total = secret_sum({"a": [0.2, 0, 0, 0], "c": [0.4, 0, 0, 0]}, secret)
    done = AttemptDone(attempt=1, total=total, survivors=("a", "c"))
    assert outcome_in(secret.handle(done)).excluded[0].reason == "diverged"


def test_a_secret_round_goes_on_from_its_state() -> None:
    machine = secret_round(attempts=2)
    machine.start()
    machine.handle(AttemptFailed(attempt=1, why="no shares", excluded={"b": "wrong key"}))
    again = SecureRound.restore(json.loads(json.dumps(machine.state())))
    assert again.plan == machine.plan
    assert again.attempt == 2
    total = secret_sum({"a": [0.2, 0, 0, 0], "c": [0.4, 0, 0, 0]}, again)
    outcome = outcome_in(again.handle(AttemptDone(attempt=2, total=total, survivors=("a", "c"))))
    np.testing.assert_allclose(mean_in(outcome), [0.3, 0, 0, 0], atol=2 / 65_536)
    assert (outcome.attempts, outcome.excluded[0].reason) == (2, "wrong key")
    with pytest.raises(InvalidValue, match="a plan must have the fields of a round"):
        RoundPlan.from_dict({**machine.plan.as_dict(), "more": 1})
