"""Rows that freeze (F1 to F6)."""

from typing import Any

import pytest

from consilium.domain import Missing
from council_desk import DAY, MINUTE, Desk, off
from council_freezes import SEVERITY, TRIGGERS, freeze

SECOND = 10**9


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
