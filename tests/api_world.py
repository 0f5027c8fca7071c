"""An API on a real server in this process, over a small system, with keys of several scopes."""

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import SecretStr

from consilium.app.api.frame import make_api
from consilium.app.api.keys import KeyStore
from consilium.app.api.server import ApiServer
from consilium.app.settings import Api, Settings
from small_system import SmallSystem

ADMIN_KEY = "an-admin-key-of-some-length"
ADMIN = {"X-API-Key": ADMIN_KEY}


class World:
    """Used in a ``with`` block; the server listens on a free port of the loopback until its end."""

    def __init__(
        self,
        folder: Path,
        *,
        heartbeat_s: float = 0.1,
        stuck_s: float = 2.0,
        longest_s: float = 30.0,
        **bounds: Any,
    ) -> None:
        self.settings = Settings(
            data_dir=folder,
            api_key=SecretStr(ADMIN_KEY),
            port=0,
            api=Api(stream_seconds=longest_s, **bounds),
            redis_url="",
        )
        self.system = SmallSystem(self.settings)
        self.keys = KeyStore(folder, self.system.clock, ADMIN_KEY)
        self.app = make_api(
            self.system,
            self.keys,
            self.settings,
            heartbeat_s=heartbeat_s,
            stuck_s=stuck_s,
        )
        self.port = 0
        self._listening = threading.Event()
        self.server = ApiServer(self.app, self.settings, self._told)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _told(self, port: int) -> None:
        self.port = port
        self._listening.set()

    def _serve(self) -> None:
        self.server.serve_on(self.server.bind())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(20.0)
        self.http = httpx.Client(base_url=self.url, timeout=20.0, trust_env=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self.server.should_exit = True
        self._thread.join(20.0)
        assert not self._thread.is_alive()

    def key(self, *scopes: str, limited: bool = True) -> dict[str, str]:
        return {"X-API-Key": self.keys.create("ann", scopes, limited=limited)[0]}


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Assert a problem in full form; return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert body["status"] == status
    assert "\n" not in body["detail"]
    assert body["trace_id"] == response.headers["x-request-id"]
    return body
