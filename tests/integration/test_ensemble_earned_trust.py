"""Who is right is found among those who agree with each other: planted streams, policy by policy."""

import os
from collections.abc import Iterable
from statistics import median

import numpy as np
import pytest

from consilium.domain import Direction
from consilium.ensemble import TrustPolicy, make_trust, reach_consensus
from trust_streams import Round, copies, herd_and_one, switching

FULL = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
SEEDS = 200 if FULL else 20
HERD = ("good", *(f"copy{i}" for i in range(8)))
NINE = ("old", "new", *(f"m{i}" for i in range(7)))


def teach(policy: TrustPolicy, one: Round) -> Direction:
    spoken, outcome = one
    consensus = reach_consensus(
        spoken, rule="trust_weighted", trust=policy.weights([p.model for p in spoken])
    )
    policy.learn(spoken, consensus=consensus)
    policy.learn(spoken, outcome=outcome)
    return consensus.direction


def learn(policy: TrustPolicy, one: Round) -> None:
    """Teach without asking for a direction; only a policy of the herd needs the consensus."""
    if policy.takes_prior:
        policy.learn(one[0], outcome=one[1])
    else:
        teach(policy, one)


def first_passage(policy: TrustPolicy, model: str, rounds: Iterable[Round], most: int) -> int:
    """Rounds until the model holds half of all weight."""
    for t, one in enumerate(rounds):
        if policy.weights(policy.models)[model] >= 0.5:
            return t
        learn(policy, one)
    return most


@pytest.mark.parametrize("name", ["fixed_share", "ewa_brier", "ewa_log", "adahedge"])
def test_a_model_right_in_60_percent_holds_half_the_weight_within_100_rounds(name: str) -> None:
    passages = [
        first_passage(make_trust(name, HERD), "good", herd_and_one(seed, 1000), 1000) for seed in range(SEEDS)
    ]
    assert median(passages) <= 100


def test_the_policy_of_the_seed_never_finds_the_better_model_among_copies() -> None:
    """Documented negative: agreeing copies drift to the cap, and the consensus is theirs."""
    for seed in range(5):
        policy = make_trust("agreement", HERD)
        assert first_passage(policy, "good", herd_and_one(seed, 500), 500) == 500
        trust = policy.factors()
        assert all(trust[m] == 2.0 for m in HERD[1:])
        assert policy.weights(HERD)["good"] <= 1 / 9 + 1e-9


def accuracy(name: str, seed: int, rounds: int = 3000) -> float:
    policy = make_trust(name, HERD)
    hits = [teach(policy, one) == one[1].direction for one in herd_and_one(seed, rounds)]
    return float(np.mean(hits[300:]))


def test_scored_trust_is_as_good_as_the_good_model_and_the_seeds_is_as_bad_as_the_herd() -> None:
    assert accuracy("fixed_share", 1) == pytest.approx(0.60, abs=0.03)
    assert accuracy("agreement", 1) == pytest.approx(0.50, abs=0.03)
    assert accuracy("uniform", 1) == pytest.approx(0.50, abs=0.03)


def test_after_a_switch_the_new_best_holds_half_the_weight_within_150_rounds() -> None:
    passages = []
    for seed in range(SEEDS):
        policy = make_trust("fixed_share", NINE)
        stream = switching(seed, 1000, 500)
        for _ in range(1000):
            learn(policy, next(stream))
        passages.append(first_passage(policy, "new", stream, 500))
    assert np.quantile(passages, 0.9) <= 150


def test_clones_of_a_bad_model_change_accuracy_by_less_than_one_percent() -> None:
    def run(clones: int, seed: int) -> float:
        bad = tuple(f"bad{i}" for i in range(clones))
        shares = {"good": 0.65, "fair": 0.55} | dict.fromkeys(bad, 0.45)
        policy = make_trust("fixed_share", shares)
        rng = np.random.default_rng(seed)
        # The clones draw nothing, so that both runs see the same rounds.
        hits = 0
        for ts in range(2000):
            one = copies(rng, shares, frozenset(bad), ts)
            hits += teach(policy, one) == one[1].direction
        return hits / 2000

    for seed in range(SEEDS // 10):
        assert abs(run(1, seed) - run(20, seed)) < 0.01
