"""Cohorts of the buffered mode: who is in, and what staleness does to weight and length."""

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.federated.buffer import Buffer
from consilium.federated.secure_round import AttemptDone
from consilium.federated.session import Buffering
from consilium.federated.visible_round import Received
from federated_cases import mean_in, outcome_in, plan_of, secret_round, secret_sum, update_of, visible_round


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
    secret = secret_round(staleness=staleness)
    secret.start()
    outcome = outcome_in(
        secret.handle(AttemptDone(attempt=1, total=secret_sum(deltas, secret), survivors=("a", "b", "c")))
    )
    np.testing.assert_allclose(mean_in(outcome), expected, atol=2 / 65_536)
    seen = visible_round(staleness=staleness)
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
