"""What was said before is not done again: commands, volumes, and words that are dated ahead."""

from typing import Any

import pytest

from consilium.council.commands import DONE_KEPT
from consilium.council.service import CouncilService
from consilium.domain import CouncilCommanded, Decision, ReportRefused, UsageError, VolumesReported
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from council_voices import Voices


def command(desk: Voices, name: str, action: str = "mode", **more: Any) -> CouncilCommanded:
    given: dict[str, Any] = {"payload": {"mode": "PAUSED", "duration_minutes": 60}, "ts_event": desk.now}
    return CouncilCommanded(
        command_id=name, action=action, reason="a test asks", person="ann", **(given | more)
    )


def decisions(told: list[Any]) -> list[Decision]:
    return [one for one in told if isinstance(one, Decision)]


@pytest.mark.promise("001", "a replayed command changes nothing")
def test_a_command_acts_once() -> None:
    desk = Voices()
    desk.says()
    first = command(desk, "c")
    assert decisions(desk.council.handle(first))
    desk.says(30 * MINUTE_NS)
    state = desk.council.state_hash()
    with pytest.raises(UsageError, match="a command must be given once"):
        desk.council.check(first)
    for again in (first, command(desk, "c")):
        (refused,) = desk.council.handle(again)
        assert isinstance(refused, ReportRefused)
    assert desk.council.state_hash() == state


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("allocation", {"model": "xgboost", "weight": 0.5}),
        ("role", {"role": "cio", "enabled": False}),
        ("review", {"what": "rebase"}),
        ("risk", {"max_leverage": 10.0}),
        ("acknowledge", {"alert_id": "a"}),
    ],
)
def test_no_command_acts_twice_nor_after_a_restart(action: str, payload: dict[str, Any]) -> None:
    desk = Voices()
    desk.says()
    desk.asks("risk", {"max_leverage": 2.0})
    first = command(desk, "c", action, payload=payload)
    assert not [one for one in desk.council.handle(first) if isinstance(one, ReportRefused)]
    fresh = CouncilService()
    fresh.restore(desk.council.state())
    assert isinstance(fresh.handle(first)[0], ReportRefused)


def test_a_halt_is_carried_out_as_often_as_it_is_asked_for_each_time_under_its_own_id() -> None:
    desk = Voices()
    desk.says()
    told = []
    for _ in range(3):
        told += decisions(desk.council.handle(command(desk, "halt", payload={"mode": "FROZEN"})))
        assert desk.mode == "FROZEN"
        desk.says(MINUTE_NS)
    froze = [one for one in told if one.kind == "FREEZE"]
    assert len({one.decision_id for one in froze}) == len(froze) == 3


def test_a_refused_command_may_be_given_again_when_it_is_due() -> None:
    desk = Voices()
    desk.says()
    retire = command(desk, "r", "retire", payload={"source": "outside:a"})
    assert isinstance(desk.council.handle(retire)[0], ReportRefused)
    desk.says(source="outside:a")
    desk.says(10 * MINUTE_NS)
    told = desk.council.handle(command(desk, "r", "retire", payload={"source": "outside:a"}))
    assert not [one for one in told if isinstance(one, ReportRefused)]
    assert "outside:a" not in desk.council.sources


def test_the_memory_of_commands_is_bounded() -> None:
    desk = Voices()
    desk.says()
    for number in range(DONE_KEPT + 20):
        desk.council.handle(command(desk, f"c{number}", "acknowledge", payload={"alert_id": "a"}))
    assert len(desk.council.state()["operators"]["done"]) == DONE_KEPT
    assert desk.council.state()["operators"]["done"][-1] == f"c{DONE_KEPT + 19}"


def test_a_command_of_the_future_is_refused_and_moves_no_clock() -> None:
    desk = Voices()
    desk.says()
    state = desk.council.state_hash()
    ahead = command(desk, "c", ts_event=desk.now + 365 * DAY_NS, received_at=desk.now)
    (refused,) = desk.council.handle(ahead)
    assert isinstance(refused, ReportRefused)
    assert "in the future" in refused.reason
    assert desk.council.state_hash() == state
    assert desk.council.handle(command(desk, "d", ts_event=desk.now + SECOND_NS, received_at=desk.now))


def test_older_volumes_change_nothing() -> None:
    desk = Voices()
    desk.says()
    for ts, volume in ((desk.now, 3.0), (desk.now - HOUR_NS, 9.0)):
        told = desk.council.handle(VolumesReported(ts_event=ts, volumes={"BTCUSDT": volume}))
    assert isinstance(told[0], ReportRefused)
    assert desk.council.briefing.volumes == {"BTCUSDT": 3.0}
    fresh = CouncilService()
    fresh.restore(desk.council.state())
    assert fresh.handle(VolumesReported(ts_event=desk.now - 1, volumes={})) != []
