"""The API as a whole: every route behind one intake, every error in one form."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool

from consilium import __version__
from consilium.app.api.cached import EnsembleBodies, Fresh
from consilium.app.api.description import TITLE, describe
from consilium.app.api.idempotency import Answers
from consilium.app.api.intake import Intake
from consilium.app.api.keys import KeyStore
from consilium.app.api.metrics import ApiMetrics
from consilium.app.api.port import System
from consilium.app.api.problems import install_problems
from consilium.app.api.routes import (
    commands,
    ensemble,
    events,
    federation,
    health,
    market,
    network,
    page,
    trading,
)
from consilium.app.api.streams import HEARTBEAT_S, STUCK_S, EventHub
from consilium.app.council.figures import CouncilMetrics
from consilium.app.council.senders import senders_of
from consilium.app.council.watch import CouncilWatch
from consilium.app.federated.holder import NetworkHolder
from consilium.app.metrics import SystemMetrics
from consilium.app.settings import Settings

FRESH_S = 0.5
"""How old /health and /readyz may be, which anybody may ask for."""


def make_api(
    system: System,
    keys: KeyStore,
    settings: Settings,
    *,
    network_holder: NetworkHolder | None = None,
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
    network_holder
        Coordinates sessions of learning together; started and stopped with the API. None in a worker.
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
    watch = _watch_of(system, settings)
    registry.register(CouncilMetrics(watch, _stands(system)))
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
        watch.start()
        if network_holder is not None:
            await run_in_threadpool(network_holder.start)
        try:
            yield
        finally:
            hub.stop()
            if network_holder is not None:
                await run_in_threadpool(network_holder.stop)
            await run_in_threadpool(watch.stop)
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
    app.state.watch = watch
    app.state.network = network_holder
    app.state.bodies = EnsembleBodies(system)
    app.state.health = Fresh(system.health, FRESH_S)
    app.state.ready = Fresh(lambda: _ready(system, keys, watch, network_holder), FRESH_S)
    install_problems(app)
    app.add_middleware(Intake, keys=keys, bounds=settings.api, metrics=metrics)
    for routes in (
        ensemble.routes,
        federation.routes,
        commands.routes,
        health.routes,
        market.routes,
        market.consensus_routes,
        trading.routes,
        events.routes,
        network.routes,
        page.routes,
    ):
        # Included routers are matched one after the other, each with its own routes: that took half of the
        # time of a short request. Their routes know their whole path.
        app.router.routes.extend(routes.routes)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # as FastAPI's own pages advise
    return app


def _stands(system: System) -> Callable[[], Mapping[str, Any]]:
    """Return what tells how the council stands; nothing where none sits."""
    found: Callable[[], Mapping[str, Any]] = getattr(system, "council_status", dict)
    return found


def _watch_of(system: System, settings: Settings) -> CouncilWatch:
    """Make what tells people of the council.

    Raises
    ------
    UsageError
        The settings name somebody who cannot be called.
    """
    alerts = settings.council.alerts
    return CouncilWatch(
        system.journal,
        system.clock,
        _stands(system),
        senders=senders_of(alerts, system.clock.now_ns),
        every_s=alerts.page_every_s,
        folder=settings.data_dir,
    )


def _ready(
    system: System, keys: KeyStore, watch: CouncilWatch, network_holder: NetworkHolder | None
) -> dict[str, str]:
    """Return how ready the system is, and warnings where keys cannot be read or pages do not arrive."""
    troubles = {"keys": keys.trouble(), "alerts": watch.trouble()}
    if network_holder is not None:
        troubles["network"] = "; ".join(f"{name}: {why}" for name, why in network_holder.troubles().items())
    return {**system.ready(), **{part: f"warn: {why}" for part, why in troubles.items() if why}}
