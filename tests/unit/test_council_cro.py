from typing import Any

import pytest

from consilium.council.roles.cro import limits_after
from consilium.domain import Missing, Policy
from council_desk import DAY, HOUR, MINUTE, Desk, hold, off

SECOND = 10**9
GOOD: dict[str, Any] = {"dd": 0.01, "max_dd": 0.01, "win_rate": 0.7, "sharpe": 2.5}


def limits(desk: Desk) -> tuple[Any, ...]:
    names = ("max_leverage", "max_position_usd", "max_exposure", "stop_multiplier")
    return tuple(desk.value(f"cro/R1/{name}") for name in names)


def tightened(**facts: Any) -> Desk:
    """A desk with one onset of R1 that is over."""
    desk = Desk("cro", **facts)
    desk.see()
    assert desk.rules(HOUR, exposure=0.86) == ["R1"]
    assert desk.rules(SECOND, exposure=0.2) == []
    return desk


# R1


@pytest.mark.promise("001", "tighten when drawdown rises by > 2 points or exposure > 85 %")
@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({"drawdown_rise": 0.0199}, []),
        ({"drawdown_rise": 0.02}, []),
        ({"drawdown_rise": 0.0201}, ["R1"]),
        ({"drawdown_rise": Missing.UNKNOWN}, []),
        ({"drawdown_rise": Missing.INSUFFICIENT}, []),
        ({"exposure": 0.8499}, []),
        ({"exposure": 0.85}, []),
        ({"exposure": 0.8501}, ["R1"]),
        ({"exposure": Missing.UNKNOWN}, []),
        ({"ess": "CAUTION"}, ["R1"]),
        ({"ess": "WARNING"}, ["R1"]),
        ({"ess": ""}, []),
        ({"exposure": 0.9, **off("R1")}, []),
    ],
    ids=str,
)
def test_r1_tightens_above_its_bounds_and_at_each_escalation(facts: dict[str, Any], rules: list[str]) -> None:
    assert Desk("cro").rules(**facts) == rules


@pytest.mark.promise("001", "a risk adjustment has the seed's limits")
def test_r1_halves_the_base_limits_and_moves_the_stop() -> None:
    (proposal,) = Desk("cro").see(exposure=0.86)
    assert proposal.kind == "RISK_ADJUSTMENT"
    assert proposal.reason == "exposure 86 % is above 85 %"
    assert proposal.payload == {
        "max_leverage": 5.0,
        "max_position_size_usd": 5000.0,
        "max_drawdown_pct": 0.08,
        "max_exposure_pct": 0.45,
        "stop_loss_multiplier": 0.75,
    }


def test_r1_counts_onsets_and_stops_at_three() -> None:
    desk = Desk("cro")
    seen = []
    for _ in range(5):
        desk.see(MINUTE, exposure=0.86)
        seen.append(limits(desk))
        desk.see(MINUTE, exposure=0.5)
    assert seen[:3] == [
        (5.0, 5000.0, 0.45, 0.75),
        (2.5, 2500.0, 0.225, 0.5625),
        (1.25, 1250.0, 0.1125, 0.421875),
    ]
    assert seen[3] == seen[4] == seen[2]


def test_r1_counts_a_condition_that_stays_true_once() -> None:
    desk = Desk("cro", exposure=0.9)
    assert desk.rules() == ["R1"]
    assert desk.rules(30 * DAY) == []
    assert limits(desk)[0] == 5.0


def test_r1_counts_what_sets_on_in_one_briefing_once_and_each_later_onset_too() -> None:
    desk = Desk("cro")
    assert desk.rules(exposure=0.9, drawdown_rise=0.03) == ["R1"]
    assert limits(desk)[0] == 5.0
    assert desk.rules(MINUTE, ess="CAUTION") == ["R1"]
    assert desk.rules(MINUTE, ess="NOMINAL") == []
    assert desk.rules(MINUTE, ess="CAUTION") == ["R1"]
    assert limits(desk)[0] == 1.25


def test_r1_does_not_go_below_its_floors_nor_above_base() -> None:
    small = Policy(max_leverage=1.5, max_position_usd=800.0, max_exposure=0.15)
    found = limits_after(small, onsets=3, steps=0)
    assert (found["max_leverage"], found["max_position_usd"], found["max_exposure"]) == (1.0, 500.0, 0.10)
    tiny = Policy(max_leverage=0.5, max_position_usd=100.0, max_exposure=0.05)
    found = limits_after(tiny, onsets=1, steps=0)
    assert (found["max_leverage"], found["max_position_usd"], found["max_exposure"]) == (0.5, 100.0, 0.05)


def test_r1_goes_back_by_a_quarter_of_base_after_a_day_without_an_onset() -> None:
    desk = tightened()
    assert desk.rules(DAY - 2 * SECOND) == []
    assert desk.rules(SECOND) == ["R1"]
    assert limits(desk) == (7.5, 7500.0, 0.675, None)
    assert desk.rules(DAY - SECOND) == []
    (proposal,) = desk.see(SECOND)
    assert limits(desk) == (None, None, None, None)
    assert proposal.payload["max_leverage"] == 10.0
    assert desk.rules(30 * DAY) == []


def test_r1_makes_four_steps_back_from_three_onsets() -> None:
    desk = Desk("cro")
    for _ in range(3):
        desk.see(MINUTE, exposure=0.86)
        desk.see(MINUTE, exposure=0.5)
    found = []
    for _ in range(4):
        assert desk.rules(DAY) == ["R1"]
        found.append(desk.value("cro/R1/max_leverage"))
    assert found == [3.75, 6.25, 8.75, None]


def test_an_onset_on_the_way_back_tightens_from_base_and_not_from_what_is_in_force() -> None:
    desk = tightened()
    desk.see(DAY)
    assert limits(desk)[0] == 7.5
    assert desk.rules(HOUR, exposure=0.9) == ["R1"]
    assert limits(desk)[0] == 2.5


def test_onsets_are_forgotten_when_the_limits_are_back_at_base() -> None:
    desk = tightened()
    desk.see(DAY)
    desk.see(DAY)
    assert desk.rules(DAY, exposure=0.9) == ["R1"]
    assert limits(desk)[0] == 5.0


@pytest.mark.parametrize(
    "bad",
    [
        {"exposure": 0.85},
        {"exposure": Missing.UNKNOWN},
        {"drawdown_rise": 0.02},
        {"drawdown_rise": Missing.UNKNOWN},
        {"dd": 0.05},
        {"drawdown": Missing.UNKNOWN},
        {"late": True},
        {"system": ""},
    ],
    ids=str,
)
def test_r1_does_not_go_back_while_its_trigger_is_not_known_to_be_gone(bad: dict[str, Any]) -> None:
    desk = tightened()
    desk.see(MINUTE, **bad)
    assert desk.rules(10 * DAY) == []
    assert limits(desk)[0] == 5.0


def test_a_step_back_that_was_refused_is_not_counted() -> None:
    desk = tightened()
    before = dict(desk.holds)
    assert desk.rules(DAY) == ["R1"]
    desk.holds = before
    desk.see(DAY)
    assert limits(desk)[0] == 7.5


# R3


@pytest.mark.promise("001", "loosen when drawdown < 2 %, win rate > 65 % and Sharpe > 2")
def test_r3_goes_back_sooner_but_by_a_quarter_of_base_a_day() -> None:
    desk = Desk("cro", **GOOD)
    desk.see()
    desk.see(DAY)
    assert desk.rules(HOUR, exposure=0.86) == ["R1"]
    desk.see(MINUTE, exposure=0.2)
    assert desk.rules(58 * MINUTE) == []
    assert desk.rules(MINUTE) == ["R3"]
    assert limits(desk)[0] == 7.5
    assert desk.rules(DAY - SECOND) == []
    desk.see(SECOND)
    assert limits(desk)[0] is None


@pytest.mark.parametrize(
    "bad",
    [
        {"dd": 0.02},
        {"win_rate": 0.65},
        {"sharpe": 2.0},
        {"win_rate": Missing.INSUFFICIENT},
        {"sharpe": Missing.INSUFFICIENT},
        off("R3"),
    ],
    ids=str,
)
def test_r3_moves_nothing_at_its_bounds(bad: dict[str, Any]) -> None:
    desk = Desk("cro", **{**GOOD, **{k: v for k, v in bad.items() if k != "dd"}})
    desk.see(**bad)
    desk.see(DAY)
    desk.see(HOUR, exposure=0.86)
    desk.see(MINUTE, exposure=0.2)
    assert desk.rules(10 * HOUR) == []


@pytest.mark.parametrize(("owner", "rule"), [("supervisor", "U1"), ("cro", "E1"), ("cro", "R2")])
def test_r3_does_nothing_under_a_hold_of_the_supervisor_reduce_only_or_thresholds(
    owner: str, rule: str
) -> None:
    desk = Desk("cro", **{**GOOD, "max_dd": 0.08}).put(hold(owner, rule, "profile", "MICRO"))
    desk.see()
    desk.see(DAY)
    desk.see(HOUR, exposure=0.86)
    desk.see(MINUTE, exposure=0.2)
    assert desk.rules(10 * HOUR) == []


def test_r3_asks_for_a_day_of_good_figures() -> None:
    desk = tightened()
    desk.see(MINUTE, **GOOD)
    desk.see(12 * HOUR, win_rate=0.6)
    desk.see(MINUTE, win_rate=0.7)
    assert desk.rules(10 * HOUR) == []
    assert desk.rules(2 * HOUR) == ["R1"]


# R2


@pytest.mark.promise("001", "reduce only above the maximum drawdown")
@pytest.mark.parametrize(("figure", "fires"), [(0.0799, False), (0.08, False), (0.0801, True)])
def test_r2_reduces_above_eight_percent_and_not_at_it(figure: float, fires: bool) -> None:
    desk = Desk("cro", drawdown=figure)
    assert ("R2" in desk.rules()) is fires
    assert desk.value("cro/R2/mode") == ("REDUCING" if fires else None)


def test_r2_says_reduce_only_and_leverage_one() -> None:
    (proposal,) = Desk("cro").see(drawdown=0.081)
    assert proposal.payload["reduce_only"] is True
    assert proposal.payload["max_leverage"] == 1.0
    assert {each.hold_id: each.value for each in proposal.holds} == {
        "cro/R2/mode": "REDUCING",
        "cro/R2/max_leverage": 1.0,
    }


def reducing(**facts: Any) -> Desk:
    desk = Desk("cro", **facts)
    assert desk.rules(drawdown=0.081) == ["R2"]
    return desk


def test_r2_ends_in_micro_after_an_hour_below_six_percent() -> None:
    desk = reducing()
    assert desk.rules(MINUTE, drawdown=0.0599) == []
    assert desk.rules(59 * MINUTE + 59 * SECOND) == []
    (proposal,) = desk.see(SECOND)
    assert (proposal.rule, proposal.payload["reduce_only"], proposal.payload["max_leverage"]) == (
        "R2",
        False,
        10.0,
    )
    assert desk.value("cro/R2/mode") is None
    assert desk.value("cro/R2/profile") == "MICRO"
    assert desk.holds["cro/R2/profile"].expires_at == desk.now + DAY
    assert desk.rules(2 * DAY) == []


@pytest.mark.parametrize("figure", [0.06, 0.07, Missing.UNKNOWN])
def test_r2_stays_at_six_percent_and_above(figure: Any) -> None:
    desk = reducing()
    desk.see(MINUTE, drawdown=figure)
    assert desk.rules(10 * DAY) == []


@pytest.mark.parametrize("figure", [0.07, 0.09])
def test_r2_ends_flat_for_a_day_and_reviewed_however_deep(figure: float) -> None:
    desk = reducing()
    desk.see(MINUTE, drawdown=figure, positions=0.0)
    desk.see(DAY)
    assert desk.value("cro/R2/mode") == "REDUCING"
    assert desk.rules(MINUTE, reviews={"reduce_only": ("ann",)}) == ["R2"]
    assert desk.value("cro/R2/mode") is None
    assert desk.value("cro/R2/profile") == "MICRO"
    assert desk.rules(DAY, reviews={}) == []
    desk.see(MINUTE, drawdown=0.08)
    assert desk.rules(MINUTE, drawdown=0.09) == ["R2"]


def test_r2_asks_to_be_flat_for_a_whole_day() -> None:
    desk = reducing(reviews={"reduce_only": ("ann",)})
    desk.see(MINUTE, positions=0.0)
    desk.see(23 * HOUR, positions=1.0)
    desk.see(MINUTE, positions=0.0)
    assert desk.rules(DAY - SECOND) == []
    assert desk.rules(SECOND) == ["R2"]


def test_r1_and_r2_make_one_decision_together() -> None:
    (proposal,) = Desk("cro").see(drawdown=0.081, exposure=0.9)
    assert proposal.rule == "R2"
    assert {each.rule for each in proposal.holds} == {"R1", "R2"}
    assert proposal.payload["max_leverage"] == 1.0
    assert proposal.payload["max_exposure_pct"] == 0.45


def test_r2_that_is_off_does_not_fire() -> None:
    assert Desk("cro", **off("R2")).rules(drawdown=0.09) == []


# E1


@pytest.mark.promise("001", "tighten ESS thresholds when drawdown > 6 % or max drawdown > 8 %")
@pytest.mark.parametrize(
    ("facts", "fires"),
    [
        ({"dd": 0.0599}, False),
        ({"dd": 0.06}, False),
        ({"dd": 0.0601}, True),
        ({"max_dd": 0.08}, False),
        ({"max_dd": 0.0801}, True),
        ({"drawdown": 0.07, "max_drawdown": 0.09}, False),
        ({"dd": Missing.UNKNOWN, "max_dd": Missing.UNKNOWN}, False),
        ({"dd": 0.07, **off("E1")}, False),
    ],
    ids=str,
)
def test_e1_tightens_the_thresholds_above_its_bounds(facts: dict[str, Any], fires: bool) -> None:
    assert ("E1" in Desk("cro").rules(**facts)) is fires


@pytest.mark.parametrize(
    ("level", "critical"),
    [(0.0, 0.07), (0.065, 0.07), (0.068, 0.073), (0.075, 0.08), (0.2, 0.08), (Missing.UNKNOWN, 0.07)],
)
def test_e1_never_makes_the_present_loss_critical_below_eight_percent(level: Any, critical: float) -> None:
    (proposal,) = Desk("cro").see(dd=0.061, ess_loss=level)
    assert proposal.kind == "ESS_POLICY"
    assert proposal.payload == {
        "caution_threshold_pct": 0.02,
        "warning_threshold_pct": 0.04,
        "critical_threshold_pct": pytest.approx(critical),
    }
    assert {each.key: each.value for each in proposal.holds} == {
        "ess_caution": 0.02,
        "ess_warning": 0.04,
        "ess_critical": pytest.approx(critical),
    }


def test_e1_computes_the_thresholds_once() -> None:
    desk = Desk("cro")
    desk.see(dd=0.061, ess_loss=0.07)
    assert desk.rules(MINUTE, ess_loss=0.02, dd=0.01) == []
    assert desk.rules(MINUTE, dd=0.07) == []
    assert desk.value("cro/E1/ess_critical") == pytest.approx(0.075)


@pytest.mark.promise("001", "restore ESS thresholds after drawdown < 2 % for a stable period")
def test_e1_ends_after_a_day_below_two_percent() -> None:
    desk = Desk("cro")
    desk.see(dd=0.061)
    assert desk.rules(HOUR, dd=0.0199) == []
    assert desk.rules(DAY - SECOND) == []
    (proposal,) = desk.see(SECOND)
    assert proposal.payload["critical_threshold_pct"] == 0.08
    assert not [name for name in desk.holds if "/E1/" in name]


@pytest.mark.parametrize("bad", [{"dd": 0.02}, {"max_dd": 0.08}, {"drawdown": 0.05}, {"late": True}], ids=str)
def test_e1_stays_at_its_bounds(bad: dict[str, Any]) -> None:
    desk = Desk("cro")
    desk.see(dd=0.061)
    desk.see(HOUR, dd=0.01, max_dd=0.07)
    desk.see(MINUTE, **bad)
    assert desk.rules(10 * DAY) == []


def test_a_rebase_counts_for_e1() -> None:
    desk = Desk("cro")
    desk.see(dd=0.061, max_dd=0.11)
    desk.see(MINUTE, dd=0.04, drawdown_rebased=0.0, max_drawdown_rebased=0.0)
    assert desk.rules(DAY) == ["E1"]
