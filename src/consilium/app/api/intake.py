"""What every request passes first: trace id, key, rate, size, and the headers that every answer carries."""

import asyncio
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from secrets import token_hex

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consilium.app.api.keys import KeyRecord, KeyStore
from consilium.app.api.limits import RateLimit
from consilium.app.api.metrics import ApiMetrics
from consilium.app.api.problems import MEDIA_TYPE, ApiProblem, problem_body
from consilium.app.log import follow
from consilium.app.settings import Api

PUBLIC = frozenset({"/livez", "/readyz", "/health", "/ui", "/ui/"})
"""Paths that need no key."""

HALT = "/api/federation/freeze"
"""Never limited: a halt must not wait for a minute to be over, and a second one changes nothing."""

BODY_SECONDS = 10.0
"""How long a body may take to arrive, beside what its size takes at the least rate."""

LEAST_RATE = 262_144.0
"""Bytes a second that a long body must come at: 128 MiB have 522 seconds, a few kilobytes the ten alone."""

NETWORK = "/api/network/"
"""Bodies of its own size; and participants send as often as they read: each message is signed."""

READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
CLOSED = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
UNSTORED = (b"cache-control", b"no-store")
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")

_TRACE = re.compile(rb"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger("consilium.api")


class Intake:
    """Middleware around all routes.

    Parameters
    ----------
    app
        What comes next.
    keys
        Who may call.
    bounds
        Rates and sizes.
    metrics
        Counts what is answered.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyStore, bounds: Api, metrics: ApiMetrics) -> None:
        self.app = app
        self.keys = keys
        self.body_bytes, self.network_bytes = bounds.body_bytes, bounds.network_body_bytes
        self.metrics = metrics
        self._reads = RateLimit(bounds.reads_per_minute)
        self._writes = RateLimit(bounds.writes_per_minute)
        self._headers = SECURITY_HEADERS
        if bounds.tls_certificate is not None:
            self._headers = (*SECURITY_HEADERS, HTTPS_ONLY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        said = _headers_of(scope)
        given = said.get(b"x-request-id", b"")
        trace_id = given.decode() if _TRACE.fullmatch(given) else token_hex(16)
        state: MutableMapping[str, object] = scope.setdefault("state", {})
        state["trace_id"] = trace_id
        follow(trace_id)
        out = _Out(send, trace_id, self._headers)
        try:
            refused = self._refusal(scope, said, state)
            if refused is not None:
                await out.problem(refused, scope["method"])
            else:
                body = receive
                if scope["method"] not in READS:
                    body = _Bounded(receive, *self._most(scope)).receive
                await self.app(scope, body, out.send)
        except ApiProblem as problem:
            await out.problem(problem, scope["method"])
        except Exception as error:
            log.error(  # noqa: TRY400 - a traceback with its values could show a secret
                "request failed",
                method=scope["method"],
                path=scope["path"],
                trace_id=trace_id,
                error=f"{type(error).__name__}: {error}",
                where=_where(error),
            )
            if out.status:
                raise
            await out.problem(
                ApiProblem(500, f"an unexpected failure: the log tells it under trace_id {trace_id}"),
                scope["method"],
            )
        finally:
            self.metrics.answered(scope, out.status, time.perf_counter() - begun)

    def _refusal(
        self, scope: Scope, said: dict[bytes, bytes], state: MutableMapping[str, object]
    ) -> ApiProblem | None:
        length, (most, setting) = said.get(b"content-length", b"0"), self._most(scope)
        if not length.isdigit() or len(length) > 18 or int(length) > most:
            return _too_large(most, setting)
        if scope["path"] in PUBLIC:
            return None
        caller = self._caller(said)
        if isinstance(caller, ApiProblem):
            return caller
        state["caller"] = caller
        if not caller.limited or scope["path"] == HALT:
            return None
        reads = scope["method"] in READS or scope["path"].startswith(NETWORK)
        limit, word = (self._reads, "reads") if reads else (self._writes, "writes")
        wait = limit.take(caller.key_id, time.monotonic())
        if wait:
            self.metrics.refused("rate")
            return ApiProblem(
                429,
                f"a key may make {limit.per_minute} {word} a minute; got more: try again in {wait} s",
                {"Retry-After": str(wait)},
            )
        return None

    def _most(self, scope: Scope) -> tuple[int, str]:
        """Return the largest body of a path, and the setting that says so."""
        if scope["path"].startswith(NETWORK):
            return self.network_bytes, "api.network_body_bytes"
        return self.body_bytes, "api.body_bytes"

    def _caller(self, said: dict[bytes, bytes]) -> KeyRecord | ApiProblem:
        key = said.get(b"x-api-key", b"")
        if not key:
            kind, _, token = said.get(b"authorization", b"").partition(b" ")
            key = token.strip() if kind.lower() == b"bearer" else b""
        found = self.keys.find(key.decode("latin-1")) if key else None
        if found is not None:
            return found
        self.metrics.refused("key")
        told = "a key that is not known" if key else "none"
        return ApiProblem(
            401,
            f"X-API-Key must hold a key; got {told}: make one with consilium keys create",
            {"WWW-Authenticate": 'ApiKey realm="consilium"'},
        )


def _where(error: Exception) -> str:
    """Return the last places of a traceback, innermost first, without any value."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )


def _headers_of(scope: Scope) -> dict[bytes, bytes]:
    return dict(scope["headers"])


def _too_large(most: int, setting: str) -> ApiProblem:
    return ApiProblem(413, f"a body may have {most} bytes; got more: send less, or raise {setting}")


class _Bounded:
    """Reads a body no further than its bound, in bytes and in time."""

    def __init__(self, receive: Receive, most: int, setting: str) -> None:
        self._receive = receive
        self._most, self._setting = most, setting
        self._got = 0
        self._begun: float | None = None
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        if self._begun is None:
            self._begun = asyncio.get_running_loop().time()
        try:
            # What came buys time for more: who stops, or drips, is cut off at any size.
            async with asyncio.timeout_at(self._begun + BODY_SECONDS + self._got / LEAST_RATE):
                message = await self._receive()
        except TimeoutError:
            raise ApiProblem(
                408,
                f"a body must arrive within {BODY_SECONDS:g} s and at {LEAST_RATE:,.0f} bytes a second; "
                f"got {self._got} bytes: send it faster",
                {"Connection": "close"},
            ) from None
        self._got += len(message.get("body", b""))
        if self._got > self._most:
            raise _too_large(self._most, self._setting)
        self._whole = not message.get("more_body", False)
        return message


class _Out:
    """Sends an answer with the headers that every answer carries."""

    def __init__(self, send: Send, trace_id: str, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send: Callable[[Message], Awaitable[None]] = send
        self._more = ((b"x-request-id", trace_id.encode()), *headers)
        self._trace_id = trace_id
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *self._more]
            names = {name for name, _ in message["headers"]}
            headers += [header for header in (CLOSED, UNSTORED) if header[0] not in names]
            message["headers"] = headers
        await self._send(message)

    async def problem(self, problem: ApiProblem, method: str) -> None:
        body = problem_body(problem.status_code, str(problem.detail), trace_id=self._trace_id)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            *((name.lower().encode(), value.encode()) for name, value in (problem.headers or {}).items()),
        ]
        await self.send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
