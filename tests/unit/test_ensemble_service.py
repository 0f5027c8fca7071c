"""The room's service: rounds, coverage, the fallback, settings between rounds."""

from typing import Any

import numpy as np
import pytest

from consilium.domain import HOUR_NS, Direction, InvalidValue, Prediction, UnknownName
from consilium.ensemble import (
    SEED_002_ALLOCATIONS,
    EnsembleService,
    Gates,
    ModelSetting,
    action,
    make_rule,
    reach_consensus,
)
from ensemble_cases import FOUR, forecast, outcome, run, says, window


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
