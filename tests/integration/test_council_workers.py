"""The council as a worker beside the others, over a real Valkey: what it rules, what the others do by it."""

import os
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

from consilium.app.api.keys import KeyStore
from consilium.app.bootstrap import SystemClock
from consilium.domain import Event
from live_process import CONCLUDED, free_port, journal_of
from worker_process import by_topic, count, end, prepared, served_alone, until_counted, worker, workers

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
ROOMS = ("ensemble", "trading", "council")
SOAK = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"


@pytest.fixture(scope="module")
def in_one_process(models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    folder = tmp_path_factory.mktemp("one")
    return ruled(served_alone(folder, models, *FEED, "--speed", "0", **COUNCIL))


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
    rooms = (("market", *FEED, "--speed", "0"), *ROOMS)
    with workers(rooms, prepared(tmp_path, models), fresh_valkey, **COUNCIL) as processes:
        until_counted(tmp_path, OBEYED, STEPS, processes)
        end(processes)
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
    prepared(tmp_path, models)
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
    office = Office(prepared(tmp_path, models))
    with workers(office.rooms("2"), tmp_path, fresh_valkey, **COUNCIL) as processes:
        until_counted(tmp_path, OBEYED, 3, processes)
        until_answered(lambda: office.get("status")["mode"], "LIVE")
        assert office.get("status")["roles"]["supervisor"] is True
        tightened = office.post("risk", max_leverage=2.0, reason="a quiet desk")
        assert tightened.status_code == 200, tightened.text
        assert office.get("policy")["max_leverage"] == 2.0
        newest = office.get("decisions")["decisions"][0]["decision_id"]
        assert newest == tightened.json()["decision_id"]
        assert office.get(f"explain/{newest}")["cause"]["payload"]["person"] == "ann"
        loosened = office.post("risk", max_leverage=9.0, reason="a loud desk")
        assert (loosened.status_code, loosened.json()["success"]) == (202, False)
        assert office.post("freeze", reason="smoke").status_code == 200
        until_answered(lambda: office.get("status")["detail"], "FROZEN")
        for process in processes:
            process.kill()
            process.wait()
    (tmp_path / "live" / "FROZEN.json").unlink()
    before = count(tmp_path, OBEYED)
    with workers(office.rooms("2"), tmp_path, fresh_valkey, **COUNCIL) as processes:
        until_counted(tmp_path, OBEYED, before + 5, processes)
        until_answered(lambda: office.get("status")["detail"], "FROZEN")
        assert office.post("freeze/review", reason="seen").status_code == 200
        assert office.post("freeze/review", reason="seen again").status_code == 409
        processes[3].kill()  # the council's
        processes[3].wait()
        until_answered(lambda: office.post("mode", mode="PAUSED", reason="nobody sits").status_code, 503)
        assert office.get("status")["detail"] == "FROZEN"


@pytest.mark.long
@pytest.mark.promise("001", "among workers two reviews and 120 minutes lead from a freeze back to LIVE")
def test_two_reviews_lead_workers_from_a_freeze_back_to_live(
    tmp_path: Path, models: Path, fresh_valkey: str
) -> None:
    office = Office(prepared(tmp_path, models))
    note = tmp_path / "live" / "FROZEN.json"
    with workers(office.rooms("4"), tmp_path, fresh_valkey, **COUNCIL) as processes:
        until_counted(tmp_path, OBEYED, 3, processes)
        until_answered(lambda: office.get("status")["mode"], "LIVE")
        assert office.post("freeze", reason="smoke").status_code == 200
        until_answered(lambda: office.get("status")["detail"], "FROZEN")
        frozen = count(tmp_path, OBEYED)
        until_counted(tmp_path, OBEYED, frozen + 4, processes)  # hours of the market: time alone ends nothing
        assert office.get("status")["detail"] == "FROZEN"
        assert office.post("freeze/review", reason="seen").status_code == 200
        assert office.post("freeze/review", reason="seen too", who="bob").status_code == 200
        until_answered(lambda: office.get("status")["detail"], "LIVE")
        until_answered(note.exists, False)
        until_counted(tmp_path, OBEYED, count(tmp_path, OBEYED) + 3, processes)
        end(processes)
    modes = [event for event in ruled(tmp_path) if event.topic == "council.policy_changed"]
    told = [dict(event.payload)["policy"]["mode"] for event in modes]  # type: ignore[call-overload]
    changes = [mode for mode, last in zip(told, ["", *told], strict=False) if mode != last]
    assert changes[-3:] == ["FROZEN", "SHADOW", "LIVE"]
    sent = [event for event in ruled(tmp_path) if event.topic == "trading.order_sent"]
    begun, ended = (
        [event.ts_event for event, mode in zip(modes, told, strict=True) if mode == name]
        for name in ("FROZEN", "LIVE")
    )
    between = [dict(e.payload) for e in sent if begun[0] < e.ts_event < ended[-1]]  # type: ignore[call-overload]
    assert all(order["reduce_only"] for order in between)


class Office:
    """Two persons at the API of a desk of workers."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        keys = KeyStore(folder, SystemClock())
        self._keys = {name: keys.create(name, ["read", "override"])[0] for name in ("ann", "bob")}

    def rooms(self, speed: str) -> list[str | tuple[str, ...]]:
        """Return all rooms, the market's first and the API's last."""
        return [("market", *FEED, "--speed", speed), *ROOMS, ("api", "--port", str(self._port))]

    def get(self, path: str) -> dict[str, Any]:
        """Look at the council."""
        return dict(self._ask("GET", path, "ann").json())

    def post(self, path: str, who: str = "ann", **body: Any) -> httpx.Response:
        """Ask something of it."""
        return self._ask("POST", path, who, json=body)

    def _ask(self, method: str, path: str, who: str, **more: Any) -> httpx.Response:
        url, head = f"http://127.0.0.1:{self._port}/api/federation/{path}", {"X-API-Key": self._keys[who]}
        return httpx.request(method, url, headers=head, timeout=30.0, **more)


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
