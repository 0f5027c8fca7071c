"""What the API counts of itself, in the form that Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


class ApiMetrics:
    """Requests by route, refusals and event streams.

    Parameters
    ----------
    registry
        Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "consilium_api_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "consilium_api_request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "consilium_api_refused", "Requests refused before any route.", ("why",), registry=registry
        )
        self.streams = Gauge("consilium_api_streams", "Event streams that are open.", registry=registry)
        self.streams_cut = Counter(
            "consilium_api_streams_cut", "Event streams ended by us.", ("why",), registry=registry
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram | None]] = {}

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer; paths that no route has are counted as one."""
        route = scope.get("route")
        path = getattr(route, "path", "(none)") if status != 404 or route is not None else "(none)"
        method = scope["method"] if scope["method"] in METHODS else "(other)"
        key = method, path, status
        children = self._children.get(key)
        if children is None:
            # A stream lasts as long as its client likes; its length says nothing about speed.
            timed = None if path.endswith("/events") and method == "GET" else self._seconds.labels(path)
            children = self._children[key] = self._requests.labels(method, path, str(status)), timed
        children[0].inc()
        if children[1] is not None:
            children[1].observe(seconds)

    def refused(self, why: str) -> None:
        """Count a request that was refused for its key or its rate."""
        self._refused.labels(why).inc()

    def text(self) -> bytes:
        """Return all of the registry in Prometheus' text form."""
        return generate_latest(self.registry)
