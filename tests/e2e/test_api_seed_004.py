"""Section 5 of seed 004, request by request, against the real service."""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import httpx
import pytest

from served import ADMIN, served

FEED = ("--feed", "simulate:symbols=1,bars=2000,kind=garch", "--speed", "0")


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    rule = {"ENSEMBLE__RULE": "weighted_voting", "TRAINING__FEATURES": "core14", "TRAINING__FOLDS": "2"}
    with served(tmp_path_factory.mktemp("seed"), *FEED, **rule) as client:
        client.headers.update(ADMIN)
        until = time.monotonic() + 60.0
        while "feed has ended" not in client.get("/readyz").text:  # what was not played is not learned from
            assert time.monotonic() < until
            time.sleep(0.2)
        yield client


def posted(http: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.promise(
    "004", "GET /api/ensemble/status: strategy, total_models, enabled_models, models, last_prediction"
)
def test_the_status_has_the_fields_of_the_seed(http: httpx.Client) -> None:
    body = http.get("/api/ensemble/status").json()
    assert body["strategy"] == "weighted_voting"
    assert body["total_models"] == len(body["models"])
    assert body["enabled_models"] == sum(model["enabled"] for model in body["models"].values())
    for name in ("cnn_lstm", "mpd_transformer", "tlob"):
        assert {"enabled", "weight", "accuracy"} <= set(body["models"][name])
    assert "last_prediction" in body


@pytest.mark.promise("004", "GET /api/ensemble/models lists the models")
def test_the_models_are_listed(http: httpx.Client) -> None:
    listed = {model["model_type"] for model in http.get("/api/ensemble/models").json()}
    assert {"cnn_lstm", "mpd_transformer", "tlob"} <= listed


@pytest.mark.promise("004", "POST /api/ensemble/models/enable")
def test_a_model_is_disabled_and_enabled(http: httpx.Client) -> None:
    for enabled in (False, True):
        posted(http, "/api/ensemble/models/enable", {"model_type": "mpd_transformer", "enabled": enabled})
        assert http.get("/api/ensemble/status").json()["models"]["mpd_transformer"]["enabled"] is enabled


@pytest.mark.promise("004", "POST /api/ensemble/models/weight")
def test_a_weight_is_changed(http: httpx.Client) -> None:
    posted(http, "/api/ensemble/models/weight", {"model_type": "cnn_lstm", "weight": 0.5})
    models = http.get("/api/ensemble/status").json()["models"]
    # Shares count by their ratio: it has 0.5 beside eight that have 1/9 each, whatever the scale shown.
    assert models["cnn_lstm"]["weight"] > max(m["weight"] for name, m in models.items() if name != "cnn_lstm")


@pytest.mark.promise("004", "POST /api/ensemble/strategy")
@pytest.mark.parametrize(
    "strategy", ["adaptive", "unanimous", "majority", "confidence_based", "weighted_voting"]
)
def test_the_strategy_is_changed_to_any_of_the_seeds(http: httpx.Client, strategy: str) -> None:
    posted(http, "/api/ensemble/strategy", {"strategy": strategy})
    assert http.get("/api/ensemble/status").json()["strategy"] == strategy


@pytest.mark.promise("004", "POST /api/ensemble/performance/update")
def test_reported_performance_is_shown_and_enters_no_weight(http: httpx.Client) -> None:
    def weights() -> dict[str, float]:
        return {m["model_type"]: m["weight"] for m in http.get("/api/ensemble/models").json()}

    before = weights()
    body = {"model_type": "cnn_lstm", "accuracy": 0.73, "profit_factor": 1.95}
    posted(http, "/api/ensemble/performance/update", body)
    shown = next(m for m in http.get("/api/ensemble/models").json() if m["model_type"] == "cnn_lstm")
    assert (shown["reported"]["accuracy"], shown["reported"]["profit_factor"]) == (0.73, 1.95)
    assert weights() == before


@pytest.mark.promise("004", "POST /api/ensemble/training/start and GET /api/ensemble/training/status")
def test_a_training_is_started_watched_and_journaled(http: httpx.Client) -> None:
    body = {"architecture": "lightgbm", "symbol": "SIM00", "epochs": 100, "batch_size": 32}
    started = posted(http, "/api/ensemble/training/start", body)
    assert started["is_training"] is True
    again = http.post("/api/ensemble/training/start", json=body)
    assert again.status_code == 409
    fields = {
        "is_training",
        "current_epoch",
        "total_epochs",
        "current_loss",
        "best_loss",
        "architecture",
        "progress_percent",
    }
    until = time.monotonic() + 120.0
    while (status := http.get("/api/ensemble/training/status").json())["is_training"]:
        assert fields <= set(status)
        assert (status["total_epochs"], status["architecture"]) == (100, "lightgbm")
        assert time.monotonic() < until
        time.sleep(0.1)
    assert (status["error"], status["progress_percent"]) == ("", 100.0)
    topics = {"topics": "training.started,training.ended"}
    begun, ended = http.get("/api/events/history", params=topics).json()["items"]
    assert begun["payload"]["by"] == "admin"
    assert begun["payload"]["training_id"] == ended["payload"]["training_id"]
    assert ended["payload"]["outcome"] == "done"


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_the_seeds_own_training_is_started_and_cancelled(http: httpx.Client) -> None:
    body = {"architecture": "mpd_transformer", "symbol": "SIM00", "epochs": 100, "batch_size": 32}
    assert posted(http, "/api/ensemble/training/start", body)["architecture"] == "mpd_transformer"
    time.sleep(5.0)
    status = http.get("/api/ensemble/training/status").json()
    assert (status["is_training"], status["error"]) == (True, "")
    assert http.post("/api/ensemble/training/cancel").json()["is_training"] is False


@pytest.mark.promise("004", "POST /api/ensemble/training/start")
def test_a_training_that_cannot_be_is_told_why(http: httpx.Client) -> None:
    body = {"architecture": "mpd_transformr", "symbol": "SIM00", "epochs": 100, "batch_size": 32}
    refused = http.post("/api/ensemble/training/start", json=body)
    assert refused.status_code == 404
    assert "did you mean 'mpd_transformer'" in refused.json()["detail"]
    assert http.post("/api/ensemble/training/cancel").status_code == 409


@pytest.mark.promise(
    "000", "the health endpoint carries model_federation: status, consensus_signal, trusted_weights"
)
def test_the_health_carries_the_model_federation_of_seed_000(http: httpx.Client) -> None:
    health = http.get("/health", headers={"X-API-Key": ""}).json()
    federation = health["model_federation"]
    assert set(federation) == {"status", "consensus_signal", "trusted_weights"}
    assert set(federation["consensus_signal"]) == {"action", "confidence", "models_used"}
    assert {"xgb", "nhits", "patchtst"} <= set(federation["trusted_weights"])
    assert health["roles_active"] == 6
