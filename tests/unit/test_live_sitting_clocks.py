"""A council in a worker is moved by no other clock than its own, and loses no change of its own health."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consilium.app.council.health import Assessment, unjudged
from consilium.app.live.outside import outside_event
from consilium.app.live.records import COMMAND_TAKEN, HEALTH, HEARD_AT, Recorder
from consilium.bus.journal import Journal
from consilium.domain import HOUR_NS, SECOND_NS, CouncilCommanded, Event
from sitting_desk import NOW, VENUE, Desk, desk_journal, traded

__all__ = ["desk_journal"]
SIMULATED = replace(VENUE, feed="simulate:any")


def asked(ts: int, action: str = "risk", name: str = "c", **payload: Any) -> Event:
    command = CouncilCommanded(
        command_id=name, action=action, payload=payload or {"max_leverage": 2.0}, reason="tried",
        person="ann", ts_event=ts,
    )  # fmt: skip
    return Recorder(ts_recorded=ts, trace_id="by-ann").event(command)


def halted(ts: int, name: str = "kill-1") -> Event:
    return asked(ts, "mode", name, mode="FROZEN")


def opened(journal: Journal, folder: Path) -> Desk:
    """Return a desk that is LIVE, without open positions."""
    desk = Desk(journal, folder)
    desk.pass_time(1)
    desk.hear(traded(NOW + SECOND_NS))
    assert desk.mode == "LIVE"
    return desk


@pytest.mark.promise(
    "001", "a command of more than 5 s in the future is refused and journaled, also among workers"
)
def test_a_command_from_the_future_moves_no_clock_and_is_refused_by_a_row(
    desk_journal: Journal, tmp_path: Path
) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.pass_time(20)
    desk.hear(asked(desk.clock.now + 10 * HOUR_NS))
    assert desk.time <= desk.clock.now
    assert desk.room.hearing.policy.max_leverage == 10.0
    (taken,) = desk.said(COMMAND_TAKEN)
    assert "in the future" in taken["refused"]
    (refusal,) = desk.said("council.report_refused")
    assert "in the future" in refusal.reason
    assert desk.mode == "LIVE"
    again = Desk(desk_journal, tmp_path)
    assert again.room.state() == desk.room.state()


def test_a_command_of_now_is_dated_by_the_councils_own_clock(desk_journal: Journal, tmp_path: Path) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.pass_time(20)  # nothing of its own clock was written down for so long
    desk.hear(asked(desk.clock.now + 4 * SECOND_NS))
    assert (desk.said(COMMAND_TAKEN)[0]["refused"], desk.count(HEARD_AT)) == ("", 1)
    assert desk.room.hearing.policy.max_leverage == 2.0
    assert desk.time == desk.clock.now
    again = Desk(desk_journal, tmp_path)
    assert again.room.state() == desk.room.state()


def test_what_comes_while_another_waits_for_its_date_is_dated_with_it(
    desk_journal: Journal, tmp_path: Path
) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.pass_time(20)
    now = desk.clock.now
    desk.hear(asked(now), asked(now, name="d", max_leverage=3.0), asked(now, "profile", "e", profile="LOW"))
    assert desk.count(HEARD_AT) == 1
    assert [taken["refused"] for taken in desk.said(COMMAND_TAKEN)] == [""] * 3
    assert [taken["command_id"] for taken in desk.said(COMMAND_TAKEN)] == ["c", "d", "e"]


@pytest.mark.promise("001", "a halt is never refused for the clock of who asks for it")
def test_a_halt_from_the_future_freezes_at_once_and_moves_no_clock_far(
    desk_journal: Journal, tmp_path: Path
) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.hear(halted(desk.clock.now + 10 * HOUR_NS))
    assert desk.mode == "FROZEN"
    assert desk.count(HEARD_AT) == 0
    assert desk.time <= desk.clock.now + 40 * SECOND_NS
    assert desk.said(COMMAND_TAKEN)[0]["refused"] == ""


def test_a_halt_that_is_the_first_row_of_all_sets_no_clock(desk_journal: Journal, tmp_path: Path) -> None:
    desk = Desk(desk_journal, tmp_path)
    desk.hear(halted(desk.clock.now + 10 * HOUR_NS))
    assert (desk.mode, desk.said(COMMAND_TAKEN)[0]["refused"]) == ("FROZEN", "")
    assert desk.time == desk.clock.now
    again = Desk(desk_journal, tmp_path)
    assert again.room.state() == desk.room.state()


@pytest.mark.promise("001", "a clock that is set back is told, refused once, and our own health goes on")
def test_a_clock_that_is_set_back_is_told_once_and_health_goes_on(
    desk_journal: Journal, tmp_path: Path
) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.pass_time(30)
    refused, healths = desk.count("council.report_refused"), desk.count(HEALTH)
    desk.clock.now -= 600 * SECOND_NS
    desk.pass_time(90)
    assert desk.count("council.report_refused") == refused + 1
    assert desk.count(HEALTH) >= healths + 3
    assert desk.room.back.told.startswith("the machine's clock is 5")
    assert "behind what was heard" in desk.said(HEALTH)[-1]["detail"]
    desk.clock.now += 600 * SECOND_NS
    desk.pass_time(31)
    assert desk.room.back.told == ""
    assert desk.said(HEALTH)[-1]["detail"] == ""
    desk.clock.now -= 20 * SECOND_NS
    desk.pass_time(2)
    assert desk.count("council.report_refused") == refused + 2


def test_nothing_beside_a_halt_has_it_refused(desk_journal: Journal, tmp_path: Path) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.hear(asked(desk.clock.now, "mode", "halt", mode="FROZEN", duration_minutes=-7))
    assert (desk.mode, desk.said(COMMAND_TAKEN)[0]["refused"]) == ("FROZEN", "")


def test_a_report_that_another_clock_dates_moves_none_either(desk_journal: Journal, tmp_path: Path) -> None:
    desk = opened(desk_journal, tmp_path)
    later = desk.clock.now + 10 * HOUR_NS
    told = outside_event(
        "system.health_updated", source="ops", sequence=1, ts_event=later, by="ann", ts_recorded=later,
        payload={"system_status": "CRITICAL"},
    )  # fmt: skip
    desk.hear(told)
    assert desk.time <= desk.clock.now
    (refusal,) = desk.said("council.report_refused")
    assert "in the future" in refusal.reason
    now = desk.clock.now
    desk.hear(
        outside_event(
            "system.health_updated", source="ops", sequence=2, ts_event=now, by="ann", ts_recorded=later,
            payload={"system_status": "CRITICAL"},
        )
    )  # fmt: skip
    assert (desk.mode, desk.time) == ("PAUSED", now)


@pytest.mark.parametrize("terms", [VENUE, SIMULATED])
def test_a_change_of_health_that_meets_a_close_is_not_lost(
    desk_journal: Journal, tmp_path: Path, terms: Any
) -> None:
    due: list[Event] = []

    def keep(events: Sequence[Event]) -> None:
        desk_journal.append([*due, *events])  # a close comes in just before
        due.clear()

    desk = Desk(desk_journal, tmp_path, terms, keep)
    desk.pass_time(1)
    desk.hear(traded(NOW + SECOND_NS))
    assert desk.mode == "LIVE"
    due.append(traded(NOW + 2 * SECOND_NS))
    desk.room.assessed = Assessment(status="CRITICAL", detail="tried")
    desk.pass_time(1)
    assert desk.mode == "PAUSED"
    assert desk.count("council.report_refused") == 0


@pytest.mark.promise(
    "001", "health that cannot be judged is unknown: PAUSED, frozen after 300 s with positions"
)
def test_health_that_cannot_be_judged_is_unknown_and_never_the_last_one(
    desk_journal: Journal, tmp_path: Path
) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.room.assessed = unjudged(OSError("no such disk"))
    desk.pass_time(1)
    assert desk.mode == "PAUSED"
    assert desk.said(HEALTH)[-1]["detail"] == "it cannot be judged: no such disk"
    for minute in range(1, 7):
        desk.pass_time(60, every=20)
        desk.hear(traded(NOW + minute * 60 * SECOND_NS, positions=1))
    assert desk.mode == "FROZEN"


@pytest.mark.promise("001", "on a venue's feed our own health is unknown once nobody looks at it any more")
def test_closes_alone_keep_no_health_fresh_on_a_venues_feed(desk_journal: Journal, tmp_path: Path) -> None:
    desk = opened(desk_journal, tmp_path)
    for minute in range(1, 4):  # nobody looks: the thread that does hangs
        desk.hear(traded(NOW + minute * 60 * SECOND_NS))
    assert desk.mode == "PAUSED"


def test_a_halt_that_two_have_read_is_one_and_is_answered_twice(
    desk_journal: Journal, tmp_path: Path
) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.hear(halted(desk.clock.now))
    began = desk.room.hearing.service.holds["supervisor/F0/mode"].ts_event
    desk.pass_time(3)
    desk.hear(halted(desk.clock.now))
    assert desk.room.hearing.service.holds["supervisor/F0/mode"].ts_event == began
    assert [taken["mode"] for taken in desk.said(COMMAND_TAKEN)] == ["FROZEN", "FROZEN"]


@pytest.mark.promise("001", "a halt of a known id is a halt again once its freeze is over")
def test_the_same_halt_after_its_freeze_is_over_freezes_again(desk_journal: Journal, tmp_path: Path) -> None:
    desk = opened(desk_journal, tmp_path)
    desk.hear(halted(desk.clock.now))
    for person in ("ann", "bob"):
        review = asked(desk.clock.now, "review", f"by-{person}", what="freeze")
        command = replace(Recorder(ts_recorded=1, trace_id="t").event(_by(person, review)))
        desk.hear(command)
    desk.clock.now += 2 * HOUR_NS
    for _ in range(17):
        desk.pass_time(60, every=60)
        desk.hear(traded(desk.clock.now))
    assert desk.mode == "SHADOW"
    desk.hear(halted(desk.clock.now))
    assert desk.mode == "FROZEN"


def _by(person: str, event: Event) -> CouncilCommanded:
    payload: Any = event.payload
    return CouncilCommanded(**{**payload, "person": person})
