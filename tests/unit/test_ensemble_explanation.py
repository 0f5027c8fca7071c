"""Why a consensus came out as it did: every single vote, changed by hand."""

import pytest

from consilium.domain import Direction, InvalidValue, signal_probabilities
from consilium.ensemble import (
    RULES,
    SEED_002_ALLOCATIONS,
    Gates,
    ModelSetting,
    action,
    explain,
    reach_consensus,
)
from ensemble_cases import forecast, signals

STRONG = signals(xgboost="BUY 76", lightgbm="BUY 81", nhits="BUY 79", patchtst="HOLD 68")


def test_an_explanation_tells_who_said_what_with_which_weight() -> None:
    models = {p.model: ModelSetting() for p in STRONG} | {"patchtst": ModelSetting(min_confidence=0.7)}
    consensus = reach_consensus(STRONG, allocations=SEED_002_ALLOCATIONS, models=models)
    told = explain(consensus, STRONG, allocations=SEED_002_ALLOCATIONS, models=models)
    assert [(v.model, v.direction.name, round(v.confidence, 2)) for v in told.voices] == [
        ("lightgbm", "UP", 0.81),
        ("nhits", "UP", 0.79),
        ("patchtst", "FLAT", 0.68),
        ("xgboost", "UP", 0.76),
    ]
    weights = {v.model: v.weight for v in told.voices}
    assert weights["patchtst"] is None
    assert weights["nhits"] == pytest.approx(0.30 / 0.80)
    assert dict(told.gates) == dict(consensus.gates)
    text = "\n".join(told.lines())
    assert "patchtst: HOLD 68.0%, no vote" in text
    assert "gate min_consensus: pass" in text


def test_each_buyer_of_three_in_four_is_pivotal_and_the_dissenter_is_not() -> None:
    consensus = reach_consensus(STRONG, allocations=SEED_002_ALLOCATIONS)
    assert action(consensus) == "BUY"
    told = explain(consensus, STRONG, allocations=SEED_002_ALLOCATIONS)
    assert {p.model for p in told.pivots} == {"xgboost", "lightgbm", "nhits"}
    assert all(p.action == "HOLD" for p in told.pivots)
    by_hand = signals(xgboost="SELL 76", lightgbm="BUY 81", nhits="BUY 79", patchtst="HOLD 68")
    changed = reach_consensus(by_hand, allocations=SEED_002_ALLOCATIONS)
    (pivot,) = [p for p in told.pivots if p.model == "xgboost" and p.to is Direction.DOWN]
    assert (pivot.direction, pivot.action, pivot.reason) == (
        changed.direction,
        action(changed),
        changed.reason,
    )
    assert f"  with xgb SELL: HOLD, direction {changed.direction.name}" in "\n".join(told.lines())


@pytest.mark.parametrize("rule", sorted(RULES))
def test_pivots_are_exactly_what_a_run_with_the_changed_vote_gives(rule: str) -> None:
    spoken = signals(a="BUY 60", b="BUY 55", c="SELL 70", d="HOLD 50", e="BUY 45")
    gates = Gates.seed(min_agreement=0.4, confidence_threshold=0.3, neutral_threshold=0.05)
    models = {p.model: ModelSetting() for p in spoken}
    consensus = reach_consensus(spoken, rule=rule, gates=gates)
    told = explain(consensus, spoken, gates=gates)
    found = {(p.model, p.to): (p.direction, p.action) for p in told.pivots}
    for voter in spoken:
        others = [p for p in spoken if p is not voter]
        for to in (*Direction, None):
            if to is voter.direction:
                continue
            if to is None:
                # Left out of the predictions but still among the models: it counts in n.
                changed = reach_consensus(others, rule=rule, gates=gates, models=models)
            else:
                p = signal_probabilities(to, voter.confidence)
                changed = reach_consensus([*others, forecast(voter.model, p)], rule=rule, gates=gates)
            now = (changed.direction, action(changed))
            expected = None if now == (consensus.direction, action(consensus)) else now
            assert found.get((voter.model, to)) == expected, (voter.model, to)


def test_where_nobody_is_pivotal_it_says_so() -> None:
    spoken = [forecast(m, (0.05, 0.05, 0.9)) for m in "abcdefg"]
    told = explain(reach_consensus(spoken), spoken)
    assert told.pivots == ()
    assert told.lines()[-1] == "  no change of a single vote would have changed direction or action"


def test_the_only_voter_who_abstains_leaves_nothing() -> None:
    spoken = [forecast("a", (0.1, 0.1, 0.8))]
    told = explain(reach_consensus(spoken), spoken)
    assert any(p.to is None and p.direction is Direction.FLAT and p.reason == "no_voter" for p in told.pivots)


def test_a_voter_without_a_most_probable_direction_can_be_turned_too() -> None:
    spoken = [forecast("a", (0.4, 0.2, 0.4)), forecast("b", (0.3, 0.3, 0.4))]
    told = explain(reach_consensus(spoken, rule="majority"), spoken)
    assert ("a", Direction.UP) in {(p.model, p.to) for p in told.pivots}


def test_the_sign_of_the_expected_return_follows_the_changed_vote() -> None:
    spoken = [forecast(m, (0.1, 0.2, 0.7), expected_return=0.01) for m in "ab"]
    consensus = reach_consensus(spoken, rule="weighted_voting", gates="edge")
    assert consensus.actionable
    told = explain(consensus, spoken, gates="edge")
    assert {p.reason for p in told.pivots if p.to is Direction.DOWN} == {"tie"}


def test_other_settings_than_those_of_the_consensus_are_refused() -> None:
    consensus = reach_consensus(STRONG, allocations=SEED_002_ALLOCATIONS)
    with pytest.raises(InvalidValue, match="explain needs the predictions and settings"):
        explain(consensus, STRONG, allocations=dict.fromkeys(SEED_002_ALLOCATIONS, 1.0))
    with pytest.raises(InvalidValue, match="explain needs the predictions and settings"):
        explain(consensus, STRONG, allocations=SEED_002_ALLOCATIONS, gates=Gates.seed(min_agreement=0.9))


@pytest.mark.parametrize("rule", ["smart_vote", "weighted_voting", "unanimous", "adaptive", "trust_weighted"])
def test_the_published_weights_stand_in_for_trust_that_was_not_kept(rule: str) -> None:
    trust = {"xgboost": 0.4, "lightgbm": 0.3, "nhits": 0.2, "patchtst": 0.1}
    consensus = reach_consensus(STRONG, rule=rule, trust=trust)
    kept = explain(consensus, STRONG, trust=trust)
    assert explain(consensus, STRONG, trust=consensus.weights).pivots == kept.pivots
