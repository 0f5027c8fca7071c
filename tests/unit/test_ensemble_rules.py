"""Majority, unanimous, confidence_based, adaptive, trust_weighted and log_pool, each by hand."""

import json
from math import log

import numpy as np
import pytest

from consilium.domain import Direction, InvalidValue, half_brier, log_loss
from consilium.ensemble import LogPool, action, make_rule, reach_consensus
from ensemble_cases import forecast, signals

SEED_000 = signals(xgboost="BUY 85", patchtst="BUY 78", nhits="SELL 65")


@pytest.mark.promise("000", "vote strength = trust x confidence; agreement 2 of 3, BUY")
@pytest.mark.parametrize(
    ("trust", "confidence"),
    [
        ({"xgboost": 1.0, "patchtst": 1.0, "nhits": 1.0}, 1.63 / 2.28),
        ({"xgboost": 1.05, "patchtst": 1.0, "nhits": 0.97}, 1.6725 / 2.303),
    ],
)
def test_the_worked_example_of_seed_000_by_its_own_formula(
    trust: dict[str, float], confidence: float
) -> None:
    # The seed prints 0.756; see docs/decisions/001.
    consensus = reach_consensus(SEED_000, rule="trust_weighted", trust=trust)
    assert (consensus.direction, action(consensus)) == (Direction.UP, "BUY")
    assert consensus.confidence == pytest.approx(confidence, abs=1e-12)
    assert round(confidence, 3) in (0.715, 0.726)
    assert consensus.agreement == pytest.approx(2 / 3)
    assert consensus.support == pytest.approx((trust["xgboost"] + trust["patchtst"]) / sum(trust.values()))


def test_trust_weighted_takes_strength_and_not_heads() -> None:
    spoken = signals(a="BUY 90", b="SELL 50", c="SELL 50")
    strong = reach_consensus(spoken, rule="trust_weighted", trust={"a": 2.0, "b": 0.5, "c": 0.5})
    assert strong.direction is Direction.UP
    assert strong.agreement == pytest.approx(1 / 3)
    assert strong.confidence == pytest.approx(1.8 / 2.3)
    assert strong.support == pytest.approx(2 / 3)
    assert strong.gates["agreement"] == "pass"
    even = reach_consensus(spoken, rule="trust_weighted")
    assert even.direction is Direction.DOWN


def test_equal_strengths_are_a_tie() -> None:
    consensus = reach_consensus(signals(a="BUY 80", b="SELL 80"), rule="trust_weighted")
    assert (consensus.direction, consensus.reason) == (Direction.FLAT, "tie")
    assert consensus.confidence == pytest.approx(0.1)


def test_without_any_confidence_strength_is_trust() -> None:
    spoken = [forecast("a", (0.1, 0.2, 0.7), confidence=0.0), forecast("b", (0.7, 0.2, 0.1), confidence=0.0)]
    for rule in ("trust_weighted", "confidence_based"):
        consensus = reach_consensus(spoken, rule=rule, trust={"a": 3.0, "b": 1.0})
        assert consensus.direction is Direction.UP
        assert dict(consensus.weights) == {"a": 0.75, "b": 0.25}


@pytest.mark.promise("004", "strategy majority: most heads win, a tie is FLAT")
def test_majority_counts_heads_and_nothing_else() -> None:
    spoken = signals(a="BUY 40", b="BUY 40", c="SELL 99")
    consensus = reach_consensus(spoken, rule="majority", allocations={"a": 1.0, "b": 1.0, "c": 9.0})
    assert consensus.direction is Direction.UP
    assert consensus.confidence == pytest.approx((0.4 + 0.4 + 0.005) / 3)
    assert dict(consensus.weights) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    tied = reach_consensus(signals(a="BUY 90", b="SELL 50"), rule="majority")
    assert (tied.direction, tied.reason, tied.level) == (Direction.FLAT, "tie", "split")


@pytest.mark.promise("004", "strategy unanimous: all the same direction, else no action")
def test_one_dissenter_ends_unanimity() -> None:
    agreed = reach_consensus(signals(a="BUY 60", b="BUY 80"), rule="unanimous", allocations={"a": 1, "b": 3})
    assert action(agreed) == "BUY"
    assert agreed.confidence == pytest.approx(0.75)
    apart = reach_consensus(signals(a="BUY 90", b="BUY 90", c="HOLD 40"), rule="unanimous")
    assert (apart.direction, apart.reason, apart.actionable) == (Direction.FLAT, "not_unanimous", False)
    assert apart.level == "strong"
    assert apart.agreement == pytest.approx(2 / 3)
    assert apart.confidence == pytest.approx((0.05 + 0.05 + 0.4) / 3)


@pytest.mark.promise("004", "strategy confidence_based: weight x confidence")
def test_confidence_multiplies_the_weight() -> None:
    spoken = signals(a="BUY 90", b="SELL 45")
    consensus = reach_consensus(spoken, rule="confidence_based", allocations={"a": 1, "b": 2})
    assert dict(consensus.weights) == pytest.approx({"a": 0.5, "b": 0.5})
    assert consensus.confidence == pytest.approx((0.9 + 0.275) / 2)


@pytest.mark.promise("004", "strategy adaptive: weights follow performance")
def test_adaptive_asks_trust_alone() -> None:
    spoken = signals(a="BUY 80", b="SELL 80")
    consensus = reach_consensus(
        spoken, rule="adaptive", allocations={"a": 0.01, "b": 0.99}, trust={"a": 0.9, "b": 0.1}
    )
    assert dict(consensus.weights) == pytest.approx({"a": 0.9, "b": 0.1})
    assert (consensus.direction, consensus.gates["agreement"]) == (Direction.UP, "pass")


def test_the_log_pool_is_the_geometric_mean_scaled_to_one() -> None:
    a, b = np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.3, 0.4])
    product = np.sqrt(a * b)
    spoken = [forecast("a", tuple(a.tolist())), forecast("b", tuple(b.tolist()))]
    assert reach_consensus(spoken, rule="log_pool").probabilities == pytest.approx(product / product.sum())
    rule = LogPool(weights={"a": 3.0, "b": 1.0}, temperature=0.8)
    bent = a ** (0.75 / 0.8) * b ** (0.25 / 0.8)
    consensus = reach_consensus(spoken, rule=rule)
    assert consensus.probabilities == pytest.approx(bent / bent.sum())
    assert dict(consensus.weights) == {"a": 0.75, "b": 0.25}


def test_one_certain_model_does_not_veto_all_others() -> None:
    spoken = [forecast("a", (1.0, 0.0, 0.0)), *(forecast(m, (0.1, 0.1, 0.8)) for m in "bcdefgh")]
    consensus = reach_consensus(spoken, rule="log_pool")
    assert consensus.probabilities[Direction.UP] > 0.3
    assert sum(consensus.probabilities) == pytest.approx(1.0)


def planted(n: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Three models: one knows and is too timid, one knows half as much, one is noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    seen = [np.where(rng.random(n) < share, y, rng.integers(0, 3, n)) for share in (0.6, 0.3)]
    timid = 0.25 + 0.25 * np.eye(3)[seen[0]]
    half = 0.2 + 0.4 * np.eye(3)[seen[1]]
    noise = rng.dirichlet((4.0, 4.0, 4.0), n)
    return np.stack([timid, half, noise], axis=1), y


def pooled_log_loss(b: np.ndarray, p: np.ndarray, y: np.ndarray) -> float:
    z = np.einsum("m,imk->ik", b, np.log(p))
    z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float(-z[np.arange(len(y)), y].sum())


def test_the_fit_finds_the_least_log_loss_that_a_search_by_hand_can_find() -> None:
    p, y = planted(400)
    rule = LogPool.fit(["timid", "half", "noise"], p, y, ridge=1e-9)
    b = np.array([rule.weights[m] for m in ("timid", "half", "noise")]) / rule.temperature
    best = pooled_log_loss(b, p, y)
    for _ in range(3):
        for step in (0.3, 0.03, 0.003):
            for moved in np.ndindex(3, 3, 3):
                near = np.maximum(b + step * (np.array(moved) - 1), 0.0)
                assert pooled_log_loss(near, p, y) >= best - 1e-6
    assert rule.temperature < 1.0
    assert rule.weights["noise"] < 0.05 < rule.weights["half"] < rule.weights["timid"]


def test_the_fitted_pool_beats_the_mean_on_outcomes_it_has_not_seen() -> None:
    names = ["timid", "half", "noise"]
    rule = LogPool.fit(names, *planted(1000))
    p, y = planted(1000, seed=8)
    spoken = [[forecast(m, tuple(row[i].tolist())) for i, m in enumerate(names)] for row in p]
    said = np.array([reach_consensus(s, rule=rule).probabilities for s in spoken])
    assert log_loss(said, y).mean() < log_loss(p.mean(axis=1), y).mean() - 0.02
    assert half_brier(said, y).mean() < half_brier(p.mean(axis=1), y).mean() - 0.01


def test_clones_share_the_weight_of_one() -> None:
    p, y = planted(600)
    cloned = np.concatenate([p, p[:, :1]], axis=1)
    rule = LogPool.fit(["timid", "half", "noise", "clone"], cloned, y, ridge=1e-3)
    assert rule.weights["timid"] == pytest.approx(rule.weights["clone"], abs=1e-3)


def test_forecasts_worth_nothing_are_flattened_and_not_sharpened() -> None:
    rng = np.random.default_rng(3)
    p = rng.dirichlet((2.0, 2.0, 2.0), (4000, 2))
    rule = LogPool.fit(["a", "b"], p, rng.integers(0, 3, 4000))
    assert rule.temperature > 5.0


def test_a_fitted_log_pool_survives_as_json() -> None:
    rule = LogPool.fit(["a", "b", "c"], *planted(100))
    assert LogPool.of(json.loads(json.dumps(rule.state()))) == rule
    for damaged in ({}, {"rule": "log_pool"}, rule.state() | {"temperature": -1.0}):
        with pytest.raises(InvalidValue, match="state must be one of rule log_pool"):
            LogPool.of(damaged)


def test_a_fitted_log_pool_refuses_a_voter_it_was_not_fitted_for() -> None:
    rule = LogPool(weights={"a": 1.0})
    with pytest.raises(InvalidValue, match="log_pool was fitted for a; got b"):
        reach_consensus([forecast(m, (0.1, 0.2, 0.7)) for m in "ab"], rule=rule)
    with pytest.raises(InvalidValue, match="temperature must be finite and > 0"):
        make_rule("log_pool", temperature=0.0)
    with pytest.raises(InvalidValue, match="weights must be finite"):
        LogPool(weights={"a": -1.0})


@pytest.mark.parametrize(
    ("p", "y"),
    [
        (np.zeros((0, 1, 3)), np.zeros(0, dtype=int)),
        (np.full((2, 1, 3), 0.5), np.zeros(2, dtype=int)),
        (np.full((2, 1, 3), 1 / 3), np.array([0, 3])),
        (np.full((2, 2, 3), 1 / 3), np.array([0, 1])),
    ],
)
def test_a_fit_on_what_is_no_forecast_is_refused(p: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(InvalidValue):
        LogPool.fit(["a"], p, y)


def test_the_log_pool_of_equal_experts_is_a_sum_of_logits() -> None:
    one, other = 0.8, 0.7
    spoken = [forecast("a", (1 - one, 0.0, one)), forecast("b", (1 - other, 0.0, other))]
    p = reach_consensus(spoken, rule=LogPool(temperature=0.5)).probabilities
    total = log(one / (1 - one)) + log(other / (1 - other))
    assert log(p[2] / p[0]) == pytest.approx(total, abs=1e-9)
