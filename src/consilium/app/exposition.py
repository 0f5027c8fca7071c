"""Figures in the form that Prometheus reads, from one table of names.

References
----------
Prometheus documentation, "Exposition formats", text format 0.0.4.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Labels = Mapping[str, str]
Sample = tuple[str, str, Labels, float | None]
"""Name in the table, suffix such as ``_sum``, labels, value; None where it is not known yet."""

Table = Mapping[str, tuple[str, str]]
"""Name without its prefix: type and help."""


def families(prefix: str, table: Table, samples: Iterable[Sample]) -> Iterator[Metric]:
    """Yield the metrics of a table in its order; figures that are not known are left out.

    Examples
    --------
    >>> table = {"gaps_total": ("counter", "Gaps by cause."), "lag_seconds": ("gauge", "Lag.")}
    >>> samples = [("gaps_total", "", {"cause": "cut"}, 2), ("lag_seconds", "", {}, None)]
    >>> text_of(families("x_", table, samples)).decode().splitlines()
    ['# HELP x_gaps_total Gaps by cause.', '# TYPE x_gaps_total counter', 'x_gaps_total{cause="cut"} 2.0']
    """
    found: dict[str, list[tuple[str, Labels, float]]] = {}
    for name, suffix, labels, value in samples:
        if value is not None:
            found.setdefault(name, []).append((suffix, labels, value))
    for name, (kind, told) in table.items():
        if name in found:
            # the library adds the _total of a counter itself
            metric = Metric(prefix + (name.removesuffix("_total") if kind == "counter" else name), told, kind)
            for suffix, labels, value in found[name]:
                metric.add_sample(prefix + name + suffix, dict(labels), value)
            yield metric


def text_of(metrics: Iterable[Metric]) -> bytes:
    """Return metrics in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(metrics))
    return generate_latest(registry)


@dataclass(eq=False)
class _Given(Collector):
    metrics: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.metrics
