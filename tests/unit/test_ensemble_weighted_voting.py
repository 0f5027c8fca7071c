"""The default rule of seed 004."""

import pytest

from consilium.domain import Direction
from consilium.ensemble import SEED_004_ALLOCATIONS, ModelSetting, action, reach_consensus
from ensemble_cases import forecast, signals

SPOKEN = [
    forecast("cnn_lstm", (0.1, 0.15, 0.75), expected_return=0.002),
    forecast("mpd_transformer", (0.12, 0.2, 0.68), expected_return=0.0018),
    forecast("tlob", (0.2, 0.55, 0.25), expected_return=0.0001),
]
MODELS = {
    "cnn_lstm": ModelSetting(min_confidence=0.6),
    "mpd_transformer": ModelSetting(min_confidence=0.55),
    "tlob": ModelSetting(min_confidence=0.5),
}


@pytest.mark.promise(
    "004", "usage example: direction UP, agreement 2 of 3, should trade, meta-confidence, model contributions"
)
def test_the_worked_example_of_seed_004_by_the_definitions() -> None:
    consensus = reach_consensus(
        SPOKEN, rule="weighted_voting", allocations=SEED_004_ALLOCATIONS, models=MODELS
    )
    assert (consensus.direction, action(consensus)) == (Direction.UP, "BUY")
    assert consensus.agreement == pytest.approx(2 / 3)
    assert consensus.support == pytest.approx(0.75)
    assert dict(consensus.weights) == pytest.approx(dict(SEED_004_ALLOCATIONS))
    # .4 x .75 + .35 x .68 + .25 x .25. The seed prints .67, which is neither this nor the weighted mean of
    # all three confidences, .6755; see docs/decisions/001.
    assert consensus.confidence == pytest.approx(0.6005)
    assert sum(SEED_004_ALLOCATIONS[p.model] * p.confidence for p in SPOKEN) == pytest.approx(0.6755)
    assert consensus.meta_confidence == consensus.p_direction == pytest.approx(0.6005)


@pytest.mark.promise("004", "model weights have a min_confidence of their own")
def test_a_model_below_its_min_confidence_abstains() -> None:
    shy = MODELS | {"tlob": ModelSetting(min_confidence=0.5501)}
    consensus = reach_consensus(SPOKEN, rule="weighted_voting", allocations=SEED_004_ALLOCATIONS, models=shy)
    assert set(consensus.weights) == {"cnn_lstm", "mpd_transformer"}
    assert consensus.confidence == pytest.approx((0.3 + 0.238) / 0.75)
    assert (consensus.agreement, consensus.level) == (1.0, "strong")


def test_a_pool_that_cannot_decide_is_flat() -> None:
    spoken = [
        forecast("a", (0.45, 0.1, 0.45)),
        forecast("b", (0.6, 0.1, 0.3)),
        forecast("c", (0.3, 0.1, 0.6)),
    ]
    consensus = reach_consensus(spoken, rule="weighted_voting")
    assert (consensus.direction, consensus.reason) == (Direction.FLAT, "tie")
    assert consensus.confidence == pytest.approx(0.1)


def test_the_pool_may_choose_what_no_head_chose() -> None:
    spoken = [forecast("a", (0.51, 0.49, 0.0)), forecast("b", (0.0, 0.49, 0.51))]
    consensus = reach_consensus(spoken, rule="weighted_voting")
    assert (consensus.direction, consensus.agreement, consensus.support) == (Direction.FLAT, 0.0, 0.0)
    assert (consensus.level, consensus.reason) == ("weak", "flat")


def test_confidence_is_that_of_the_pool_and_not_of_the_heads() -> None:
    spoken = signals(a="BUY 90", b="SELL 50")
    consensus = reach_consensus(spoken, rule="weighted_voting")
    assert consensus.confidence == pytest.approx((0.9 + 0.25) / 2)
    assert consensus.score == pytest.approx(consensus.confidence * 0.8)


def test_voters_that_agree_by_a_hair_are_not_a_tie() -> None:
    hair = (1 / 3 - 1e-11, 1 / 3, 1 / 3 + 1e-11)
    spoken = [forecast(m, hair) for m in "abc"]
    assert spoken[0].direction is Direction.UP
    for rule in ("weighted_voting", "smart_vote"):
        assert reach_consensus(spoken, rule=rule).direction is Direction.UP
