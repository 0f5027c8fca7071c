"""Our own health: worse at once or soon, better after a while, and told before it bites."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from consilium.app.council.health import (
    BETTER_AFTER_NS,
    LAG_CRITICAL,
    LAG_DEGRADED,
    HealthWatch,
    Signals,
    Trend,
)
from consilium.app.council.translate import report_of
from consilium.domain import (
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    AccountReported,
    Event,
    HealthReported,
    ModelReported,
)

WELL = Signals(now=0, models=2, disk_free=10**11, disk_wanted=10**9)


def at(seconds: float, **changes: object) -> Signals:
    return replace(WELL, now=int(seconds * SECOND_NS), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"journal": "disk full"}, "CRITICAL"),
        ({"disk_free": 9 * 10**8}, "DEGRADED"),
        ({"disk_free": 10**8}, "CRITICAL"),
        ({"lag": LAG_DEGRADED}, "DEGRADED"),
        ({"lag": LAG_CRITICAL}, "CRITICAL"),
        ({"bus": "redis is away"}, "DEGRADED"),
        ({"interval_ns": HOUR_NS, "feed_age_ns": 2 * HOUR_NS + 2 * MINUTE_NS}, "DEGRADED"),
        ({"interval_ns": HOUR_NS, "feed_age_ns": 6 * HOUR_NS}, "CRITICAL"),
        ({"silent": ("xgboost",)}, "DEGRADED"),
        ({"silent": ("xgboost", "lightgbm")}, "CRITICAL"),
    ],
    ids=str,
)
def test_each_part_degrades_the_service_and_it_gets_better_after_a_while(
    wrong: dict[str, object], status: str
) -> None:
    watch = HealthWatch()
    assert watch.look(WELL).status == "HEALTHY"
    watch.look(at(1, **wrong))
    assert watch.look(at(40, **wrong)).status == status
    told = watch.look(at(41, **wrong))
    assert told.status == status
    assert told.detail
    assert watch.look(at(42)).status == status, "a moment of health is no recovery"
    assert watch.look(at(43 + BETTER_AFTER_NS / SECOND_NS)).status == "HEALTHY"


def test_a_hiccup_of_the_bus_is_none_of_the_councils_business() -> None:
    watch = HealthWatch()
    for second in range(0, 60, 10):
        assert watch.look(at(second, bus="away" if second == 30 else "")).status == "HEALTHY"


def test_health_that_comes_and_goes_stays_bad() -> None:
    watch = HealthWatch()
    for second in range(0, 600, 20):
        told = watch.look(at(second, disk_free=10**8 if second % 40 == 0 else 10**11))
        assert told.status == "CRITICAL"


@pytest.mark.promise("001", "a journal that does not write demands a freeze")
def test_a_journal_that_does_not_write_demands_a_freeze_at_once() -> None:
    watch = HealthWatch()
    told = watch.look(at(0, journal="no space left"))
    assert (told.status, dict(told.faults)) == ("CRITICAL", {"journal": "no space left"})
    assert watch.look(at(301, journal="no space left")).status == "EMERGENCY"
    assert watch.look(at(302)).faults == {}


def test_a_model_fails_that_gives_less_than_half_of_its_forecasts_whatever_it_did_before() -> None:
    watch = HealthWatch()
    assert watch.look(at(0, failures={"xgboost": 70.0}, served={"xgboost": 5.0})).status == "HEALTHY"
    assert watch.look(at(9, failures={"xgboost": 72.0}, served={"xgboost": 5.0})).status == "HEALTHY"
    watch.look(at(10, failures={"xgboost": 75.0}, served={"xgboost": 5.0}))
    assert watch.look(at(20, failures={"xgboost": 75.0}, served={"xgboost": 5.0})).status == "DEGRADED"
    watch.look(at(30, failures={"xgboost": 75.0}, served={"xgboost": 15.0}))
    assert watch.look(at(100, failures={"xgboost": 76.0}, served={"xgboost": 20.0})).status == "HEALTHY"


@pytest.mark.promise("001", "a disk or a bus that will bite is told before it does")
def test_a_disk_that_fills_is_told_hours_before_it_is_full() -> None:
    watch = HealthWatch()
    told = None
    for minute in range(30):
        told = watch.look(at(60 * minute, disk_free=30 * 10**9 - minute * 10**8))
        assert told.status == "HEALTHY"
    assert told is not None
    # 27.1 GB are left, and a tenth of one goes each minute
    assert told.alerts["disk"] in {f"full in {minutes} min at this pace" for minutes in (270, 271)}


def test_a_slow_or_growing_disk_is_no_alert() -> None:
    for pace in (10**6, -(10**8), 0):
        watch = HealthWatch()
        for minute in range(30):
            assert watch.look(at(60 * minute, disk_free=30 * 10**9 - minute * pace)).alerts == {}


def test_a_line_is_drawn_through_the_last_hour_only() -> None:
    trend = Trend()
    for minute in range(200):
        trend.add(minute * MINUTE_NS, 0.0 if minute < 130 else 10.0 * (minute - 130))
    assert trend.meets(10.0 * 79) == pytest.approx(10 * MINUTE_NS, rel=1e-6)


def event(topic: str, payload: Mapping[str, object], *, ts: int = 100, recorded: int = 100) -> Event:
    return Event(
        event_id="e",
        topic=topic,
        stream="outside:desk",
        version=1,
        ts_event=ts,
        ts_recorded=recorded,
        cause_id="",
        trace_id="ann:desk:12",
        payload=dict(payload),
    )


def test_what_outside_systems_publish_is_heard_in_the_councils_words() -> None:
    told = {"total_equity": 5e3, "drawdown_pct": 0.02, "open_positions": 2, "win_rate": None}
    report = report_of(event("portfolio.snapshot_updated", told), 100, wall_clock=True)
    assert isinstance(report, AccountReported)
    assert (report.source, report.sequence, report.equity, report.drawdown, report.positions) == (
        "outside:desk", 12, 5e3, 0.02, 2,
    )  # fmt: skip
    assert report.win_rate is None
    health = report_of(event("system.health_updated", {"system_status": "CRITICAL"}), 100, wall_clock=True)
    assert isinstance(health, HealthReported)
    model = {"model_name": "xgboost", "sharpe_ratio": 1.8, "win_rate": 0.65, "accuracy": 0.5}
    said = report_of(event("model.performance_updated", model), 100, wall_clock=True)
    assert isinstance(said, ModelReported)
    assert (said.model, said.sharpe) == ("xgboost", 1.8)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("portfolio.snapshot_updated", {"x": 1}),
        ("portfolio.snapshot_updated", {"total_equity": -1.0}),
        ("system.health_updated", {"system_status": ""}),
        ("thermostat.read", {"total_equity": 1.0}),
    ],
)
def test_what_says_nothing_that_the_council_knows_is_not_heard(
    topic: str, payload: Mapping[str, object]
) -> None:
    assert report_of(event(topic, payload), 100, wall_clock=True) is None


def test_in_a_markets_time_an_event_is_dated_with_it_unless_it_came_from_the_future() -> None:
    now = 10**18
    told = {"system_status": "HEALTHY"}
    for ahead, dated in (
        (0, now),
        (-HOUR_NS, now),
        (4 * SECOND_NS, now),
        (6 * SECOND_NS, now + 6 * SECOND_NS),
    ):
        said = event("system.health_updated", told, ts=2 * now + ahead, recorded=2 * now)
        report = report_of(said, now, wall_clock=False)
        assert report is not None
        assert (report.ts_event, report.received_at) == (dated, now)
