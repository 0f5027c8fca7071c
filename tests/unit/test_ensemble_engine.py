import pytest

from consilium.domain import (
    HOUR_NS,
    SECOND_NS,
    Consensus,
    Direction,
    InvalidValue,
    ModelConfigured,
    PerformanceReported,
    RuleChanged,
    SignalReceived,
    UnknownName,
)
from consilium.ensemble.engine import Engine
from consilium.ensemble.publishing import (
    consensus_body,
    federation_body,
    models_body,
    status_body,
    trusted_weights,
    writes_of,
)
from engine_cases import START, THREE, key, main, own, pure_engine, signal, window


def test_the_worked_example_of_seed_000_comes_out_of_a_cycle() -> None:
    engine = pure_engine()
    cycle = engine.cycle(START, THREE)
    assert [type(message) for message in cycle.messages] == [SignalReceived] * 3 + [Consensus]
    body = consensus_body(engine, engine.main, cycle.main)
    assert (body["action"], body["models_used"], body["agreement_pct"]) == ("BUY", 3, 0.667)
    assert body["confidence"] == pytest.approx((0.85 + 0.78) / (0.85 + 0.78 + 0.65), abs=1e-6)
    assert body["trust_weights"] == {"lgbm": 1.05, "nhits": 0.97, "xgb": 1.05}


@pytest.mark.promise("000", "a signal is one prediction: read again in the next cycle it is not a new one")
def test_a_signal_read_again_teaches_nothing() -> None:
    engine = pure_engine()
    first = main(engine, START, THREE)
    before = engine.state_hash()
    for tick in (10, 20, 30):
        cycle = engine.cycle(START + tick * SECOND_NS, THREE)
        assert cycle.messages == ()
        assert cycle.main == first
        assert cycle.rejected == {}
    assert engine.state_hash() == before
    assert trusted_weights(engine)["xgb"] == 1.05


def test_a_new_signal_moves_trust_of_its_model_alone() -> None:
    engine = pure_engine()
    engine.cycle(START, THREE)
    later = START + 10 * SECOND_NS
    cycle = engine.cycle(later, THREE | {key("xgb"): signal("BUY", 0.9, at=later)})
    assert [type(message) for message in cycle.messages] == [SignalReceived, Consensus]
    assert trusted_weights(engine)["xgb"] == 1.10
    assert trusted_weights(engine)["nhits"] == 0.97


def test_another_content_at_the_same_time_is_a_duplicate_and_an_older_one_is_late() -> None:
    engine = pure_engine()
    engine.cycle(START, {key("xgb"): signal("BUY")})
    again = {key("xgb"): signal("SELL"), key("xgboost"): signal("SELL", at=START - 9 * SECOND_NS)}
    cycle = engine.cycle(START + SECOND_NS, again)
    assert cycle.rejected == {"duplicate": 1, "late": 1}
    assert cycle.main is not None
    assert cycle.main.direction is Direction.UP


def test_a_voter_that_went_stale_is_left_out_and_in_the_end_nobody_is_left() -> None:
    engine = pure_engine()
    engine.cycle(START, {key("nhits"): signal("SELL", 0.65)})
    later = START + 50 * SECOND_NS
    said = {key(m): signal("BUY", at=later) for m in ("xgb", "lgbm")} | {key("nhits"): signal("SELL", 0.65)}
    assert set(main(engine, later, said).weights) == {"xgboost", "lightgbm", "nhits"}
    remembered = engine.state_hash()
    cycle = engine.cycle(START + 61 * SECOND_NS, said)
    assert cycle.main is not None
    assert set(cycle.main.weights) == {"xgboost", "lightgbm"}
    assert cycle.rejected == {"stale": 1}
    gone = engine.cycle(later + 61 * SECOND_NS, said)
    assert gone.main is None
    assert federation_body(engine, gone.main) == {
        "status": "idle",
        "consensus_signal": {"action": "HOLD", "confidence": 0.0, "models_used": 0},
        "trusted_weights": trusted_weights(engine),
    }
    assert engine.state_hash() == remembered


def test_the_count_of_models_is_that_of_those_loaded_or_heard() -> None:
    heard = main(pure_engine(rule="smart_vote"), START, THREE)
    assert heard.level == "strong"
    waited_for = pure_engine(rule="smart_vote", loaded=["xgboost", "lightgbm", "nhits", "tlob"])
    assert main(waited_for, START, THREE).level == "split"


def test_other_symbols_have_keys_of_their_own_which_go_when_nobody_speaks_any_more() -> None:
    engine = pure_engine()
    said = {key("xgb"): b"[" + signal() + b"," + signal(symbol="ETHUSDT") + b"]"}
    writes = writes_of(engine, engine.cycle(START, said), took_s=0.0, pushed={})
    shown = [write.key for write in writes if write.key.startswith("quantum:consensus:signal")]
    assert shown == ["quantum:consensus:signal", "quantum:consensus:signal:ETHUSDT"]
    later = START + 3 * HOUR_NS
    cycle = engine.cycle(later, {key("xgb"): signal(at=later)})
    after = writes_of(engine, cycle, took_s=0.0, pushed={}, shown_before=shown)
    assert [w.kind for w in after if w.key == "quantum:consensus:signal:ETHUSDT"] == ["delete"]


def test_a_rule_changed_shows_in_the_next_cycle_and_teaches_nothing() -> None:
    engine = pure_engine()
    engine.cycle(START, THREE)
    engine.handle(RuleChanged(rule="majority", by="admin", ts_event=START))
    before = engine.state_hash()
    assert main(engine, START + SECOND_NS, THREE).rule == "majority"
    assert engine.state_hash() == before
    assert status_body(engine)["strategy"] == "majority"


def test_a_disabled_model_is_neither_heard_nor_shown() -> None:
    engine = pure_engine()
    engine.cycle(START, THREE)
    engine.handle(ModelConfigured(model="xgb", enabled=False, by="admin", ts_event=START))
    cycle = engine.cycle(START + SECOND_NS, THREE)
    assert cycle.rejected == {"disabled_model": 1}
    assert cycle.main is not None
    assert set(cycle.main.weights) == {"lightgbm", "nhits"}


def test_allocations_weigh_where_the_rule_reads_them() -> None:
    engine = pure_engine(rule="weighted_voting")
    engine.handle(ModelConfigured(model="nhits", allocation=5.0, by="admin", ts_event=START))
    consensus = main(engine, START, THREE)
    assert consensus.direction is Direction.DOWN
    assert consensus.weights["nhits"] == pytest.approx(5.0 / 5.5)


@pytest.mark.promise("004", "update model performance: accuracy and profit factor are kept as reported")
def test_a_report_is_shown_and_enters_no_weight() -> None:
    engine, other = pure_engine(), pure_engine()
    engine.handle(PerformanceReported(model="xgb", accuracy=0.73, by="a", ts_event=1))
    engine.handle(PerformanceReported(model="xgboost", profit_factor=1.95, by="b", ts_event=2))
    shown = next(model for model in models_body(engine) if model["model_type"] == "xgboost")
    assert shown["reported"] == {"accuracy": 0.73, "profit_factor": 1.95, "by": "b", "ts_event": 2}
    assert status_body(engine)["models"]["xgboost"]["accuracy"] == 0.73
    assert main(engine, START, THREE) == main(other, START, THREE)


@pytest.mark.parametrize(
    "message",
    [
        RuleChanged(rule="weighted", by="a", ts_event=0),
        ModelConfigured(model="gpt", enabled=True, by="a", ts_event=0),
        PerformanceReported(model="gpt", accuracy=0.5, by="a", ts_event=0),
    ],
)
def test_an_unknown_rule_or_model_is_refused_and_changes_nothing(message: object) -> None:
    engine = pure_engine()
    before = engine.state_hash()
    for refuse in (engine.check, engine.handle):
        with pytest.raises(UnknownName):
            refuse(message)
    assert engine.state_hash() == before


def test_the_last_share_cannot_be_taken_away() -> None:
    engine = pure_engine(["xgboost", "nhits"])
    engine.handle(ModelConfigured(model="xgboost", allocation=0.0, by="a", ts_event=0))
    last = ModelConfigured(model="nhits", allocation=0.0, enabled=False, by="a", ts_event=0)
    before = engine.state_hash()
    for refuse in (engine.check, engine.handle):
        with pytest.raises(InvalidValue, match="must not all be 0"):
            refuse(last)
    assert engine.state_hash() == before


def test_the_outside_brings_in_no_more_symbols_and_horizons_than_there_is_room_for() -> None:
    engine = pure_engine(engine={"most_symbols": 3, "most_horizons": 2})
    many = b",".join(signal(symbol=f"S{i}") for i in range(5))
    assert engine.cycle(START, {key("xgb"): b"[" + many + b"]"}).rejected == {"crowded": 3}
    horizons = b",".join(signal(horizon=i) for i in (1, 2, 3))
    assert engine.cycle(START, {key("nhits"): b"[" + horizons + b"]"}).rejected == {"crowded": 2}


def test_symbols_that_nobody_speaks_of_any_more_make_room_for_others() -> None:
    engine = pure_engine(engine={"most_symbols": 3})

    def say(one: Engine, now_ns: int, *symbols: str) -> dict[str, int]:
        said = b",".join(signal(symbol=symbol, at=now_ns) for symbol in symbols)
        return dict(one.cycle(now_ns, {key("xgb"): b"[" + said + b"]"}).rejected)

    assert say(engine, START, "A", "B", "C") == {"crowded": 1}
    assert say(engine, START + SECOND_NS, "A") == {}
    later = START + 2 * HOUR_NS  # nobody speaks of them any more, and B was heard least recently
    assert say(engine, later, "BTCUSDT") == {}
    restored = pure_engine(engine={"most_symbols": 3})
    restored.restore(engine.state())
    for one in (engine, restored):
        assert say(one, later + SECOND_NS, "D") == {}
        assert sorted(one.state()["symbols"]) == ["A", "BTCUSDT", "D"]
        assert say(one, later + 2 * SECOND_NS, "E", "F") == {"crowded": 1}
        assert sorted(one.state()["symbols"]) == ["BTCUSDT", "D", "E"]
    assert restored.state_hash() == engine.state_hash()


def test_trust_moves_are_logged_with_their_cause_and_the_last_hundred_are_kept() -> None:
    engine = pure_engine()
    for tick in range(120):
        at = START + tick * SECOND_NS
        word = "BUY" if tick % 2 else "SELL"
        engine.cycle(at, {key("xgb"): signal("BUY", 0.9, at=at), key("nhits"): signal(word, 0.6, at=at)})
    events = engine.trust_log.events("nhits")
    assert len(events) == 100
    assert events[-1]["n"] == engine.trust_log.count("nhits") == 120
    assert {event["because"] for event in events} == {"consensus"}
    assert [round(event["change"], 6) for event in events[:2]] == [-0.03, 0.05]
    assert max(event["trust"] for event in events) <= 2.0


def test_signals_are_gated_by_the_seeds_and_rounds_by_the_services_gates() -> None:
    engine = pure_engine(gates="edge", loaded=["xgboost"])
    assert main(engine, START, THREE).actionable
    (consensus,) = engine.handle(own("xgboost", START + SECOND_NS))
    assert consensus.reason == "below_cost" or not consensus.actionable
    assert "coverage" not in consensus.gates


def test_the_volatility_of_the_newest_window_gates_a_signal() -> None:
    engine = pure_engine()
    engine.handle(window("BTCUSDT", START - SECOND_NS, volatility=0.09))
    low = {key(m): signal("BUY", 0.5 if m == "xgb" else 0.55) for m in ("xgb", "nhits", "lgbm")}
    assert main(engine, START, low).gates["volatility"] == "pass"
    wild = low | {key("tlob"): signal("SELL", 0.9)}
    assert main(engine, START + SECOND_NS, wild).gates["volatility"].startswith("volatility_hold")


@pytest.mark.parametrize("part", ["configuration", "service", "board", "trust_log", "records", "standing"])
def test_a_damaged_state_is_refused(part: str) -> None:
    engine = pure_engine()
    engine.cycle(START, THREE)
    state = engine.state()
    with pytest.raises(InvalidValue):
        pure_engine().restore({name: value for name, value in state.items() if name != part})
    with pytest.raises(InvalidValue):
        pure_engine().restore(state | {part: 5})
    with pytest.raises(InvalidValue, match="one over"):
        pure_engine(["xgboost", "nhits"]).restore(state)


def test_a_prediction_and_its_consensus_are_dated_by_the_newest_voter() -> None:
    engine = pure_engine()
    said = {key("xgb"): signal(at=START - 40 * SECOND_NS), key("nhits"): signal(at=START - 3 * SECOND_NS)}
    consensus = main(engine, START, said)
    assert consensus.ts_event == START - 3 * SECOND_NS
