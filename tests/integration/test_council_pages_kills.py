"""Pages of a real service that is killed, or whose journal takes nothing."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from alert_servers import http_server
from consilium.app.council.watch import RAISED, SENT
from live_process import KEY, Served, journal_of, serving

HEADERS = {"X-API-Key": KEY}


def alerts(served: Served) -> list[dict[str, object]]:
    found: list[dict[str, object]] = served.get("/api/federation/alerts").json()["alerts"]
    return [one for one in found if one["kind"] == "frozen"]


@pytest.mark.long
def test_a_page_that_did_not_arrive_before_a_kill_arrives_after_it_once(tmp_path: Path) -> None:
    with http_server() as (url, hook):
        hook.faults = [("status", 503)] * 10_000
        setting: dict[str, Any] = {
            "CONSILIUM_COUNCIL__ENABLED": "true",
            "CONSILIUM_COUNCIL__ALERTS__WEBHOOK_URL": url,
        }
        with serving(tmp_path, **setting) as first:
            first.wait_until_ready()
            body = {"reason": "smoke in the room"}
            asked = httpx.post(f"{first.url}/api/federation/freeze", headers=HEADERS, json=body, timeout=10.0)
            assert asked.status_code == 200, asked.text
            first.wait_for("/readyz", lambda answer: "pages wait" in answer.text, 20.0)
            first.wait_for("/api/federation/status", lambda answer: "FROZEN" in answer.text, 20.0)
            while not hook.tries:
                time.sleep(0.01)
            first.kill()
        assert hook.requests == []
        hook.faults = []
        with serving(tmp_path, **setting) as second:
            second.wait_until_ready()
            (page,) = hook.wait_for(1, 30.0)
            assert page["json"]["text"] == "smoke in the room"
            second.wait_for("/api/federation/alerts", lambda answer: '"webhook":0' in answer.text, 20.0)
            assert [one["alert_id"] for one in alerts(second)] == [page["json"]["alert_id"]]
            time.sleep(1.0)  # it is written down that it was sent
            second.kill()
        with serving(tmp_path, **setting) as third:
            third.wait_until_ready()
            third.wait_for("/api/federation/alerts", lambda answer: "smoke" in answer.text, 20.0)
            time.sleep(1.0)
            third.stop()
        assert len(hook.requests) == 1
    with journal_of(tmp_path) as journal:
        assert len(journal.read(0, 100, topics=[RAISED])) == 1
        assert len(journal.read(0, 100, topics=[SENT])) == 1
        journal.verify()


@pytest.mark.long
@pytest.mark.promise("001", "emergency freeze: an immediate halt that waits for nothing")
def test_a_freeze_and_its_page_wait_for_no_journal(tmp_path: Path) -> None:
    with http_server() as (url, hook):
        setting: dict[str, Any] = {
            "CONSILIUM_COUNCIL__ENABLED": "true",
            "CONSILIUM_COUNCIL__ALERTS__WEBHOOK_URL": url,
        }
        with serving(tmp_path, **setting) as served:
            served.wait_until_ready()
            with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")  # another process has the only lock that writes
                begun = time.monotonic()
                body = {"reason": "smoke in the room"}
                asked = httpx.post(
                    f"{served.url}/api/federation/freeze", headers=HEADERS, json=body, timeout=30.0
                )
                took = time.monotonic() - begun
                assert asked.status_code == 200, asked.text
                assert took < 2.0
                assert served.get("/api/federation/status").json()["detail"] == "FROZEN"
                while not any(page["json"]["text"] == "smoke in the room" for page in hook.requests):
                    assert time.monotonic() - begun < 40.0
                    time.sleep(0.05)
                other.execute("ROLLBACK")
            decision = f"/api/federation/explain/{asked.json()['decision_id']}"
            served.wait_for(decision, lambda answer: answer.status_code == 200, 30.0)
            served.wait_for("/api/federation/alerts", lambda answer: '"webhook":0' in answer.text, 20.0)
            served.stop()
        # A journal that takes nothing is a reason to freeze of its own (F6); each is told once.
        told = [page["json"]["alert_id"] for page in hook.requests]
        assert len(told) == len(set(told)) <= 2
    with journal_of(tmp_path) as journal:
        for topic in (RAISED, SENT):
            rows = [row.event.payload for row in journal.read(0, 100, topics=[topic])]
            assert sorted(row["alert_id"] for row in rows) == sorted(told)  # type: ignore[index]  # JSON
