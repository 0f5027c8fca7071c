"""A running service under its council, the people who call it, and a server that hears its alerts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from alert_servers import Heard, http_server
from consilium.app.api.keys import KeyStore
from consilium.app.bootstrap import SystemClock
from served import served


class Desk:
    """A running service, and the people who call it."""

    def __init__(self, http: httpx.Client, folder: Path, heard: Heard) -> None:
        self.http = http
        self.folder = folder
        self.heard = heard
        keys = KeyStore(folder, SystemClock())
        self.ann, self.bob = (
            {"X-API-Key": keys.create(name, ["read", "override"])[0]} for name in ("ann", "bob")
        )
        self.reader = {"X-API-Key": keys.create("eve", ["read", "publish", "decide", "vote"])[0]}
        # A change of the file of keys is seen within half a second.
        self.wait_for(lambda: http.get("/api/federation/status", headers=self.reader).status_code == 200)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(f"/api/federation/{path}", params=params, headers=self.reader)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, who: dict[str, str] | None = None) -> httpx.Response:
        return self.http.post(f"/api/federation/{path}", headers=self.ann if who is None else who, json=body)

    def tell_the_account(self, sequence: int, **changes: float) -> None:
        """Publish what the main backend of the seed would: an account that is well but for what is given."""
        payload = {
            "total_equity": 10_000.0,
            "drawdown_pct": 0.0,
            "max_drawdown_pct": 0.0,
            "realized_pnl_today": 0.0,
            "exposure_pct": 0.1,
            "open_positions": 0,
            "win_rate": None,
            "sharpe_ratio": None,
            "consecutive_losses": 0,
            "winning_days": 0,
            "losing_days": 0,
        }
        body = {"source": "backend", "sequence": sequence, "ts_event": time.time_ns()}
        body["payload"] = payload | changes
        answer = self.http.post("/api/events/portfolio.snapshot_updated", headers=self.reader, json=body)
        assert answer.status_code == 200, answer.text

    def wait_for(self, good: Callable[[], bool], seconds: float = 20.0) -> None:
        until = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < until
            time.sleep(0.05)


@contextmanager
def http_desk(folder: Path) -> Iterator[Desk]:
    """Run a service that sends its alerts, and end it."""
    with http_server() as (url, heard):
        settings = {
            "COUNCIL__ALERTS__WEBHOOK_URL": f"{url}/hook?code=of-the-url",
            "COUNCIL__ALERTS__WEBHOOK_SECRET": "a-shared-secret",
            "COUNCIL__ALERTS__PAGE_EVERY_S": "0.4",
            "API__WRITES_PER_MINUTE": "0",
            "LOG__FORMAT": "json",
        }
        with served(folder, **settings) as http:
            yield Desk(http, folder, heard)


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])
