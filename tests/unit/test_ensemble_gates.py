"""Both gate presets, each at its threshold."""

import pytest

from consilium.domain import Consensus, InvalidValue, Prediction, UnknownName
from consilium.ensemble import Gates, action, reach_consensus
from consilium.ensemble.gates.edge import EdgeGates
from ensemble_cases import forecast, signals

UP_70 = [forecast(m, (0.1, 0.2, 0.7), expected_return=0.004) for m in ("a", "b")]
DOWN_70 = [forecast(m, (0.7, 0.2, 0.1), expected_return=-0.004) for m in ("a", "b")]


def weighted(spoken: list[Prediction], gates: str | Gates, volatility: float | None = 0.01) -> Consensus:
    return reach_consensus(spoken, rule="weighted_voting", gates=gates, volatility=volatility)


@pytest.mark.promise("002", "not enough models for an ensemble: minimum 2 required")
def test_one_voter_is_not_enough() -> None:
    consensus = weighted(UP_70[:1], "seed")
    assert (consensus.reason, consensus.gates["coverage"]) == (
        "below_min_voters",
        "below_min_voters: 1, needs 2",
    )
    assert weighted(UP_70[:1], Gates.seed(min_voters=1)).actionable


@pytest.mark.promise("004", "min_agreement=0.6: minimum agreement for consensus")
def test_three_of_five_heads_agree_enough_and_four_of_seven_do_not() -> None:
    ups, downs = ["BUY 90"] * 4, ["SELL 40"] * 3
    five = signals(**{f"m{i}": s for i, s in enumerate(ups[:3] + downs[:2])})
    assert weighted(five, "seed").gates["agreement"] == "pass"
    seven = signals(**{f"m{i}": s for i, s in enumerate(ups + downs)})
    assert weighted(seven, "seed").reason == "below_min_agreement"


@pytest.mark.promise("004", "confidence_threshold=0.5: minimum confidence to act")
def test_a_confidence_of_exactly_one_half_passes() -> None:
    assert weighted([forecast(m, (0.2, 0.3, 0.5)) for m in "ab"], "seed").actionable
    below = weighted([forecast(m, (0.2, 0.301, 0.499)) for m in "ab"], "seed")
    assert below.reason == "below_confidence_threshold"


@pytest.mark.promise("002", "min_confidence=0.69")
def test_the_agents_least_confidence_is_a_setting() -> None:
    assert weighted(UP_70, Gates.seed(confidence_threshold=0.69)).actionable
    assert not weighted(UP_70, Gates.seed(confidence_threshold=0.71)).actionable


@pytest.mark.promise("004", "neutral_threshold=0.1: threshold for neutral prediction")
def test_a_lean_of_exactly_a_tenth_passes() -> None:
    gates = Gates.seed(confidence_threshold=0.0)
    assert weighted([forecast(m, (0.4, 0.1, 0.5)) for m in "ab"], gates).actionable
    assert weighted([forecast(m, (0.41, 0.1, 0.49)) for m in "ab"], gates).reason == "below_neutral_threshold"


def test_the_seed_preset_holds_any_rule_in_a_wild_market() -> None:
    spoken = signals(a="BUY 60", b="BUY 60")
    assert weighted(spoken, "seed", 0.05).actionable
    wild = weighted(spoken, "seed", 0.051)
    assert (wild.reason, wild.level) == ("volatility_hold", "unanimous_volatility_hold")


def test_a_gate_without_its_figure_never_reads_as_a_pass() -> None:
    consensus = weighted(UP_70, "seed", None)
    assert consensus.gates["volatility"] == "not evaluated: no volatility given"
    assert consensus.actionable
    strict = weighted(UP_70, Gates.seed(strict=True), None)
    assert (strict.reason, strict.actionable) == ("not_evaluated", False)
    assert weighted(UP_70, Gates.seed(strict=True)).actionable


def test_flat_is_never_actionable() -> None:
    gates = Gates.seed(neutral_threshold=0.0)
    consensus = weighted([forecast(m, (0.1, 0.8, 0.1)) for m in "ab"], gates)
    assert (consensus.actionable, consensus.reason) == (False, "flat")


def test_gates_change_neither_direction_nor_probabilities() -> None:
    held = weighted(UP_70, Gates.seed(confidence_threshold=0.99))
    free = weighted(UP_70, "seed")
    assert (held.direction, held.probabilities) == (free.direction, free.probabilities)
    assert (action(held), action(free)) == ("HOLD", "BUY")


@pytest.mark.parametrize("spoken", [UP_70, DOWN_70])
def test_without_figures_the_edge_is_the_pooled_expected_return(spoken: list[Prediction]) -> None:
    consensus = weighted(spoken, "edge")
    assert consensus.actionable
    assert consensus.gates["break_even"] == "not evaluated: no mean_gain and mean_loss given"
    assert weighted(spoken, Gates.edge(round_trip_cost=0.004)).reason == "below_edge"


def test_an_expected_return_against_the_direction_is_no_edge() -> None:
    spoken = [forecast(m, (0.1, 0.2, 0.7), expected_return=-0.01) for m in "ab"]
    assert weighted(spoken, "edge").reason == "below_edge"


def test_models_without_an_expected_return_have_no_edge_by_name() -> None:
    assert weighted(signals(a="BUY 90", b="BUY 90"), "edge").reason == "below_edge"


@pytest.mark.parametrize("spoken", [UP_70, DOWN_70])
def test_the_edge_of_class_means_is_signed_by_the_direction(spoken: list[Prediction]) -> None:
    # .7 x .01 - .1 x .01 = .006 against 1.5 x cost; pooled expected returns of .004 are not read
    def gates(cost: float) -> Gates:
        return Gates.edge(mean_up=0.01, mean_down=-0.01, round_trip_cost=cost, mean_gain=0.02, mean_loss=0.01)

    assert weighted(spoken, gates(0.0039)).actionable
    assert weighted(spoken, gates(0.0041)).reason == "below_edge"


def test_an_edge_of_exactly_what_is_needed_does_not_pass() -> None:
    spoken = [forecast("a", (0.25, 0.25, 0.5))]
    figures = {"mean_up": 1.0, "mean_down": -0.5, "mean_gain": 1.0, "mean_loss": 0.0}
    at = weighted(spoken, Gates.edge(round_trip_cost=0.25, **figures))
    assert at.gates["edge"] == "below_edge: 0.37500, needs more than 0.37500"
    assert weighted(spoken, Gates.edge(round_trip_cost=0.2499, **figures)).gates["edge"] == "pass"


def test_odds_of_exactly_break_even_do_not_pass() -> None:
    spoken = [forecast("a", (0.25, 0.25, 0.5))]
    figures = {"mean_up": 1.0, "mean_down": -1.0, "round_trip_cost": 0.125}
    at = weighted(spoken, Gates.edge(mean_gain=0.5, mean_loss=0.25, **figures))
    assert at.reason == "below_break_even"
    assert weighted(spoken, Gates.edge(mean_gain=0.51, mean_loss=0.25, **figures)).actionable


def test_break_even_weighs_cost_gain_and_loss() -> None:
    gates = EdgeGates(mean_gain=0.012, mean_loss=0.01, round_trip_cost=0.002)
    assert gates.break_even == pytest.approx(12 / 22)
    assert EdgeGates().break_even is None


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"mean_up": 0.01}, "mean_up and mean_down must come together"),
        ({"mean_loss": 0.01}, "mean_gain and mean_loss must come together"),
        ({"mean_gain": 0.01, "mean_loss": -0.01}, "mean_loss must be >= 0; got -0.01: give a magnitude"),
        ({"mean_gain": 0.0, "mean_loss": 0.01}, "mean_gain must be > 0"),
        ({"round_trip_cost": -0.001}, "round_trip_cost must be >= 0"),
        ({"mean_up": float("nan"), "mean_down": -0.01}, "mean_up must be finite"),
    ],
)
def test_figures_that_cannot_be_are_refused(figures: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Gates.edge(**figures)


def test_a_setting_of_another_preset_is_refused_and_the_right_one_named() -> None:
    with pytest.raises(UnknownName, match="setting of gates seed must be one of"):
        Gates.seed(mean_up=0.01)
    with pytest.raises(UnknownName, match="did you mean 'min_agreement'"):
        Gates.seed(min_agrement=0.5)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(
        UnknownName, match="gate preset must be one of edge, seed; got 'sead': did you mean 'seed'"
    ):
        weighted(UP_70, "sead")


def test_none_means_the_preset_of_the_seeds() -> None:
    assert reach_consensus(UP_70, gates=None).gates == reach_consensus(UP_70, gates="seed").gates
