"""The exam of the living engine on every store of keys, and the shapes that seeds 000 and 004 print."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from consilium.app.live.engine import EnsembleEngine
from consilium.app.settings import Settings
from consilium.bus.state_store import StateStore, open_state_store
from consilium.domain import ModelConfigured, PerformanceReported, RuleChanged
from consilium.ensemble import SEED_004_ALLOCATIONS, EnsembleService
from engine_cases import LABEL, START, Hand, live_engine, put, read, signal

SEED_004_STATUS = """
{
    "strategy": "weighted_voting",
    "total_models": 3,
    "enabled_models": 3,
    "models": {
        "cnn_lstm": {"enabled": true, "weight": 0.4, "accuracy": 0.72},
        "mpd_transformer": {"enabled": true, "weight": 0.35, "accuracy": 0.68},
        "tlob": {"enabled": true, "weight": 0.25, "accuracy": 0.65}
    },
    "last_prediction": null
}
"""


def opened(name: str, request: pytest.FixtureRequest) -> Iterator[StateStore]:
    made = open_state_store("" if name == "memory" else request.getfixturevalue("fresh_valkey"))
    yield made
    made.close()


@pytest.fixture(params=["memory", "redis"])
def keys(request: pytest.FixtureRequest) -> Iterator[StateStore]:
    yield from opened(request.param, request)


@pytest.fixture(params=["none", "memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[StateStore | None]:
    if request.param == "none":
        yield None
    else:
        yield from opened(request.param, request)


def of_seed_004(store: StateStore | None) -> EnsembleEngine:
    service = EnsembleService(
        list(SEED_004_ALLOCATIONS), rule="weighted_voting", allocations=SEED_004_ALLOCATIONS, loaded=[]
    )
    return EnsembleEngine(service, store, settings=Settings(), clock=Hand(), label_id=LABEL)


def report(model: str, accuracy: float) -> PerformanceReported:
    return PerformanceReported(model=model, accuracy=accuracy, by="admin", ts_event=START)


@pytest.mark.promise("004", "GET /api/ensemble/status: strategy, models with enabled, weight and accuracy")
def test_the_status_is_that_of_seed_004_to_the_letter(store: StateStore | None) -> None:
    engine = of_seed_004(store)
    for model, accuracy in (("cnn_lstm", 0.72), ("mpd", 0.68), ("tlob", 0.65)):
        engine.handle(report(model, accuracy))
    assert json.loads(json.dumps(engine.status())) == json.loads(SEED_004_STATUS)


@pytest.mark.promise("004", "enable, weigh and report models, and change the strategy, while it runs")
def test_the_commands_of_seed_004_show_in_the_status(store: StateStore | None) -> None:
    engine = of_seed_004(store)
    engine.handle(ModelConfigured(model="mpd_transformer", enabled=False, by="admin", ts_event=START))
    engine.handle(ModelConfigured(model="cnn_lstm", allocation=0.5, by="admin", ts_event=START))
    engine.handle(RuleChanged(rule="adaptive", by="admin", ts_event=START))
    engine.handle(report("cnn_lstm", 0.73))
    status = engine.status()
    assert (status["strategy"], status["total_models"], status["enabled_models"]) == ("adaptive", 3, 2)
    assert status["models"]["cnn_lstm"] == {"enabled": True, "weight": 0.5, "accuracy": 0.73}
    assert status["models"]["mpd_transformer"]["enabled"] is False


def test_the_last_prediction_is_the_newest_consensus(keys: StateStore) -> None:
    engine = live_engine(keys, Hand())
    assert engine.status()["last_prediction"] is None
    put(keys, xgb=signal("SELL"), nhits=signal("SELL"))
    engine.cycle()
    shown: dict[str, Any] = engine.status()["last_prediction"]
    assert shown == read(keys, "quantum:consensus:signal")
    assert (shown["action"], shown["symbol"], shown["timestamp"]) == ("SELL", "BTCUSDT", 1_700_000_000.0)
    assert {"action", "confidence", "models_used", "agreement_pct", "trust_weights"} <= set(shown)


@pytest.mark.promise("000", "9 model types are monitored")
def test_nine_kinds_may_speak_under_each_of_their_names(keys: StateStore) -> None:
    names = ("xgb", "lgbm", "nhits", "patchtst", "cnn_lstm", "mpd", "tlob", "rl_agent", "sentiment")
    engine = live_engine(keys, Hand())
    put(keys, **{name: signal("BUY") for name in names})
    assert len(engine.cycle().messages) == 10
    consensus = read(keys, "quantum:consensus:signal")
    assert consensus["models_used"] == 9
    assert set(consensus["trust_weights"]) == {*names} - {"mpd"} | {"mpd_transformer"}
    other = live_engine(None, Hand())
    other.cycle()
    assert len(other.models()) == 9


def test_a_state_is_taken_up_by_another_engine(store: StateStore | None) -> None:
    engine = live_engine(store, Hand(), trust="agreement")
    if store is not None:
        put(store, xgb=signal("BUY"), nhits=signal("SELL"), lgbm=signal("BUY"))
    engine.handle(RuleChanged(rule="majority", by="admin", ts_event=START))
    engine.cycle()
    other = live_engine(store, Hand(), trust="agreement")
    other.restore(json.loads(json.dumps(engine.state())))
    assert other.state_hash() == engine.state_hash()
    assert other.status() == engine.status()
    assert other.cycle().messages == ()
    assert other.federation() == engine.federation()
