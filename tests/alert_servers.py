"""Real servers of pages in this process: a webhook and a bot over HTTP, and a mail server; with faults."""

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

Fault = tuple[Any, ...]


class Heard:
    """What came, and what to do with what comes next: a list of faults, each of which is used once.

    ``("status", 500)``, ``("status", 429, {"Retry-After": "2"}, b"...")``, ``("reset",)`` (the socket is torn
    down without an answer), ``("hang", seconds)``.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.tries = 0
        self.faults: list[Fault] = []
        self.body = b'{"ok":true}'
        self._lock = threading.Lock()

    def take(self) -> Fault | None:
        with self._lock:
            self.tries += 1
            return self.faults.pop(0) if self.faults else None

    def wait_for(self, count: int, seconds: float = 10.0) -> list[dict[str, Any]]:
        until = time.monotonic() + seconds
        while len(self.requests) < count:
            assert time.monotonic() < until, f"{len(self.requests)} of {count} pages after {seconds} s"
            time.sleep(0.01)
        return self.requests


@contextmanager
def http_server() -> Iterator[tuple[str, Heard]]:
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            fault = heard.take()
            if fault is not None and fault[0] == "reset":
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                self.close_connection = True
                return
            if fault is not None and fault[0] == "hang":
                time.sleep(fault[1])
                self.close_connection = True
                return
            status, body = 200, heard.body
            headers: dict[str, str] = {}
            if fault is not None:
                status = fault[1]
                headers = fault[2] if len(fault) > 2 else {}
                body = fault[3] if len(fault) > 3 else b""
            else:
                heard.requests.append(
                    {
                        "path": self.path,
                        "headers": {name.lower(): value for name, value in self.headers.items()},
                        "content": content,
                        "json": json.loads(content),
                    }
                )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)


class Letters:
    """A mailbox that refuses some addresses; ``answers`` are given once each instead of taking a letter."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.to: list[list[str]] = []
        self.encrypted: list[bool] = []
        self.refuse: set[str] = set()
        self.answers: list[str] = []

    async def handle_RCPT(  # noqa: N802 - the name is the library's
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        self.letters.append(envelope.content)
        self.to.append(list(envelope.rcpt_tos))
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 OK"


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"bot", b"p@ss:word")
    return AuthResult(success=good, handled=False)


@contextmanager
def mail_server(
    tls: tuple[Path, Path] | None = None, *, login: bool = False, implicit: bool = False
) -> Iterator[tuple[int, Letters]]:
    """Run a mail server; with a certificate it asks for STARTTLS first, or speaks TLS from the start."""
    letters = Letters()
    given: dict[str, Any] = {}
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
        given = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
    if login:
        given |= {"authenticator": _authenticate, "auth_required": True}
        given |= {"auth_require_tls": tls is not None}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = Controller(letters, hostname="127.0.0.1", port=port, **given)
    made.start()
    try:
        yield port, letters
    finally:
        made.stop()
