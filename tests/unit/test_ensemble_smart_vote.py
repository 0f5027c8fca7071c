"""The default rule of seed 002."""

import pytest

from consilium.domain import Consensus, Direction, InvalidValue, Prediction
from consilium.ensemble import (
    SEED_002_ALLOCATIONS,
    Gates,
    ModelSetting,
    action,
    level_of,
    make_rule,
    reach_consensus,
    strong,
)
from ensemble_cases import forecast, signals

UNANIMOUS = {"xgboost": "BUY 78", "lightgbm": "BUY 82", "nhits": "BUY 85", "patchtst": "BUY 74"}
STRONG = {"xgboost": "BUY 76", "lightgbm": "BUY 81", "nhits": "BUY 79", "patchtst": "HOLD 68"}
SPLIT = {"xgboost": "BUY 72", "lightgbm": "SELL 70", "nhits": "BUY 68", "patchtst": "SELL 65"}
WILD = {"xgboost": "BUY 68", "lightgbm": "BUY 68", "nhits": "BUY 68", "patchtst": "BUY 68"}


def consensus_of(
    said: dict[str, str], volatility: float | None = 0.02, *, min_consensus: int | None = None
) -> Consensus:
    rule = make_rule("smart_vote", min_consensus=min_consensus)
    return reach_consensus(
        signals(**said), rule=rule, allocations=SEED_002_ALLOCATIONS, volatility=volatility
    )


@pytest.mark.promise("002", "weights: XGBoost 25 %, LightGBM 25 %, N-HiTS 30 %, PatchTST 20 %")
def test_the_allocations_of_the_seed_are_the_weights_of_the_four() -> None:
    consensus = consensus_of(UNANIMOUS)
    assert {name: round(weight, 12) for name, weight in consensus.weights.items()} == {
        "xgboost": 0.25,
        "lightgbm": 0.25,
        "nhits": 0.30,
        "patchtst": 0.20,
    }


@pytest.mark.promise("002", "confidence multipliers: unanimous 1.2, strong 1.1, split 0.8, weak 0.6")
def test_each_level_has_its_multiplier() -> None:
    assert [level_of(heads, 4) for heads in (4, 3, 2, 1)] == [
        ("unanimous", 1.2),
        ("strong", 1.1),
        ("split", 0.8),
        ("weak", 0.6),
    ]


@pytest.mark.promise("002", "example 1: four of four BUY gives BUY 95 % (unanimous x1.2)")
def test_four_of_four_is_unanimous_with_score_95() -> None:
    consensus = consensus_of(UNANIMOUS)
    assert (action(consensus), consensus.level) == ("BUY", "unanimous")
    # .25 x .78 + .25 x .82 + .30 x .85 + .20 x .74 = .803; x1.2 = .9636, clipped
    assert consensus.confidence == pytest.approx(0.803)
    assert consensus.score == 0.95


@pytest.mark.promise("002", "example 2: three of four BUY gives BUY (strong x1.1)")
def test_three_of_four_is_strong_with_score_866() -> None:
    consensus = consensus_of(STRONG)
    assert (action(consensus), consensus.level) == ("BUY", "strong")
    # (.25 x .76 + .25 x .81 + .30 x .79) / .80 = .786875; x1.1 = .8655625
    assert consensus.confidence == pytest.approx(0.786875)
    assert consensus.score == pytest.approx(0.8655625)
    assert round(consensus.score, 3) == 0.866
    assert consensus.agreement == 0.75
    assert consensus.support == pytest.approx(0.80)


@pytest.mark.promise("002", "example 3: 2-2 splits are HOLD")
def test_two_against_two_is_hold() -> None:
    consensus = consensus_of(SPLIT)
    assert (action(consensus), consensus.level, consensus.reason) == ("HOLD", "split", "tie")
    assert consensus.direction is Direction.FLAT
    assert consensus.confidence == consensus.probabilities[Direction.FLAT]
    # Level, support and score describe the leading direction, BUY: .384 / .55 x .8 = .5585
    assert consensus.support == pytest.approx(0.55)
    assert consensus.score == pytest.approx(0.384 / 0.55 * 0.8)
    assert consensus.gates["split"].startswith("conflict_resolved_to_hold")


@pytest.mark.promise("002", "example 4: all BUY 68 % at volatility 7 % is HOLD (volatility gate)")
def test_all_buy_68_at_volatility_7_percent_is_hold() -> None:
    consensus = consensus_of(WILD, 0.07)
    assert (action(consensus), consensus.level) == ("HOLD", "unanimous_volatility_hold")
    assert consensus.reason == "volatility_hold"
    # On the boosted score, .816, the seed's own example would pass.
    assert consensus.score == pytest.approx(0.816)


@pytest.mark.promise(
    "002", "consensus requirement: 3/4 models must agree for an action signal (min_consensus=3)"
)
def test_two_of_four_heads_do_not_act_however_sure_they_are() -> None:
    said = {"xgboost": "BUY 95", "lightgbm": "SELL 40", "nhits": "BUY 95", "patchtst": "HOLD 40"}
    consensus = consensus_of(said)
    assert consensus.direction is Direction.UP
    assert consensus.score >= 0.65
    assert consensus.reason == "below_min_consensus"
    assert consensus_of(said, min_consensus=2).gates["min_consensus"] == "pass"


@pytest.mark.promise("002", "a split below 65 % is conflict_resolved_to_hold")
def test_a_split_with_a_score_below_65_is_resolved_to_hold_before_heads_are_counted() -> None:
    said = {"xgboost": "BUY 80", "lightgbm": "SELL 40", "nhits": "BUY 80", "patchtst": "HOLD 40"}
    consensus = consensus_of(said)
    assert (consensus.direction, consensus.reason) == (Direction.UP, "conflict_resolved_to_hold")
    assert action(consensus) == "HOLD"


def test_a_split_with_a_score_of_exactly_65_is_no_conflict() -> None:
    said = {"a": "BUY 81.25", "b": "BUY 81.25", "c": "SELL 40", "d": "HOLD 40"}
    consensus = reach_consensus(signals(**said))
    assert consensus.score == pytest.approx(0.65, abs=1e-12)
    assert consensus.gates["split"] == "pass"


@pytest.mark.parametrize(("n", "heads"), [(2, 2), (3, 2), (4, 3), (5, 4), (6, 5), (7, 5), (8, 6), (9, 7)])
def test_strong_needs_three_quarters_and_more_than_half(n: int, heads: int) -> None:
    assert strong(n) == heads
    assert level_of(heads - 1, n)[0] != "strong"
    if heads < n:
        assert level_of(heads, n)[0] == "strong"


def test_strong_of_no_model_is_refused() -> None:
    with pytest.raises(InvalidValue, match="n >= 1"):
        strong(0)


def test_the_trees_against_the_nets_is_a_tie_and_not_a_buy() -> None:
    said = {"xgboost": "BUY 90", "lightgbm": "BUY 90", "nhits": "SELL 60", "patchtst": "SELL 60"}
    for swapped in (said, {model: said[model] for model in reversed(said)}):
        consensus = consensus_of(swapped)
        assert (consensus.direction, consensus.reason, consensus.support) == (Direction.FLAT, "tie", 0.5)


def test_a_tie_in_weight_with_unequal_heads_is_flat_and_the_larger_group_leads() -> None:
    spoken = signals(a="BUY 90", b="SELL 60", c="SELL 60")
    consensus = reach_consensus(spoken, allocations={"a": 0.5, "b": 0.25, "c": 0.25})
    assert (consensus.direction, consensus.reason) == (Direction.FLAT, "tie")
    assert consensus.agreement == pytest.approx(2 / 3)


def test_three_different_voices_are_a_tie() -> None:
    spoken = signals(a="BUY 90", b="SELL 60", c="HOLD 60")
    consensus = reach_consensus(spoken, allocations={"a": 0.6, "b": 0.2, "c": 0.2})
    assert (consensus.direction, consensus.level, consensus.reason) == (Direction.FLAT, "weak", "tie")


def test_weight_beats_heads_but_does_not_act_alone() -> None:
    spoken = signals(a="BUY 90", b="SELL 60", c="SELL 60")
    consensus = reach_consensus(spoken, allocations={"a": 0.6, "b": 0.2, "c": 0.2})
    assert (consensus.direction, consensus.level) == (Direction.UP, "weak")
    assert consensus.reason == "below_min_consensus"


def test_an_abstainer_counts_in_n_and_lowers_the_level() -> None:
    four = signals(**UNANIMOUS)
    models = {p.model: ModelSetting() for p in four} | {"patchtst": ModelSetting(min_confidence=0.75)}
    consensus = reach_consensus(four, models=models)
    assert (consensus.level, consensus.agreement) == ("strong", 1.0)
    assert "patchtst" not in consensus.weights


def test_a_volatility_of_exactly_5_percent_is_not_wild() -> None:
    assert consensus_of(WILD, 0.05).gates["volatility"] == "pass"
    assert consensus_of(WILD, 0.0500001).reason == "volatility_hold"


@pytest.mark.promise(
    "002", "volatility gate: high volatility (> 5 %) requires confidence of 70 %, else _volatility_hold"
)
def test_a_confidence_of_exactly_70_percent_stands_in_a_wild_market() -> None:
    sure = dict.fromkeys(WILD, "BUY 70")
    assert action(consensus_of(sure, 0.07)) == "BUY"
    unsure = dict.fromkeys(WILD, "BUY 69.999")
    assert action(consensus_of(unsure, 0.07)) == "HOLD"


def test_the_volatility_gate_of_the_rule_holds_under_every_preset() -> None:
    spoken = [forecast(m, (0.1, 0.25, 0.65), expected_return=0.01) for m in ("a", "b")]
    gates = Gates.edge(round_trip_cost=0.001)
    assert reach_consensus(spoken, gates=gates, volatility=0.01).actionable
    assert reach_consensus(spoken, gates=gates, volatility=0.06).reason == "volatility_hold"
    assert reach_consensus(spoken, gates=gates, volatility=0.06, rule="weighted_voting").actionable


def test_a_tie_in_a_wild_market_says_tie_first_and_keeps_the_suffix() -> None:
    consensus = consensus_of(SPLIT, 0.07)
    assert (consensus.reason, consensus.level) == ("tie", "split_volatility_hold")


def test_min_consensus_below_one_is_refused() -> None:
    with pytest.raises(InvalidValue, match="min_consensus must be >= 1; got 0"):
        make_rule("smart_vote", min_consensus=0)


def test_trust_multiplies_allocation() -> None:
    spoken: list[Prediction] = signals(a="BUY 60", b="BUY 80")
    consensus = reach_consensus(spoken, allocations={"a": 1.0, "b": 1.0}, trust={"a": 0.5, "b": 1.5})
    assert consensus.weights == {"a": 0.25, "b": 0.75}
    assert consensus.confidence == pytest.approx(0.75)
