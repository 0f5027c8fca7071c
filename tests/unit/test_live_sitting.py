"""A council in a worker: its state is that of its rows, its clock the machine's on a venue's feed."""

from pathlib import Path

import pytest

from consilium.bus.journal import Journal
from consilium.domain import SECOND_NS
from sitting_desk import NOW, Desk, desk_journal, traded

__all__ = ["desk_journal"]


def test_a_close_waits_until_the_councils_own_health_is_known(desk_journal: Journal, tmp_path: Path) -> None:
    desk = Desk(desk_journal, tmp_path)
    desk_journal.append([traded(NOW)])
    desk.worker.catch_up()
    assert (desk.count("council.step_ruled"), desk.room.hearing.policy.mode) == (0, "PAUSED")
    desk.pass_time(1)
    assert (desk.count("council.step_ruled"), desk.room.hearing.policy.mode) == (1, "LIVE")


@pytest.mark.promise("001", "a council in a worker freezes on unknown facts by the clock")
def test_it_sees_the_clock_and_writes_down_only_looks_that_change_something(
    desk_journal: Journal, tmp_path: Path
) -> None:
    desk = Desk(desk_journal, tmp_path)
    desk.pass_time(1)
    desk_journal.append([traded(NOW + SECOND_NS, positions=1)])
    desk.worker.catch_up()
    assert desk.room.hearing.policy.mode == "LIVE"
    before = desk.count("council.time_passed")
    desk.pass_time(20)
    assert desk.count("council.time_passed") == before
    desk.pass_time(110)
    assert desk.room.hearing.policy.mode == "PAUSED"  # nothing of the account for two bars
    desk.pass_time(190)
    assert desk.room.hearing.policy.mode == "FROZEN"
    assert desk.count("council.time_passed") < 20
    assert 8 <= desk.count("system.health_updated") <= 12
    again = Desk(desk_journal, tmp_path)
    assert again.room.hearing.service.state_hash() == desk.room.hearing.service.state_hash()
    assert again.room.state() == desk.room.state()
