"""What a council does with figures that are wrong, late, old, of the future or missing."""

import builtins
import os
import socket
import sqlite3
import time
from typing import Any

import pytest

import council_random as randomly
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import AccountReported, HealthReported, ReportRefused, TimePassed
from council_oracle import DAY, SECOND

START = 1_700_006_400 * SECOND


def council() -> CouncilService:
    return CouncilService(rules=CouncilRules(universe=randomly.SYMBOLS[:5]), started_at=START)


def _report(service: CouncilService, sequence: int, ts_event: int, **figures: Any) -> list[Any]:
    said: dict[str, Any] = {"equity": 10_000.0, "positions": 0, "exposure": 0.0} | figures
    message = AccountReported(
        source="paper", sequence=sequence, ts_event=ts_event, interval_ns=60 * SECOND, **said
    )
    return list(service.handle(message))


def _healthy(service: CouncilService, sequence: int, ts_event: int) -> None:
    service.handle(
        HealthReported(source="system", sequence=sequence, ts_event=ts_event, system_status="HEALTHY")
    )


def _awake() -> CouncilService:
    service = council()
    _healthy(service, 1, START)
    _report(service, 1, START)
    assert service.policy.mode == "LIVE"
    return service


@pytest.mark.parametrize(
    "figure", ["nav", "drawdown", "max_drawdown", "exposure", "leverage", "win_rate", "sharpe"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_that_is_no_number_is_refused_and_explained(figure: str, value: float) -> None:
    service = _awake()
    state = service.state_hash()
    outputs = _report(service, 2, START + SECOND, **{figure: value})
    assert [type(one) for one in outputs] == [ReportRefused]
    assert figure in outputs[0].reason
    assert service.state_hash() == state


@pytest.mark.parametrize(
    ("figure", "value"), [("drawdown", -0.01), ("drawdown", 1.01), ("nav", 0.0), ("positions", -1)]
)
def test_a_figure_out_of_range_is_refused_and_explained(figure: str, value: float) -> None:
    service = _awake()
    outputs = _report(service, 2, START + SECOND, **{figure: value})
    assert [type(one) for one in outputs] == [ReportRefused]
    assert figure in outputs[0].reason


def test_what_never_spoke_or_fell_silent_pauses_and_then_freezes() -> None:
    assert not council().policy.entry
    service = _awake()
    _report(service, 2, START + SECOND, positions=1, unprotected=0)
    assert service.policy.entry
    service.handle(TimePassed(ts_event=START + 122 * SECOND))
    assert service.policy.mode == "PAUSED"
    service.handle(TimePassed(ts_event=START + 302 * SECOND))
    assert service.policy.mode == "FROZEN"
    for day in range(1, 40):
        service.handle(TimePassed(ts_event=START + day * DAY))
        assert service.policy.mode == "FROZEN"


def test_a_report_of_the_future_is_refused() -> None:
    service = _awake()
    service.handle(TimePassed(ts_event=START + SECOND))
    state = service.state_hash()
    outputs = _report(service, 2, START + 7 * SECOND, received_at=START + SECOND)
    assert [type(one) for one in outputs] == [ReportRefused]
    assert service.state_hash() == state


def test_replays_and_reports_out_of_order_are_refused() -> None:
    service = _awake()
    _report(service, 5, START + SECOND, drawdown=0.01)
    state = service.state_hash()
    for sequence, ts_event in ((5, START + SECOND), (4, START + SECOND), (1, START), (6, START)):
        outputs = _report(service, sequence, ts_event, drawdown=0.2)
        assert [type(one) for one in outputs] == [ReportRefused]
        assert service.state_hash() == state


def test_a_council_needs_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _awake()

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the council reached out of memory")

    for owner, name in (
        (builtins, "open"),
        (socket, "socket"),
        (sqlite3, "connect"),
        (time, "time"),
        (time, "time_ns"),
        (time, "monotonic"),
        (os, "urandom"),
    ):
        monkeypatch.setattr(owner, name, forbidden)
    _report(service, 2, START + SECOND, drawdown=0.11, positions=1, unprotected=0)
    frozen = service.policy.mode
    monkeypatch.undo()
    assert frozen == "FROZEN"
