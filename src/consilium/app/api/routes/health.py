"""Signs of life: /livez, /readyz, /health, /metrics."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from consilium.app.api.access import GuardedRoute, needs
from consilium.app.api.answers import Alive, Health, Readiness
from consilium.app.api.cached import JsonBytes, as_json

TEXT = "text/plain; version=0.0.4; charset=utf-8"

routes = APIRouter(tags=["health"], route_class=GuardedRoute)


@routes.get("/livez", response_model=Alive)
async def alive(request: Request) -> Response:  # noqa: ARG001 - routes look alike
    """Return 200 as long as the process answers."""
    return JsonBytes(b'{"status":"ok"}')


@routes.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready; `checks` say why."}},
)
async def ready(request: Request) -> Response:
    """Return 200 if journal, migrations, bus, feed, models and engine can work, also with warnings."""
    found: dict[str, str] = dict(await request.app.state.ready.get())
    broken = [part for part, why in found.items() if why and not why.startswith("warn")]
    body: dict[str, Any] = {
        "status": "not ready" if broken else "ready",
        "checks": {part: why or "ok" for part, why in found.items()},
        "warnings": [
            f"{part}: {why.removeprefix('warn:').strip()}"
            for part, why in found.items()
            if why.startswith("warn")
        ],
    }
    return JsonBytes(as_json(body), 503 if broken else 200)


@routes.get("/health", response_model=Health)
async def health(request: Request) -> Response:
    """Return how the service is, with the consensus and the trust of the models."""
    return JsonBytes(as_json(await request.app.state.health.get()))


@routes.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    **needs("read"),
)
async def metrics(request: Request) -> Response:
    """Return figures in the form that Prometheus reads."""
    text = await run_in_threadpool(request.app.state.metrics.text)
    return Response(text, media_type=TEXT)
