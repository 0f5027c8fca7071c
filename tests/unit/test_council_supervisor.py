from typing import Any

import pytest

from consilium.council.roles.supervisor import Supervisor
from consilium.domain import Missing, Policy
from council_desk import DAY, HOUR, MIDDAY, MINUTE, Desk, briefing, decision, hold, off

SECOND = 10**9
TRIGGERS: dict[str, dict[str, Any]] = {
    "F1": {"dd": 0.102, "max_dd": 0.102},
    "F2": {"daily_loss": 0.051},
    "F3": {"consecutive_losses": 5.0},
    "F4": {"equity": 999.0},
    "F5": {"ess": "CRITICAL"},
    "F6": {"faults": {"journal": "disk full"}},
}
BACK: dict[str, dict[str, Any]] = {
    "F1": {"dd": 0.025, "max_dd": 0.03},
    "F2": {"daily_loss": 0.0},
    "F3": {},
    "F4": {"equity": 10_000.0},
    "F5": {"ess": "NOMINAL"},
    "F6": {"faults": {}},
}
SEVERITY = {"F1": "CRITICAL", "F2": "HIGH", "F3": "MEDIUM", "F4": "CRITICAL", "F5": "CRITICAL", "F6": "HIGH"}


def frozen(desk: Desk) -> list[str]:
    return sorted(name for name, each in desk.holds.items() if each.value == "FROZEN")


def freeze(rule: str) -> Desk:
    desk = Desk("supervisor")
    desk.see()
    assert desk.rules(MINUTE, **TRIGGERS[rule]) == [rule]
    return desk


@pytest.mark.promise("001", "freeze on drawdown, daily loss, losses in a row, capital, ESS and faults")
@pytest.mark.parametrize("rule", sorted(TRIGGERS))
def test_each_row_of_freezes_freezes_with_the_words_of_the_seed(rule: str) -> None:
    desk = Desk("supervisor")
    assert desk.see() == ()
    (proposal,) = desk.see(MINUTE, **TRIGGERS[rule])
    assert (proposal.rule, proposal.kind, proposal.expires_at) == (rule, "FREEZE", None)
    assert proposal.payload["severity"] == SEVERITY[rule]
    assert proposal.payload["affected_subsystems"] == ["trading", "execution"]
    assert proposal.payload["requires_manual_review"] is True
    assert proposal.payload["reason"] == proposal.reason
    assert set(proposal.payload) == {
        "duration_minutes", "affected_subsystems", "severity", "requires_manual_review", "reason",
    }  # fmt: skip
    assert desk.holds[f"supervisor/{rule}/mode"].value == "FROZEN"
    assert desk.holds[f"supervisor/{rule}/mode"].expires_at is None
    assert desk.see(MINUTE) == ()


@pytest.mark.promise("001", "freeze when drawdown > 10 %")
@pytest.mark.parametrize(("figure", "rules"), [(0.0999, []), (0.10, []), (0.1001, ["F1"])])
def test_f1_freezes_above_ten_percent_and_not_at_it(figure: float, rules: list[str]) -> None:
    assert Desk("supervisor").rules(dd=figure) == rules


def test_a_freeze_says_the_figure_and_the_bound() -> None:
    assert Desk("supervisor").see(dd=0.102)[0].reason == "drawdown 10.2 % is above 10 %"
    assert Desk("supervisor").see(dd=0.102)[0].payload["duration_minutes"] == 120


def test_f1_counts_also_from_the_rebase() -> None:
    desk = Desk("supervisor")
    assert desk.rules(drawdown=0.15, drawdown_rebased=0.0) == ["F1"]
    assert desk.rules(MINUTE, drawdown_rebased=0.10) == []
    proposals = desk.see(MINUTE, drawdown_rebased=0.11)
    assert [p.reason for p in proposals] == ["drawdown since the rebase 11 % is above 10 %"]


@pytest.mark.promise("001", "freeze when daily loss > 5 %")
@pytest.mark.parametrize(("figure", "rules"), [(0.0499, []), (0.05, []), (0.0501, ["F2"])])
def test_f2_freezes_above_five_percent_a_day_and_not_at_it(figure: float, rules: list[str]) -> None:
    assert Desk("supervisor").rules(daily_loss=figure) == rules


@pytest.mark.promise("001", "freeze on 5+ consecutive losses")
@pytest.mark.parametrize(("count", "rules"), [(4.0, []), (5.0, ["F3"]), (6.0, ["F3"])])
def test_f3_freezes_at_five_losing_closes(count: float, rules: list[str]) -> None:
    assert Desk("supervisor").rules(consecutive_losses=count) == rules


def test_f3_freezes_again_at_a_further_loss_and_not_while_the_run_stands() -> None:
    desk = freeze("F3")
    assert desk.rules(DAY) == []
    assert desk.rules(MINUTE, consecutive_losses=6.0) == ["F3"]
    assert desk.holds["supervisor/F3/mode"].ts_event == desk.now
    assert desk.rules(MINUTE, consecutive_losses=0.0) == []
    assert desk.rules(MINUTE, consecutive_losses=5.0) == ["F3"]


@pytest.mark.promise("001", "freeze when capital < 1000 USD")
@pytest.mark.parametrize(("figure", "rules"), [(1000.01, []), (1000.0, []), (999.99, ["F4"])])
def test_f4_freezes_below_the_floor_and_not_at_it(figure: float, rules: list[str]) -> None:
    assert Desk("supervisor").rules(equity=figure) == rules


def test_f4_takes_the_floor_of_the_desk() -> None:
    assert Desk("supervisor").rules(equity=4999.0, floor_usd=5000.0) == ["F4"]


@pytest.mark.promise("001", "freeze on ESS CRITICAL and on system EMERGENCY")
@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({"ess": "WARNING"}, []),
        ({"system": "CRITICAL"}, []),
        ({"ess": "CRITICAL"}, ["F5"]),
        ({"system": "EMERGENCY"}, ["F5"]),
    ],
)
def test_f5_freezes_on_the_worst_level_and_the_worst_health(facts: dict[str, Any], rules: list[str]) -> None:
    assert Desk("supervisor").rules(**facts) == rules


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({"late": True}, []),
        ({"late": True, "lost": True, "positions": 0.0}, []),
        ({"late": True, "lost": True, "positions": Missing.UNKNOWN}, []),
        ({"late": True, "lost": True, "positions": 1.0}, ["F6"]),
        ({"faults": {"reconciliation": "2 fills unknown"}}, ["F6"]),
    ],
)
def test_f6_freezes_on_faults_and_where_open_positions_are_not_seen(
    facts: dict[str, Any], rules: list[str]
) -> None:
    assert Desk("supervisor").rules(**facts) == rules


def test_f6_freezes_again_when_a_fault_comes_back() -> None:
    desk = freeze("F6")
    assert desk.rules(MINUTE, faults={}) == []
    assert desk.rules(MINUTE, faults={"journal": "disk full"}) == ["F6"]


def test_rows_that_set_on_together_freeze_each_for_itself() -> None:
    desk = Desk("supervisor")
    assert desk.rules(dd=0.2, daily_loss=0.2, equity=500.0) == ["F1", "F2", "F4"]


@pytest.mark.parametrize("rule", sorted(TRIGGERS))
def test_a_row_that_is_off_does_not_freeze(rule: str) -> None:
    assert Desk("supervisor", **off(rule)).rules(**TRIGGERS[rule]) == []


@pytest.mark.parametrize("missing", list(Missing))
def test_a_missing_figure_freezes_nothing_by_itself(missing: Missing) -> None:
    names = ("dd", "daily_loss", "consecutive_losses", "equity", "positions")
    assert Desk("supervisor", **dict.fromkeys(names, missing)).rules() == []


# U1


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


# V1


def reviewed(
    kind: str, payload: dict[str, object], *, officer: str = "ceo", rule: str = "X", **facts: Any
) -> str:
    given = decision(officer, kind, payload, rule)
    found = Supervisor().review(briefing(**facts), [given])
    for override in found:
        assert (override.kind, override.rule) == ("OVERRIDE", "V1")
        assert override.overrides == given.decision_id
        assert override.payload == {"overridden_decision_id": given.decision_id, "reason": override.reason}
    return found[0].reason if found else ""


TIGHT = Policy(profile="LOW", max_leverage=5.0, ess_warning=0.04, symbols=("A", "B"))


@pytest.mark.promise("001", "the supervisor overrides what loosens while drawdown > 5 %")
@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("CAPITAL_PROFILE", {"profile": "NORMAL"}),
        ("RISK_ADJUSTMENT", {"max_leverage": 6.0}),
        ("ESS_POLICY", {"warning_threshold_pct": 0.05}),
        ("SYMBOL_UNIVERSE", {"active_symbols": ["A", "B", "C"]}),
    ],
)
def test_v1_overrides_a_loosening_above_five_percent_and_not_at_it(
    kind: str, payload: dict[str, object]
) -> None:
    assert reviewed(kind, payload, policy=TIGHT, dd=0.05) == ""
    assert "while drawdown 5.1 % is above 5 %" in reviewed(kind, payload, policy=TIGHT, dd=0.051)
    assert reviewed(kind, payload, policy=TIGHT, dd=Missing.UNKNOWN) == ""
    assert reviewed(kind, payload, policy=TIGHT, dd=0.051, **off("V1")) == ""
    assert reviewed(kind, payload, officer="operator", policy=TIGHT, dd=0.06)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("CAPITAL_PROFILE", {"profile": "MICRO"}),
        ("CAPITAL_PROFILE", {"profile": "LOW"}),
        ("RISK_ADJUSTMENT", {"max_leverage": 5.0, "max_exposure_pct": 0.5}),
        ("ESS_POLICY", {"warning_threshold_pct": 0.04}),
        ("SYMBOL_UNIVERSE", {"active_symbols": ["A"]}),
        ("MODE_CHANGE", {"mode": "LIVE"}),
        ("CASHFLOW", {"profit_lock_pct": 0.2}),
    ],
)
def test_v1_lets_what_loosens_nothing_stand(kind: str, payload: dict[str, object]) -> None:
    assert reviewed(kind, payload, policy=TIGHT, dd=0.2) == ""


@pytest.mark.parametrize("owner", ["supervisor", "cro"])
def test_v1_overrides_aggressive_under_a_hold_of_supervisor_or_risk_officer(owner: str) -> None:
    held = hold(owner, "R1", "max_leverage", 5.0)
    said = reviewed("CAPITAL_PROFILE", {"profile": "AGGRESSIVE"}, holds={held.hold_id: held})
    assert said == f"AGGRESSIVE while {owner} holds max_leverage"
    other = hold("cio", "C2", "symbols", ("A",))
    assert reviewed("CAPITAL_PROFILE", {"profile": "AGGRESSIVE"}, holds={other.hold_id: other}) == ""


def test_v1_lets_the_end_of_reduce_only_pass() -> None:
    assert (
        reviewed("RISK_ADJUSTMENT", {"max_leverage": 10.0}, officer="cro", rule="R2", policy=TIGHT, dd=0.09)
        == ""
    )


def test_v1_leaves_the_supervisors_own_rulings_and_what_merely_expires() -> None:
    ended = {"profile": "NORMAL", "expired": True}
    assert reviewed("CAPITAL_PROFILE", ended, officer="cro", policy=TIGHT, dd=0.06) == ""
    assert (
        reviewed("CAPITAL_PROFILE", {"profile": "NORMAL"}, officer="supervisor", policy=TIGHT, dd=0.06) == ""
    )


def test_u1_ends_freezes_and_no_other_hold_of_the_supervisor() -> None:
    desk = Desk("supervisor", reviews={"freeze": ("ann", "bob")})
    desk.put(hold("supervisor", "S1", "mode", "PAUSED"), hold("supervisor", "U1", "profile", "MICRO"))
    desk.see()
    assert desk.rules(5 * HOUR) == []
