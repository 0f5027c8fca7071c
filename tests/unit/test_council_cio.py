import math
from typing import Any

import pytest

from consilium.council.allocation import score, weights_of
from consilium.domain import Missing, ModelFigures, Policy
from council_desk import DAY, HOUR, MINUTE, Desk, hold, off

SECOND = 10**9
VOLUMES = {name: float(10 - place) for place, name in enumerate("ABCDEFGHIJ")}
BASE = Policy(symbols=("A", "B", "C", "D", "E"))
STRONG: dict[str, Any] = {"dd": 0.01, "win_rate": 0.61, "positions": 2.0}


def model(sharpe: float | Missing, win_rate: float | Missing = 0.5, days: int = 365) -> ModelFigures:
    return ModelFigures(sharpe=sharpe, win_rate=win_rate, days=days)


def desk(**facts: Any) -> Desk:
    return Desk("cio", **{"volumes": VOLUMES, "base": BASE, "policy": BASE, **facts})


# C1


@pytest.mark.promise("001", "score = Sharpe + 2 (win rate - .5)")
def test_a_score_shrinks_the_sharpe_by_how_long_it_was_measured() -> None:
    assert score(model(2.0, 0.55, 365)) == pytest.approx(1.1)
    assert score(model(2.0, 0.55, 0)) == pytest.approx(0.1)
    assert score(model(2.0, 0.45, 1095)) == pytest.approx(1.4)
    assert score(model(Missing.INSUFFICIENT, Missing.INSUFFICIENT)) == 0.0


@pytest.mark.promise("001", "normalise scores to weights")
@pytest.mark.parametrize(
    ("scores", "weights"),
    [
        ([1.0], [1.0]),
        ([3.0, 1.0], [0.5, 0.5]),
        ([1.0, 1.0, 2.0], [0.25, 0.25, 0.5]),
        ([3.0, 1.0, 0.0], [0.5, 0.48, 0.02]),
        ([6.0, 1.0, 1.0], [0.5, 0.25, 0.25]),
        ([1.0, 0.0, -5.0], [0.5, 0.25, 0.25]),
        ([100.0, 1.0, 1.0, 1.0, -1.0], [0.5, 0.16, 0.16, 0.16, 0.02]),
        ([0.0, -1.0, -2.0], [1 / 3, 1 / 3, 1 / 3]),
    ],
    ids=str,
)
def test_weights_lie_between_floor_and_cap_and_the_rest_flows_on(
    scores: list[float], weights: list[float]
) -> None:
    named = {f"m{place}": value for place, value in enumerate(scores)}
    found = weights_of(named)
    assert list(found.values()) == pytest.approx(weights)
    assert math.isclose(math.fsum(found.values()), 1.0, abs_tol=1e-12)


def test_a_decision_on_weights_has_the_seeds_words() -> None:
    found = desk(performance={"a": model(2.0), "b": model(1.0), "c": model(1.0)})
    (proposal,) = found.see()
    assert (proposal.rule, proposal.kind) == ("C1", "STRATEGY_ALLOCATION")
    assert proposal.payload["model_weights"] == pytest.approx({"a": 0.5, "b": 0.25, "c": 0.25})
    assert proposal.payload["active_strategies"] == ["a", "b", "c"]
    assert found.value("cio/C1/allocation:a") == pytest.approx(0.5)


@pytest.mark.promise("001", "rebalance if any weight changes by > 5 points")
def test_c1_moves_within_the_week_only_for_more_than_five_points_and_after_an_hour() -> None:
    found = desk(performance={"a": model(1.0), "b": model(1.0), "c": model(1.0)})
    assert found.rules() == ["C1"]
    assert found.rules(HOUR, performance={"a": model(1.2), "b": model(1.0), "c": model(1.0)}) == []
    much = {"a": model(1.6), "b": model(1.0), "c": model(1.0)}
    (proposal,) = found.see(MINUTE, performance=much)
    assert "more than 5 points" in proposal.reason
    assert found.rules(59 * MINUTE, performance={"a": model(1.0), "b": model(1.0), "c": model(1.0)}) == []
    assert found.rules(MINUTE) == ["C1"]


@pytest.mark.parametrize(("first", "third", "moves"), [(1.1996, 1.8004, False), (1.2004, 1.7996, True)])
def test_c1_moves_for_just_more_than_five_points(first: float, third: float, moves: bool) -> None:
    found = desk(performance={"a": model(1.0), "b": model(1.0), "c": model(2.0)})
    found.see()
    after = {"a": model(first), "b": model(1.0), "c": model(third)}
    assert (found.rules(HOUR, performance=after) == ["C1"]) is moves


def test_c1_weighs_anew_each_week() -> None:
    found = desk(performance={"a": model(1.0), "b": model(1.0), "c": model(1.0)})
    found.see()
    assert (
        found.rules(7 * DAY - SECOND, performance={"a": model(1.1), "b": model(1.0), "c": model(1.0)}) == []
    )
    assert found.rules(SECOND) == ["C1"]
    assert found.value("cio/C1/allocation:a") == pytest.approx(1.1 / 3.1)


def test_c1_gives_equal_weights_and_an_alert_where_no_score_is_above_zero() -> None:
    (proposal,) = desk(performance={"a": model(-1.0), "b": model(0.0)}).see()
    assert proposal.payload["model_weights"] == {"a": 0.5, "b": 0.5}
    assert proposal.payload["alert"] is True
    (good,) = desk(performance={"a": model(-1.0), "b": model(1.0)}).see()
    assert "alert" not in good.payload


def test_c1_follows_the_pool_of_models() -> None:
    found = desk(performance={"a": model(1.0), "b": model(1.0)})
    found.see()
    assert found.rules(2 * HOUR, performance={"b": model(1.0), "c": model(1.0)}) == ["C1"]
    assert found.value("cio/C1/allocation:a") is None


@pytest.mark.parametrize(
    "facts",
    [
        {"performance": {}},
        {"performance": {"a": ModelFigures(), "b": ModelFigures()}},
        {"performance": {"a": model(1.0)}, **off("C1")},
    ],
    ids=str,
)
def test_c1_says_nothing_where_nothing_is_known(facts: dict[str, Any]) -> None:
    assert desk(**facts).rules() == []


def test_an_operators_weight_stands_and_the_others_share_the_rest() -> None:
    found = desk(performance={"a": model(1.0), "b": model(1.0), "c": model(1.0)})
    found.put(hold("operator", "O1:allocation:a=0.1", "allocation:a", 0.1))
    (proposal,) = found.see()
    assert proposal.payload["model_weights"] == pytest.approx({"a": 0.1, "b": 0.45, "c": 0.45})


# C2


@pytest.mark.promise("001", "3 symbols when drawdown > 5 % or win rate < 45 %")
@pytest.mark.parametrize(
    ("facts", "fires"),
    [
        ({"dd": 0.05}, False),
        ({"dd": 0.0501}, True),
        ({"win_rate": 0.45}, False),
        ({"win_rate": 0.4499}, True),
        ({"dd": Missing.UNKNOWN, "win_rate": Missing.INSUFFICIENT}, False),
        ({"dd": 0.06, **off("C2")}, False),
    ],
    ids=str,
)
def test_c2_narrows_the_universe_beyond_its_bounds(facts: dict[str, Any], fires: bool) -> None:
    assert (desk(**facts).rules() == ["C2"]) is fires


def test_c2_takes_the_greatest_volumes_of_base_ties_by_name() -> None:
    found = desk(volumes={"E": 9.0, "C": 5.0, "B": 5.0, "A": 5.0, "Z": 99.0})
    (proposal,) = found.see(dd=0.06)
    assert (proposal.rule, proposal.kind) == ("C2", "SYMBOL_UNIVERSE")
    assert found.value("cio/C2/symbols") == ("E", "A", "B")
    assert proposal.payload == {"active_symbols": ["A", "B", "E"], "excluded_symbols": ["C", "D", "Z"]}


def test_c2_goes_back_to_base_after_a_day_of_better_figures() -> None:
    found = desk()
    found.see(dd=0.06)
    assert found.rules(HOUR, dd=0.0399) == []
    assert found.rules(DAY - SECOND) == []
    (proposal,) = found.see(SECOND)
    assert proposal.payload["active_symbols"] == ["A", "B", "C", "D", "E"]
    assert found.holds == {}


@pytest.mark.parametrize(
    "bad", [{"dd": 0.04}, {"win_rate": 0.45}, {"win_rate": Missing.UNKNOWN}, {"late": True}], ids=str
)
def test_c2_stays_at_its_bounds(bad: dict[str, Any]) -> None:
    found = desk()
    found.see(dd=0.06)
    found.see(MINUTE, dd=0.03)
    found.see(MINUTE, **bad)
    assert found.rules(10 * DAY) == []


def test_c2_waits_for_volumes_where_no_universe_is_configured() -> None:
    found = desk(volumes={}, base=Policy(), policy=Policy())
    assert found.rules(dd=0.06) == []
    assert found.rules(MINUTE, volumes=VOLUMES) == ["C2"]
    assert found.value("cio/C2/symbols") == ("A", "B", "C")


# C3


@pytest.mark.promise("001", "up to 8 symbols when drawdown < 2 %, win rate > 60 % and positions < 8")
def test_c3_widens_beyond_base_after_a_day_of_good_figures() -> None:
    found = desk(**STRONG)
    assert found.rules() == []
    assert found.rules(DAY - SECOND) == []
    (proposal,) = found.see(SECOND)
    assert found.value("cio/C3/symbols") == tuple("ABCDEFGH")
    assert proposal.payload == {"active_symbols": list("ABCDEFGH"), "excluded_symbols": ["I", "J"]}
    assert found.rules(DAY) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"dd": 0.02},
        {"win_rate": 0.60},
        {"win_rate": Missing.INSUFFICIENT},
        {"positions": 8.0},
        {"late": True},
        {"volumes": {"A": 1.0}},
        off("C3"),
    ],
    ids=str,
)
def test_c3_moves_nothing_at_its_bounds(bad: dict[str, Any]) -> None:
    found = desk(**STRONG)
    found.see(**bad)
    assert found.rules(10 * DAY) == []


@pytest.mark.parametrize("owner", ["supervisor", "cro"])
def test_c3_does_nothing_under_a_hold_of_supervisor_or_risk_officer(owner: str) -> None:
    found = desk(**STRONG).put(hold(owner, "X", "max_leverage", 5.0))
    found.see()
    assert found.rules(10 * DAY) == []


def wide() -> Desk:
    found = desk(**STRONG)
    found.see()
    found.see(DAY)
    assert found.value("cio/C3/symbols") is not None
    return found


@pytest.mark.parametrize("bad", [{"dd": 0.021}, {"win_rate": 0.59}, {"positions": 8.0}], ids=str)
def test_c3_ends_after_a_day_without_its_trigger(bad: dict[str, Any]) -> None:
    found = wide()
    assert found.rules(MINUTE, **bad) == []
    assert found.rules(DAY - SECOND) == []
    assert found.rules(SECOND) == ["C3"]
    assert found.holds == {}


def test_c3_ends_a_day_after_the_risk_officer_places_a_hold() -> None:
    found = wide().put(hold("cro", "R1", "max_leverage", 5.0))
    found.see()
    assert found.rules(DAY) == ["C3"]


@pytest.mark.parametrize("at", [{"dd": 0.02}, {"win_rate": 0.60}], ids=str)
def test_c3_stays_at_its_bounds(at: dict[str, Any]) -> None:
    found = wide()
    found.see(MINUTE, **at)
    assert found.rules(10 * DAY) == []


def test_c2_ends_c3_at_once_also_where_it_stood_before() -> None:
    found = wide().put(hold("cio", "C2", "symbols", ("A", "B", "C")))
    assert found.rules(MINUTE, dd=0.06) == ["C3"]
    assert list(found.holds) == ["cio/C2/symbols"]


def test_c2_ends_c3_at_once() -> None:
    found = wide()
    (proposal,) = found.see(MINUTE, dd=0.06)
    assert (proposal.rule, proposal.releases) == ("C2", ("cio/C3/symbols",))
    assert list(found.holds) == ["cio/C2/symbols"]
