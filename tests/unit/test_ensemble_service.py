"""The room's service: rounds, coverage, the fallback, lessons, restarts."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from consilium.domain import (
    HOUR_NS,
    Consensus,
    Direction,
    FeatureWindow,
    InvalidValue,
    Outcome,
    Prediction,
    UnknownName,
    half_brier,
)
from consilium.ensemble import (
    SEED_002_ALLOCATIONS,
    TRUST,
    EnsembleService,
    Gates,
    ModelSetting,
    action,
    make_rule,
    reach_consensus,
)
from ensemble_cases import Recorder, forecast, says

FOUR = ("xgboost", "lightgbm", "nhits", "patchtst")


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter the recording policy as a package outside would: by one line in the table."""
    monkeypatch.setitem(TRUST, "recorder", "ensemble_cases:Recorder")


def window(volatility: float, *, symbol: str = "BTCUSDT", ts_event: int = 0) -> FeatureWindow:
    return FeatureWindow(symbol=symbol, ts_event=ts_event, features=np.zeros((1, 1)), volatility=volatility)


def outcome(symbol: str = "BTCUSDT", ts_event: int = 0) -> Outcome:
    return Outcome(
        symbol=symbol,
        ts_event=ts_event,
        horizon_ns=HOUR_NS,
        label_id="l1",
        ts_matured=ts_event + HOUR_NS,
        direction=Direction.UP,
        realised_return=0.01,
    )


def run(service: EnsembleService, messages: Iterable[object]) -> list[Consensus]:
    return [consensus for message in messages for consensus in service.handle(message)]


def all_say(signal: str = "BUY 80", **where: Any) -> list[Prediction]:
    return [says(model, signal, **where) for model in FOUR]


def test_a_consensus_comes_as_soon_as_the_last_model_has_spoken() -> None:
    service = EnsembleService(FOUR, allocations=SEED_002_ALLOCATIONS)
    spoken = all_say()
    assert run(service, spoken[:3]) == []
    (consensus,) = run(service, spoken[3:])
    assert consensus.level == "unanimous"
    assert dict(consensus.weights) == pytest.approx(dict(SEED_002_ALLOCATIONS))
    assert service.flush() == ()


def test_the_service_decides_as_reach_consensus_does() -> None:
    models = {model: ModelSetting(min_confidence=0.5) for model in FOUR}
    spoken = [says("xgboost", "BUY 76"), says("lightgbm", "BUY 45"), says("nhits", "BUY 79")]
    spoken.append(says("patchtst", "HOLD 68"))
    service = EnsembleService(models, rule="weighted_voting", gates="edge", meta=False)
    (consensus,) = run(service, [window(0.03), *spoken])
    assert consensus == reach_consensus(
        spoken, rule="weighted_voting", gates="edge", volatility=0.03, models=models
    )


def test_rounds_of_different_symbols_times_and_labels_do_not_mix() -> None:
    service = EnsembleService(("a", "b"))
    firsts = [
        says("a", "BUY 80"),
        says("a", "BUY 80", symbol="ETHUSDT"),
        says("a", "BUY 80", ts_event=HOUR_NS),
        forecast("a", (0.1, 0.1, 0.8), horizon_ns=2 * HOUR_NS),
        forecast("a", (0.1, 0.1, 0.8), label_id="l2"),
    ]
    assert run(service, firsts) == []
    (consensus,) = run(service, [says("b", "BUY 80", symbol="ETHUSDT")])
    assert consensus.symbol == "ETHUSDT"
    assert len(service.flush()) == 4


@pytest.mark.promise("002", "mode partial: degraded but functional")
def test_a_round_with_a_missing_model_is_flushed_as_partial() -> None:
    service = EnsembleService(FOUR)
    run(service, all_say()[:3])
    assert service.flush(until=-1) == ()
    (consensus,) = service.flush(until=0)
    assert (service.coverage, consensus.level, consensus.actionable) == ("partial", "strong", True)
    run(service, all_say(ts_event=HOUR_NS))
    assert service.coverage == "full"


def test_a_flush_decides_the_oldest_first() -> None:
    service = EnsembleService(("a", "b"))
    for ts in (3 * HOUR_NS, HOUR_NS, 2 * HOUR_NS):
        service.handle(says("a", "BUY 80", ts_event=ts))
    assert [c.ts_event for c in service.flush()] == [HOUR_NS, 2 * HOUR_NS, 3 * HOUR_NS]


def test_late_and_repeated_and_unknown_predictions_change_nothing() -> None:
    service = EnsembleService(("a", "b"))
    changed_mind = says("a", "SELL 90")
    decided = run(
        service, [says("a", "BUY 80"), changed_mind, says("stranger", "SELL 99"), says("b", "BUY 80")]
    )
    assert [c.direction for c in decided] == [Direction.UP]
    assert run(service, [says("a", "SELL 90"), says("b", "SELL 90")]) == []
    assert service.flush() == ()
    assert service.ignored == {"repeated prediction": 1, "unknown model": 1, "late prediction": 2}


def test_an_earlier_round_that_is_still_open_can_be_completed() -> None:
    service = EnsembleService(("a", "b"))
    service.handle(says("a", "BUY 80"))
    run(service, [says(m, "BUY 80", ts_event=HOUR_NS) for m in "ab"])
    (consensus,) = service.handle(says("b", "BUY 80"))
    assert consensus.ts_event == 0


def test_the_volatility_is_that_of_the_rounds_own_time() -> None:
    service = EnsembleService(("a", "b"))
    spoken = [says("a", "BUY 60"), says("b", "BUY 60")]
    later = window(0.09, ts_event=HOUR_NS)
    other = window(0.09, symbol="ETHUSDT")
    (consensus,) = run(service, [window(0.01), later, other, *spoken])
    assert consensus.gates["volatility"] == "pass"
    (wild,) = run(service, [says(m, "BUY 60", ts_event=HOUR_NS) for m in "ab"])
    assert wild.reason == "volatility_hold"


def test_the_fallback_is_silent_while_any_model_speaks() -> None:
    service = EnsembleService(FOUR, paper=True)
    run(service, [says("fallback", "SELL 90"), says("nhits", "BUY 80")])
    (consensus,) = service.flush()
    assert set(consensus.weights) == {"nhits"}
    assert "fallback" not in consensus.gates


@pytest.mark.parametrize("rule", ["smart_vote", "weighted_voting"])
@pytest.mark.parametrize("paper", [True, False])
def test_the_fallback_alone_acts_on_paper_only(rule: str, paper: bool) -> None:
    service = EnsembleService(FOUR, rule=rule, paper=paper)
    assert run(service, [window(0.01), says("fallback", "BUY 50")]) == []
    (consensus,) = service.flush()
    assert (service.coverage, consensus.level) == ("none", "none")
    assert dict(consensus.weights) == {"fallback": 1.0}
    assert consensus.score == consensus.confidence == 0.5
    assert action(consensus) == ("BUY" if paper else "HOLD")
    assert consensus.reason == ("" if paper else "fallback")


def test_the_fallback_is_held_in_a_wild_market_even_on_paper() -> None:
    service = EnsembleService(FOUR, paper=True)
    run(service, [window(0.09), says("fallback", "BUY 50")])
    (consensus,) = service.flush()
    assert (consensus.level, consensus.reason) == ("none_volatility_hold", "volatility_hold")


def test_a_fallback_among_the_models_is_refused() -> None:
    with pytest.raises(InvalidValue, match="without the fallback"):
        EnsembleService(("a", "fallback"))
    with pytest.raises(InvalidValue, match="at least one"):
        EnsembleService(())


@pytest.mark.promise("004", "disable_model and enable_model")
def test_a_disabled_model_is_not_waited_for_and_not_heard() -> None:
    service = EnsembleService(("a", "b", "c"))
    service.configure("c", ModelSetting(enabled=False))
    (consensus,) = run(service, [says("c", "SELL 90"), says("a", "BUY 80"), says("b", "BUY 80")])
    assert consensus.level == "unanimous"
    assert service.ignored == {"disabled model": 1}
    service.configure("c", ModelSetting(enabled=True))
    assert run(service, [says(m, "BUY 80", ts_event=HOUR_NS) for m in "ab"]) == []
    (again,) = service.handle(says("c", "SELL 90", ts_event=HOUR_NS))
    assert set(again.weights) == {"a", "b", "c"}
    with pytest.raises(UnknownName, match="model must be one of a, b, c"):
        service.configure("d", ModelSetting())


def test_a_round_whose_only_speaker_was_disabled_meanwhile_is_dropped() -> None:
    service = EnsembleService(("a", "b"))
    service.handle(says("a", "BUY 80"))
    service.configure("a", ModelSetting(enabled=False))
    assert service.flush() == ()


@pytest.mark.promise("004", "set_strategy and update_weight between predictions")
def test_gates_rule_and_allocations_can_be_replaced_between_rounds() -> None:
    service = EnsembleService(("a", "b"))
    service.gates = Gates.seed(confidence_threshold=0.9)
    (held,) = run(service, [says(m, "BUY 80") for m in "ab"])
    assert held.reason == "below_confidence_threshold"
    service.gates = "seed"
    service.rule = make_rule("weighted_voting")
    service.allocations = {"a": 3.0, "b": 1.0}
    (free,) = run(service, [says(m, "BUY 80", ts_event=HOUR_NS) for m in "ab"])
    assert (free.actionable, free.rule, dict(free.weights)) == (
        True,
        "weighted_voting",
        {"a": 0.75, "b": 0.25},
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "smart"},
        {"gates": "sea"},
        {"trust": "unifrm"},
        {"allocations": {"a": 1.0}},
        {"capacity": 0},
        {"conformal": 1.5},
        {"round_trip_cost": -1.0},
        {"trust_options": {"alpha": 2.0}},
    ],
)
def test_a_wrong_setting_fails_when_it_is_given_and_not_mid_run(wrong: dict[str, Any]) -> None:
    with pytest.raises((InvalidValue, UnknownName)):
        EnsembleService(("a", "b"), **wrong)


def test_past_its_capacity_the_oldest_open_round_is_decided_as_it_is() -> None:
    service = EnsembleService(("a", "b"), capacity=3)
    decided = run(service, [says("a", "BUY 80", ts_event=i * HOUR_NS) for i in range(5)])
    assert [c.ts_event for c in decided] == [0, HOUR_NS]
    assert len(service.flush()) == 3


def test_memory_stays_bounded_without_any_outcome() -> None:
    service = EnsembleService(("a", "b"), capacity=10)
    for i in range(200):
        run(service, [window(0.01, ts_event=i), *(says(m, "BUY 80", ts_event=i) for m in "ab")])
    learning = service._learning
    assert len(service._seen) == len(learning._decided) == len(learning._waiting) == 10
    assert not service._open
    assert not learning._lessons


def test_other_messages_are_not_for_this_room() -> None:
    assert EnsembleService(("a",)).handle("anything") == ()


def test_a_replay_gives_the_same_consensuses_and_the_same_trust() -> None:
    rng = np.random.default_rng(5)
    messages: list[object] = []
    for i in range(50):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            messages.append(window(float(rng.uniform(0, 0.08)), symbol=symbol, ts_event=i * HOUR_NS))
            for model in FOUR:
                down, flat, up = rng.dirichlet((1.0, 1.0, 1.0)).tolist()
                messages.append(forecast(model, (down, flat, up), symbol=symbol, ts_event=i * HOUR_NS))
            messages.append(outcome(symbol, i * HOUR_NS))
    one, other = EnsembleService(FOUR), EnsembleService(FOUR)
    first = run(one, messages)
    assert len(first) == 100
    assert run(other, messages) == first
    assert other.trust(HOUR_NS, "l1").state() == one.trust(HOUR_NS, "l1").state()


def recorder(service: EnsembleService) -> Recorder:
    policy = service.trust(HOUR_NS, "l1")
    assert isinstance(policy, Recorder)
    return policy


@pytest.mark.usefixtures("recording")
def test_the_outcomes_of_one_instant_are_one_lesson() -> None:
    service = EnsembleService(("a", "b"), trust="recorder")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        run(service, [says(m, "BUY 80", symbol=symbol) for m in "ab"])
    service.handle(outcome("BTCUSDT"))
    assert recorder(service).lessons == []
    service.handle(outcome("ETHUSDT"))
    spoken = ["BTCUSDT:a", "BTCUSDT:b", "ETHUSDT:a", "ETHUSDT:b"]
    assert recorder(service).lessons == [(0, spoken, ["BTCUSDT", "ETHUSDT"])]
    assert recorder(service).consensuses == 2


@pytest.mark.usefixtures("recording")
def test_a_later_outcome_closes_the_lesson_of_an_earlier_instant() -> None:
    service = EnsembleService(("a", "b"), trust="recorder")
    for ts in (0, HOUR_NS):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            run(service, [says(m, "BUY 80", symbol=symbol, ts_event=ts) for m in "ab"])
    run(service, [outcome("BTCUSDT"), outcome("BTCUSDT", HOUR_NS)])
    assert recorder(service).lessons == [(0, ["BTCUSDT:a", "BTCUSDT:b"], ["BTCUSDT"])]
    run(service, [outcome("ETHUSDT"), outcome("ETHUSDT", HOUR_NS)])
    assert service.ignored == {"late outcome": 1}
    assert [lesson[0] for lesson in recorder(service).lessons] == [0, HOUR_NS]
    assert recorder(service).lessons[1][2] == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.usefixtures("recording")
def test_a_second_outcome_and_one_without_a_forecast_teach_nothing() -> None:
    service = EnsembleService(("a", "b"), trust="recorder")
    run(service, [says(m, "BUY 80") for m in "ab"])
    run(service, [outcome(), outcome(), outcome("ETHUSDT"), outcome(ts_event=HOUR_NS)])
    assert len(recorder(service).lessons) == 1
    assert service.ignored == {"outcome without forecast": 3}


@pytest.mark.usefixtures("recording")
def test_an_abstainer_is_scored_and_the_fallback_is_not() -> None:
    models = {"a": ModelSetting(), "b": ModelSetting(min_confidence=0.9)}
    service = EnsembleService(models, trust="recorder", paper=True)
    run(service, [says("fallback", "BUY 50"), *(says(m, "BUY 80") for m in "ab"), outcome()])
    assert recorder(service).lessons == [(0, ["BTCUSDT:a", "BTCUSDT:b"], ["BTCUSDT"])]
    run(service, [says("fallback", "BUY 50", ts_event=HOUR_NS)])
    service.flush()
    service.handle(outcome(ts_event=HOUR_NS))
    assert len(recorder(service).lessons) == 1
    assert service.ignored == {"outcome without forecast": 1}


@pytest.mark.usefixtures("recording")
def test_an_open_round_of_the_instant_keeps_its_lesson_waiting() -> None:
    service = EnsembleService(("a", "b"), trust="recorder")
    run(service, [says(m, "BUY 80") for m in "ab"])
    service.handle(says("a", "BUY 80", symbol="ETHUSDT"))
    service.handle(outcome("BTCUSDT"))
    assert recorder(service).lessons == []
    service.flush()
    service.handle(outcome("ETHUSDT"))
    assert recorder(service).lessons == [(0, ["BTCUSDT:a", "BTCUSDT:b", "ETHUSDT:a"], ["BTCUSDT", "ETHUSDT"])]


@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize("first", [["BTCUSDT"], ["BTCUSDT", "ETHUSDT"]])
def test_an_outcome_of_an_earlier_instant_teaches_nothing_after_a_later_one(first: list[str]) -> None:
    service = EnsembleService(("a", "b"), trust="recorder")
    for ts in (0, HOUR_NS):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            run(service, [says(m, "BUY 80", symbol=symbol, ts_event=ts) for m in "ab"])
    run(service, [outcome(symbol, HOUR_NS) for symbol in first])
    run(service, [outcome("BTCUSDT"), outcome("ETHUSDT"), outcome("ETHUSDT", HOUR_NS)])
    assert [(ts, symbols) for ts, _, symbols in recorder(service).lessons] == [
        (HOUR_NS, ["BTCUSDT", "ETHUSDT"])
    ]
    assert service.ignored["late outcome"] == 2


def late_stream(rounds: int = 60) -> list[object]:
    """Windows, forecasts and outcomes two instants later, some missing, some late, some twice."""
    rng = np.random.default_rng(9)
    messages: list[object] = []
    for i in range(rounds):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            messages.append(window(float(rng.uniform(0, 0.08)), symbol=symbol, ts_event=i * HOUR_NS))
            for model in FOUR:
                if rng.random() < 0.9:
                    down, flat, up = rng.dirichlet((1.0, 1.0, 1.0)).tolist()
                    messages.append(forecast(model, (down, flat, up), symbol=symbol, ts_event=i * HOUR_NS))
            if rng.random() < 0.9:
                messages.append(outcome(symbol, max(0, i - 2 - int(rng.integers(2))) * HOUR_NS))
    return messages


@pytest.mark.parametrize("trust", sorted(TRUST))
@pytest.mark.parametrize("per_regime", [False, True])
def test_a_service_cut_at_any_message_goes_on_as_if_it_had_not_been(trust: str, per_regime: bool) -> None:
    def made() -> EnsembleService:
        return EnsembleService(
            FOUR,
            allocations=SEED_002_ALLOCATIONS,
            rule="adaptive",
            trust=trust,
            per_regime=per_regime,
            conformal={"alpha": 0.3, "warm_up": 5},
            capacity=12,
        )

    messages = late_stream()
    through = made()
    told = run(through, messages)
    assert through.ignored
    for cut in (1, 137, 250, len(messages)):
        before, after = made(), made()
        first = run(before, messages[:cut])
        after.restore(json.loads(json.dumps(before.state(), allow_nan=False)))
        assert first + run(after, messages[cut:]) == told
        assert after.state() == through.state()
        assert after.ignored == through.ignored


def test_a_damaged_state_of_the_service_is_refused() -> None:
    service = EnsembleService(FOUR)
    run(service, late_stream(5))
    whole = service.state()
    for name in ("open", "decided_until", "seen", "learning", "hindsight"):
        with pytest.raises(InvalidValue):
            EnsembleService(FOUR).restore(whole | {name: [[1]]})
    with pytest.raises(InvalidValue):
        EnsembleService(FOUR).restore({})
    with pytest.raises(InvalidValue, match="restore it into the policy that wrote it"):
        EnsembleService(FOUR, trust="adahedge").restore(whole)


def test_allocations_are_the_prior_of_trust_and_count_once() -> None:
    shares = {"a": 0.6, "b": 0.3, "c": 0.1}
    service = EnsembleService("abc", rule="weighted_voting", allocations=shares, trust="ewa_brier")
    said = {"a": (0.7, 0.2, 0.1), "b": (0.2, 0.3, 0.5), "c": (0.1, 0.1, 0.8)}
    evidence = dict.fromkeys("abc", 0.0)
    for i in range(10):
        ts = i * HOUR_NS
        (consensus,) = run(service, [forecast(m, p, ts_event=ts) for m, p in said.items()])
        raw = {m: shares[m] * np.exp(-0.5 * evidence[m]) for m in "abc"}
        expected = {m: v / sum(raw.values()) for m, v in raw.items()}
        assert dict(consensus.weights) == pytest.approx(expected, rel=1e-9)
        service.handle(outcome(ts_event=ts))
        for m, p in said.items():
            evidence[m] += float(half_brier(p, 2)[0])
    assert service.trust(HOUR_NS, "l1").factors()["c"] > 0.3


@pytest.mark.parametrize("trust", ["uniform", "agreement"])
def test_a_policy_without_prior_leaves_allocations_to_the_rule(trust: str) -> None:
    service = EnsembleService("ab", rule="weighted_voting", allocations={"a": 3.0, "b": 1.0}, trust=trust)
    (consensus,) = run(service, [says(m, "BUY 80") for m in "ab"])
    assert dict(consensus.weights) == {"a": 0.75, "b": 0.25}


@pytest.mark.parametrize("trust", sorted(TRUST))
def test_a_model_without_allocation_has_no_weight_whatever_it_earned(trust: str) -> None:
    service = EnsembleService("ab", rule="weighted_voting", allocations={"a": 1.0, "b": 0.0}, trust=trust)
    for i in range(5):
        spoken = [says("a", "SELL 80", ts_event=i * HOUR_NS), says("b", "BUY 80", ts_event=i * HOUR_NS)]
        (consensus,) = run(service, spoken)
        assert dict(consensus.weights) == {"a": 1.0, "b": 0.0}
        service.handle(outcome(ts_event=i * HOUR_NS))
    service.handle(says("b", "BUY 80", ts_event=9 * HOUR_NS))
    (alone,) = service.flush()
    assert alone.reason == "no_weight"


def test_new_allocations_move_the_prior_and_keep_what_was_learned() -> None:
    service = EnsembleService("ab", rule="weighted_voting", trust="ewa_brier")
    run(service, [says("a", "SELL 80"), says("b", "BUY 80"), outcome()])
    learned = service.trust(HOUR_NS, "l1").weights("ab")
    service.allocations = {"a": 4.0, "b": 1.0}
    moved = service.trust(HOUR_NS, "l1").weights("ab")
    assert moved["a"] / moved["b"] == pytest.approx(4.0 * learned["a"] / learned["b"])
    service.allocations = None
    assert service.trust(HOUR_NS, "l1").weights("ab") == pytest.approx(learned)


def test_each_horizon_has_a_trust_of_its_own() -> None:
    service = EnsembleService("ab")
    for i in range(20):
        ts = i * HOUR_NS
        run(
            service,
            [says("a", "SELL 80", ts_event=ts), says("b", "BUY 80", ts_event=ts), outcome(ts_event=ts)],
        )
    assert service.trust(HOUR_NS, "l1").weights("ab")["b"] > 0.9
    assert service.trust(2 * HOUR_NS, "l1").weights("ab") == {"a": 0.5, "b": 0.5}


def test_trust_per_regime_follows_the_label_of_the_window() -> None:
    service = EnsembleService("ab", rule="adaptive", per_regime=True)
    weights: dict[str, float] = {}
    for i in range(260):
        ts, regime = i * HOUR_NS, ("calm", "wild")[i % 2]
        seen = FeatureWindow(symbol="BTCUSDT", ts_event=ts, features=np.zeros((1, 1)), regime=regime)
        good, bad = ("a", "b") if regime == "calm" else ("b", "a")
        (consensus,) = run(
            service, [seen, says(good, "BUY 80", ts_event=ts), says(bad, "SELL 80", ts_event=ts)]
        )
        weights[regime] = consensus.weights["a"]
        service.handle(outcome(ts_event=ts))
    assert weights["calm"] > 0.9
    assert weights["wild"] < 0.1


def test_the_default_trust_is_fixed_share() -> None:
    assert EnsembleService("ab").trust(HOUR_NS, "l1").state()["policy"] == "fixed_share"


def test_looking_at_trust_leaves_no_trace_in_the_state() -> None:
    service = EnsembleService(["xgboost", "nhits"], loaded=["xgboost", "nhits"])
    before = service.state()
    assert service.trust(HOUR_NS, "never asked").factors() == {"xgboost": 1.0, "nhits": 1.0}
    assert service.state() == before
