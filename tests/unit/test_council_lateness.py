"""Each source is waited for by its own interval, and who speaks without saying what is required is blind."""

from typing import Any

import pytest

from consilium.domain import Decision
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from council_voices import Voices


def rules(told: list[Any]) -> set[str]:
    return {one.rule for one in told if isinstance(one, Decision)}


@pytest.mark.promise("001", "what is unknown for 300 s with open positions freezes, also where sources speak")
@pytest.mark.parametrize(
    "hidden",
    [{"exposure": None}, {"status": "FINE"}, {"exposure": None, "positions": None, "unprotected": None}],
)
def test_who_speaks_on_without_what_is_required_is_frozen_after_300_seconds(hidden: dict[str, Any]) -> None:
    desk = Voices()
    desk.says(**({"positions": 1} | hidden))
    for _ in range(10):
        assert "F6" not in rules(desk.says(30 * SECOND_NS, **({"positions": 1} | hidden)))
    assert desk.mode == "PAUSED"
    told = desk.says(SECOND_NS, **({"positions": 1} | hidden))
    (freeze,) = [one for one in told if isinstance(one, Decision) and one.kind == "FREEZE"]
    assert freeze.rule == "F6"
    assert "unknown: " in freeze.reason
    assert desk.mode == "FROZEN"


def test_a_clock_alone_finds_out_that_a_fact_was_unknown_for_too_long() -> None:
    desk = Voices()
    desk.says(positions=1, exposure=None, interval_ns=HOUR_NS)
    desk.says(2 * HOUR_NS, positions=1, exposure=None, interval_ns=HOUR_NS)
    desk.says(2 * HOUR_NS, positions=1, exposure=None, interval_ns=HOUR_NS)
    desk.waits(HOUR_NS)
    assert desk.mode == "PAUSED", "five intervals are not over"
    desk.waits(SECOND_NS)
    assert desk.mode == "FROZEN"


def test_what_is_unknown_without_a_position_freezes_nothing() -> None:
    desk = Voices()
    for _ in range(20):
        desk.says(30 * SECOND_NS, exposure=None)
    assert desk.mode == "PAUSED"


def test_a_desk_that_never_heard_of_an_account_is_paused_and_not_frozen() -> None:
    desk = Voices()
    for _ in range(10):
        desk.waits(MINUTE_NS)
    assert desk.mode == "PAUSED"


def test_a_fact_that_is_known_in_between_begins_its_time_anew() -> None:
    desk = Voices()
    for _ in range(4):
        for _ in range(9):
            desk.says(30 * SECOND_NS, positions=1, exposure=None)
        desk.says(SECOND_NS, positions=1, exposure=0.1)
    assert desk.mode == "LIVE"


@pytest.mark.parametrize("interval_ns", [HOUR_NS, DAY_NS, 10**17])
def test_what_an_outside_source_says_of_its_interval_counts_for_itself_alone(interval_ns: int) -> None:
    desk = Voices()
    desk.says(source="outside:a", interval_ns=interval_ns)
    desk.says(MINUTE_NS, positions=1)
    assert desk.mode == "LIVE"
    desk.waits(61 * SECOND_NS)
    assert desk.mode == "PAUSED", "the desk's own account is late after a minute"
    desk.waits(240 * SECOND_NS)
    assert desk.mode == "FROZEN"


def test_no_source_is_waited_for_as_if_it_spoke_more_rarely_than_daily() -> None:
    desk = Voices()
    desk.says(interval_ns=10**17, positions=1)
    desk.waits(2 * DAY_NS)
    assert desk.mode == "LIVE"
    desk.waits(SECOND_NS)
    assert desk.mode == "PAUSED"
    desk.waits(3 * DAY_NS)
    assert desk.mode == "FROZEN"


def test_who_says_no_interval_may_take_as_long_as_the_desks_own_account() -> None:
    desk = Voices()
    desk.says(interval_ns=HOUR_NS)
    desk.says(source="outside:a")
    desk.waits(2 * HOUR_NS)
    assert desk.mode == "LIVE"
    desk.waits(SECOND_NS)
    assert desk.mode == "PAUSED"
