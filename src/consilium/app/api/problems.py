"""Every error leaves the API in one form: application/problem+json [RFC 9457]."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import isfinite
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from consilium.app.api.schemas import IN_WORDS
from consilium.domain import (
    ArtefactRefused,
    ConsiliumError,
    InvalidValue,
    OutputProblem,
    UnknownName,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"

MOST_FAULTS, LONGEST_TEXT = 20, 300
_KINDS = {list: "a list", dict: "an object", type(None): "null", str: "a longer text", float: "no number"}


class Fault(BaseModel):
    """One fault of a request: where it is, and what must hold there."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field(description="Dotted path, such as body.weight.")
    message: str


class Problem(BaseModel):
    """Why a request was not carried out."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(default="about:blank", description="Always about:blank: the status says the kind.")
    title: str = Field(description="The name of the status.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="One line: the bound, the value, the cure.")
    trace_id: str = Field(default="", description="That of X-Request-Id; the log and the journal carry it.")
    errors: list[Fault] | None = Field(default=None, description="Of 422: the faults one by one.")


class ApiProblem(HTTPException):
    """A refusal by the API itself.

    Parameters
    ----------
    status
        HTTP status.
    detail
        One line.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


def title_of(status: int) -> str:
    """Return the name of a status.

    Examples
    --------
    >>> title_of(404), title_of(599)
    ('Not Found', 'Error')
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem_body(
    status: int, detail: str, *, trace_id: str = "", faults: Sequence[Mapping[str, str]] | None = None
) -> bytes:
    """Return the body of a problem.

    Examples
    --------
    >>> problem_body(404, "no such path")
    b'{"type":"about:blank","title":"Not Found","status":404,"detail":"no such path","trace_id":""}'
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "trace_id": trace_id,
    }
    if faults is not None:
        body["errors"] = list(faults)
    return orjson.dumps(body)


def problem_response(
    request: Request,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    faults: Sequence[Mapping[str, str]] | None = None,
) -> Response:
    """Return a problem as the answer to a request."""
    trace_id = request.scope["state"].get("trace_id", "")
    body = problem_body(status, detail, trace_id=trace_id, faults=faults)
    return Response(body, status, dict(headers or {}), MEDIA_TYPE)


def status_of(error: ConsiliumError) -> int:
    """Return the status of an error of the rooms.

    Examples
    --------
    >>> status_of(UnknownName("model", "xgbost", ["xgboost"])), status_of(InvalidValue("a", 1, "b"))
    (404, 422)
    """
    if isinstance(error, UnknownName):
        return 404
    if isinstance(error, InvalidValue | UsageError):
        return 422
    if isinstance(error, OutputProblem):
        return 503
    return 409 if isinstance(error, ArtefactRefused) else 503


def fault_of(fault: Mapping[str, Any]) -> dict[str, str]:
    """Tell one fault that pydantic found; the value is told only where it is short and finite.

    Examples
    --------
    >>> fault_of({"loc": ("body", "weight"), "msg": "Input should be a finite number", "input": float("nan")})
    {'where': 'body.weight', 'message': 'Input should be a finite number'}
    >>> fault_of({"loc": ("body", "weight"), "msg": "Input should be <= 1", "input": 3})
    {'where': 'body.weight', 'message': 'Input should be <= 1; got 3'}
    >>> fault_of({"type": "model_attributes_type", "loc": ("body",), "msg": "", "input": [1]})["message"]
    'must be an object; got a list: send {"name": value, ...}'
    >>> fault_of({"type": "value_error", "loc": ("body",), "msg": "Value error, at least one"})["message"]
    'at least one'
    >>> fault_of({"type": "json_invalid", "loc": ("body", 3), "msg": ""})["message"]
    'must be JSON of finite numbers; got something else at byte 3: send a whole object'
    """
    if fault.get("type") == "json_invalid":
        got = f"something else at byte {fault['loc'][-1]}"
        return {"where": "body", "message": f"must be JSON of finite numbers; got {got}: send a whole object"}
    told = ".".join(str(part) for part in fault["loc"])[:LONGEST_TEXT]
    bound, cure = _cured(fault)
    value = fault.get("input")
    plain = isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value))
    if plain and len(repr(value)) <= 60 and _is_number_word(value):
        bound = f"{bound}; got {value!r}"
    elif cure:
        bound = f"{bound}; got {_KINDS.get(type(value), 'another')}"
    return {"where": told, "message": f"{bound}: {cure}" if cure else bound}


def _cured(fault: Mapping[str, Any]) -> tuple[str, str]:
    """Return what must hold, and the cure where the library's own words do not say it."""
    kind = str(fault.get("type", ""))
    bound = str(fault["msg"]).removeprefix("Value error, ")[:LONGEST_TEXT]
    if kind == "string_pattern_mismatch":
        asked, cure = IN_WORDS.get(fault["ctx"]["pattern"], ("", ""))
        return (f"must be {asked}", cure) if asked else (bound, "")
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "must be an object", 'send {"name": value, ...}'
    return bound, ""


def _is_number_word(value: Any) -> bool:
    """Leave out texts that read as NaN or infinity."""
    try:
        return isfinite(float(value))
    except (TypeError, ValueError):
        return True
    except OverflowError:
        return False


async def _http_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = str(error.detail)
    if detail == title_of(error.status_code):
        detail = f"{request.method} {request.url.path[:200]}: {detail.lower()}"
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request)) or headers.get("Allow", "")
    return problem_response(request, error.status_code, detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """Return the methods of a path: of all described routes that share it; the router names the first's."""
    found: set[str] = set()
    for route in request.app.routes:
        described = getattr(route, "include_in_schema", False)
        if described and route.matches(request.scope)[0] is not Match.NONE:
            found |= set(getattr(route, "methods", None) or ())
    return sorted(found)


async def _validation_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found = error.errors()
    faults = [fault_of(fault) for fault in found[:MOST_FAULTS]]
    first = faults[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return problem_response(request, 422, f"{first['where']}: {first['message']}{more}", faults=faults)


async def _own_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, ConsiliumError):
        raise error
    status = status_of(error)
    headers = {"Retry-After": "5"} if status == 503 else None
    return problem_response(request, status, str(error), headers=headers)


def install_problems(app: FastAPI) -> None:
    """Answer every error of an app by a problem; what nobody foresaw is the intake's to answer."""
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(ConsiliumError, _own_problem)
