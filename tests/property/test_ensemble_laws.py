"""Laws that hold for every rule in RULES; a new rule is examined without a new line here."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consilium.domain import Consensus, Direction, Prediction
from consilium.ensemble import PRESETS, RULES, Gates, ModelSetting, make_rule, reach_consensus
from ensemble_cases import forecast

LEVELS = ("weak", "split", "strong", "unanimous")
MODELS = "abcdefgh"

rules = pytest.mark.parametrize("rule", sorted(RULES))
linear_rules = pytest.mark.parametrize("rule", sorted(name for name in RULES if make_rule(name).linear))


@dataclass(frozen=True)
class Round:
    """What goes into one consensus."""

    predictions: tuple[Prediction, ...]
    allocations: dict[str, float]
    trust: dict[str, float]
    volatility: float | None
    gates: str

    def decide(self, rule: str, models: dict[str, ModelSetting] | None = None) -> Consensus:
        return reach_consensus(
            self.predictions,
            rule=rule,
            allocations=self.allocations,
            trust=self.trust,
            volatility=self.volatility,
            gates=self.gates,
            models=models,
        )


@st.composite
def probabilities(draw: st.DrawFn) -> tuple[float, float, float]:
    """Draw from a grid of twentieths, so that ties and unanimity are common."""
    down = draw(st.integers(0, 20))
    flat = draw(st.integers(0, 20 - down))
    return down / 20, flat / 20, (20 - down - flat) / 20


@st.composite
def rounds(draw: st.DrawFn, least: int = 1, most: int = 7) -> Round:
    names = MODELS[: draw(st.integers(least, most))]
    shares = st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 1.0, 2.0])
    return Round(
        predictions=tuple(
            forecast(name, draw(probabilities()), expected_return=draw(st.floats(-0.02, 0.02)))
            for name in names
        ),
        allocations={name: draw(shares) for name in names},
        trust={name: draw(shares) for name in names},
        volatility=draw(st.sampled_from([None, 0.01, 0.05, 0.08])),
        gates=draw(st.sampled_from(sorted(PRESETS))),
    )


def settings_of(voted: Round) -> dict[str, ModelSetting]:
    return {p.model: ModelSetting() for p in voted.predictions}


@rules
@given(voted=rounds(), data=st.data())
def test_the_order_of_voters_does_not_matter(rule: str, voted: Round, data: st.DataObject) -> None:
    shuffled = replace(voted, predictions=tuple(data.draw(st.permutations(voted.predictions))))
    assert shuffled.decide(rule) == voted.decide(rule)


@rules
@given(voted=rounds())
def test_weights_lie_on_the_simplex_and_name_the_voters(rule: str, voted: Round) -> None:
    weights = voted.decide(rule).weights
    assert set(weights) == {p.model for p in voted.predictions}
    assert all(w >= 0.0 for w in weights.values())
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.promise("004", "WEIGHTED_VOTING: weighted average of predictions")
@linear_rules
@given(voted=rounds())
def test_the_pool_is_the_weighted_mean_and_lies_in_the_hull_of_the_voters(rule: str, voted: Round) -> None:
    consensus = voted.decide(rule)
    for k in Direction:
        said = [p.probabilities[k] for p in voted.predictions]
        assert min(said) - 1e-12 <= consensus.probabilities[k] <= max(said) + 1e-12
        mean = sum(consensus.weights[p.model] * p.probabilities[k] for p in voted.predictions)
        assert consensus.probabilities[k] == pytest.approx(mean, abs=1e-12)


@rules
@given(voted=rounds())
def test_published_probabilities_are_a_distribution_whatever_the_rule(rule: str, voted: Round) -> None:
    consensus = voted.decide(rule)
    assert all(p >= 0.0 for p in consensus.probabilities)
    assert sum(consensus.probabilities) == pytest.approx(1.0, abs=1e-9)
    assert consensus.p_direction == pytest.approx(consensus.probabilities[consensus.direction])


@rules
@given(voted=rounds(), direction=st.sampled_from(list(Direction)), margins=st.data())
def test_if_all_agree_the_consensus_agrees(
    rule: str, voted: Round, direction: Direction, margins: st.DataObject
) -> None:
    def leaning(p: Prediction) -> Prediction:
        top = margins.draw(st.sampled_from([0.334, 0.34, 0.5, 0.75, 1.0]))
        spread = [(1.0 - top) / 2] * 3
        spread[direction] = top
        return forecast(p.model, (spread[0], spread[1], spread[2]))

    consensus = replace(voted, predictions=tuple(leaning(p) for p in voted.predictions)).decide(rule)
    assert consensus.direction is direction
    assert consensus.level.startswith("unanimous")
    assert consensus.agreement == 1.0
    assert consensus.support == pytest.approx(1.0)


@rules
@given(voted=rounds(least=2), data=st.data())
def test_a_disabled_model_changes_nothing(rule: str, voted: Round, data: st.DataObject) -> None:
    out = data.draw(st.sampled_from(voted.predictions)).model
    without = replace(voted, predictions=tuple(p for p in voted.predictions if p.model != out))
    models = settings_of(voted) | {out: ModelSetting(enabled=False)}
    assert voted.decide(rule, models) == without.decide(rule, settings_of(without))
    assert without.decide(rule, models) == without.decide(rule)


@rules
@given(voted=rounds(least=2), data=st.data())
def test_an_abstainer_changes_neither_forecast_nor_direction_and_never_raises_the_level(
    rule: str, voted: Round, data: st.DataObject
) -> None:
    shy = data.draw(st.sampled_from(voted.predictions))
    assume(shy.confidence < 1.0)
    silent = {shy.model: ModelSetting(min_confidence=1.0)}
    others = replace(voted, predictions=tuple(p for p in voted.predictions if p.model != shy.model))
    with_it = voted.decide(rule, settings_of(voted) | silent)
    without = others.decide(rule, settings_of(others))
    assert (with_it.probabilities, with_it.direction) == (without.probabilities, without.direction)
    assert dict(with_it.weights) == dict(without.weights)
    assert LEVELS.index(with_it.level.partition("_")[0]) <= LEVELS.index(without.level.partition("_")[0])
    assert without.actionable or not with_it.actionable


@rules
@given(voted=rounds(), scale=st.sampled_from([1e-6, 0.1, 1 / 3, 7.0, 1e6]))
def test_scaling_all_allocations_changes_nothing(rule: str, voted: Round, scale: float) -> None:
    scaled = replace(voted, allocations={m: a * scale for m, a in voted.allocations.items()})
    one, other = voted.decide(rule), scaled.decide(rule)
    assert (one.direction, one.level, one.actionable, one.reason) == (
        other.direction,
        other.level,
        other.actionable,
        other.reason,
    )
    assert other.probabilities == pytest.approx(one.probabilities, abs=1e-12)
    assert dict(other.weights) == pytest.approx(dict(one.weights), abs=1e-12)
    assert (other.confidence, other.score) == pytest.approx((one.confidence, one.score), abs=1e-12)


@rules
@given(voted=rounds())
def test_gates_change_neither_direction_nor_probabilities(rule: str, voted: Round) -> None:
    seed, edge = (replace(voted, gates=name).decide(rule) for name in ("seed", "edge"))
    assert (seed.direction, seed.probabilities, seed.confidence) == (
        edge.direction,
        edge.probabilities,
        edge.confidence,
    )


@rules
@given(voted=rounds())
def test_actionable_means_a_side_to_take_and_no_gate_against_it(rule: str, voted: Round) -> None:
    consensus = voted.decide(rule)
    against = [v for v in consensus.gates.values() if v != "pass" and not v.startswith("not evaluated: ")]
    assert consensus.actionable == (not against)
    assert consensus.reason == (against[0].partition(":")[0] if against else "")
    assert not (consensus.actionable and consensus.direction is Direction.FLAT)
    assert 0.0 <= consensus.score <= 0.95


@rules
@given(voted=rounds())
def test_turning_every_forecast_round_turns_the_consensus_round(rule: str, voted: Round) -> None:
    mirrored = replace(
        voted,
        predictions=tuple(
            forecast(p.model, p.probabilities[::-1], expected_return=-p.expected_return)
            for p in voted.predictions
        ),
    )
    one, other = voted.decide(rule), mirrored.decide(rule)
    assert other.direction == 2 - one.direction
    assert other.probabilities == pytest.approx(one.probabilities[::-1], abs=1e-12)
    assert (other.level, other.actionable) == (one.level, one.actionable)
    assert other.score == pytest.approx(one.score)


@rules
@given(voted=rounds())
def test_strict_gates_only_ever_hold_more_back(rule: str, voted: Round) -> None:
    def decided(gates: Gates) -> Consensus:
        return reach_consensus(voted.predictions, rule=rule, gates=gates, volatility=voted.volatility)

    assert decided(Gates.seed()).actionable or not decided(Gates.seed(strict=True)).actionable
