"""The API as a whole: every route behind one intake, every error in one form."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from consilium import __version__
from consilium.app.api.cached import EnsembleBodies, Fresh
from consilium.app.api.description import TITLE, describe
from consilium.app.api.idempotency import Answers
from consilium.app.api.intake import Intake
from consilium.app.api.keys import KeyStore
from consilium.app.api.metrics import ApiMetrics
from consilium.app.api.port import System
from consilium.app.api.problems import install_problems
from consilium.app.api.routes import ensemble, events, health, market, page, trading
from consilium.app.api.streams import HEARTBEAT_S, STUCK_S, EventHub
from consilium.app.metrics import SystemMetrics
from consilium.app.settings import Settings

FRESH_S = 0.5
"""How old /health and /readyz may be, which anybody may ask for."""


def make_api(
    system: System,
    keys: KeyStore,
    settings: Settings,
    *,
    registry: CollectorRegistry | None = None,
    heartbeat_s: float = HEARTBEAT_S,
    stuck_s: float = STUCK_S,
) -> FastAPI:
    """Make the API of a system.

    Parameters
    ----------
    system
        What it shows and commands; it must be started.
    keys
        Who may call.
    settings
        Bounds and the data folder.
    registry
        Where figures are registered, for /metrics; one of its own if not given.
    heartbeat_s, stuck_s
        Of event streams; see `EventHub`.

    Raises
    ------
    OutputProblem
        The data folder cannot be written.
    """
    registry = registry if registry is not None else CollectorRegistry()
    metrics = ApiMetrics(registry)
    registry.register(SystemMetrics(system))
    hub = EventHub(
        system.journal,
        metrics,
        most_clients=settings.api.stream_clients,
        heartbeat_s=heartbeat_s,
        stuck_s=stuck_s,
        longest_s=settings.api.stream_seconds,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.answers = Answers(settings.data_dir, system.clock)
        hub.start()
        try:
            yield
        finally:
            hub.stop()
            app.state.answers.close()

    app = FastAPI(
        title=TITLE,
        version=__version__,
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url=None,  # their pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.system = system
    app.state.keys = keys
    app.state.metrics = metrics
    app.state.hub = hub
    app.state.bodies = EnsembleBodies(system)
    app.state.health = Fresh(system.health, FRESH_S)
    app.state.ready = Fresh(lambda: _ready(system, keys), FRESH_S)
    install_problems(app)
    app.add_middleware(Intake, keys=keys, bounds=settings.api, metrics=metrics)
    for routes in (
        ensemble.routes,
        health.routes,
        market.routes,
        market.consensus_routes,
        trading.routes,
        events.routes,
        page.routes,
    ):
        # Included routers are matched one after the other, each with its own routes: that took half of the
        # time of a short request. Their routes know their whole path.
        app.router.routes.extend(routes.routes)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # as FastAPI's own pages advise
    return app


def _ready(system: System, keys: KeyStore) -> dict[str, str]:
    """Return how ready the system is, and a warning where keys cannot be read."""
    trouble = keys.trouble()
    return {**system.ready(), **({"keys": f"warn: {trouble}"} if trouble else {})}
