"""What a running service tells Prometheus of itself: read from the system whenever it is asked."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from consilium import __version__
from consilium.app.collecting.disk import free_bytes
from consilium.app.collecting.memory import used_memory
from consilium.app.exposition import Sample, families
from consilium.app.log import logger

PREFIX = "consilium_"
LEVELS = ("full", "partial", "none")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

METRICS: dict[str, tuple[str, str]] = {
    "info": ("gauge", "1; the version of the service is a label."),
    "ready": ("gauge", "1 if a part is ready, also with a warning, else 0."),
    "warned": ("gauge", "1 if a part is ready with a warning, else 0."),
    "memory_bytes": ("gauge", "Resident memory of the process."),
    "disk_free_bytes": ("gauge", "Bytes that the disk of the data folder has left."),
    "journal_offset": ("gauge", "Events in the journal."),
    "journal_rows_total": ("counter", "Events that this process has added to the journal."),
    "journal_append_seconds": ("summary", "Time of a commit of the journal, and how many there were."),
    "journal_failed": ("gauge", "1 if the last write to the journal failed, else 0."),
    "replay_differing_steps": (
        "gauge",
        "Steps that the last start replayed otherwise than they are journaled.",
    ),
    "feed_age_seconds": ("gauge", "Now minus the newest close; of a replay, as old as what is replayed."),
    "feed_interval_seconds": ("gauge", "Length of a candle."),
    "feed_troubled": ("gauge", "1 if no candles come now, else 0."),
    "candles_left_out_total": ("counter", "Candles that could not be used, by reason."),
    "coverage": ("gauge", "1 at the level that holds (full, partial, none), 0 at the others."),
    "models_served": ("gauge", "Models that serve."),
    "models_missing": ("gauge", "Models of the pool that do not serve."),
    "model_predictions_total": ("counter", "Forecasts of a model of our own."),
    "model_latency_seconds": ("gauge", "Time of a forecast; quantiles of the newest 1,024, by model."),
    "model_failures_total": ("counter", "Forecasts that a model did not give, by reason."),
    "model_trust": ("gauge", "Share of the trust that a model has earned."),
    "messages_ignored_total": (
        "counter",
        "Predictions and outcomes that the ensemble could not use, by reason.",
    ),
    "signals_rejected_total": ("counter", "Signals from outside that were not taken, by reason."),
    "dead_letters": ("gauge", "Messages that a consumer gave up and that wait to be looked at."),
    "training_running": ("gauge", "1 while a model is trained, else 0."),
    "equity": ("gauge", "Equity of the paper account, in quote units."),
    "cash": ("gauge", "Cash of the paper account, in quote units."),
    "drawdown_ratio": ("gauge", "Drawdown of the paper account from its peak, a fraction."),
    "exposure_ratio": ("gauge", "Exposure of the paper account over its equity, a fraction."),
    "positions": ("gauge", "Open positions of the paper account."),
    "orders_refused_total": ("counter", "Orders that the risk gate refused, by reason."),
    "scrape_failed": ("gauge", "1 if a part of these figures could not be read, else 0."),
}
"""Name without its prefix: type and help. docs/operations.md lists them, and those that `Timings` adds."""

log = logger("consilium.metrics")


class Timings(Collector):
    """How long steps and cycles take; whoever does them observes, scrapes read.

    Examples
    --------
    >>> timings = Timings()
    >>> timings.step.observe(0.02)
    >>> [metric.name for metric in timings.collect()]
    ['consilium_step_seconds', 'consilium_cycle_seconds']
    """

    def __init__(self) -> None:
        self.step = self._histogram("step_seconds", "From the candles of a close to the journal.")
        self.cycle = self._histogram("cycle_seconds", "A cycle of the ensemble engine, keys included.")

    def _histogram(self, name: str, told: str) -> Histogram:
        return Histogram(PREFIX + name, told, buckets=_BUCKETS, registry=None)

    def collect(self) -> Iterator[Metric]:
        """Yield both histograms."""
        yield from self.step.collect()
        yield from self.cycle.collect()


class SystemMetrics(Collector):
    """The figures of a living system, read at each scrape; a part that cannot be read hides no other.

    Parameters
    ----------
    system
        `LiveSystem`, or what has its methods; figures of parts that it does not have are left out.
    """

    def __init__(self, system: Any) -> None:
        self._system = system
        self._parts: dict[str, Callable[[Any], Iterable[Sample]]] = {
            "process": _process,
            "ready": _ready,
            "journal": _journal,
            "market": _market,
            "models": _models,
            "ensemble": _ensemble,
            "bus": _bus,
            "training": _training,
            "account": _account,
        }
        self._told: dict[str, str] = {}

    def describe(self) -> Iterable[Metric]:
        """Return nothing: names are not checked by asking the system before it has started."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics that are known now."""
        timings = getattr(self._system, "timings", None)
        if timings is not None:
            yield from timings.collect()
        yield from families(PREFIX, METRICS, self._samples())

    def _samples(self) -> Iterator[Sample]:
        for part, read in self._parts.items():
            try:
                found = list(read(self._system))
            except Exception as error:  # noqa: BLE001 - the other figures must still be seen
                self._tell(part, f"{type(error).__name__}: {error}")
                yield "scrape_failed", "", {"part": part}, 1.0
                continue
            self._tell(part, "")
            yield from found
            yield "scrape_failed", "", {"part": part}, 0.0

    def _tell(self, part: str, trouble: str) -> None:
        """Log a trouble once, not at every scrape."""
        if trouble and self._told.get(part, "") != trouble:
            log.warning("figures could not be read", part=part, error=trouble)
        self._told[part] = trouble


def _process(system: Any) -> Iterator[Sample]:
    yield "info", "", {"version": __version__}, 1.0
    yield "memory_bytes", "", {}, float(used_memory())
    folder = system.settings.data_dir
    if folder.exists():
        yield "disk_free_bytes", "", {}, float(free_bytes(folder))


def _ready(system: Any) -> Iterator[Sample]:
    for part, why in system.ready().items():
        warned = why.startswith("warn")
        yield "ready", "", {"part": part}, float(not why or warned)
        yield "warned", "", {"part": part}, float(warned)


def _journal(system: Any) -> Iterator[Sample]:
    journal = system.journal
    yield "journal_offset", "", {}, float(journal.head().offset)
    yield "journal_rows_total", "", {}, _number(getattr(journal, "rows_written", None))
    commits = getattr(journal, "commits", None)
    if commits is not None:
        yield "journal_append_seconds", "_count", {}, float(commits[0])
        yield "journal_append_seconds", "_sum", {}, float(commits[1])
    yield "journal_failed", "", {}, float(bool(getattr(journal, "failed", "")))
    yield "replay_differing_steps", "", {}, _number(getattr(system, "differing", None))


def _market(system: Any) -> Iterator[Sample]:
    status = system.market_status()
    if status.get("feed"):
        interval = status.get("interval_ns", 0) / 1e9
        yield "feed_interval_seconds", "", {}, interval
        yield "feed_troubled", "", {}, float(bool(status.get("problem")))
        if status.get("ts_event", 0) > 0:
            yield "feed_age_seconds", "", {}, (system.clock.now_ns() - status["ts_event"]) / 1e9
    coverage = status.get("coverage")
    if coverage is not None:
        for level in LEVELS:
            yield "coverage", "", {"level": level}, float(level == coverage)
    yield "models_served", "", {}, float(len(status.get("models", ())))
    yield "models_missing", "", {}, float(len(status.get("missing", ())))
    yield from _each("candles_left_out_total", "reason", status.get("left_out", {}))


def _models(system: Any) -> Iterator[Sample]:
    pipeline = getattr(system, "pipeline", None)  # an API worker has none: it asks no model
    if pipeline is None:
        return
    for model, figures in pipeline.market.counters().items():
        of = {"model": model}
        for name, value in figures.items():
            if name == "served":
                yield "model_predictions_total", "", of, float(value)
            elif name in {"p50_ms", "p99_ms"}:
                quantile = "0.5" if name == "p50_ms" else "0.99"
                yield "model_latency_seconds", "", {**of, "quantile": quantile}, value / 1e3
            else:
                yield "model_failures_total", "", {**of, "reason": name}, float(value)


def _ensemble(system: Any) -> Iterator[Sample]:
    yield from _each("model_trust", "model", system.engine.federation().get("trusted_weights", {}))
    yield from _each("signals_rejected_total", "reason", getattr(system.engine, "rejected", {}))
    yield from _each("messages_ignored_total", "reason", getattr(system.engine, "ignored", {}))


def _bus(system: Any) -> Iterator[Sample]:
    letters = getattr(getattr(system, "transport", None), "dead_letters", None)
    if letters is not None:
        yield "dead_letters", "", {}, float(len(letters()))


def _training(system: Any) -> Iterator[Sample]:
    yield "training_running", "", {}, float(system.training.status()["is_training"])


def _account(system: Any) -> Iterator[Sample]:
    status = system.trading_status()
    yield "equity", "", {}, _number(status.get("equity"))
    yield "cash", "", {}, _number(status.get("cash"))
    yield "drawdown_ratio", "", {}, _number(status.get("drawdown"))
    yield "exposure_ratio", "", {}, _number(status.get("exposure"))
    yield "positions", "", {}, float(len(status.get("positions", ())))
    yield from _each("orders_refused_total", "reason", status.get("refusals", {}))


def _each(name: str, label: str, values: Mapping[str, float]) -> Iterator[Sample]:
    for key, value in dict(values).items():
        yield name, "", {label: str(key)}, float(value)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
