"""The OpenAPI document: every error, header and example of every route, added in one place."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from consilium import __version__
from consilium.app.api.access import SCOPE
from consilium.app.api.examples import EXAMPLES, PAYLOAD_EXAMPLES
from consilium.app.api.problems import MEDIA_TYPE, Problem, title_of

TITLE = "Consilium"

ABOUT = """From market data to a governed trading decision.

Every error is application/problem+json (RFC 9457). The header `X-API-Key` holds a key; `/livez`, `/readyz`,
`/health` and `/ui` need none. A POST with an `Idempotency-Key` is carried out once."""

TAGS = [
    {"name": "health", "description": "Signs of life."},
    {"name": "ensemble", "description": "The models, their weights, and how they reach consensus."},
    {"name": "consensus", "description": "What they concluded."},
    {"name": "market", "description": "What was observed and forecast."},
    {
        "name": "federation",
        "description": "The council: what is in force, why, and what operators ask of it.",
    },
    {"name": "trading", "description": "The account, its orders and fills."},
    {"name": "network", "description": "Learning together, in rounds whose updates nobody sees."},
    {"name": "events", "description": "The journal as a stream, and events from outside."},
]

_IDEMPOTENCY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body again: the same answer, and nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "8d1c6b0e-6b0c-4b57-9c0a-0d1f8a3f0f11",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of an app; made once."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=TITLE, version=__version__, description=ABOUT, routes=app.routes, tags=TAGS)
    parts = document.setdefault("components", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts.setdefault("schemas", {}).update(schema.pop("$defs", {}))
    parts["schemas"]["Problem"] = schema
    parts["securitySchemes"] = {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    for name in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(name, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    app.openapi_schema = document
    return document


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add to one operation what all of its kind have."""
    responses: dict[str, Any] = operation["responses"]
    responses.pop("422", None)
    for status in _statuses(method, operation):
        responses.setdefault(str(status), _problem(status))
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-Id"] = {
            "description": "The trace id.",
            "schema": {"type": "string"},
        }
    for parameter in operation.get("parameters", ()):
        _never_null(parameter)
    if method == "post" and SCOPE in operation:
        operation.setdefault("parameters", []).append(_IDEMPOTENCY)
    _exemplify(path, method, operation)


def _never_null(parameter: dict[str, Any]) -> None:
    """Say that a parameter that need not be given has no null: there is no way to write one in a header."""
    schema = parameter["schema"]
    kinds = [kind for kind in schema.pop("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) == 1:
        parameter["schema"] = schema | kinds[0]


def _statuses(method: str, operation: Mapping[str, Any]) -> list[int]:
    """Return the errors that an operation can answer with."""
    found = [405, 413, 500, 503]
    if SCOPE in operation:
        found += [401, 403, 429]
    if operation.get("parameters") or "requestBody" in operation or method == "post":
        found += [404, 409, 422]
    if "requestBody" in operation:
        found += [400, 408, 415]
    return sorted(found)


def _problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": title_of(status),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status == 429:
        response["headers"] = {
            "Retry-After": {"description": "In how many seconds to try again.", "schema": {"type": "integer"}}
        }
    return response


def _exemplify(path: str, method: str, operation: dict[str, Any]) -> None:
    example = EXAMPLES.get((method, path))
    for kind in operation["responses"].get("200", {}).get("content", {}).values():
        if example is not None:
            kind["example"] = example
    topic = path.removeprefix("/api/events/")
    if topic in PAYLOAD_EXAMPLES:
        body = operation["requestBody"]["content"]["application/json"]
        body["example"] = PAYLOAD_EXAMPLES[topic]
