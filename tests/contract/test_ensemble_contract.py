"""The exam of every rule in RULES and every trust policy in TRUST; its line there enters a new one."""

import json
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from consilium.domain import HOUR_NS, Direction, InvalidValue, Outcome, Prediction, UnknownName
from consilium.ensemble import RULES, TRUST, TrustPolicy, make_rule, make_trust, reach_consensus
from ensemble_cases import forecast

MODELS = ("a", "b", "c", "d", "e")
ROUNDS = 60

rules = pytest.mark.parametrize("rule", sorted(RULES))
policies = pytest.mark.parametrize("name", sorted(TRUST))
Lesson = tuple[list[Prediction], list[Outcome]]


def lesson(rng: np.random.Generator, number: int) -> Lesson:
    """One instant: two symbols, of each model mostly a forecast, and what came of it."""
    predictions, outcomes = [], []
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for model in MODELS:
            if rng.random() < 0.9:
                down, flat, up = rng.dirichlet((1.0, 1.0, 1.0)).tolist()
                predictions.append(
                    forecast(model, (down, flat, up), symbol=symbol, ts_event=number * HOUR_NS)
                )
        outcomes.append(
            Outcome(
                symbol=symbol,
                ts_event=number * HOUR_NS,
                horizon_ns=HOUR_NS,
                label_id="l1",
                ts_matured=(number + 1) * HOUR_NS,
                direction=Direction(int(rng.integers(3))),
                realised_return=float(rng.normal(0.0, 0.01)),
            )
        )
    return predictions, outcomes


def lessons(seed: int = 3) -> list[Lesson]:
    rng = np.random.default_rng(seed)
    return [lesson(rng, number) for number in range(ROUNDS)]


def teach(policy: TrustPolicy, given: Sequence[Lesson]) -> None:
    for predictions, outcomes in given:
        for outcome in outcomes:
            spoken = [p for p in predictions if p.symbol == outcome.symbol]
            consensus = reach_consensus(spoken, trust=policy.weights([p.model for p in spoken]))
            policy.learn(spoken, consensus=consensus)
        policy.learn(predictions, outcome=outcomes)


def as_json(policy: TrustPolicy) -> str:
    return json.dumps(policy.state(), sort_keys=True, allow_nan=False)


@rules
def test_a_rule_is_known_by_the_name_it_stands_under(rule: str) -> None:
    assert make_rule(rule).name == rule
    consensus = reach_consensus([forecast(m, (0.1, 0.2, 0.7)) for m in MODELS], rule=rule)
    assert consensus.rule == rule


@rules
def test_a_rule_given_as_an_object_decides_as_by_its_name(rule: str) -> None:
    spoken = lessons()[0][0][:3]
    assert reach_consensus(spoken, rule=make_rule(rule)) == reach_consensus(spoken, rule=rule)


@rules
def test_a_rule_keeps_nothing_from_one_round_to_the_next(rule: str) -> None:
    kept = make_rule(rule)
    rounds = [[p for p in predictions if p.symbol == "BTCUSDT"] for predictions, _ in lessons()[:20]]
    first = [reach_consensus(spoken, rule=kept) for spoken in rounds]
    again = [reach_consensus(spoken, rule=kept) for spoken in reversed(rounds)]
    assert first == again[::-1]


@rules
def test_a_single_voter_is_followed(rule: str) -> None:
    consensus = reach_consensus([forecast("a", (0.6, 0.3, 0.1))], rule=rule)
    assert (consensus.direction, consensus.probabilities) == (Direction.DOWN, (0.6, 0.3, 0.1))
    assert consensus.weights == {"a": 1.0}


@policies
def test_trust_lies_on_the_simplex_of_the_awake(name: str) -> None:
    policy = make_trust(name, MODELS)
    for given in lessons():
        teach(policy, [given])
        for awake in (MODELS, MODELS[:3], MODELS[3:4]):
            weights = policy.weights(awake)
            assert set(weights) == set(awake)
            assert all(0.0 <= w <= 1.0 for w in weights.values())
            assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert policy.weights([]) == {}


@policies
def test_trust_ignores_the_order_of_names(name: str) -> None:
    one, other = make_trust(name, MODELS), make_trust(name, MODELS[::-1])
    teach(one, lessons())
    teach(other, lessons())
    assert as_json(one) == as_json(other)
    assert one.weights(MODELS) == other.weights(MODELS[::-1])


@policies
def test_each_outcome_is_applied_once(name: str) -> None:
    given = lessons()
    once, twice = make_trust(name, MODELS), make_trust(name, MODELS)
    teach(once, given)
    for one in given:
        teach(twice, [one])
        twice.learn(one[0], outcome=one[1])
    for late in (given[0], given[10]):
        twice.learn(late[0], outcome=late[1])
    assert as_json(twice) == as_json(once)


@policies
def test_replay_gives_the_same_state(name: str) -> None:
    one, other = make_trust(name, MODELS), make_trust(name, MODELS)
    teach(one, lessons())
    teach(other, lessons())
    assert as_json(one) == as_json(other)


@policies
def test_a_restored_policy_goes_on_as_the_one_that_was_saved(name: str) -> None:
    given = lessons()
    through, before = make_trust(name, MODELS), make_trust(name, MODELS)
    teach(through, given)
    teach(before, given[:25])
    after = make_trust(name, MODELS)
    after.restore(json.loads(as_json(before)))
    teach(after, given[25:])
    assert as_json(after) == as_json(through)
    assert after.weights(MODELS) == through.weights(MODELS)


@policies
def test_asking_for_weights_teaches_nothing(name: str) -> None:
    policy = make_trust(name, MODELS)
    teach(policy, lessons()[:5])
    before = as_json(policy)
    policy.weights(MODELS[:2])
    assert as_json(policy) == before


@policies
def test_a_policy_refuses_what_it_does_not_know(name: str) -> None:
    policy = make_trust(name, MODELS)
    with pytest.raises(UnknownName, match="model must be one of a, b, c, d, e; got 'z'"):
        policy.weights(["a", "z"])
    with pytest.raises(InvalidValue):
        policy.restore(make_trust(name, ("a", "b")).state())
    for models in ((), ("a", "a")):
        with pytest.raises(InvalidValue, match="models must be one or more different names"):
            make_trust(name, models)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'uniform'"):
        make_trust("unifrom", MODELS)


def test_uniform_trusts_all_alike_whatever_came_of_it() -> None:
    policy = make_trust("uniform", MODELS)
    teach(policy, lessons())
    assert policy.weights(MODELS) == pytest.approx(dict.fromkeys(MODELS, 0.2))


def test_the_lessons_of_this_exam_differ_from_round_to_round() -> None:
    given = lessons()
    assert all(one != other for one, other in pairwise(given))
    assert {o.direction for _, outcomes in given for o in outcomes} == set(Direction)
