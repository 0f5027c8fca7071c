"""What every policy of experts keeps: sleep, delay, restarts, priors, extremes."""

import json
import os
from math import exp
from typing import Any

import numpy as np
import pytest

from consilium.domain import HOUR_NS, Direction, InvalidValue, UnknownName, half_brier
from consilium.ensemble import reach_consensus
from consilium.ensemble.trust.adahedge import AdaHedge
from consilium.ensemble.trust.ewa_brier import EwaBrier
from consilium.ensemble.trust.ewa_log import EwaLog
from consilium.ensemble.trust.experts import ExpertPolicy
from consilium.ensemble.trust.fixed_share import FixedShare
from ensemble_cases import came, forecast

EXPERTS = (EwaBrier, EwaLog, AdaHedge, FixedShare)
experts = pytest.mark.parametrize("policy_class", EXPERTS)


@experts
def test_a_model_that_sleeps_leaves_the_mass_of_the_awake_as_it_was(
    policy_class: type[ExpertPolicy],
) -> None:
    options: dict[str, Any] = {"alpha": 0.0} if policy_class is FixedShare else {}
    policy = policy_class("abcd", prior={"a": 4, "b": 3, "c": 2, "d": 1}, **options)
    policy.charge(0, {"a": 0.1, "b": 0.3, "c": 0.2, "d": 0.2})
    before = policy.weights("abcd")
    policy.charge(1, {"a": 0.9, "b": 0.1})
    after = policy.weights("abcd")
    if policy_class is not AdaHedge:  # its rate changes with every round, and so do all weights
        assert after["a"] + after["b"] == pytest.approx(before["a"] + before["b"], rel=1e-12)
        assert (after["c"], after["d"]) == pytest.approx((before["c"], before["d"]), rel=1e-12)
    assert after["a"] < before["a"]
    assert after["b"] / (after["a"] + after["b"]) > before["b"] / (before["a"] + before["b"])


@experts
def test_who_speaks_alone_gains_and_loses_nothing(policy_class: type[ExpertPolicy]) -> None:
    options: dict[str, Any] = {"alpha": 0.0} if policy_class is FixedShare else {}
    policy = policy_class("abc", **options)
    policy.charge(0, {"a": 0.1, "b": 0.3, "c": 0.2})
    before = policy.weights("abc")
    for ts in range(1, 50):
        policy.charge(ts, {"b": 0.9})
    assert policy.weights("abc") == pytest.approx(before, rel=1e-9)


@experts
def test_one_round_is_the_mean_over_its_symbols(policy_class: type[ExpertPolicy]) -> None:
    by_forecast, by_loss = policy_class("ab"), policy_class("ab")
    said = {"a": (0.1, 0.2, 0.7), "b": (0.5, 0.3, 0.2)}
    ends = {"BTCUSDT": Direction.UP, "ETHUSDT": Direction.DOWN, "SOLUSDT": Direction.FLAT}
    spoken = [forecast(m, p, symbol=s) for s in ends for m, p in said.items()]
    by_forecast.learn(spoken, outcome=[came(d, 0, s) for s, d in ends.items()])
    loss = {m: np.mean([policy_class.loss(p, d) for d in ends.values()]) for m, p in said.items()}
    by_loss.charge(0, {m: float(x) for m, x in loss.items()})
    assert by_forecast.weights("ab") == pytest.approx(by_loss.weights("ab"), rel=1e-12)
    assert by_forecast.rounds == 1


@experts
def test_outcomes_of_one_instant_given_one_by_one_are_still_one_round(
    policy_class: type[ExpertPolicy],
) -> None:
    together, apart = policy_class("ab"), policy_class("ab")
    for ts in range(20):
        spoken = [
            forecast(m, p, symbol=s, ts_event=ts)
            for s in ("BTCUSDT", "ETHUSDT")
            for m, p in (("a", (0.1, 0.2, 0.7)), ("b", (0.5, 0.3, 0.2)))
        ]
        ends = [came(Direction(ts % 3), ts), came(Direction((ts + 1) % 3), ts, "ETHUSDT")]
        together.learn(spoken, outcome=ends)
        for end in ends:
            apart.learn([p for p in spoken if p.symbol == end.symbol], outcome=end)
    assert apart.state() == together.state()


@experts
def test_late_and_repeated_and_foreign_outcomes_change_nothing(policy_class: type[ExpertPolicy]) -> None:
    policy = policy_class("ab")
    spoken = [forecast("a", (0.1, 0.2, 0.7), ts_event=5), forecast("b", (0.7, 0.2, 0.1), ts_event=5)]
    policy.learn(spoken, outcome=came(Direction.UP, 5))
    known = json.dumps(policy.state())
    policy.learn(spoken, outcome=came(Direction.DOWN, 5))
    early = [forecast(m, (0.1, 0.2, 0.7), ts_event=4) for m in "ab"]
    policy.learn(early, outcome=came(Direction.UP, 4))
    policy.learn(early)
    policy.learn([], outcome=came(Direction.UP, 9))
    policy.learn([forecast("stranger", (0.1, 0.2, 0.7), ts_event=9)], outcome=came(Direction.UP, 9))
    policy.learn([forecast("a", (0.1, 0.2, 0.7), ts_event=9)], outcome=came(Direction.UP, 9, "ETHUSDT"))
    policy.learn(spoken, consensus=reach_consensus(spoken))
    assert json.dumps(policy.state()) == known


@experts
def test_forecasts_wait_for_their_outcome_over_a_restart(policy_class: type[ExpertPolicy]) -> None:
    spoken = [forecast("a", (0.1, 0.2, 0.7)), forecast("b", (0.7, 0.2, 0.1))]
    at_once, waiting = policy_class("ab"), policy_class("ab")
    at_once.learn(spoken, outcome=came(Direction.UP))
    waiting.learn(spoken)
    waiting.learn([forecast("a", (0.7, 0.2, 0.1))])  # changed its mind: the first forecast counts
    again = policy_class("ab")
    again.restore(json.loads(json.dumps(waiting.state())))
    again.learn([], outcome=came(Direction.UP))
    assert again.weights("ab") == at_once.weights("ab")
    assert again.state() == at_once.state()


def test_what_waits_is_bounded() -> None:
    policy = EwaBrier("a", capacity=5)
    for ts in range(100):
        policy.learn([forecast("a", (0.1, 0.2, 0.7), ts_event=ts)])
    assert len(policy.state()["scoring"]["waiting"]) == 5


def test_a_forecast_below_min_confidence_is_scored_too() -> None:
    shy = forecast("a", (0.3, 0.3, 0.4), confidence=0.01)
    policy = EwaBrier("ab")
    policy.learn([shy, forecast("b", (0.1, 0.1, 0.8))], outcome=came(Direction.UP))
    loss = half_brier([[0.3, 0.3, 0.4], [0.1, 0.1, 0.8]], [2, 2])
    ratio = policy.weights("ab")["a"] / policy.weights("ab")["b"]
    assert ratio == pytest.approx(exp(-0.5 * (loss[0] - loss[1])))


@experts
@pytest.mark.parametrize("loss", [-1e-9, 7.0, float("nan"), float("inf")])
def test_a_loss_outside_its_bounds_is_refused_by_value(policy_class: type[ExpertPolicy], loss: float) -> None:
    policy = policy_class("ab")
    with pytest.raises(InvalidValue, match=rf"must lie in \[0, .*got {loss} for a"):
        policy.charge(0, {"b": 0.5, "a": loss})
    assert policy.rounds == 0
    with pytest.raises(UnknownName):
        policy.charge(0, {"z": 0.5})


def test_a_loss_above_one_is_refused() -> None:
    with pytest.raises(
        InvalidValue, match=r"losses of ewa_brier must lie in \[0, 1\]; got 1.0000001 for a: scale"
    ):
        EwaBrier("a").charge(0, {"a": 1.0000001})


@experts
def test_one_policy_serves_one_horizon_and_label(policy_class: type[ExpertPolicy]) -> None:
    policy = policy_class("ab")
    spoken = [forecast("a", (0.1, 0.2, 0.7))]
    policy.learn(spoken, outcome=came(Direction.UP))
    for horizon_ns, label_id in ((2 * HOUR_NS, "l1"), (HOUR_NS, "l2")):
        with pytest.raises(InvalidValue, match="this policy serves horizon 3600000000000 ns and label l1"):
            policy.learn([], outcome=came(Direction.UP, 9, "BTCUSDT", horizon_ns, label_id))
        strange = forecast("a", (0.1, 0.2, 0.7), ts_event=9, horizon_ns=horizon_ns, label_id=label_id)
        with pytest.raises(InvalidValue, match="this policy serves"):
            policy.learn([strange], outcome=came(Direction.UP, 9))


@experts
def test_the_prior_is_where_weights_start_and_can_be_replaced(policy_class: type[ExpertPolicy]) -> None:
    policy = policy_class("abc", prior={"a": 2.0, "b": 1.0, "c": 1.0})
    assert policy.weights("abc") == {"a": 0.5, "b": 0.25, "c": 0.25}
    assert policy.factors() == {"a": 1.5, "b": 0.75, "c": 0.75}
    policy.set_prior({"a": 0.0, "b": 3.0, "c": 1.0})
    assert policy.weights("abc") == {"a": 0.0, "b": 0.75, "c": 0.25}
    assert policy.factors()["a"] == 0.1
    assert policy.weights("a") == {"a": 1.0}
    for ts in range(20):
        policy.charge(ts, {"a": 0.0, "b": 0.9, "c": 0.1})
    assert policy.weights("abc")["a"] == 0.0
    json.dumps(policy.state(), allow_nan=False)
    policy.set_prior(None)
    assert policy.weights("abc")["a"] > policy.weights("abc")["b"]
    for wrong in ({"a": 1.0}, {"a": -1.0, "b": 1.0, "c": 1.0}, dict.fromkeys("abc", 0.0)):
        with pytest.raises(InvalidValue, match="prior must"):
            policy.set_prior(wrong)


def test_a_replaced_prior_keeps_the_evidence() -> None:
    one, other = EwaBrier("abc"), EwaBrier("abc", prior={"a": 5, "b": 4, "c": 1})
    for ts in range(10):
        for policy in (one, other):
            policy.charge(ts, {"a": 0.5, "b": 0.1, "c": 0.3})
    one.set_prior({"a": 5, "b": 4, "c": 1})
    assert one.weights("abc") == pytest.approx(other.weights("abc"), rel=1e-12)


def test_interleaved_copies_take_the_rounds_in_turn() -> None:
    rng = np.random.default_rng(5)
    losses = rng.random((31, 2)).tolist()
    policy = EwaBrier("ab", interleave=3)
    for t, (a, b) in enumerate(losses):
        policy.charge(t, {"a": a, "b": b})
        # The copy that this round taught is the one that forecasts next, two rounds being outstanding.
        mine = losses[t % 3 : t + 1 : 3]
        alone = EwaBrier("ab")
        for i, (x, y) in enumerate(mine):
            alone.charge(i, {"a": x, "b": y})
        assert policy.weights("ab") == pytest.approx(alone.weights("ab"), rel=1e-12)
    with pytest.raises(InvalidValue, match="interleave must be >= 1"):
        EwaBrier("ab", interleave=0)
    with pytest.raises(InvalidValue, match="interleave"):
        EwaBrier("ab").restore(policy.state())


@experts
def test_a_damaged_state_is_refused_and_changes_nothing(policy_class: type[ExpertPolicy]) -> None:
    policy = policy_class("ab")
    policy.charge(0, {"a": 0.1, "b": 0.5})
    whole = policy.state()
    other = policy_class("ab")
    fresh = other.state()
    for name in whole:
        for wrong in (None, [], "x", [[float("nan")] * 3]):
            with pytest.raises(InvalidValue):
                other.restore(whole | {name: wrong})
            assert other.state() == fresh
    with pytest.raises(InvalidValue):
        other.restore({name: value for name, value in whole.items() if name != "copies"})
    other.restore(whole)
    assert other.state() == whole


@experts
def test_many_rounds_of_extreme_losses_give_no_nan(policy_class: type[ExpertPolicy]) -> None:
    policy = policy_class("abc")
    for ts in range(20_000):
        policy.charge(ts, {"a": 1.0, "b": 0.0, "c": float(ts % 2)})
    weights = policy.weights("abc")
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert weights["b"] > 0.98
    json.dumps(policy.state(), allow_nan=False)


@pytest.mark.long
@experts
def test_a_million_rounds_give_no_nan(policy_class: type[ExpertPolicy]) -> None:
    policy = policy_class("ab")
    rng = np.random.default_rng(6)
    size = 100_000 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 10_000
    for part in range(10):
        rows = rng.random((size, 2)) ** 8
        for i, (a, b) in enumerate(rows.tolist()):
            policy.charge(part * size + i, {"a": a, "b": b} if i % 7 else {"a": a})
    assert policy.rounds == 10 * size
    weights = policy.weights("ab")
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert all(0.0 <= w <= 1.0 for w in weights.values())
    json.dumps(policy.state(), allow_nan=False)
