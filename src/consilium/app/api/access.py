"""Who calls, what that key may do, and routes that ask for it."""

from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from consilium.app.api.idempotency import Answers, Kept, require_idempotency_key
from consilium.app.api.keys import KeyRecord
from consilium.app.api.port import Council, System
from consilium.app.api.problems import ApiProblem
from consilium.app.log import logger
from consilium.domain import OutcomeUnknown, OutputProblem

SCOPE = "x-scope"
"""Where the description of a route says which scope it asks for."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

log = logger("consilium.api")


def needs(scope: str) -> dict[str, Any]:
    """Return what a route adds to its description to ask for a scope.

    Examples
    --------
    >>> needs("read")["openapi_extra"]
    {'security': [{'ApiKey': []}], 'x-scope': 'read'}
    """
    return {"openapi_extra": {"security": [{"ApiKey": []}], SCOPE: scope}}


def caller_of(request: Request) -> KeyRecord:
    """Return who makes a request to a route that asks for a scope."""
    caller: KeyRecord | None = request.scope["state"].get("caller")
    if caller is None:
        raise ApiProblem(401, "X-API-Key must hold a key; got none: ask the operator for one")
    return caller


def system_of(request: Request) -> System:
    """Return the system behind a route."""
    system: System = request.app.state.system
    return system


def council_sits(request: Request) -> bool:
    """Return whether there is a council behind a route."""
    system: Any = request.app.state.system
    return bool(system.settings.council.enabled) and hasattr(system, "govern")


def council_of(request: Request) -> Council:
    """Return the council of the system behind a route.

    Raises
    ------
    ApiProblem
        409: none sits there.
    """
    system: Any = request.app.state.system
    if not system.settings.council.enabled:
        raise ApiProblem(409, "the council must be enabled; got council.enabled = false: set it to true")
    if not hasattr(system, "govern"):
        raise ApiProblem(409, "the council must sit in this service; got a worker: ask `consilium serve`")
    council: Council = system
    return council


def trace_of(request: Request) -> str:
    """Return the trace id of a request."""
    return str(request.scope["state"].get("trace_id", ""))


class StrictRequest(Request):
    """A request whose JSON is JSON: no NaN, no infinity, no nesting without end, no key twice in silence."""

    async def json(self) -> Any:
        """Return the parsed body."""
        if not hasattr(self, "_strict"):
            self._strict = orjson.loads(await self.body())
        return self._strict


class GuardedRoute(APIRoute):
    """A route that checks the scope before the body is read, and answers a repeated POST once."""

    def get_route_handler(self) -> Handler:
        """Wrap what carries out the route."""
        inner = self._plain() or super().get_route_handler()
        scope = (self.openapi_extra or {}).get(SCOPE)
        posts = "POST" in (self.methods or ())
        if not posts:

            async def read(request: Request) -> Response:
                if scope is not None:
                    _require(request, scope)
                return await inner(request)

            return read

        takes_body = self.body_field is not None

        async def write(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            caller = _require(request, scope) if scope is not None else None
            if takes_body:
                _require_json(request)
            key = request.headers.get("idempotency-key")
            if key is None or caller is None:
                return await inner(request)
            return await _once(request, caller, key, inner)

        return write

    def _plain(self) -> Handler | None:
        """Return the endpoint itself where it takes nothing but the request: nothing is to be solved then."""
        asks = self.dependant
        takes = (
            asks.path_params,
            asks.query_params,
            asks.header_params,
            asks.cookie_params,
            asks.body_params,
        )
        if any(takes) or asks.dependencies or not asks.request_param_name:
            return None
        endpoint, name = self.endpoint, asks.request_param_name

        async def plain(request: Request) -> Response:
            answer: Response = await endpoint(**{name: request})
            return answer

        return plain


def _require(request: Request, scope: str) -> KeyRecord:
    caller = caller_of(request)
    if not caller.may(scope):
        raise ApiProblem(
            403,
            f"the key must have the scope {scope}; got {', '.join(caller.scopes)}: "
            "ask the operator for another key",
        )
    return caller


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiProblem(415, f"the body must be application/json; got {kind[:80] or 'no type'!r}: send JSON")


async def _once(request: Request, caller: KeyRecord, key: str, inner: Handler) -> Response:
    """Carry out a request the first time, and give the same answer every other time."""
    require_idempotency_key(key)
    answers: Answers = request.app.state.answers
    path = request.url.path
    place = sha256(f"{caller.person}\0{caller.key_id}\0{path}\0{key}".encode()).digest()
    said = sha256(await request.body()).digest()
    kept = await run_in_threadpool(answers.begin, place, said)
    if isinstance(kept, Kept):
        return Response(kept.body, kept.status, {"Idempotency-Replayed": "true"}, kept.media_type)
    try:
        response = await inner(request)
    except OutcomeUnknown:
        raise  # the same key must not do it a second time
    except Exception:
        # Nothing came of it that could be told again: the same key may try anew. Not so where the request
        # is only cut off: its thread goes on.
        await _noted(answers.forget, place)
        raise
    answer = Kept(response.status_code, bytes(response.body), response.media_type or "application/json")
    await _noted(answers.keep, place, answer)
    return response


async def _noted(note: Callable[..., None], *what: object) -> None:
    """Note what became of a request; that it cannot be noted does not change what became of it."""
    try:
        await run_in_threadpool(note, *what)
    except OutputProblem as error:
        log.warning("an answer could not be kept: its key tells 409 for a day", error=str(error))


def router(prefix: str, tag: str) -> APIRouter:
    """Return a router whose routes can ask for scopes."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=GuardedRoute)
