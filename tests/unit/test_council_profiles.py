"""The chief executive's capital profiles (P1 to P4)."""

from typing import Any

import pytest

from consilium.council.policy import PROFILES
from consilium.domain import Missing
from council_desk import DAY, HOUR, MINUTE, Desk, hold, off

SECOND = 10**9
STRONG: dict[str, Any] = {
    "dd": 0.01,
    "max_dd": 0.01,
    "winning_days": 5.0,
    "win_rate": 0.61,
    "sharpe": 1.6,
}


def profile(desk: Desk) -> str:
    """Return the CEO's own standing."""
    held = [str(h.value) for h in desk.holds.values() if h.owner == "ceo" and h.key == "profile"]
    return min(held, key=list(PROFILES).index, default="NORMAL")


def fresh(**facts: Any) -> Desk:
    """A desk that begins in MICRO."""
    desk = Desk("ceo", **facts).put(hold("ceo", "P0", "profile", "MICRO"))
    desk.see()
    return desk


# P1


@pytest.mark.promise("001", "MICRO when drawdown > 8 % or max drawdown > 10 %")
@pytest.mark.parametrize(
    ("facts", "fires"),
    [
        ({"drawdown": 0.08}, False),
        ({"drawdown": 0.0801}, True),
        ({"max_drawdown": 0.10}, False),
        ({"max_drawdown": 0.1001}, True),
        ({"drawdown": Missing.UNKNOWN, "max_drawdown": Missing.UNKNOWN}, False),
        ({"max_drawdown": 0.2, **off("P1")}, False),
    ],
    ids=str,
)
def test_p1_goes_to_micro_at_once_above_its_bounds(facts: dict[str, Any], fires: bool) -> None:
    desk = Desk("ceo")
    desk.see(**facts)
    assert (desk.value("ceo/P1/profile") == "MICRO") is fires


def test_p1_says_the_profile_with_its_limits() -> None:
    (proposal,) = Desk("ceo").see(max_drawdown=0.11)
    assert proposal.kind == "CAPITAL_PROFILE"
    assert proposal.reason == "max drawdown of 30 days 11 % is above 10 %"
    assert proposal.payload == {
        "profile": "MICRO",
        "max_risk_per_trade_pct": 0.005,
        "max_daily_risk_pct": 0.01,
        "max_positions": 1,
    }


def test_p1_gives_way_to_low_after_a_day_below_five_percent() -> None:
    desk = Desk("ceo")
    desk.see(max_drawdown=0.11)
    assert desk.rules(30 * DAY) == []
    assert desk.rules(MINUTE, max_drawdown=0.09) == []
    assert desk.rules(DAY - SECOND) == []
    (proposal,) = desk.see(SECOND)
    assert (proposal.rule, proposal.payload["profile"]) == ("P1", "LOW")
    assert desk.value("ceo/P1/profile") == "LOW"
    assert desk.rules(DAY) == []


@pytest.mark.parametrize(
    "bad",
    [{"drawdown": 0.05}, {"max_drawdown": 0.10}, {"drawdown": Missing.UNKNOWN}, {"late": True}],
    ids=str,
)
def test_p1_stays_at_its_bounds(bad: dict[str, Any]) -> None:
    desk = Desk("ceo")
    desk.see(max_drawdown=0.11)
    desk.see(MINUTE, max_drawdown=0.09)
    desk.see(MINUTE, **bad)
    assert desk.rules(5 * DAY) == []
    assert profile(desk) == "MICRO"


# P2


@pytest.mark.promise("001", "one profile down on 3 loss days, drawdown > 5 % or win rate < 40 %")
@pytest.mark.parametrize(
    ("facts", "fires"),
    [
        ({"losing_days": 2.0}, False),
        ({"losing_days": 3.0}, True),
        ({"drawdown": 0.05}, False),
        ({"drawdown": 0.0501}, True),
        ({"win_rate": 0.40}, False),
        ({"win_rate": 0.399}, True),
        ({"win_rate": Missing.INSUFFICIENT, "losing_days": Missing.INSUFFICIENT}, False),
        ({"win_rate": 0.3, **off("P2")}, False),
    ],
    ids=str,
)
def test_p2_goes_one_profile_down_beyond_its_bounds(facts: dict[str, Any], fires: bool) -> None:
    desk = Desk("ceo")
    assert (desk.rules(**facts) == ["P2"]) is fires
    assert profile(desk) == ("LOW" if fires else "NORMAL")


def test_p2_goes_down_once_for_a_condition_that_stays_and_again_for_the_next_a_day_later() -> None:
    desk = Desk("ceo")
    desk.see(losing_days=3.0)
    assert desk.rules(10 * DAY, losing_days=4.0) == []
    assert desk.rules(MINUTE, win_rate=0.3) == ["P2"]
    assert profile(desk) == "MICRO"


def test_p2_lets_an_onset_within_the_day_wait_and_drops_it_where_all_is_well_again() -> None:
    desk = Desk("ceo")
    desk.see(drawdown=0.051)
    desk.see(HOUR, win_rate=0.3)
    assert profile(desk) == "LOW"
    assert desk.rules(23 * HOUR - SECOND) == []
    assert desk.rules(SECOND) == ["P2"]
    assert profile(desk) == "MICRO"

    other = Desk("ceo")
    other.see(drawdown=0.051)
    other.see(HOUR, win_rate=0.3)
    other.see(HOUR, win_rate=0.5, drawdown=0.02)
    other.see(22 * HOUR)
    assert profile(other) == "LOW"


def test_p2_goes_up_again_one_profile_a_day() -> None:
    desk = Desk("ceo")
    desk.see(losing_days=3.0)
    desk.see(DAY, win_rate=0.3)
    assert profile(desk) == "MICRO"
    desk.see(HOUR, win_rate=0.5, losing_days=0.0)
    assert desk.rules(DAY - SECOND) == []
    assert desk.rules(SECOND) == ["P2"]
    assert profile(desk) == "LOW"
    assert desk.rules(DAY - SECOND) == []
    assert desk.rules(SECOND) == ["P2"]
    assert profile(desk) == "NORMAL"


@pytest.mark.parametrize(
    "bad",
    [
        {"drawdown": 0.05},
        {"win_rate": 0.40},
        {"losing_days": 3.0},
        {"losing_days": Missing.UNKNOWN},
        {"win_rate": Missing.UNKNOWN},
        {"late": True},
    ],
    ids=str,
)
def test_p2_stays_at_its_bounds(bad: dict[str, Any]) -> None:
    desk = Desk("ceo")
    desk.see(drawdown=0.051)
    desk.see(MINUTE, drawdown=0.02)
    desk.see(MINUTE, **bad)
    desk.see(23 * HOUR)
    assert desk.rules(30 * DAY) in ([], ["P2"])
    assert profile(desk) != "NORMAL"


def test_too_little_data_does_not_keep_p2_down() -> None:
    desk = Desk("ceo", win_rate=Missing.INSUFFICIENT, losing_days=Missing.INSUFFICIENT)
    desk.see(drawdown=0.051)
    desk.see(MINUTE, drawdown=0.02)
    assert desk.rules(DAY) == ["P2"]


def test_p1_and_p2_make_one_decision_together_and_go_up_one_profile_a_day() -> None:
    desk = Desk("ceo")
    (proposal,) = desk.see(drawdown=0.09)
    assert proposal.payload["profile"] == "MICRO"
    assert {each.hold_id for each in proposal.holds} == {"ceo/P1/profile", "ceo/P2/profile"}
    desk.see(HOUR, drawdown=0.02)
    assert desk.rules(DAY) == ["P1"]
    assert desk.rules(DAY - SECOND) == []
    assert desk.rules(SECOND) == ["P2"]
    assert (desk.value("ceo/P1/profile"), desk.value("ceo/P2/profile")) == ("LOW", None)


# P3 and P4


@pytest.mark.promise("001", "one profile up on 5 profit days, drawdown < 3 %, win rate > 60 %, Sharpe > 1.5")
def test_p3_climbs_from_micro_to_aggressive_by_a_profile_each_72_hours() -> None:
    desk = fresh(**STRONG)
    found = []
    for _ in range(3):
        assert desk.rules(72 * HOUR - SECOND) == []
        assert desk.rules(SECOND) == ["P3"]
        found.append(profile(desk))
    assert found[:2] == ["LOW", "NORMAL"]
    assert desk.value("ceo/P3/profile") == "AGGRESSIVE"
    assert desk.rules(30 * DAY) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"winning_days": 4.0},
        {"dd": 0.03},
        {"win_rate": 0.60},
        {"sharpe": 1.5},
        {"sharpe": Missing.INSUFFICIENT},
        {"win_rate": Missing.INSUFFICIENT},
        {"late": True},
        off("P3"),
    ],
    ids=str,
)
def test_p3_moves_nothing_at_its_bounds(bad: dict[str, Any]) -> None:
    desk = fresh(**STRONG)
    desk.see(MINUTE, **bad)
    assert desk.rules(13 * DAY) == []


@pytest.mark.parametrize("owner", ["supervisor", "cro"])
def test_p3_does_nothing_under_a_hold_of_supervisor_or_risk_officer(owner: str) -> None:
    desk = fresh(**STRONG).put(hold(owner, "E1", "ess_caution", 0.02))
    desk.see()
    assert desk.rules(13 * DAY) == []


def test_p3_climbs_at_the_last_step_of_r1_but_not_to_aggressive() -> None:
    desk = fresh(**STRONG).put(hold("cro", "R1", "max_leverage", 7.5))
    desk.see()
    assert desk.rules(4 * DAY) == ["P3"]
    assert desk.rules(4 * DAY) == ["P3"]
    assert profile(desk) == "NORMAL"
    assert desk.rules(13 * DAY) == []
    tight = fresh(**STRONG).put(hold("cro", "R1", "max_leverage", 7.4))
    tight.see()
    assert tight.rules(13 * DAY) == []


def test_any_tightening_of_limits_starts_the_72_hours_anew_and_a_step_back_does_not() -> None:
    desk = fresh(**STRONG)
    desk.see(71 * HOUR)
    desk.put(hold("operator", "O1:max_leverage=9", "max_leverage", 9.0))
    assert desk.rules() == []
    assert desk.rules(72 * HOUR - SECOND) == []
    assert desk.rules(SECOND) == ["P3"]
    desk.see(71 * HOUR)
    desk.put(hold("operator", "O1:max_leverage=9", "max_leverage", 9.5))
    assert desk.rules(HOUR) == ["P3"]


def test_aggressive_ends_at_any_hold_of_supervisor_or_risk_officer() -> None:
    desk = Desk("ceo").put(hold("ceo", "P3", "profile", "AGGRESSIVE"), hold("cio", "C2", "symbols", ("A",)))
    assert desk.rules() == []
    desk.put(hold("cro", "R1", "max_leverage", 5.0))
    (proposal,) = desk.see(MINUTE)
    assert (proposal.rule, proposal.payload["profile"]) == ("P3", "NORMAL")
    assert proposal.reason == "AGGRESSIVE ends: cro holds max_leverage"


def test_p2_steps_from_aggressive_to_normal_and_p1_to_micro() -> None:
    desk = Desk("ceo").put(hold("ceo", "P3", "profile", "AGGRESSIVE"))
    (proposal,) = desk.see(losing_days=3.0)
    assert (proposal.payload["profile"], proposal.releases) == ("NORMAL", ("ceo/P3/profile",))
    other = Desk("ceo").put(hold("ceo", "P3", "profile", "AGGRESSIVE"))
    (proposal,) = other.see(max_drawdown=0.11)
    assert (proposal.payload["profile"], proposal.releases) == ("MICRO", ("ceo/P3/profile",))


def test_p4_climbs_to_normal_after_fourteen_quiet_days_and_no_further() -> None:
    desk = fresh()
    assert desk.rules(14 * DAY - SECOND) == []
    assert desk.rules(SECOND) == ["P4"]
    assert profile(desk) == "LOW"
    assert desk.rules(72 * HOUR - SECOND) == []
    assert desk.rules(SECOND) == ["P4"]
    assert profile(desk) == "NORMAL"
    assert desk.rules(100 * DAY) == []


@pytest.mark.parametrize("bad", [{"dd": 0.03}, {"drawdown": Missing.UNKNOWN}, off("P4")], ids=str)
def test_p4_moves_nothing_at_its_bounds(bad: dict[str, Any]) -> None:
    desk = fresh()
    desk.see(MINUTE, **bad)
    assert desk.rules(100 * DAY) == []


def test_a_trigger_of_p2_starts_the_fourteen_days_anew() -> None:
    desk = fresh()
    desk.see(13 * DAY, win_rate=0.3)
    desk.see(HOUR, win_rate=0.5)
    assert desk.rules(14 * DAY - SECOND) == []
    assert desk.rules(SECOND) == ["P4"]


def test_p1s_low_climbs_by_p4() -> None:
    desk = Desk("ceo")
    desk.see(max_drawdown=0.11)
    desk.see(HOUR, max_drawdown=0.0)
    desk.see(DAY)
    assert profile(desk) == "LOW"
    assert desk.rules(13 * DAY - SECOND) == []
    assert desk.rules(SECOND) == ["P4"]
    assert profile(desk) == "NORMAL"
