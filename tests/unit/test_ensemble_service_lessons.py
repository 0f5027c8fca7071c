"""What the room's service teaches its trust, from which prior, and what a restart keeps of it."""

import json

import numpy as np
import pytest

from consilium.domain import HOUR_NS, FeatureWindow, InvalidValue, half_brier
from consilium.ensemble import SEED_002_ALLOCATIONS, TRUST, EnsembleService, ModelSetting
from ensemble_cases import FOUR, Recorder, forecast, outcome, run, says, window


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter the recording policy as a package outside would: by one line in the table."""
    monkeypatch.setitem(TRUST, "recorder", "ensemble_cases:Recorder")


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
