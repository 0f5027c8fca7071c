"""Models that are promoted, damaged or taken away while a living system serves them."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from live_cases import store_models
from live_system_cases import OddFeed, ended, system_of, until


@pytest.fixture(scope="module")
def stored(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "models"
    shutil.copytree(models, folder)
    return folder


def test_coverage_after_a_restart_is_that_of_the_loaded_models_though_no_step_follows(
    tmp_path: Path, stored: Path
) -> None:
    (tmp_path / "models").symlink_to(stored)
    for _ in range(2):
        with system_of(tmp_path, OddFeed(lambda _, step: [step])) as system:
            ended(system)
            assert system.health()["coverage"] == system.market_status()["coverage"] == "full"


def test_a_promotion_takes_effect_while_it_serves(tmp_path: Path) -> None:
    registry = store_models(tmp_path / "models")
    paced = OddFeed(lambda _, step: [step])
    paced.speed = 60.0
    with system_of(tmp_path, paced) as system:
        until(lambda: system.pipeline.ts > 0)
        first = dict(system.pipeline.change.models)
        store_models(tmp_path / "models", ("lightgbm",), rounds=5)
        registry.promote("lightgbm", 2, ts=2, reason="by hand")
        until(lambda: system.pipeline.change.models != first)
        now = dict(system.pipeline.change.models)
        assert now["xgboost"] == first["xgboost"]
        assert (first["lightgbm"][:2], now["lightgbm"][:2]) == ("1:", "2:")
        told = system.journal.read(0, 10, topics=["model.pool_changed"])
        assert [row.event.payload["models"] for row in told] == [first, now]  # type: ignore[index]
        system.feed.speed = 0.0  # type: ignore[attr-defined]
        ended(system)
        before = system.state_hash()
    with system_of(tmp_path, OddFeed(lambda _, step: [step])) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.state_hash() == before


def test_a_pool_that_comes_back_within_a_bar_is_what_a_restart_finds(
    tmp_path: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").symlink_to(stored)
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        both = system._members
        (one, *_) = both.models
        fewer = replace(both, models={one: both.models[one]})
        for members in (fewer, both, fewer, both):
            system._run(lambda taken=members: system._serve(taken))  # type: ignore[misc]
        rows = system.journal.read(topics=["model.pool_changed"])
        told = [row.event.payload["models"] for row in rows]  # type: ignore[index]
        assert [len(models) for models in told] == [2, 1, 2, 1, 2]
        before = system.state_hash()
        system.journal.save_snapshot("pipeline", system.journal.head().offset, {"version": 0})
        monkeypatch.setattr(system, "_last_words", lambda: None)  # as after a kill: no snapshot
    with system_of(tmp_path) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.state_hash() == before
        assert len(system.journal.read(topics=["model.pool_changed"])) == len(told)


def test_a_model_damaged_while_it_serves_goes_on_and_is_missing_after_a_restart(tmp_path: Path) -> None:
    store_models(tmp_path / "models")
    paced = OddFeed(lambda _, step: [step])
    paced.speed = 100.0
    with system_of(tmp_path, paced) as system:
        until(lambda: system.pipeline.ts > 0)
        (graph,) = (tmp_path / "models" / "lightgbm").rglob("graph.fp32.onnx")
        graph.write_bytes(graph.read_bytes()[:-50])
        state = tmp_path / "models" / "lightgbm" / "registry.json"
        state.write_text(state.read_text() + " ")  # somebody writes there: it is looked at again
        time.sleep(1.5)
        assert system.health()["coverage"] == "full"
    with system_of(tmp_path, OddFeed(lambda _, step: [step])) as system:
        ended(system)
        assert "lightgbm: " in system.ready()["models"]
        assert set(system.pipeline.change.models) == {"xgboost"}
        # One of two speaks: none by the rule of the seed, and still it is the model and not the fallback.
        assert system.health()["coverage"] == "none"
        assert {p["model"] for p in system.predictions(None, 0, 100_000)[-3:]} == {"xgboost"}
