"""What a real running system tells Prometheus, and that dashboard and alerts ask for nothing else."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from consilium.app.api.frame import make_api
from consilium.app.api.keys import KeyStore
from consilium.app.bootstrap import SystemClock
from consilium.app.council import figures
from consilium.app.live.assembly import assemble
from consilium.app.live.system import LiveSystem
from consilium.app.log import trace_id, traced
from consilium.app.metrics import METRICS, PREFIX, SystemMetrics
from consilium.app.settings import Engine, Live, Settings
from consilium.domain import RuleChanged
from live_cases import settings_of, store_models

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\bconsilium_[a-z_]+\b")
LABELS = re.compile(r"(consilium_[a-z_]+)\{([^}]*)\}")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        live=Live(feed="simulate:symbols=2,bars=80", speed=0.0),
        engine=Engine(period_s=0.05),
    )
    with assemble(settings) as system:
        _until(lambda: len(system.latencies_ns) >= 40 and system.engine.last_cycle)
        system.submit(RuleChanged(rule="trust_weighted", by="ann", ts_event=time.time_ns()), by="ann")
        yield system


def _until(holds: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def registry(system: LiveSystem) -> CollectorRegistry:
    registry = CollectorRegistry()
    keys = KeyStore(system.settings.data_dir, SystemClock())
    make_api(system, keys, system.settings, registry=registry)
    return registry


def _scrape(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def _known(registry: CollectorRegistry) -> set[str]:
    """Return every name that a query may use."""
    table = {name: kind for name, (kind, _) in METRICS.items()}
    table |= {f"council_{name}": kind for name, (kind, _) in figures.METRICS.items()}
    kinds = {f"{PREFIX}{name.removesuffix('_total')}": kind for name, kind in table.items()}
    kinds |= {family.name: family.type for family in registry.collect()}
    ends = {
        "histogram": ("_bucket", "_sum", "_count"),
        "summary": ("", "_sum", "_count"),
        "counter": ("_total",),
    }
    return {name + end for name, kind in kinds.items() for end in ends.get(kind, ("",))}


def test_the_figures_are_those_of_the_system(system: LiveSystem, registry: CollectorRegistry) -> None:
    found = _scrape(registry)

    def value(name: str, **labels: str) -> float:
        return found[f"{PREFIX}{name}", tuple(sorted(labels.items()))]

    assert value("step_seconds_count") == 40
    assert 0 < value("step_seconds_sum") < 40
    assert value("cycle_seconds_count") >= 1
    assert value("journal_offset") == system.journal.head().offset > 40
    assert value("journal_rows_total") == value("journal_offset")
    assert 0 < value("journal_append_seconds_sum") < 40 < value("journal_append_seconds_count")
    assert value("journal_failed") == 0
    assert value("equity") == system.trading_status()["equity"]
    assert [value("coverage", level=level) for level in ("full", "partial", "none")] == [0, 0, 1]
    assert value("feed_interval_seconds") == 3600
    status = system.market_status()
    assert value("feed_age_seconds") == pytest.approx(time.time() - status["ts_event"] / 1e9, abs=30)
    assert value("ready", part="journal") == 1
    assert value("warned", part="models") == 1
    assert value("memory_bytes") > 1e7
    assert value("disk_free_bytes") > 0
    assert {value("scrape_failed", part=part) for part in ("models", "bus", "account", "training")} == {0}


def test_a_model_that_serves_has_figures(tmp_path: Path) -> None:
    store_models(tmp_path / "models", ("lightgbm",), rounds=2)
    settings = settings_of(tmp_path, live=Live(feed="simulate:symbols=1,bars=520", speed=0.0))
    with assemble(settings) as system:
        _until(lambda: system.feed.problem() == "the feed has ended")
        registry = CollectorRegistry()
        registry.register(SystemMetrics(system))
        found = _scrape(registry)
        asked = len(system.predictions(None, 0, 10_000))
    given = found[f"{PREFIX}model_predictions_total", (("model", "lightgbm"),)]
    assert 0 < given <= asked
    assert found[f"{PREFIX}model_latency_seconds", (("model", "lightgbm"), ("quantile", "0.99"))] > 0


def test_a_rejected_signal_is_counted(system: LiveSystem, registry: CollectorRegistry) -> None:
    system.engine.rejected["stale"] += 3
    assert _scrape(registry)[f"{PREFIX}signals_rejected_total", (("reason", "stale"),)] >= 3


def test_a_trace_ends_with_the_work_that_it_was_of(system: LiveSystem) -> None:
    command = RuleChanged(rule="smart_vote", by="ann", ts_event=time.time_ns())
    assert system.submit(command, by="ann", trace_id="t-9").trace_id == "t-9"
    assert system._run(trace_id) == ""
    with traced("t-10"):
        assert system._run(trace_id) == "t-10"


def test_a_part_that_cannot_be_read_hides_no_other(system: LiveSystem) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            if name == "trading_status":
                raise RuntimeError("broken")
            return getattr(system, name)

    registry = CollectorRegistry()
    registry.register(SystemMetrics(Broken()))
    found = _scrape(registry)
    assert found[f"{PREFIX}scrape_failed", (("part", "account"),)] == 1
    assert found[f"{PREFIX}journal_offset", ()] > 0
    assert (f"{PREFIX}equity", ()) not in found


def test_every_query_of_the_dashboard_names_figures_that_exist(registry: CollectorRegistry) -> None:
    board = json.loads((ROOT / "deploy" / "grafana" / "consilium.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked = {name for query in queries for name in NAME.findall(query)}
    assert len(queries) > 30
    assert asked - _known(registry) == set()
    left_out = {f"{PREFIX}{name}" for name in METRICS} - asked
    assert {name for name in left_out if f"{name}_sum" not in asked} == {f"{PREFIX}feed_troubled"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_alert_names_figures_that_exist_and_a_cure(registry: CollectorRegistry) -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        assert set(NAME.findall(rule["expr"])) - _known(registry) <= {"consilium"}, rule["alert"]
        assert rule["annotations"]["cure"]
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_labels_that_queries_choose_by_exist(registry: CollectorRegistry) -> None:
    text = (ROOT / "deploy" / "grafana" / "consilium.json").read_text().replace('\\"', '"')
    text += (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    labels: dict[str, set[str]] = {"consilium_model_latency_seconds": {"quantile"}}
    for name, of in _scrape(registry):
        labels.setdefault(name, set()).update(label for label, _ in of)
    labels |= {"consilium_model_failures_total": {"model", "reason"}}
    labels |= {"consilium_api_requests_total": {"method", "route", "status"}}
    for name, chosen in LABELS.findall(text):
        asked = set(re.findall(r"([a-z_]+)\s*=~?", chosen)) - {"job"}
        assert asked <= labels.get(name, set()), name


def test_the_page_of_operations_lists_every_figure(registry: CollectorRegistry) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    names = {f"{figures.PREFIX}{name}" for name in figures.METRICS}
    names |= {f"{PREFIX}{name}" for name in METRICS} | {f"{PREFIX}step_seconds", f"{PREFIX}cycle_seconds"}
    assert {name for name in names if f"`{name}`" not in page} == set()
