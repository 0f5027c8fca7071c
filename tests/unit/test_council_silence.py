"""What silence must not bring about: an end of a freeze, of a dwell, or of a loss."""

import pytest

from consilium.domain import ReportRefused
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from council_voices import Voices


@pytest.mark.parametrize("source", ["account:paper", "system"])
def test_the_desks_own_sources_are_never_retired(source: str) -> None:
    desk = Voices()
    desk.says(interval_ns=HOUR_NS)
    desk.waits(50 * HOUR_NS)
    (refused,) = desk.asks("retire", {"source": source})
    assert isinstance(refused, ReportRefused)
    assert "never retired" in refused.reason
    assert source in desk.council.sources


def test_a_source_that_speaks_hourly_is_not_silent_after_five_minutes() -> None:
    desk = Voices()
    desk.says(interval_ns=HOUR_NS, source="outside:a")
    desk.waits(5 * HOUR_NS - SECOND_NS)
    assert isinstance(desk.asks("retire", {"source": "outside:a"})[0], ReportRefused)
    desk.waits(SECOND_NS)
    desk.asks("retire", {"source": "outside:a"})
    assert "outside:a" not in desk.council.sources


def test_who_claims_to_speak_daily_is_retired_after_a_day_not_after_five() -> None:
    desk = Voices()
    desk.says(interval_ns=30 * DAY_NS, source="outside:a")
    desk.waits(DAY_NS - SECOND_NS)
    (refused,) = desk.asks("retire", {"source": "outside:a"})
    assert isinstance(refused, ReportRefused)
    assert "86400 s" in refused.reason
    desk.waits(SECOND_NS)
    desk.asks("retire", {"source": "outside:a"})
    assert "outside:a" not in desk.council.sources


def test_who_retires_a_fallen_account_ends_no_freeze_but_a_rebase_may() -> None:
    desk = Voices()
    desk.says()
    for nav in (1.0, 0.88):
        desk.says(after=SECOND_NS, source="outside:a", nav=nav, interval_ns=60 * SECOND_NS)
    assert desk.mode == "FROZEN"
    for _ in range(13 * 60):
        desk.says(after=MINUTE_NS)
    desk.asks("retire", {"source": "outside:a"})
    assert "outside:a" not in desk.council.sources
    desk.review()
    for _ in range(30):
        desk.says(after=MINUTE_NS)
    assert desk.mode == "FROZEN"
    desk.review("rebase")
    for _ in range(17):
        desk.says(after=MINUTE_NS)
    assert desk.mode != "FROZEN"


@pytest.mark.promise("001", "no passage of time, restart, staleness or gap lifts a freeze")
def test_a_gap_lifts_no_freeze() -> None:
    desk = Voices()
    desk.says()
    desk.says(after=MINUTE_NS, nav=1.0, source="outside:a")
    desk.asks("mode", {"mode": "FROZEN"})
    for _ in range(110):
        desk.says(after=MINUTE_NS)
        desk.says(nav=1.0, source="outside:a")
    desk.review()
    desk.says(after=10 * HOUR_NS)
    desk.says(nav=1.0, source="outside:a")
    assert desk.mode == "FROZEN", "ten hours were not watched"
    for minute in range(15):
        assert desk.mode == "FROZEN", minute
        desk.says(after=MINUTE_NS)
        desk.says(nav=1.0, source="outside:a")
    assert desk.mode == "SHADOW"


def test_a_gap_is_no_part_of_a_dwell() -> None:
    desk = Voices()
    for nav in (1.0, 0.915, 0.97):
        desk.says(after=MINUTE_NS, nav=nav)
    assert "ceo/P1/profile" in desk.council.holds
    desk.says(after=48 * HOUR_NS, nav=0.97)
    assert desk.council.holds["ceo/P1/profile"].value == "MICRO"
    for _ in range(25 * 60):
        desk.says(after=MINUTE_NS, nav=0.97)
    assert desk.council.holds["ceo/P1/profile"].value == "LOW"
