"""Signals of outside as guests in rounds of our own models, and rounds beside the cycles of signals."""

import json

from consilium.domain import HOUR_NS, SECOND_NS, Direction, StepDone
from consilium.ensemble.publishing import trusted_weights, writes_of
from engine_cases import START, key, main, outcome, own, pure_engine, signal, window


def test_a_round_waits_for_the_loaded_models_and_takes_fresh_signals_in_as_guests() -> None:
    engine = pure_engine(loaded=["xgboost", "lightgbm"], trust="fixed_share")
    engine.cycle(START - 5 * SECOND_NS, {key("nhits"): signal("BUY", at=START - 9 * SECOND_NS)})
    engine.handle(window("BTCUSDT", START))
    assert engine.handle(own("xgboost", START)) == ()
    (consensus,) = engine.handle(own("lightgbm", START, (0.8, 0.1, 0.1)))
    assert set(consensus.weights) == {"xgboost", "lightgbm", "nhits"}
    engine.handle(outcome(START, Direction.DOWN))
    assert engine.records.measured("nhits") == {"accuracy": 0.0, "outcomes": 1}
    assert engine.records.measured("lightgbm") == {"accuracy": 1.0, "outcomes": 1}
    trust = trusted_weights(engine)
    assert trust["nhits"] < 1.0 < trust["lgbm"]


def test_a_guest_was_said_before_the_close_is_fresh_then_and_joins_once() -> None:
    engine = pure_engine(loaded=["xgboost"])
    engine.cycle(START, {key("nhits"): signal(at=START - 9 * SECOND_NS), key("tlob"): signal(at=START)})
    engine.cycle(START + 2 * SECOND_NS, {key("tlob"): signal(at=START + SECOND_NS)})
    engine.handle(window("BTCUSDT", START - SECOND_NS))
    (first,) = engine.handle(own("xgboost", START - SECOND_NS))
    assert set(first.weights) == {"xgboost", "nhits"}
    engine.handle(window("BTCUSDT", START))
    (second,) = engine.handle(own("xgboost", START))
    assert set(second.weights) == {"xgboost", "tlob"}
    engine.handle(window("BTCUSDT", START + 120 * SECOND_NS))
    (third,) = engine.handle(own("xgboost", START + 120 * SECOND_NS))
    assert set(third.weights) == {"xgboost"}


def test_guests_are_scored_even_where_no_model_of_our_own_speaks() -> None:
    engine = pure_engine(trust="fixed_share")
    engine.cycle(START, {key("nhits"): signal("BUY"), key("tlob"): signal("SELL")})
    engine.handle(window("BTCUSDT", START + SECOND_NS))
    (consensus,) = engine.handle(StepDone(feed="f", ts_event=START + SECOND_NS, digest="d"))
    assert set(consensus.weights) == {"nhits", "tlob"}
    engine.handle(outcome(START + SECOND_NS))
    trust = trusted_weights(engine)
    assert trust["nhits"] > trust["tlob"]


def test_a_guest_is_not_taught_by_a_consensus_twice() -> None:
    engine = pure_engine(loaded=["xgboost"])
    engine.cycle(START, {key("nhits"): signal("BUY")})
    assert trusted_weights(engine)["nhits"] == 1.05
    engine.handle(window("BTCUSDT", START + SECOND_NS))
    engine.handle(own("xgboost", START + SECOND_NS))
    assert trusted_weights(engine) == {"lgbm": 1.0, "nhits": 1.05, "tlob": 1.0, "xgb": 1.05}


def test_a_snapshot_in_the_middle_of_a_round_knows_its_guests() -> None:
    lived, restored = pure_engine(loaded=["xgboost"]), pure_engine(loaded=["xgboost"])
    lived.cycle(START, {key("nhits"): signal("BUY")})
    lived.handle(window("BTCUSDT", START + SECOND_NS))
    restored.restore(lived.state())
    for engine in (lived, restored):
        engine.handle(own("xgboost", START + SECOND_NS))
        assert trusted_weights(engine)["nhits"] == 1.05
    assert restored.state_hash() == lived.state_hash()


def test_our_own_prediction_takes_the_place_of_a_guest() -> None:
    engine = pure_engine(loaded=["xgboost", "nhits"])
    engine.cycle(START, {key("xgb"): signal("SELL", 0.9)})
    engine.handle(window("BTCUSDT", START + SECOND_NS))
    assert engine.handle(own("nhits", START + SECOND_NS)) == ()
    (consensus,) = engine.handle(own("xgboost", START + SECOND_NS))
    assert consensus.direction is Direction.UP
    assert consensus.agreement == 1.0


def test_what_our_own_models_said_in_the_last_horizon_votes_beside_signals() -> None:
    engine = pure_engine(loaded=["xgboost", "lightgbm"])
    for model in ("xgboost", "lightgbm"):
        engine.handle(own(model, START))
    later = START + 1_800 * SECOND_NS
    assert set(main(engine, later, {key("nhits"): signal(at=later)}).weights) == {
        "xgboost",
        "lightgbm",
        "nhits",
    }
    much_later = START + HOUR_NS + SECOND_NS
    assert set(main(engine, much_later, {key("nhits"): signal(at=much_later)}).weights) == {"nhits"}


def test_a_rounds_consensus_stands_for_a_horizon_even_where_candles_are_of_another_year() -> None:
    engine = pure_engine(loaded=["xgboost"])
    (consensus,) = engine.handle(own("xgboost", HOUR_NS))
    assert main(engine, START, {}) == consensus
    assert main(engine, START + HOUR_NS, {}) == consensus
    assert engine.cycle(START + 2 * HOUR_NS, {}).main is None


def test_a_short_horizon_has_a_consensus_of_its_own() -> None:
    engine = pure_engine(loaded=["xgboost"])
    engine.handle(own("xgboost", START))
    soon = {"horizon": 10}
    said = {key("tlob"): signal("SELL", 0.9, **soon), key("nhits"): signal("SELL", 0.8, **soon)}
    cycle = engine.cycle(START, said)
    assert cycle.main is not None
    assert set(cycle.main.weights) == {"xgboost"}
    (short,) = [shown.consensus for shown in cycle.shown[1:]]
    assert short is not None
    assert (short.horizon_ns, short.direction, set(short.weights)) == (
        10 * SECOND_NS,
        Direction.DOWN,
        {"tlob", "nhits"},
    )
    values = {write.key: write.value for write in writes_of(engine, cycle, took_s=0.0, pushed={})}
    body = json.loads(str(values["quantum:consensus:signal"]))
    assert body["trust_weights"] == {"xgb": 1.05}
    assert [(other["horizon"], other["action"]) for other in body["other_horizons"]] == [(10.0, "SELL")]
