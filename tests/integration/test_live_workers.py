"""The rooms in processes of their own, over a real Valkey: the same history as in one process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from consilium.domain import DataProblem, Event
from live_cases import store_models
from live_process import KEY, concluded, free_port, journal_of, serving, told

FEED = ("--feed", "simulate:symbols=2,bars=520,seed=5")
STEPS = 260
ENVIRONMENT = {
    "CONSILIUM_API_KEY": KEY,
    "CONSILIUM_LOG__LEVEL": "warning",
    "CONSILIUM_SERVING__MAX_AGE_DAYS": "0",
    "CONSILIUM_ENSEMBLE__GATES": "seed",
    "CONSILIUM_ENSEMBLE__RULE": "weighted_voting",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    store_models(folder)
    return folder


@pytest.fixture(scope="module")
def in_one_process(models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    folder = tmp_path_factory.mktemp("one")
    shutil.copytree(models, folder / "models")
    with serving(folder, *FEED, "--speed", "0") as service:
        service.wait_until_ended()
        assert service.stop() == 0
    return concluded(folder)


@contextmanager
def working(room: str, folder: Path, redis: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSILIUM_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "consilium", "worker", room, "--data-dir", str(folder), *FEED, *arguments],
        cwd=folder,
        env=kept | ENVIRONMENT | {"CONSILIUM_REDIS_URL": redis},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def snapshots(folder: Path) -> int:
    try:
        with journal_of(folder) as journal:
            return len(journal.read(0, 1_000_000, topics=["portfolio.snapshot_updated"]))
    except DataProblem:
        return 0  # it is being made


def until_done(folder: Path, *processes: subprocess.Popen[str], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while snapshots(folder) < STEPS:
        for process in processes:
            if process.poll() is not None:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read())
        assert time.monotonic() < end, f"{snapshots(folder)} of {STEPS} steps were traded"
        time.sleep(0.2)


def by_topic(events: list[Event]) -> dict[str, list[tuple[str, str, object]]]:
    """Return events by topic: the order between topics is another when rooms work side by side."""
    found: dict[str, list[tuple[str, str, object]]] = {}
    for event in told(events):
        found.setdefault(event[1], []).append(event)
    return found


@pytest.mark.long
@pytest.mark.promise(
    "004", "the same rooms as workers over Redis conclude the same; each effect exactly once"
)
def test_workers_conclude_what_one_process_does(
    tmp_path: Path, models: Path, in_one_process: list[Event], fresh_valkey: str
) -> None:
    shutil.copytree(models, tmp_path / "models")
    with (
        working("market", tmp_path, fresh_valkey, "--speed", "0") as market,
        working("ensemble", tmp_path, fresh_valkey) as ensemble,
        working("trading", tmp_path, fresh_valkey) as trading,
    ):
        until_done(tmp_path, market, ensemble, trading)
        for process in (market, ensemble, trading):
            process.send_signal(signal.SIGTERM)
            assert process.wait(30.0) == 0
    assert by_topic(concluded(tmp_path)) == by_topic(in_one_process)


@pytest.mark.long
def test_killed_workers_leave_every_effect_once(
    tmp_path: Path, models: Path, in_one_process: list[Event], fresh_valkey: str
) -> None:
    shutil.copytree(models, tmp_path / "models")
    rng = np.random.default_rng(11)
    with working("market", tmp_path, fresh_valkey, "--speed", "12") as market:
        for _ in range(3):
            with (
                working("ensemble", tmp_path, fresh_valkey) as ensemble,
                working("trading", tmp_path, fresh_valkey) as trading,
            ):
                time.sleep(float(rng.uniform(3.0, 6.0)))
                for process in (ensemble, trading):
                    process.kill()
                    assert process.wait() == -signal.SIGKILL
        assert snapshots(tmp_path) < STEPS
        with (
            working("ensemble", tmp_path, fresh_valkey) as ensemble,
            working("trading", tmp_path, fresh_valkey) as trading,
        ):
            until_done(tmp_path, market, ensemble, trading)
    assert by_topic(concluded(tmp_path)) == by_topic(in_one_process)


@pytest.mark.long
def test_an_api_worker_shows_what_the_others_conclude_and_takes_commands(
    tmp_path: Path, models: Path, fresh_valkey: str
) -> None:
    import httpx

    shutil.copytree(models, tmp_path / "models")
    port = free_port()
    url, head = f"http://127.0.0.1:{port}", {"X-API-Key": KEY}
    with (
        working("market", tmp_path, fresh_valkey, "--speed", "0") as market,
        working("ensemble", tmp_path, fresh_valkey) as ensemble,
        working("trading", tmp_path, fresh_valkey) as trading,
        working("api", tmp_path, fresh_valkey, "--port", str(port)) as api,
    ):
        until_done(tmp_path, market, ensemble, trading, api)
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
