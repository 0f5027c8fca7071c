"""Figures of models and what a scrape does when there is nothing to say."""

from types import SimpleNamespace

from consilium.app.exposition import families, text_of
from consilium.app.metrics import METRICS, PREFIX, _models
from consilium.models.serving.counters import FAILED, TOO_SLOW, Counters


def test_the_counters_of_a_model_become_figures() -> None:
    counters = Counters()
    for ns in (1_000_000, 2_000_000, 3_000_000):
        counters.served(ns)
    counters.failed(TOO_SLOW)
    counters.failed(FAILED)
    pool = SimpleNamespace(counters=lambda: {"xgboost": counters.summary(), "tlob": Counters().summary()})
    system = SimpleNamespace(pipeline=SimpleNamespace(pool=pool))
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
