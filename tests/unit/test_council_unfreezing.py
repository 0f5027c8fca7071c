"""The one rule that ends a freeze (U1)."""

from typing import Any

import pytest

from consilium.domain import Missing
from council_desk import DAY, HOUR, MIDDAY, MINUTE, Desk, hold
from council_freezes import BACK, TRIGGERS, freeze, frozen

SECOND = 10**9


def review_needed(rule: str) -> tuple[str, ...]:
    return ("ann",) if rule == "F3" else ("ann", "bob")


@pytest.mark.promise("001", "unfreeze only when calm, funded and reviewed")
@pytest.mark.parametrize("rule", sorted(TRIGGERS))
def test_u1_ends_a_freeze_into_an_hour_of_shadow_and_a_day_of_micro(rule: str) -> None:
    desk = freeze(rule)
    desk.see(HOUR, **BACK[rule])
    desk.see(reviews={"freeze": review_needed(rule)})
    wait = 12 * HOUR - MINUTE if rule == "F2" else 119 * MINUTE
    assert desk.rules(wait - HOUR - MINUTE) == []
    shadow, micro = desk.see(MINUTE * 2)
    assert frozen(desk) == []
    assert (shadow.kind, shadow.payload) == ("MODE_CHANGE", {"mode": "SHADOW", "duration_minutes": 60})
    assert (micro.kind, micro.payload["profile"]) == ("CAPITAL_PROFILE", "MICRO")
    assert desk.holds["supervisor/U1/mode"].expires_at == desk.now + HOUR
    assert desk.holds["supervisor/U1/profile"].expires_at == desk.now + DAY
    assert desk.rules(HOUR) == []


def test_u1_waits_for_two_hours_and_not_a_moment_longer() -> None:
    desk = freeze("F1")
    desk.see(MINUTE, **BACK["F1"], reviews={"freeze": ("ann", "bob")})
    assert desk.rules(119 * MINUTE - SECOND) == []
    assert desk.rules(SECOND) == ["U1", "U1"]


def test_u1_waits_for_the_next_utc_day_after_a_daily_loss() -> None:
    desk = freeze("F2")
    assert desk.holds["supervisor/F2/mode"].ts_event == MIDDAY + MINUTE
    desk.see(3 * HOUR, **BACK["F2"], reviews={"freeze": ("ann", "bob")})
    assert desk.rules(MIDDAY + 12 * HOUR - desk.now - SECOND) == []
    assert desk.rules(SECOND) == ["U1", "U1"]


@pytest.mark.parametrize(
    "bad",
    [
        {"dd": 0.05},
        {"drawdown_rebased": Missing.UNKNOWN},
        {"equity": 1500.0},
        {"loss_15m": 0.0011},
        {"loss_15m": Missing.UNKNOWN},
        {"unprotected": 1.0},
        {"unprotected": Missing.UNKNOWN},
        {"ess": "CAUTION"},
        {"ess": ""},
        {"system": "DEGRADED"},
        {"system": ""},
        {"late": True},
        {"faults": {"journal": "disk full"}},
        {"daily_loss": 0.06},
    ],
    ids=str,
)
def test_u1_does_not_end_a_freeze_while_one_condition_is_not_met(bad: dict[str, Any]) -> None:
    desk = freeze("F1")
    desk.see(MINUTE, **BACK["F1"], reviews={"freeze": ("ann", "bob")})
    desk.see(MINUTE, **bad)
    desk.see(5 * HOUR)
    assert "supervisor/F1/mode" in desk.holds


@pytest.mark.parametrize(
    "good",
    [{"dd": 0.0499}, {"equity": 1500.01}, {"loss_15m": 0.001}, {"unprotected": 3.0, "positions": 0.0}],
    ids=str,
)
def test_u1_ends_a_freeze_just_inside_each_condition(good: dict[str, Any]) -> None:
    desk = freeze("F1")
    desk.see(MINUTE, **BACK["F1"], reviews={"freeze": ("ann", "bob")})
    desk.see(MINUTE, **good)
    assert desk.rules(5 * HOUR) == ["U1", "U1"]


def test_u1_asks_for_fifteen_minutes_of_calm_without_a_break() -> None:
    desk = freeze("F1")
    desk.see(3 * HOUR, **BACK["F1"], reviews={"freeze": ("ann", "bob")})
    assert desk.rules(14 * MINUTE) == []
    assert desk.rules(SECOND, system="DEGRADED") == []
    assert desk.rules(SECOND, system="HEALTHY") == []
    assert desk.rules(15 * MINUTE - SECOND) == []
    assert desk.rules(SECOND) == ["U1", "U1"]


@pytest.mark.parametrize(
    ("rule", "persons", "ends"),
    [
        ("F1", ("ann",), False),
        ("F1", ("ann", "ann"), False),
        ("F1", ("ann", "bob"), True),
        ("F2", ("ann",), False),
        ("F3", (), False),
        ("F3", ("ann",), True),
    ],
)
def test_u1_asks_for_two_reviewers_and_for_one_after_losses_in_a_row(
    rule: str, persons: tuple[str, ...], ends: bool
) -> None:
    desk = freeze(rule)
    desk.see(MINUTE, **BACK[rule], reviews={"freeze": persons})
    desk.see(2 * DAY)
    assert (frozen(desk) == []) is ends


def test_a_second_freeze_makes_the_first_wait_too() -> None:
    desk = freeze("F3")
    desk.see(100 * MINUTE, reviews={"freeze": ("ann", "bob")}, ess="CRITICAL")
    desk.see(MINUTE, ess="NOMINAL")
    assert desk.rules(110 * MINUTE) == []
    assert frozen(desk) == ["supervisor/F3/mode", "supervisor/F5/mode"]
    assert desk.rules(9 * MINUTE) == ["U1", "U1"]
    assert frozen(desk) == []


def test_a_trigger_that_sets_on_again_starts_the_clock_anew() -> None:
    desk = freeze("F1")
    desk.see(HOUR, **BACK["F1"])
    assert desk.rules(MINUTE, dd=0.11) == ["F1"]
    desk.see(MINUTE, dd=0.0, reviews={"freeze": ("ann", "bob")})
    assert desk.rules(118 * MINUTE) == []
    assert desk.rules(MINUTE) == ["U1", "U1"]


def test_a_rebase_lets_a_freeze_end_while_drawdown_is_still_deep() -> None:
    desk = freeze("F1")
    desk.see(3 * HOUR, reviews={"freeze": ("ann", "bob")})
    assert desk.rules(HOUR) == []
    desk.see(MINUTE, drawdown_rebased=0.0, max_drawdown_rebased=0.0)
    assert desk.rules(15 * MINUTE) == ["U1", "U1"]
    assert desk.rules(DAY) == []


@pytest.mark.parametrize("years", [1, 10])
def test_no_passage_of_time_ends_a_freeze(years: int) -> None:
    desk = freeze("F1")
    desk.see(MINUTE, **BACK["F1"])
    assert desk.rules(years * 365 * DAY) == []
    assert frozen(desk) == ["supervisor/F1/mode"]


def test_a_clock_that_goes_back_ends_nothing() -> None:
    desk = freeze("F1")
    desk.see(MINUTE, **BACK["F1"], reviews={"freeze": ("ann", "bob")})
    assert desk.rules(-30 * DAY) == []


def test_an_operators_freeze_ends_by_the_same_rule() -> None:
    desk = Desk("supervisor", reviews={"freeze": ("ann", "bob")})
    desk.put(hold("supervisor", "F0", "mode", "FROZEN"))
    desk.see()
    assert desk.rules(119 * MINUTE) == []
    assert desk.rules(MINUTE) == ["U1", "U1"]


def test_u1_tells_the_mode_that_others_still_hold() -> None:
    desk = freeze("F3").put(hold("cro", "R2", "mode", "REDUCING"))
    desk.see(reviews={"freeze": ("ann",)})
    assert desk.see(5 * HOUR)[0].payload["mode"] == "PAUSED"


def test_u1_ends_freezes_and_no_other_hold_of_the_supervisor() -> None:
    desk = Desk("supervisor", reviews={"freeze": ("ann", "bob")})
    desk.put(hold("supervisor", "S1", "mode", "PAUSED"), hold("supervisor", "U1", "profile", "MICRO"))
    desk.see()
    assert desk.rules(5 * HOUR) == []
