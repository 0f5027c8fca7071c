"""The trust policies: golden vectors, closed forms, and trust per regime."""

import json
from math import log

import numpy as np
import pytest

from consilium.domain import Direction, InvalidValue, Outcome, Prediction
from consilium.ensemble import DEFAULT_TRUST, PerRegime, make_trust, reach_consensus
from consilium.ensemble.trust.adahedge import AdaHedge
from consilium.ensemble.trust.agreement import Agreement
from consilium.ensemble.trust.ewa_brier import EwaBrier
from consilium.ensemble.trust.ewa_log import EwaLog
from consilium.ensemble.trust.fixed_share import FixedShare
from consilium.ensemble.trust.regimes import Terciles
from ensemble_cases import came, forecast, says, signals


def herd(policy: Agreement, ts: int, **said: str) -> None:
    spoken = [says(m, signal, ts_event=ts) for m, signal in said.items()]
    consensus = reach_consensus(spoken, rule="trust_weighted", trust=policy.factors())
    policy.learn(spoken, consensus=consensus)


def test_the_default_policy_learns_and_forgets() -> None:
    assert DEFAULT_TRUST == "fixed_share"
    assert make_trust(DEFAULT_TRUST, ["a"]).takes_prior


@pytest.mark.promise("000", "trust +0.05 for agreeing with the consensus, -0.03 for disagreeing, start 1.0")
def test_agreement_moves_by_the_deltas_of_the_seed() -> None:
    policy = Agreement(["xgboost", "patchtst", "nhits"])
    policy.learn(
        signals(xgboost="BUY 85", patchtst="BUY 78", nhits="SELL 65"),
        consensus=reach_consensus(
            signals(xgboost="BUY 85", patchtst="BUY 78", nhits="SELL 65"), rule="trust_weighted"
        ),
    )
    assert policy.factors() == {"nhits": 0.97, "patchtst": 1.05, "xgboost": 1.05}


@pytest.mark.promise("000", "trust stays within 0.1 and 2.0")
def test_agreement_is_clipped_at_both_ends() -> None:
    policy = Agreement(["a", "b", "c"])
    expected = {"a": 1.0, "b": 1.0, "c": 1.0}
    for ts in range(40):
        herd(policy, ts, a="BUY 90", b="BUY 90", c="SELL 90")
        expected["a"] = expected["b"] = min(expected["a"] + 0.05, 2.0)
        expected["c"] = max(expected["c"] - 0.03, 0.1)
        assert policy.factors() == expected
        if ts == 19:
            assert expected["a"] == pytest.approx(2.0)
        if ts == 28:
            assert expected["c"] == pytest.approx(0.13)
    assert expected == {"a": 2.0, "b": 2.0, "c": 0.1}
    assert policy.weights(["a", "c"]) == pytest.approx({"a": 2.0 / 2.1, "c": 0.1 / 2.1})


@pytest.mark.promise(
    "000", "default_weight, min_weight, max_weight, reward_delta, penalty_delta are settings"
)
def test_the_settings_of_agreement_carry_the_seeds_names() -> None:
    policy = make_trust(
        "agreement",
        ["a", "b", "c"],
        default_weight=0.5,
        min_weight=0.4,
        max_weight=0.6,
        reward_delta=0.07,
        penalty_delta=-0.06,
    )
    assert isinstance(policy, Agreement)
    herd(policy, 0, a="BUY 90", b="BUY 90", c="SELL 90")
    assert policy.factors() == pytest.approx({"a": 0.57, "b": 0.57, "c": 0.44})
    herd(policy, 1, a="BUY 90", b="BUY 90", c="SELL 90")
    assert policy.factors() == {"a": 0.6, "b": 0.6, "c": 0.4}
    for wrong in (
        {"default_weight": 3.0},
        {"min_weight": 0.0},
        {"reward_delta": -1.0},
        {"max_weight": 1e999},
    ):
        with pytest.raises(InvalidValue):
            make_trust("agreement", ["a"], **wrong)


def test_a_consensus_heard_twice_or_late_or_without_voters_moves_no_trust() -> None:
    policy = Agreement(["a", "b", "c"])
    herd(policy, 5, a="BUY 90", b="BUY 90", c="SELL 90")
    once = policy.factors()
    herd(policy, 5, a="SELL 90", b="SELL 90", c="SELL 90")
    herd(policy, 4, a="SELL 90", b="SELL 90", c="SELL 90")
    assert policy.factors() == once
    spoken = [forecast("a", (0.1, 0.2, 0.7), ts_event=9)]
    policy.learn(spoken, consensus=reach_consensus(spoken, trust={"a": 0.0, "b": 1.0}))
    assert policy.factors() == once


def test_exponential_weights_are_the_closed_form() -> None:
    rng = np.random.default_rng(1)
    losses = rng.random((40, 3))
    prior = {"a": 0.5, "b": 0.3, "c": 0.2}
    policy = EwaBrier("abc", prior=prior)
    for t, row in enumerate(losses.tolist()):
        policy.charge(t, dict(zip("abc", row, strict=True)))
    raw = np.array(list(prior.values())) * np.exp(-0.5 * losses.sum(axis=0))
    assert list(policy.weights("abc").values()) == pytest.approx(raw / raw.sum(), rel=1e-12)


def test_log_loss_is_the_rule_of_bayes() -> None:
    rng = np.random.default_rng(2)
    policy = EwaLog("ab")
    likelihood = np.ones(2)
    for t in range(30):
        p = rng.dirichlet((3.0, 3.0, 3.0), 2)
        y = int(rng.integers(3))
        likelihood *= p[:, y]
        spoken = [forecast(m, tuple(p[i].tolist()), ts_event=t) for i, m in enumerate("ab")]
        policy.learn(spoken, outcome=came(Direction(y), t))
    assert list(policy.weights("ab").values()) == pytest.approx(likelihood / likelihood.sum(), rel=1e-9)


def test_log_loss_is_clipped_so_that_one_certain_error_is_not_the_end() -> None:
    policy = EwaLog("ab")
    policy.learn([forecast("a", (1.0, 0.0, 0.0)), forecast("b", (0.0, 0.0, 1.0))], outcome=came(Direction.UP))
    assert policy.weights("ab") == pytest.approx({"a": 0.001 / 0.999, "b": 0.998 / 0.999})


def test_fixed_share_is_the_recursion_of_the_paper() -> None:
    rng = np.random.default_rng(3)
    prior = np.array([0.6, 0.3, 0.1])
    v = prior.copy()
    policy = FixedShare("abc", alpha=0.05, prior=dict(zip("abc", prior.tolist(), strict=True)))
    for t, loss in enumerate(rng.random((200, 3))):
        v = v * np.exp(-0.5 * loss)
        v = 0.95 * v / v.sum() + 0.05 * prior
        policy.charge(t, dict(zip("abc", loss.tolist(), strict=True)))
        assert list(policy.weights("abc").values()) == pytest.approx(v, rel=1e-9)


def test_adahedge_is_the_algorithm_of_the_paper() -> None:
    rng = np.random.default_rng(4)
    policy = AdaHedge("abcd")
    total, gap = np.zeros(4), 0.0
    for t, loss in enumerate(rng.random((300, 4)) * np.array([1.0, 0.9, 1.0, 0.8])):
        eta = np.inf if gap == 0.0 else log(4) / gap
        lead = total - total.min()
        w = (lead == 0.0).astype(float) if eta == np.inf else np.exp(-eta * lead)
        w /= w.sum()
        assert list(policy.weights("abcd").values()) == pytest.approx(w, rel=1e-7, abs=1e-15)
        h = w @ loss
        m = loss[w > 0].min() if eta == np.inf else -np.log(w @ np.exp(-eta * loss)) / eta
        total, gap = total + loss, gap + h - m
        policy.charge(t, dict(zip("abcd", loss.tolist(), strict=True)))


def regime_lesson(ts: int, regime: str, rng: np.random.Generator) -> tuple[list[Prediction], Outcome]:
    """Say what came if the regime is the model's own, else what did not."""
    y = Direction(int(rng.integers(3)))
    right, wrong = [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]
    right[y] = wrong[(y + 1) % 3] = 0.8
    said = (right, wrong) if regime == "calm" else (wrong, right)
    spoken = [forecast(m, (p[0], p[1], p[2]), ts_event=ts) for m, p in zip("ab", said, strict=True)]
    return spoken, came(y, ts)


def test_trust_per_regime_falls_back_until_a_regime_has_shown_enough() -> None:
    rng = np.random.default_rng(7)
    policy = PerRegime(lambda: make_trust("fixed_share", "ab"), min_rounds=20)
    for ts in range(200):
        regime = "calm" if ts % 2 else "wild"
        spoken, outcome = regime_lesson(ts, regime, rng)
        policy.learn(spoken, outcome=outcome, regimes={"BTCUSDT": regime})
        if ts < 38:
            assert policy.weights("ab", regime) == policy.weights("ab")
    assert policy.weights("ab", "calm")["a"] > 0.9
    assert policy.weights("ab", "wild")["b"] > 0.9
    assert policy.weights("ab", "usual") == policy.weights("ab")
    again = PerRegime(lambda: make_trust("fixed_share", "ab"), min_rounds=20)
    again.restore(json.loads(json.dumps(policy.state())))
    assert again.state() == policy.state()
    assert again.weights("ab", "wild") == policy.weights("ab", "wild")
    with pytest.raises(InvalidValue):
        again.restore(policy.state() | {"models": ["z"]})


def test_terciles_look_at_the_past_of_the_symbol_only() -> None:
    rng = np.random.default_rng(8)
    values = rng.random(400).tolist()
    one, other = Terciles(), Terciles()
    first = [one.label("BTCUSDT", v) for v in values]
    for v in values[:300]:
        other.label("ETHUSDT", 99.0)
        assert other.label("BTCUSDT", v) == first[len(other.state()["BTCUSDT"]) - 1]
    assert first[:60] == [""] * 60
    counts = {name: first[60:].count(name) / 340 for name in ("calm", "usual", "wild")}
    assert all(abs(share - 1 / 3) < 0.08 for share in counts.values())
    assert Terciles(least=3).label("BTCUSDT", 0.1) == ""
    still = Terciles(least=3)
    assert [still.label("BTCUSDT", 0.1) for _ in range(5)][3:] == ["usual", "usual"]
