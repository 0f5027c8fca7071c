"""The council as a worker beside the others, over a real Valkey: what it rules, what the others do by it."""

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from consilium.domain import Event
from live_cases import store_models
from live_process import CONCLUDED, KEY, free_port, journal_of, serving
from worker_process import by_topic, count, until_counted, worker, workers

FEED = ("--feed", "simulate:symbols=4,bars=520,seed=5")
STEPS = 260
RULED = (
    *CONCLUDED,
    "ai.federation.decision_made",
    "council.policy_changed",
    "council.conflict_resolved",
    "council.report_refused",
    "trading.profit_split",
    "trading.order_shadowed",
)
COUNCIL = {
    "CONSILIUM_COUNCIL__ENABLED": "true",
    "CONSILIUM_COUNCIL__START_PROFILE": "NORMAL",
    "CONSILIUM_COUNCIL__TICK_S": "0.2",
}
OBEYED = "trading.step_obeyed"
SOAK = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    store_models(folder)
    return folder


@pytest.fixture(scope="module")
def in_one_process(models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    folder = tmp_path_factory.mktemp("one")
    shutil.copytree(models, folder / "models")
    with serving(folder, *FEED, "--speed", "0", port=free_port(), **COUNCIL) as service:
        service.wait_until_ended()
        assert service.stop() == 0
    return ruled(folder)


def ruled(folder: Path) -> list[Event]:
    """Return all that was concluded and ruled, in order, but for what the watch on the council adds."""
    with journal_of(folder) as journal:
        rows = journal.read(0, 1_000_000, topics=RULED)
        journal.verify()
    return [row.event for row in rows]


def first(events: list[Event], closes: int) -> list[Event]:
    """Return what belongs to the first closes."""
    last = [event.ts_event for event in events if event.topic == "market.step_done"][closes - 1]
    return [event for event in events if event.ts_event <= last]


@pytest.mark.long
@pytest.mark.promise("001", "a council among workers rules what it rules in one process, and is obeyed alike")
def test_workers_rule_and_trade_as_one_process_does(
    tmp_path: Path, models: Path, in_one_process: list[Event], fresh_valkey: str
) -> None:
    shutil.copytree(models, tmp_path / "models")
    with (
        workers(("ensemble", "trading", "council"), tmp_path, fresh_valkey, **COUNCIL) as others,
        worker("market", tmp_path, fresh_valkey, *FEED, "--speed", "0", **COUNCIL) as market,
    ):
        until_counted(tmp_path, OBEYED, STEPS, [market, *others])
        for process in (market, *others):
            process.send_signal(signal.SIGTERM)
        for process in (market, *others):
            assert process.wait(30.0) == 0
    rules = Counter(
        dict(event.payload)["rule"]  # type: ignore[call-overload]
        for event in in_one_process
        if event.topic == "ai.federation.decision_made"
    )
    assert {"S1", "R1", "C1", "C2", "P2", "F3"} <= set(rules)  # limits, weights, universe, profile, freeze
    assert by_topic(ruled(tmp_path)) == by_topic(in_one_process)


@pytest.mark.long
@pytest.mark.promise("001", "a council that is killed at any instant rules on every close once")
def test_a_killed_council_leaves_every_ruling_once(
    tmp_path: Path, models: Path, in_one_process: list[Event], fresh_valkey: str
) -> None:
    closes = STEPS - 10 if SOAK else 60
    rng = np.random.default_rng(17)
    targets = sorted(rng.integers(1, closes - 10, 30 if SOAK else 3).tolist())
    shutil.copytree(models, tmp_path / "models")
    settings = COUNCIL | {"CONSILIUM_COUNCIL__LOST_S": "900"}  # a start takes long on a busy machine
    with (
        workers(("ensemble", "trading"), tmp_path, fresh_valkey, **settings) as others,
        worker("market", tmp_path, fresh_valkey, *FEED, "--speed", "0", **settings) as market,
    ):
        for target in targets:
            with worker("council", tmp_path, fresh_valkey, **settings) as council:
                least = max(target, count(tmp_path, OBEYED) + 1)
                until_counted(tmp_path, OBEYED, least, [market, council, *others])
                time.sleep(float(rng.uniform(0.0, 0.1)))
                council.kill()
                assert council.wait() == -signal.SIGKILL
        assert count(tmp_path, OBEYED) < closes
        with worker("council", tmp_path, fresh_valkey, **settings) as council:
            until_counted(tmp_path, OBEYED, closes + 1, [market, council, *others])
    assert by_topic(first(ruled(tmp_path), closes)) == by_topic(first(in_one_process, closes))


@pytest.mark.long
@pytest.mark.promise("001", "over HTTP a freeze among workers survives a kill of all of them")
def test_an_api_worker_governs_and_a_freeze_survives_the_kill_of_all(
    tmp_path: Path, models: Path, fresh_valkey: str
) -> None:
    shutil.copytree(models, tmp_path / "models")
    port = free_port()
    url, head = f"http://127.0.0.1:{port}/api/federation", {"X-API-Key": KEY}
    rooms = ("ensemble", "trading", "council")
    slow = ("--speed", "2")

    def get(path: str) -> dict[str, Any]:
        return dict(httpx.get(f"{url}/{path}", headers=head, timeout=30.0).json())

    def post(path: str, **body: Any) -> httpx.Response:
        return httpx.post(f"{url}/{path}", headers=head, json=body, timeout=30.0)

    with (
        workers(rooms, tmp_path, fresh_valkey, **COUNCIL) as others,
        worker("market", tmp_path, fresh_valkey, *FEED, *slow, **COUNCIL) as market,
        worker("api", tmp_path, fresh_valkey, "--port", str(port), **COUNCIL) as api,
    ):
        until_counted(tmp_path, OBEYED, 3, [market, *others, api])
        until_answered(lambda: get("status")["mode"], "LIVE")
        assert get("status")["roles"]["supervisor"] is True
        tightened = post("risk", max_leverage=2.0, reason="a quiet desk")
        assert tightened.status_code == 200, tightened.text
        assert get("policy")["max_leverage"] == 2.0
        assert get("decisions")["decisions"][0]["decision_id"] == tightened.json()["decision_id"]
        explained = get(f"explain/{tightened.json()['decision_id']}")
        assert explained["cause"]["payload"]["person"] == "admin"
        loosened = post("risk", max_leverage=9.0, reason="a loud desk")
        assert (loosened.status_code, loosened.json()["success"]) == (202, False)
        assert post("freeze", reason="smoke").status_code == 200
        until_answered(lambda: get("status")["detail"], "FROZEN")
        for process in (market, *others, api):
            process.kill()
            process.wait()
    (tmp_path / "live" / "FROZEN.json").unlink()
    before = count(tmp_path, OBEYED)
    with (
        workers(rooms, tmp_path, fresh_valkey, **COUNCIL) as others,
        worker("market", tmp_path, fresh_valkey, *FEED, *slow, **COUNCIL) as market,
        worker("api", tmp_path, fresh_valkey, "--port", str(port), **COUNCIL) as api,
    ):
        until_counted(tmp_path, OBEYED, before + 5, [market, *others, api])
        until_answered(lambda: get("status")["detail"], "FROZEN")
        assert post("freeze/review", reason="seen").status_code == 200
        assert post("freeze/review", reason="seen again").status_code == 409
        others[2].kill()
        others[2].wait()
        until_answered(lambda: post("mode", mode="PAUSED", reason="nobody sits").status_code, 503)
        assert get("status")["detail"] == "FROZEN"


def until_answered(ask: Callable[[], object], wanted: object, seconds: float = 120.0) -> None:
    """Ask until the answer is as wanted."""
    end, found = time.monotonic() + seconds, None
    while time.monotonic() < end:
        with suppress(httpx.TransportError, KeyError):
            found = ask()
            if found == wanted:
                return
        time.sleep(0.2)
    raise AssertionError(f"{found!r}, not {wanted!r}")
