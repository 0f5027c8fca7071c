"""Figures of models and what a scrape does when there is nothing to say."""

from types import SimpleNamespace
from typing import Any

from consilium.app.exposition import families, text_of
from consilium.app.live.market_room import MarketRoom
from consilium.app.live.terms import Terms
from consilium.app.metrics import METRICS, PREFIX, _models
from consilium.models.runtime import Runtime
from consilium.models.serving.counters import FAILED, TOO_SLOW, Counters
from consilium.training.labels import LabelSpec


def test_the_counters_of_a_model_become_figures() -> None:
    counters = Counters()
    for ns in (1_000_000, 2_000_000, 3_000_000):
        counters.served(ns)
    counters.failed(TOO_SLOW)
    counters.failed(FAILED)
    room = MarketRoom(Terms(bars_per_day={}), LabelSpec(), Runtime(workers=1))
    system = SimpleNamespace(pipeline=SimpleNamespace(market=room))
    assert list(_models(system)) == []
    shown = {"xgboost": counters.summary(), "tlob": Counters().summary()}
    pool: Any = SimpleNamespace(counters=lambda: shown)
    room.pool = pool
    text = text_of(families(PREFIX, METRICS, _models(system))).decode()
    assert 'consilium_model_latency_seconds{model="xgboost",quantile="0.5"} 0.002\n' in text
    assert 'consilium_model_failures_total{model="xgboost",reason="too_slow"} 1.0\n' in text
    assert 'consilium_model_predictions_total{model="xgboost"} 3.0\n' in text
    assert 'consilium_model_predictions_total{model="tlob"} 0.0\n' in text
    assert 'tlob",quantile' not in text


def test_every_figure_has_a_name_in_the_manner_of_its_kind() -> None:
    for name, (kind, told) in METRICS.items():
        assert name.endswith("_total") == (kind == "counter")
        assert told.endswith(".")
