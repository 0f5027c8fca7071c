"""Rounds whose updates are seen: bad input, repeats, stragglers; and what every plan keeps."""

from typing import Any

import numpy as np
import pytest

from consilium.domain import InvalidValue, UnknownName
from consilium.federated.entropy import SystemEntropy
from consilium.federated.learner import masked_input
from consilium.federated.quantising import Scale, quantise
from consilium.federated.rounds import Answered, Closed, Tick
from consilium.federated.session import Mode
from consilium.federated.visible_round import Received
from federated_cases import SECOND, D, mean_in, outcome_in, plan_of, update_of, visible_round


def test_a_round_closes_when_all_have_answered_and_holds_the_plain_mean() -> None:
    machine = visible_round()
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
    machine = visible_round(names=("a", "b"), weights={"a": 3, "b": 1})
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
    machine = visible_round()
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
    machine = visible_round()
    (answer,) = machine.handle(Received(update=update_of("eve"), now=1))
    assert isinstance(answer, Answered)
    assert "member of round 1 must be one of a, b, c; got 'eve'" in answer.reason
    outcome = outcome_in(machine.handle(Tick(now=60 * SECOND)))
    assert "eve" not in [one.participant for one in outcome.excluded]


def test_a_repeated_update_counts_once_and_gets_the_same_answer_even_late() -> None:
    machine = visible_round()
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
    machine = visible_round()
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
    machine = visible_round()
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
    machine = visible_round()
    machine.handle(Received(update=update_of("a"), now=1))
    outcome = outcome_in(machine.handle(Tick(now=60 * SECOND)))
    assert outcome.mean is None
    assert outcome.failed == "a round needs >= 2 updates; got 1: wait longer or ask more"


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
    machine = visible_round()
    effects = [
        effect
        for name in ("a", "b", "c")
        for effect in machine.handle(Received(update=update_of(name), now=1))
    ]
    assert [type(effect) for effect in effects] == [Answered, Answered, Answered, Closed]
