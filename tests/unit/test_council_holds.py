from itertools import permutations

import pytest

from consilium.council.holds import (
    LIMIT_KEYS,
    MODE_ORDER,
    check_hold,
    is_grant,
    is_tighter,
    looser_in,
    meet,
    tighter,
)
from consilium.council.shares import spread
from consilium.domain import Hold, InvalidValue, Policy

BASE = Policy(symbols=("ADA", "BTC", "ETH", "SOL"))


def held(owner: str, rule: str, key: str, value: object, ts: int = 0, until: int | None = None) -> Hold:
    return Hold(
        owner=owner,
        rule=rule,
        key=key,
        value=value,  # type: ignore[arg-type]
        reason="a test holds",
        ts_event=ts,
        expires_at=until,
    )


def test_without_holds_the_base_is_in_force() -> None:
    assert meet(BASE, []) == BASE
    assert meet(Policy(), []) == Policy()


def test_the_order_of_holds_and_saying_one_twice_change_nothing() -> None:
    holds = [
        held("supervisor", "F1", "mode", "FROZEN"),
        held("ceo", "M1", "mode", "EMERGENCY"),
        held("cro", "R1", "max_leverage", 5.0),
        held("cio", "C2", "symbols", ("BTC", "ETH", "SOL")),
        held("operator", "O1:symbols=BTC", "symbols", ("ADA", "BTC")),
    ]
    policies = {str(meet(BASE, order)) for order in permutations(holds)}
    assert policies == {str(meet(BASE, [*holds, *holds]))}
    assert meet(BASE, holds).symbols == ("BTC",)


@pytest.mark.parametrize("key", LIMIT_KEYS)
def test_the_least_of_a_limit_is_in_force(key: str) -> None:
    base = getattr(BASE, key)
    holds = [held("cro", "R1", key, base * 0.5), held("operator", "O1:x", key, base * 0.25)]
    assert getattr(meet(BASE, holds), key) == base * 0.25
    assert getattr(meet(BASE, holds[:1]), key) == base * 0.5
    assert getattr(meet(BASE, [held("cro", "R1", key, base * 2)]), key) == base, "no hold is above the base"


def test_capabilities_are_what_all_modes_allow() -> None:
    paused = meet(BASE, [held("ceo", "M2", "mode", "PAUSED"), held("ceo", "M3", "mode", "SHADOW")])
    assert (paused.mode, paused.entry, paused.strategy_exit) == ("PAUSED", False, True)
    frozen = meet(BASE, [held("ceo", "M1", "mode", "EMERGENCY"), held("supervisor", "F5", "mode", "FROZEN")])
    assert (frozen.mode, frozen.entry, frozen.strategy_exit, frozen.flatten) == ("FROZEN", False, False, True)
    assert frozen.protective_stop
    assert frozen.operator_reduces
    reducing = meet(BASE, [held("cro", "R2", "mode", "REDUCING")])
    assert (reducing.entry, reducing.reduce, reducing.flatten) == (False, True, False)


def test_the_tightest_profile_brings_its_limits() -> None:
    policy = meet(BASE, [held("ceo", "P0", "profile", "MICRO"), held("ceo", "P2", "profile", "LOW")])
    assert (policy.profile, policy.max_risk_per_trade, policy.max_positions) == ("MICRO", 0.005, 1)


def test_only_its_own_rule_raises_the_profile_above_the_base() -> None:
    granted = held("ceo", "P3", "profile", "AGGRESSIVE")
    assert is_grant(granted)
    assert meet(BASE, [granted]).max_positions == 8
    assert meet(BASE, [held("ceo", "P4", "profile", "AGGRESSIVE")]).profile == "NORMAL"
    assert meet(BASE, [granted, held("supervisor", "U1", "profile", "MICRO")]).profile == "MICRO"


def test_symbols_beyond_the_base_need_a_grant() -> None:
    wide = held("cio", "C3", "symbols", ("BTC", "XRP"))
    assert meet(BASE, [wide]).symbols == ("ADA", "BTC", "ETH", "SOL", "XRP")
    assert meet(BASE, [wide, held("cio", "C2", "symbols", ("BTC", "DOT"))]).symbols == ("BTC",)
    assert meet(BASE, [held("supervisor", "C3", "symbols", ("XRP",))]).symbols == ()


def test_a_waiver_sets_aside_lower_ranks_up_to_its_value_and_no_later_hold() -> None:
    cro = held("cro", "R1", "max_leverage", 2.0, ts=10)
    waiver = held("operator", "O1:waive", "max_leverage", 6.0, ts=20)
    assert meet(BASE, [cro, waiver]).max_leverage == 6.0
    later = held("cro", "R2", "max_leverage", 1.0, ts=21)
    assert meet(BASE, [cro, waiver, later]).max_leverage == 1.0
    supervisor = held("supervisor", "F1", "max_leverage", 3.0, ts=10)
    assert meet(BASE, [cro, waiver, supervisor]).max_leverage == 3.0
    own = held("operator", "O1:max_leverage=4", "max_leverage", 4.0, ts=10)
    assert meet(BASE, [cro, waiver, own]).max_leverage == 4.0


def test_a_waiver_never_tightens() -> None:
    waiver = held("operator", "O1:waive", "max_leverage", 6.0, ts=20)
    assert meet(BASE, [waiver]).max_leverage == 10.0
    assert meet(BASE, [waiver, held("cro", "R1", "max_leverage", 8.0)]).max_leverage == 8.0


def test_a_waived_mode_brings_its_capabilities_back() -> None:
    paused = held("ceo", "M2", "mode", "PAUSED", ts=10)
    live = held("operator", "O1:waive", "mode", "LIVE", ts=10)
    assert meet(BASE, [paused, live]).entry
    frozen = held("supervisor", "F0", "mode", "FROZEN", ts=0)
    assert not meet(BASE, [paused, live, frozen]).entry


def test_an_operators_allocation_stands_and_the_rest_is_spread() -> None:
    fixed = held("operator", "O1:allocation", "allocation:xgboost", 0.5)
    granted = [held("cio", "C1", f"allocation:{name}", 1 / 3) for name in ("xgboost", "lightgbm", "nhits")]
    weights = meet(BASE, [fixed, *granted]).weights
    assert weights["xgboost"] == 0.5
    assert sum(weights.values()) == 1.0
    assert weights["lightgbm"] == pytest.approx(weights["nhits"])
    assert meet(BASE, [fixed], ["a", "b"]).weights == {"a": 0.25, "b": 0.25, "xgboost": 0.5}


def test_shares_sum_to_one_also_where_too_much_is_fixed() -> None:
    assert sum(spread({"a": 0.7, "b": 0.7}, {"c": 1.0}).values()) == 1.0
    assert spread({}, {"a": 0.0, "b": 0.0}) == {"a": 0.5, "b": 0.5}
    assert spread({"a": 0.0}, {}) == {}


def test_the_newest_split_counts() -> None:
    holds = [held("cfo", "B", "split", ("0.6", "0.25", "0.15"), ts=5)]
    policy = meet(BASE, holds)
    assert (policy.profit_lock, policy.reinvest, policy.reserve_buffer) == (0.6, 0.25, 0.15)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_leverage", 0.0),
        ("max_leverage", float("inf")),
        ("max_drawdown", -0.1),
        ("max_drawdown", float("nan")),
        ("mode", "FROZE"),
        ("profile", "HUGE"),
        ("split", ("0.5", "0.6", "0.1")),
        ("split", ("a", "b", "c")),
        ("allocation:xgboost", 1.5),
        ("nothing", 1.0),
    ],
)
def test_a_hold_out_of_its_range_is_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=key.partition(":")[0]):
        check_hold(held("cro", "R1", key, value))


def test_tighter_is_a_meet() -> None:
    for first in MODE_ORDER:
        assert tighter("mode", first, first) == first
        for second in MODE_ORDER:
            assert tighter("mode", first, second) == tighter("mode", second, first)
    assert is_tighter("symbols", ("A",), ("A", "B"))
    assert not is_tighter("symbols", ("A",), ("B",))


def test_what_is_looser_is_named() -> None:
    assert looser_in(Policy(mode="PAUSED"), Policy()) == ("mode",)
    assert looser_in(Policy(), Policy(mode="PAUSED", symbols=("A",))) == ()
    assert looser_in(Policy(symbols=("A",)), Policy()) == ("symbols",)
