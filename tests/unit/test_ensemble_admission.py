"""Who may vote together, and what happens when nobody does."""

import pytest

from consilium.domain import HOUR_NS, Direction, InvalidValue, Prediction, UnknownName
from consilium.ensemble import ModelSetting, action, reach_consensus
from ensemble_cases import forecast, says, signals

P = (0.1, 0.2, 0.7)
BASE = forecast("a", P)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (forecast("b", P, symbol="ETHUSDT"), "share one symbol; got BTCUSDT of a and ETHUSDT of b"),
        (forecast("b", P, horizon_ns=2 * HOUR_NS), "share one horizon_ns"),
        (forecast("b", P, label_id="l2"), "share one label_id; got l1 of a and l2 of b: reach one consensus"),
        (
            forecast("b", P, ts_event=HOUR_NS + 1),
            f"within one horizon of {HOUR_NS} ns; got {HOUR_NS + 1} ns apart",
        ),
        (forecast("a", P), "each model must give one prediction; got two of a"),
    ],
)
def test_predictions_that_answer_another_question_are_refused(other: Prediction, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        reach_consensus([BASE, other])
    with pytest.raises(InvalidValue):
        reach_consensus([other, BASE])


def test_predictions_exactly_a_horizon_apart_vote_and_the_later_time_counts() -> None:
    consensus = reach_consensus([forecast("b", P, ts_event=HOUR_NS), BASE])
    assert consensus.ts_event == HOUR_NS


def test_no_predictions_are_refused_because_nothing_says_the_symbol() -> None:
    with pytest.raises(InvalidValue, match="at least 1 prediction; got 0: give the models' predictions"):
        reach_consensus([])


def test_an_unknown_rule_is_refused_and_the_right_one_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'smart_vote'"):
        reach_consensus([BASE], rule="smart_vot")


@pytest.mark.parametrize("kind", ["allocations", "trust"])
@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"a": -0.1, "b": 1.0}, "must be finite and >= 0; got -0.1 for a"),
        ({"a": float("nan"), "b": 1.0}, "must be finite and >= 0; got nan for a"),
        ({"a": float("inf"), "b": 1.0}, "must be finite and >= 0; got inf for a"),
        ({"a": 0.0, "b": 0.0}, "must not all be 0"),
        ({"a": 1.0}, "must name every voter; got none for b: add b"),
    ],
)
def test_shares_that_cannot_weigh_are_refused(kind: str, shares: dict[str, float], message: str) -> None:
    allocations, trust = (shares, None) if kind == "allocations" else (None, shares)
    with pytest.raises(InvalidValue, match=f"{kind} {message}"):
        reach_consensus([BASE, forecast("b", P)], allocations=allocations, trust=trust)


def test_shares_too_large_to_add_up_are_refused() -> None:
    with pytest.raises(InvalidValue, match="finite sum"):
        reach_consensus([BASE], allocations={"a": 1e200}, trust={"a": 1e200})


@pytest.mark.parametrize("volatility", [-0.01, float("nan"), float("inf")])
def test_a_volatility_that_cannot_be_is_refused(volatility: float) -> None:
    with pytest.raises(InvalidValue, match="volatility must be finite and >= 0"):
        reach_consensus([BASE], volatility=volatility)


def test_a_model_that_the_settings_do_not_name_is_refused() -> None:
    with pytest.raises(InvalidValue, match="got b: add b to models"):
        reach_consensus([BASE, forecast("b", P)], models={"a": ModelSetting()})


def test_a_min_confidence_outside_the_fractions_is_refused() -> None:
    with pytest.raises(InvalidValue, match="min_confidence"):
        ModelSetting(min_confidence=69.0)


@pytest.mark.parametrize("rule", ["smart_vote", "weighted_voting"])
@pytest.mark.parametrize("setting", [ModelSetting(enabled=False), ModelSetting(min_confidence=0.99)])
def test_without_a_voter_the_class_prior_is_published(rule: str, setting: ModelSetting) -> None:
    prior = (0.25, 0.45, 0.30)
    consensus = reach_consensus([BASE], rule=rule, models={"a": setting}, prior=prior)
    assert (consensus.direction, consensus.level, consensus.reason) == (Direction.FLAT, "none", "no_voter")
    assert consensus.probabilities == prior
    assert consensus.p_direction == consensus.confidence == 0.45
    assert dict(consensus.weights) == {}
    assert action(consensus) == "HOLD"
    even = reach_consensus([BASE], rule=rule, models={"a": setting})
    assert even.probabilities == (1 / 3, 1 / 3, 1 / 3)


def test_voters_without_weight_are_as_no_voters() -> None:
    shy = {"a": ModelSetting(min_confidence=0.9), "b": ModelSetting()}
    spoken = [BASE, forecast("b", P)]
    consensus = reach_consensus(spoken, models=shy, allocations={"a": 1.0, "b": 0.0})
    assert (consensus.level, consensus.reason) == ("none", "no_weight")


def test_a_confidence_of_exactly_the_least_votes() -> None:
    consensus = reach_consensus(
        signals(a="BUY 60", b="BUY 60"),
        models={"a": ModelSetting(min_confidence=0.6), "b": ModelSetting(min_confidence=0.600001)},
    )
    assert set(consensus.weights) == {"a"}


def test_n_counts_enabled_models_that_did_not_speak() -> None:
    models = {name: ModelSetting() for name in "abcd"} | {"e": ModelSetting(enabled=False)}
    consensus = reach_consensus(
        [says("a", "BUY 80"), says("b", "BUY 80"), says("c", "BUY 80")], models=models
    )
    assert (consensus.level, consensus.agreement) == ("strong", 1.0)


def test_a_prediction_whose_figures_sum_a_hair_above_one_is_no_error() -> None:
    spoken = [forecast(m, (0.0, 0.0, 1.0000009)) for m in "ab"]
    for rule in ("smart_vote", "weighted_voting"):
        consensus = reach_consensus(spoken, rule=rule)
        assert consensus.p_direction == consensus.confidence == 1.0
