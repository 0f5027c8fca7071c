"""The chief executive's modes (M1 to M4)."""

from typing import Any

import pytest

from council_desk import DAY, HOUR, MINUTE, Desk, hold, off

SECOND = 10**9


@pytest.mark.promise("001", "EMERGENCY, PAUSED, SHADOW by ESS and health")
@pytest.mark.parametrize(
    ("facts", "rule", "mode", "minutes"),
    [
        ({"ess": "CRITICAL"}, "M1", "EMERGENCY", None),
        ({"system": "EMERGENCY"}, "M1", "EMERGENCY", None),
        ({"ess": "WARNING"}, "M2", "PAUSED", 30),
        ({"system": "CRITICAL"}, "M2", "PAUSED", 30),
        ({"system": "DEGRADED"}, "M3", "SHADOW", None),
    ],
    ids=str,
)
def test_each_row_of_modes_bounds_the_mode(
    facts: dict[str, Any], rule: str, mode: str, minutes: int | None
) -> None:
    desk = Desk("ceo")
    assert desk.see() == ()
    (proposal,) = desk.see(MINUTE, **facts)
    assert (proposal.rule, proposal.kind) == (rule, "MODE_CHANGE")
    assert proposal.payload == {"mode": mode, "duration_minutes": minutes}
    assert desk.value(f"ceo/{rule}/mode") == mode
    assert desk.see(MINUTE) == ()


@pytest.mark.parametrize("facts", [{"ess": "CAUTION"}, {"ess": ""}, {"system": ""}], ids=str)
def test_caution_and_unknown_health_bound_no_mode_of_the_ceo(facts: dict[str, Any]) -> None:
    assert Desk("ceo").rules(**facts) == []


@pytest.mark.parametrize(("rule", "facts"), [("M1", {"ess": "CRITICAL"}), ("M3", {"system": "DEGRADED"})])
def test_a_mode_row_that_is_off_does_not_fire(rule: str, facts: dict[str, Any]) -> None:
    assert Desk("ceo", **off(rule)).rules(**facts) == []


def test_m1_ends_after_thirty_minutes_and_fifteen_without_its_cause() -> None:
    desk = Desk("ceo")
    desk.see(ess="CRITICAL")
    desk.see(5 * MINUTE, ess="NOMINAL")
    assert desk.rules(25 * MINUTE - SECOND) == []
    (proposal,) = desk.see(SECOND)
    assert (proposal.rule, proposal.payload["mode"]) == ("M4", "LIVE")
    assert desk.holds == {}


def test_m1_waits_for_its_cause_to_be_gone_for_fifteen_minutes() -> None:
    desk = Desk("ceo")
    desk.see(ess="CRITICAL")
    desk.see(2 * HOUR, ess="NOMINAL")
    assert desk.rules(15 * MINUTE - SECOND) == []
    assert desk.rules(SECOND) == ["M4"]


def test_unknown_health_is_not_a_cause_that_is_gone() -> None:
    desk = Desk("ceo")
    desk.see(ess="CRITICAL")
    desk.see(2 * HOUR, ess="")
    assert desk.rules(5 * HOUR) == []
    assert desk.rules(MINUTE, ess="NOMINAL") == []
    assert desk.rules(15 * MINUTE) == ["M4"]


def test_m2_lasts_thirty_minutes_and_is_armed_again_while_true() -> None:
    desk = Desk("ceo")
    desk.see(ess="WARNING")
    assert desk.holds["ceo/M2/mode"].expires_at == desk.now + 30 * MINUTE
    assert desk.rules(29 * MINUTE) == []
    (proposal,) = desk.see(MINUTE)
    assert (proposal.rule, proposal.expires_at) == ("M2", desk.now + 30 * MINUTE)
    desk.see(5 * MINUTE, ess="NOMINAL")
    assert desk.rules(14 * MINUTE) == []
    assert desk.rules(MINUTE) == ["M4"]


def test_m2_is_armed_again_where_its_cause_went_a_moment_before_it_expired() -> None:
    desk = Desk("ceo")
    desk.see(ess="WARNING")
    desk.see(29 * MINUTE, ess="NOMINAL")
    assert desk.rules(MINUTE) == ["M2"]
    assert desk.rules(13 * MINUTE) == []
    assert desk.rules(MINUTE) == ["M4"]


def test_m2_expires_by_itself_where_its_cause_is_long_gone() -> None:
    desk = Desk("ceo")
    desk.see(ess="WARNING")
    desk.see(MINUTE, ess="NOMINAL")
    assert desk.rules(29 * MINUTE) == ["M4"]
    assert desk.holds == {}


def test_m3_ends_after_fifteen_minutes() -> None:
    desk = Desk("ceo")
    desk.see(system="DEGRADED")
    desk.see(SECOND, system="HEALTHY")
    assert desk.rules(15 * MINUTE - SECOND) == []
    assert desk.rules(SECOND) == ["M4"]


def test_the_mode_that_is_told_is_the_tightest_in_force() -> None:
    desk = Desk("ceo")
    desk.see(ess="CRITICAL")
    (proposal,) = desk.see(MINUTE, system="CRITICAL")
    assert (proposal.rule, proposal.payload["mode"]) == ("M2", "EMERGENCY")
    desk.see(MINUTE, ess="NOMINAL")
    (proposal,) = desk.see(28 * MINUTE)
    assert (proposal.rule, proposal.payload["mode"]) == ("M1", "PAUSED")


@pytest.mark.promise("001", "LIVE when the system is HEALTHY and the emergency stop is quiet")
def test_m4_says_live_once_when_nothing_holds_the_mode_any_more() -> None:
    desk = Desk("ceo").put(hold("supervisor", "F1", "mode", "FROZEN"))
    assert desk.rules() == []
    del desk.holds["supervisor/F1/mode"]
    (proposal,) = desk.see(MINUTE)
    assert (proposal.rule, proposal.payload) == ("M4", {"mode": "LIVE", "duration_minutes": None})
    assert not proposal.holds
    assert not proposal.releases
    assert desk.rules(MINUTE) == []


@pytest.mark.parametrize("owner", ["operator", "supervisor", "cro"])
def test_m4_never_says_live_while_anybody_holds_the_mode(owner: str) -> None:
    desk = Desk("ceo").put(hold(owner, "X", "mode", "SHADOW"))
    desk.see(system="DEGRADED")
    desk.see(MINUTE, system="HEALTHY")
    (proposal,) = desk.see(HOUR)
    assert (proposal.rule, proposal.payload["mode"]) == ("M3", "SHADOW")
    assert desk.rules(DAY) == []


@pytest.mark.parametrize(
    ("facts", "live"),
    [
        ({"ess": "CAUTION"}, True),
        ({"late": True}, False),
        ({"system": ""}, False),
        ({"ess": ""}, False),
        (off("M4"), False),
    ],
    ids=str,
)
def test_m4_asks_for_health_and_fresh_facts(facts: dict[str, Any], live: bool) -> None:
    desk = Desk("ceo").put(hold("operator", "O1:mode=PAUSED", "mode", "PAUSED"))
    desk.see()
    desk.holds.clear()
    assert (desk.rules(MINUTE, **facts) == ["M4"]) is live
