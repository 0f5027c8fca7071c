"""What the researcher asks for is done: trainings with new versions, studies with reports, once each."""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.bootstrap import SystemClock
from consilium.app.live import research
from consilium.app.live.assembly import assemble
from consilium.app.live.research import TRIALS
from consilium.app.live.system import LiveSystem
from consilium.app.settings import Live, Training
from consilium.bus.codec import message_of
from consilium.domain import HOUR_NS, TrainingEnded, TrainingStarted
from consilium.market.simulator import START_TS
from consilium.training.registry import ModelRegistry
from consilium.training.runs import RunTable
from live_cases import settings_of, store_models

FEED = "simulate:symbols=1,bars=1000,seed=5"
LONG = "simulate:symbols=1,bars=3000,seed=5"
"""A search for parameters needs folds inside each fold."""


def begun(folder: Path, feed: str = FEED) -> LiveSystem:
    settings = settings_of(
        folder,
        live=Live(feed=feed, speed=0.0),
        training=Training(features="core14", folds=2),
        council={"tick_s": 0.05, "start_profile": "NORMAL", "trusted_sources": ["desk"]},
    )
    system = assemble(settings)
    played: Any = system.feed
    # all but the last day is its past: it is learned from as well, and not lived through
    played._begin = int(np.unique(played._ts)[-24])
    return system


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    # up to three days before what is lived through: a model of a month would be trained again by itself
    store_models(folder, ("xgboost",), start_ts=START_TS + 900 * HOUR_NS)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(research, "EPOCHS", 10)


@pytest.fixture
def folder(tmp_path: Path, stored: Path) -> Path:
    shutil.copytree(stored, tmp_path / "models")
    return tmp_path


@pytest.fixture
def system(folder: Path) -> Iterator[LiveSystem]:
    with begun(folder) as made:
        until(lambda: made.feed.problem() != "", 60.0)
        yield made


def until(good: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def said(system: LiveSystem, topic: str) -> list[Any]:
    return [message_of(row.event) for row in system.journal.read(0, 100_000, topics=[topic])]


def ended(system: LiveSystem, kind: str) -> dict[str, Any]:
    def found() -> list[Any]:
        return [end for end in said(system, "research.ended") if end["task_type"] == kind]

    until(lambda: found() != [], 900.0)
    return dict(found()[0])


def tell_model(system: LiveSystem, **changes: Any) -> None:
    told = {"model_name": "xgboost", "sharpe_ratio": 2.0, "win_rate": 0.6, "trades": 100}
    tell(system, "model.performance_updated", told | changes)


def tell_account(system: LiveSystem, **changes: Any) -> None:
    told = {
        "total_equity": 10_000.0,
        "drawdown_pct": 0.0,
        "max_drawdown_pct": 0.0,
        "realized_pnl_today": 0.0,
        "exposure_pct": 0.0,
        "open_positions": 0,
        "win_rate": None,
        "sharpe_ratio": None,
        "consecutive_losses": 0,
        "winning_days": 0,
        "losing_days": 0,
    }
    tell(system, "portfolio.snapshot_updated", told | changes)


def tell(system: LiveSystem, topic: str, payload: dict[str, Any]) -> None:
    now = system.clock.now_ns()
    system.publish_outside(topic, source="desk", sequence=now, ts_event=now, payload=payload, by="publisher")


@pytest.mark.promise("001", "RESEARCH_TASK queues a training of an old model on the newest window")
def test_an_old_model_is_trained_again_and_its_new_version_is_stored(
    system: LiveSystem, folder: Path
) -> None:
    registry = ModelRegistry(folder / "models")
    before = len(registry.versions("xgboost"))
    tell_model(system, staleness_days=45.0)
    end = ended(system, "model_retraining")
    assert (end["outcome"], end["reason"]) == ("done", "")
    (started,) = said(system, "training.started")
    (over,) = said(system, "training.ended")
    assert isinstance(started, TrainingStarted)
    assert isinstance(over, TrainingEnded)
    assert (started.by, started.model, over.outcome) == ("researcher", "xgboost", "done")
    assert end["training_id"] == started.training_id
    assert len(registry.versions("xgboost")) == before + 1
    time.sleep(0.3)
    assert len(said(system, "training.started")) == 1, "a task is carried out once"


@pytest.mark.promise("001", "risk_analysis gives a stress report")
def test_a_drawdown_gives_a_stress_report(system: LiveSystem, folder: Path) -> None:
    tell_account(system, drawdown_pct=0.065, max_drawdown_pct=0.065)
    end = ended(system, "risk_analysis")
    assert end["outcome"] == "done"
    report = json.loads((folder / end["report"]).read_text())
    assert report["equity"] == pytest.approx(system.trading_status()["equity"])
    assert set(report["falls"]) == {"0.05", "0.1", "0.2", "0.35"}
    assert all(moves["1"] < 0.0 for moves in report["worst_moves"].values())


@pytest.mark.long
@pytest.mark.promise("001", "backtest_strategy trades every rule under every trust policy, each a trial")
def test_a_poor_win_rate_gives_a_grid_of_rules_and_trust(system: LiveSystem, folder: Path) -> None:
    tell_account(system, win_rate=0.40)
    end = ended(system, "backtest_strategy")
    assert (end["outcome"], end["reason"]) == ("done", "")
    report = json.loads((folder / end["report"]).read_text())
    pairs = {(row["rule"], row["trust"]) for row in report["grid"]}
    assert len(pairs) == report["trials"] >= 40
    assert RunTable(folder / "runs.db", SystemClock()).trials("backtest") == report["trials"]


@pytest.mark.long
@pytest.mark.promise("001", "feature_engineering gives a report of permutations and ablations")
def test_a_model_below_even_gives_a_report_of_its_features(system: LiveSystem, folder: Path) -> None:
    tell_model(system, win_rate=0.48)
    end = ended(system, "feature_engineering")
    assert (end["outcome"], end["reason"]) == ("done", "")
    report = json.loads((folder / end["report"]).read_text())
    assert len(report["features"]) == 14
    assert report["features"][0]["permutation"] > report["features"][-1]["permutation"]


@pytest.mark.long
@pytest.mark.promise("001", "hyperparameter_tuning is a search of 30 trials")
def test_a_poor_model_is_tuned_in_thirty_trials(folder: Path) -> None:
    with begun(folder, LONG) as system:
        until(lambda: system.feed.problem() != "", 300.0)
        tell_model(system, sharpe_ratio=0.5)
        end = ended(system, "hyperparameter_tuning")
    assert (end["outcome"], end["reason"]) == ("done", "")
    assert TRIALS == 30
    with closing(sqlite3.connect(folder / "runs.db")) as rows:
        told = " ".join(str(row) for row in rows.execute("SELECT * FROM runs"))
    assert "'tune': 30" in told or '"tune": 30' in told or '"tune":30' in told


def test_a_task_that_a_stop_interrupts_is_done_after_the_next_start(system: LiveSystem, folder: Path) -> None:
    tell_model(system, staleness_days=45.0)
    until(lambda: said(system, "training.started") != [])
    system.stop()
    with begun(folder) as again:
        assert ended(again, "model_retraining")["outcome"] == "done"
        assert [over.outcome for over in said(again, "training.ended")][-1] == "done"
