"""What both clients do alike: headers, errors, and when a request is sent again."""

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import orjson

from consilium.app.client.call import Call
from consilium.app.client.events import EventReader, params_of
from consilium.app.tls import trusting

T = TypeVar("T")

TRIES = 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
STREAM_SILENT_S = 60.0
"""A stream that says nothing for so long, no sign of life either, is begun anew."""
AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may be sent again."""


class ApiError(Exception):
    """A request that the API refused.

    Parameters
    ----------
    status
        HTTP status.
    problem
        The problem as the API told it.

    Examples
    --------
    >>> error = ApiError(404, {"detail": "model must be one of tlob; got 'x': did you mean 'tlob'?"})
    >>> str(error), error.status
    ("404: model must be one of tlob; got 'x': did you mean 'tlob'?", 404)
    """

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        super().__init__(f"{status}: {problem.get('detail') or 'no reason was told'}")


def connection_of(url: str, key: str, timeout_s: float, verify: bool | str) -> dict[str, Any]:
    """Return the arguments of both of httpx's clients; a proxy of the environment is not asked."""
    return {
        "base_url": url,
        "headers": {"X-API-Key": key} if key else {},
        "timeout": timeout_s,
        "verify": trusting(verify),
        "trust_env": False,
    }


def request_of(call: Call[Any]) -> dict[str, Any]:
    """Return the arguments of httpx for a call; one that writes can be sent again without harm."""
    found: dict[str, Any] = {"method": call.method, "url": call.path, "params": dict(call.params)}
    if call.method == "POST":
        found["headers"] = {"Idempotency-Key": uuid4().hex}
    if call.body is not None:
        found["content"] = orjson.dumps(call.body)
        found["headers"]["Content-Type"] = "application/json"
    return found


def answer_of(call: Call[T], response: httpx.Response) -> T:
    """Return the answer.

    Raises
    ------
    ApiError
        The API refused.
    """
    if response.is_success or response.status_code in call.also:
        return call.read(response.content)
    raise error_of(response.status_code, response.content)


def stream_of(reader: EventReader, topics: Sequence[str] | None) -> dict[str, Any]:
    """Return the arguments of httpx for the stream of events, from where its reader is."""
    return {
        "method": "GET",
        "url": "/api/events",
        "params": params_of(topics),
        "headers": reader.headers(),
        "timeout": STREAM_SILENT_S,
    }


def stream_pause(failed: int) -> float:
    """Return how long to wait before a stream that ended is taken up again, failed so often in a row."""
    return min(LONGEST_PAUSE_S, 0.1 * 2.0 ** min(failed, 6))


def error_of(status: int, content: bytes) -> ApiError:
    """Return the error of a refusal; what is no problem+json came from something between."""
    try:
        problem = orjson.loads(content)
    except orjson.JSONDecodeError:
        problem = {}
    return ApiError(status, problem if isinstance(problem, dict) else {})


def pause_after(call: Call[Any], response: httpx.Response | None, tried: int) -> float | None:
    """Return how long to wait before the same request is sent again; None to take what came.

    Parameters
    ----------
    response
        What came; None if the connection failed.
    tried
        How often it was sent.
    """
    if tried >= TRIES:
        return None
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (tried - 1))
    if response is None:
        return pause
    if response.status_code not in AGAIN or response.status_code in call.also:
        return None
    told = response.headers.get("retry-after", "")
    asked = float(told) if told.isdigit() else pause
    return asked if asked <= LONGEST_PAUSE_S else None
