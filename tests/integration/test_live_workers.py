"""The rooms in processes of their own, over a real Valkey: the same history as in one process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import numpy as np
import pytest

from consilium.app.bootstrap import SystemClock
from consilium.app.live import room_worker
from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.records import CONSENSUS_REACHED, STEP_DECIDED, Recorder
from consilium.app.live.rooms import EnsembleRoom
from consilium.app.live.terms import Terms
from consilium.app.settings import Settings
from consilium.bus.journal import open_journal
from consilium.bus.state_store import open_state_store
from consilium.bus.transport import MemoryTransport
from consilium.domain import Event, FeatureWindow, PoolChanged, Prediction, RuleChanged, StepDone
from consilium.ensemble.publishing import METRICS_KEY
from consilium.training.labels import LabelSpec
from live_process import KEY, concluded, free_port
from worker_process import by_topic, count, end, prepared, served_alone, until_counted, worker, workers

FEED = ("--feed", "simulate:symbols=2,bars=520,seed=5")
STEPS = 260
LAST_KILL = 180
"""Steps before the last kill."""
UNGOVERNED = {"CONSILIUM_COUNCIL__ENABLED": "false"}
TRADED = "portfolio.snapshot_updated"


@pytest.fixture(scope="module")
def in_one_process(models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    return concluded(served_alone(tmp_path_factory.mktemp("one"), models, *FEED, "--speed", "0"))


@pytest.mark.long
@pytest.mark.promise(
    "004", "the same rooms as workers over Redis conclude the same; each effect exactly once"
)
def test_workers_conclude_what_one_process_does(
    tmp_path: Path, models: Path, in_one_process: list[Event], fresh_valkey: str
) -> None:
    rooms = (("market", *FEED, "--speed", "0"), "ensemble", "trading")
    with workers(rooms, prepared(tmp_path, models), fresh_valkey, **UNGOVERNED) as processes:
        until_counted(tmp_path, TRADED, STEPS, processes)
        end(processes)
    assert by_topic(concluded(tmp_path)) == by_topic(in_one_process)


@pytest.mark.long
def test_killed_workers_leave_every_effect_once(
    tmp_path: Path, models: Path, in_one_process: list[Event], fresh_valkey: str
) -> None:
    rng, rooms = np.random.default_rng(11), ("ensemble", "trading")
    folder = prepared(tmp_path, models)
    with worker("market", folder, fresh_valkey, *FEED, "--speed", "12", **UNGOVERNED) as market:
        for target in sorted(rng.integers(1, LAST_KILL, 3).tolist()):
            with workers(rooms, folder, fresh_valkey, **UNGOVERNED) as others:
                # what is traded is waited for, not seconds: the kills fall on work on any machine
                until_counted(tmp_path, TRADED, max(target, count(tmp_path, TRADED) + 1), [market, *others])
                time.sleep(float(rng.uniform(0.0, 0.1)))
                for process in others:
                    process.kill()
                    assert process.wait() == -signal.SIGKILL
        assert count(tmp_path, TRADED) < STEPS
        with workers(rooms, folder, fresh_valkey, **UNGOVERNED) as others:
            until_counted(tmp_path, TRADED, STEPS, [market, *others])
    assert by_topic(concluded(tmp_path)) == by_topic(in_one_process)


@pytest.mark.long
def test_an_api_worker_shows_what_the_others_conclude_and_takes_commands(
    tmp_path: Path, models: Path, fresh_valkey: str
) -> None:
    import httpx

    port = free_port()
    url, head = f"http://127.0.0.1:{port}", {"X-API-Key": KEY}
    rooms = (("market", *FEED, "--speed", "0"), "ensemble", "trading", ("api", "--port", str(port)))
    with workers(rooms, prepared(tmp_path, models), fresh_valkey, **UNGOVERNED) as processes:
        until_counted(tmp_path, TRADED, STEPS, processes)
        status = httpx.get(f"{url}/api/market/status", headers=head, timeout=20.0).json()
        assert status["symbols"] == ["SIM00", "SIM01"]
        account = httpx.get(f"{url}/api/trading/status", headers=head, timeout=20.0).json()
        assert account["ts_event"] == status["ts_event"]
        answer = httpx.post(
            f"{url}/api/ensemble/strategy", headers=head, json={"strategy": "majority"}, timeout=20.0
        )
        assert answer.status_code == 200, answer.text
        end = time.monotonic() + 20.0
        while (
            httpx.get(f"{url}/api/ensemble/status", headers=head, timeout=20.0).json()["strategy"]
            != "majority"
        ):
            assert time.monotonic() < end
            time.sleep(0.2)
        health = httpx.get(f"{url}/health", timeout=20.0).json()
        assert (health["coverage"], health["feed"]["ts_event"]) == ("full", status["ts_event"])
        assert health["model_federation"]["status"] == "active"
        assert health["model_federation"]["consensus_signal"]["models_used"] == 2
        told = json.loads(until_written(fresh_valkey, METRICS_KEY)["quantum:consensus:signal"])
        assert (told["symbol"], told["models_used"]) == ("SIM00", 2)
        figures = httpx.get(f"{url}/metrics", headers=head, timeout=20.0).text
        assert 'consilium_coverage{level="full"} 1.0' in figures
        assert 'consilium_model_trust{model="xgb"}' in figures
        troubled = until_told(url, lambda why: "no sign of life" not in why)
        assert troubled == "warn: market: the feed has ended"
        processes[2].kill()
        absent = until_told(url, lambda why: "no sign of life" in why)
        assert absent.endswith("no sign of life from trading: start consilium worker trading")
        assert httpx.get(f"{url}/readyz", timeout=20.0).status_code == 200


def keys_of(redis: str) -> dict[str, str]:
    """Return the texts under the keys of the ensemble."""
    store = open_state_store(redis)
    try:
        found = {key: store.get(key) for key in store.scan("quantum:")}
    finally:
        store.close()
    return {key: value.decode() for key, value in found.items() if value is not None}


def until_written(redis: str, key: str, seconds: float = 40.0) -> dict[str, str]:
    """Wait for a cycle of the engine: a quick feed can end before the first of them is due."""
    end = time.monotonic() + seconds
    while key not in (found := keys_of(redis)):
        assert time.monotonic() < end, f"{key} was not written, only {sorted(found)}"
        time.sleep(0.1)
    return found


def until_told(url: str, true: Callable[[str], bool], seconds: float = 40.0) -> str:
    """Wait until what an API worker says of the other workers is so."""
    import httpx

    end, told = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        told = str(httpx.get(f"{url}/readyz", timeout=20.0).json()["checks"].get("workers", ""))
        if true(told):
            return told
        time.sleep(0.2)
    raise AssertionError(told)


POOL = PoolChanged(
    models={"xgboost": "1", "nhits": "1"},
    missing={},
    label={},
    means={"mean_up": 0.01, "mean_down": -0.01, "mean_gain": 0.01, "mean_loss": 0.005},
    ts_event=1,
)


def said_in_step(ts: int) -> list[object]:
    window = FeatureWindow(symbol="BTCUSDT", ts_event=ts, features=np.empty((0, 0)), volatility=0.02)
    spoken = [
        Prediction(
            model=model,
            symbol="BTCUSDT",
            ts_event=ts,
            horizon_ns=10,
            label_id="l",
            probabilities=(0.1, 0.2, 0.7),
            expected_return=0.01,
        )
        for model in POOL.models
    ]
    return [window, *spoken, StepDone(feed="f", ts_event=ts, digest="d")]


def consensuses_of_worker(folder: Path, *, restart: bool) -> list[tuple[str, object]]:
    """Let an ensemble worker take a pool and some steps; with a restart another one takes the last two."""
    settings = Settings.model_validate({"ensemble": {"gates": "edge", "rule": "weighted_voting"}})
    journal, transport = open_journal(f"sqlite:///{folder}/journal.sqlite"), MemoryTransport()
    journal.append(Recorder(ts_recorded=1, trace_id="pool").events([POOL]))

    def hire() -> tuple[Flag, Thread]:
        stop, clock = Flag(), SystemClock()
        engine = EnsembleEngine(make_live_ensemble(settings), settings=settings, clock=clock)
        room = EnsembleRoom(settings, engine, clock)
        thread = Thread(target=room_worker.RoomWorker(room, journal, transport).run, args=(stop,))
        thread.start()
        return stop, thread

    stop, thread = hire()
    try:
        for step in range(1, 6):
            journal.append(Recorder(ts_recorded=1, trace_id=f"step-{step}").events(said_in_step(100 * step)))
            end = time.monotonic() + 20.0
            while len(journal.read(topics=[STEP_DECIDED])) < step:
                assert time.monotonic() < end, f"step {step} is not decided"
                time.sleep(0.01)
            if restart and step == 3:
                assert journal.load_snapshot("worker-ensemble") is not None
                stop.set()
                thread.join(10.0)
                stop, thread = hire()
        rows = journal.read(topics=[CONSENSUS_REACHED])
    finally:
        stop.set()
        thread.join(10.0)
        journal.close()
    return [(row.event.event_id, row.event.payload) for row in rows]


def test_a_restarted_ensemble_worker_holds_consensuses_to_the_gates_of_the_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    unbroken = consensuses_of_worker(tmp_path / "one", restart=False)
    monkeypatch.setattr(room_worker, "SNAPSHOT_EVENTS", 3)
    assert consensuses_of_worker(tmp_path / "two", restart=True) == unbroken
    assert len(unbroken) == 5
    for _, payload in unbroken:
        assert isinstance(payload, dict)
        assert not payload["gates"]["break_even"].startswith("not evaluated")


def test_an_ensemble_worker_asks_what_the_market_worker_has_begun_with(tmp_path: Path) -> None:
    settings = Settings.model_validate({"training": {"horizon": 2}})
    clock = SystemClock()
    begun: list[dict[str, object]] = []
    service = make_live_ensemble(settings)
    engine = EnsembleEngine(service, settings=settings, clock=clock)
    room = EnsembleRoom(settings, engine, clock, begun=lambda: begun[0] if begun else None)

    def take(messages: Sequence[object]) -> None:
        for event in Recorder(ts_recorded=1, trace_id="t").events(messages):
            room.handle(event)

    take([RuleChanged(rule="majority", by="ann", ts_event=1), POOL])
    assert engine.pure.main.symbol == "BTCUSDT"
    symbols = [f"SYM{i:03}" for i in range(1_000)]
    terms = Terms(feed="f", interval_ns=50, symbols=tuple(symbols), bars_per_day=dict.fromkeys(symbols, 24.0))
    begun.append(terms.as_dict())
    take([StepDone(feed="f", ts_event=5, digest="d")])
    spec = LabelSpec(horizon=2)
    assert engine.pure.main == ("SYM000", 100, spec.label_id(50))
    assert engine.pure.service.capacity == 2 * 1_000 * (2 + 4)
    assert engine.status()["strategy"] == "majority"
    assert engine.pure.service.loaded == set(POOL.models)
    again = EnsembleRoom(settings, engine, clock, begun=lambda: begun[0])
    kept = room.state()
    again.restore(kept)
    assert again.state() == kept
    take([replace(POOL, label=LabelSpec(horizon=3).as_dict(), ts_event=6)])
    assert engine.pure.main.horizon_ns == 150


def test_a_worker_without_redis_is_refused_in_one_line(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}
    for arguments, code, said in (
        (["trading"], 2, "workers speak over Redis; got no CONSILIUM_REDIS_URL"),
        (["cleaning"], 1, "worker must be one of"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "consilium", "worker", *arguments],
            cwd=tmp_path, env=kept, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode in (code, 2)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
