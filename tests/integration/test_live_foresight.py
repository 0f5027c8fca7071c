"""Models that learned from what a replay has still to play: they are not asked, and that is told."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consilium.app.check.run import check_settings
from consilium.app.live.assembly import assemble
from consilium.app.live.system import LiveSystem
from consilium.app.settings import Live
from consilium.domain.time import HOUR_NS
from consilium.market.simulator import START_TS
from live_cases import TREES, settings_of, store_models

FEED = "simulate:symbols=2,bars=520,seed=5"
FIRST = START_TS + 260 * HOUR_NS
"""The last bar before the first step: half of a short replay warms the models up."""
KNOWN = FIRST + 150 * HOUR_NS


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that learned from half of what is played."""
    folder = tmp_path_factory.mktemp("stored")
    store_models(folder, start_ts=KNOWN)
    return folder


def until(good: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def played(folder: Path, stored: Path, feed: str = FEED, *, foresight: bool = False) -> LiveSystem:
    if not (folder / "models").exists():
        (folder / "models").symlink_to(stored)
    return assemble(settings_of(folder, live=Live(feed=feed, speed=0.0, foresight=foresight)))


def spoke(system: LiveSystem) -> dict[str, tuple[int, int]]:
    """Return by model the first and the last close of which it spoke."""
    found: dict[str, list[int]] = {}
    for said in system.predictions(None, 0, 100_000):
        found.setdefault(str(said["model"]), []).append(int(str(said["ts_event"])))
    return {name: (min(times), max(times)) for name, times in found.items()}


def ended(system: LiveSystem) -> None:
    until(lambda: system.feed.problem() == "the feed has ended")
    assert system.troubles == {}


def test_a_model_is_asked_about_no_close_before_the_last_one_that_it_learned_from(
    tmp_path: Path, stored: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), played(tmp_path, stored) as system:
        ended(system)
        learned = dict(system.pipeline.change.learned_until)
        assert set(learned) == set(TREES)
        assert all(FIRST < ts <= KNOWN for ts in learned.values())
        found = spoke(system)
        assert found["fallback"] == (FIRST + HOUR_NS, learned["xgboost"] - HOUR_NS)
        assert {found[name][0] for name in TREES} == {learned["xgboost"]}
        assert system.ready()["models"] == ""
        rows = system.journal.read(topics=["model.pool_changed"])
        pools = [row.event.payload["missing"] for row in rows]  # type: ignore[index]
        assert [set(missing) for missing in pools] == [set(), set(TREES), set()]
        assert "and may speak of none before: train it on older bars" in pools[1]["xgboost"]
    assert "xgboost is not asked: it learned from bars up to 2024-01-" in caplog.text


def test_a_replay_of_what_its_models_learned_from_tells_so_and_goes_on_after_a_restart(
    tmp_path: Path, stored: Path
) -> None:
    feed = "simulate:symbols=2,bars=400,seed=5"  # it ends before anything new
    with played(tmp_path, stored, feed) as system:
        ended(system)
        assert set(spoke(system)) == {"fallback"}
        told = system.ready()["models"]
        assert told.startswith("warn: ")
        assert "xgboost: it learned from bars up to" in told
        assert told.endswith("no model is loaded: coverage none, the fallback speaks")
        assert system.market_status()["coverage"] == "none"
        assert set(system.market_status()["missing"]) == set(TREES)
        before, rows = system.state_hash(), len(system.journal.read(topics=["model.pool_changed"]))
    with played(tmp_path, stored, feed) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.state_hash() == before
        assert len(system.journal.read(topics=["model.pool_changed"])) == rows
        assert system.ready()["models"] == told


def test_a_demonstration_lets_them_speak_and_says_that_it_is_no_evidence(
    tmp_path: Path, stored: Path
) -> None:
    with played(tmp_path, stored, "simulate:symbols=2,bars=400,seed=5", foresight=True) as system:
        ended(system)
        assert set(TREES) <= set(spoke(system))
        assert system.ready()["models"] == "warn: " + "; ".join(
            f"{name}: it learned from bars still to come, what it says is no evidence"
            for name in system.pipeline.change.models
        )
        assert system.health()["status"] == "degraded"


def test_a_check_warns_of_a_demonstration(tmp_path: Path) -> None:
    found = check_settings(settings_of(tmp_path, live=Live(foresight=True)), port=False)
    assert [(f.level, f.text) for f in found if f.setting == "live.foresight"] == [
        (
            "warning",
            "models may speak of closes that they learned from: for demonstrations, it is no evidence",
        )
    ]
