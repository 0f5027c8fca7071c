"""Runs of losing closes, as far as reports let them be known (F3)."""

import pytest

from consilium.app.api.schemas import PortfolioSnapshotUpdated
from consilium.app.council.translate import report_of
from consilium.council.service import CouncilService
from consilium.domain import AccountReported, Decision, Event
from consilium.domain.time import MINUTE_NS
from council_voices import Voices


def frozen_by_f3(desk: Voices, run: int | None, closes: int | None, source: str = "account:paper") -> bool:
    told = desk.says(MINUTE_NS, source=source, consecutive_losses=run, losing_closes=closes)
    return any(isinstance(one, Decision) and one.rule == "F3" for one in told)


def test_a_run_that_was_broken_and_made_again_between_two_reports_freezes_again() -> None:
    desk = Voices()
    assert not frozen_by_f3(desk, 4, 14)
    assert frozen_by_f3(desk, 5, 15)
    assert not frozen_by_f3(desk, 5, 15), "no further close"
    assert frozen_by_f3(desk, 5, 20), "a gain, and five losses"
    assert frozen_by_f3(desk, 6, 21)
    assert not frozen_by_f3(desk, 0, 21)
    assert not frozen_by_f3(desk, 4, 29)


def test_a_run_without_a_count_of_closes_is_seen_where_it_grows() -> None:
    desk = Voices()
    assert [frozen_by_f3(desk, run, None) for run in (4, 5, 5, 6, 0, 5)] == [
        False, True, False, True, False, True,
    ]  # fmt: skip


def test_a_run_that_is_left_out_for_once_is_no_new_one() -> None:
    desk = Voices()
    assert [frozen_by_f3(desk, run, None) for run in (5, None, 5, 6)] == [True, False, False, True]


def test_another_source_s_run_freezes_beside_a_longer_one_that_stands() -> None:
    desk = Voices()
    assert frozen_by_f3(desk, 9, None)
    assert not frozen_by_f3(desk, 4, None, "outside:a")
    assert frozen_by_f3(desk, 5, None, "outside:a")


def test_an_outside_system_may_tell_how_many_closes_lost() -> None:
    told = {"total_equity": 1e4, "consecutive_losses": 5, "losing_closes": 20}
    event = Event(
        event_id="e", topic="portfolio.snapshot_updated", stream="outside:desk", version=1, ts_event=7,
        ts_recorded=8, cause_id="", trace_id="publisher:desk:3", payload=told,
    )  # fmt: skip
    report = report_of(event, 8, wall_clock=True)
    assert isinstance(report, AccountReported)
    assert (report.consecutive_losses, report.losing_closes) == (5, 20)
    assert PortfolioSnapshotUpdated.model_validate(WELL | told).losing_closes == 20


WELL = dict.fromkeys(("drawdown_pct", "max_drawdown_pct", "realized_pnl_today", "exposure_pct"), 0.0) | {
    "open_positions": 0, "win_rate": None, "sharpe_ratio": None, "winning_days": 0, "losing_days": 0,
}  # fmt: skip


@pytest.mark.parametrize("closes", [None, 30])
def test_a_restart_forgets_no_run(closes: int | None) -> None:
    desk = Voices()
    frozen_by_f3(desk, 5, closes)
    fresh = CouncilService()
    fresh.restore(desk.council.state())
    assert fresh.state_hash() == desk.council.state_hash()
    desk.council = fresh
    assert not frozen_by_f3(desk, 5, closes)
