"""The server under the API: bounded connections, a clean end, and one line where the port is taken."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from consilium.app.api.intake import BODY_SECONDS, LEAST_RATE
from consilium.app.api.problems import MEDIA_TYPE, problem_body, title_of
from consilium.app.settings import Settings
from consilium.app.tls import make_tls
from consilium.domain import UsageError

HEAD_SECONDS, HEAD_BYTES = 10.0, 65_536
"""How long the head of a request may take, and how long it may be."""

WRITE_SECONDS = 30.0
"""How long a client may leave an answer unread."""

KEEP_ALIVE_S, GRACE_S = 15, 5
MOST_CONNECTIONS = 2_048


class BoundedProtocol(HttpToolsProtocol):
    """HTTP whose requests must arrive in time and in size; uvicorn itself waits for ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._head_bytes = self._body_bytes = 0
        self._body_begun = 0.0
        self._in_head = self._only_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Give a new connection its time to speak."""
        super().connection_made(transport)
        self._arm(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time."""
        self._disarm()
        self._read_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head takes too long or grows too large."""
        if self._in_head and self._deadline is None:
            self._arm(HEAD_SECONDS)
        self._only_head = self._in_head
        super().data_received(data)
        if self._only_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, f"the head of a request may have {HEAD_BYTES} bytes; got more: send less")

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(400, f"a request must be HTTP; got something else: {msg.rstrip('.').lower()}")

    def on_headers_complete(self) -> None:
        """Begin the answer, and the time of the body."""
        self._in_head = self._only_head = False
        self._head_bytes = 0
        self.scope["abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]  # ours
        # The intake answers 408 before; this is for who sends on after an answer.
        self._body_begun, self._body_bytes = self.loop.time(), 0
        self._arm(BODY_SECONDS + 5.0)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Give a body more time as it comes; not so after its answer."""
        super().on_body(body)
        self._body_bytes += len(body)
        if not self.cycle.response_complete:
            bought = BODY_SECONDS + 5.0 + self._body_bytes / LEAST_RATE
            self._arm(self._body_begun + bought - self.loop.time())

    def on_message_complete(self) -> None:
        """Stop the time: the request is whole."""
        self._disarm()
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Begin the time of a client that does not read."""
        super().pause_writing()
        self._unread = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        self._read_on()
        super().resume_writing()

    def _read_on(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if self._in_head and self._head_bytes:
            self._refuse(408, f"the head of a request must arrive within {HEAD_SECONDS:g} s; got a part")
        else:
            self.transport.abort()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer where there is no request that a route could answer, and hang up."""
        body = problem_body(status, detail)
        head = (
            f"HTTP/1.1 {status} {title_of(status)}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class _Config(uvicorn.Config):
    """uvicorn's settings, with TLS as `make_tls` has it: 1.2 or newer, and no question for a password."""

    def load(self) -> None:
        """Load the app and the certificate."""
        super().load()
        if self.is_ssl:
            self.ssl = make_tls(Path(str(self.ssl_certfile)), Path(str(self.ssl_keyfile)))


class ApiServer(uvicorn.Server):
    """A server that ends its event streams first, so that a stop need not wait for their clients.

    Parameters
    ----------
    app
        Made by `make_api`.
    settings
        Host, port, TLS.
    on_listening
        Called with the port as soon as requests are taken.
    """

    def __init__(
        self, app: FastAPI, settings: Settings, on_listening: Callable[[int], None] | None = None
    ) -> None:
        bounds = settings.api
        if (bounds.tls_certificate is None) != (bounds.tls_key is None):
            raise UsageError(
                "TLS takes api.tls_certificate and api.tls_key", "one of both", "give both or neither"
            )
        for path in (bounds.tls_certificate, bounds.tls_key):
            if path is not None and not path.is_file():
                raise UsageError("TLS files must be readable", f"'{path}'", "correct the path")
        config = _Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http=BoundedProtocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=MOST_CONNECTIONS,
            backlog=1_024,
            ssl_certfile=bounds.tls_certificate,
            ssl_keyfile=bounds.tls_key,
        )
        super().__init__(config)
        self._api = app
        self._settings = settings
        self._on_listening = on_listening

    def bind(self) -> socket.socket:
        """Take the port; see `bind`."""
        return bind(self._settings)

    def serve_on(self, sock: socket.socket) -> None:
        """Serve until told to stop; blocks."""
        self.run(sockets=[sock])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and tell the port."""
        await super().startup(sockets)
        if self.started and self._on_listening is not None:
            given = sockets[0].getsockname()[1] if sockets else self._settings.port
            self._on_listening(given)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then the rest."""
        with suppress(AttributeError):
            self._api.state.hub.stop()
        await super().shutdown(sockets)


def bind(settings: Settings) -> socket.socket:
    """Take the port.

    Raises
    ------
    UsageError
        It is taken, or not ours to take.
    """
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1_024)
    except OSError as error:
        sock.close()
        raise UsageError(
            "the API needs a free port of this machine",
            f"{host}:{port} ({error.strerror or error})",
            "stop who holds it, or set CONSILIUM_HOST and CONSILIUM_PORT",
        ) from None
    sock.setblocking(False)
    return sock
