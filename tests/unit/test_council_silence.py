"""What silence must not bring about: an end of a freeze, of a dwell, or of a loss."""

import pytest

from consilium.domain import ReportRefused
from consilium.domain.time import HOUR_NS, MINUTE_NS, SECOND_NS
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
