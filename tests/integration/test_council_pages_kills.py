"""A service that is killed while its pages do not arrive: the next one sends them, and none twice."""

import time
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
