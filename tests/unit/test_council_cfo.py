import math
from decimal import Decimal
from typing import Any

import pytest

from consilium.council.roles.cfo import SPLITS
from consilium.domain import Missing
from council_desk import DAY, MINUTE, Desk, off

SECOND = 10**9


@pytest.mark.promise("001", "lock, reinvest and reserve by drawdown and reserves, the first true one")
@pytest.mark.parametrize(
    ("facts", "rule", "split"),
    [
        ({"dd": 0.051}, "B1", (0.60, 0.25, 0.15)),
        ({"dd": 0.051, "reserve": 0.01}, "B1", (0.60, 0.25, 0.15)),
        ({"reserve": 0.049}, "B2", (0.20, 0.50, 0.30)),
        ({"reserve": 0.151}, "B3", (0.25, 0.70, 0.05)),
    ],
    ids=str,
)
def test_the_first_row_that_is_true_splits_the_profit(
    facts: dict[str, Any], rule: str, split: tuple[float, float, float]
) -> None:
    desk = Desk("cfo")
    assert desk.see() == ()
    (proposal,) = desk.see(MINUTE, **facts)
    assert (proposal.rule, proposal.kind) == (rule, "CASHFLOW")
    names = ("profit_lock_pct", "reinvest_pct", "reserve_buffer_pct")
    assert proposal.payload == dict(zip(names, split, strict=True))
    assert desk.value("cfo/B/split") == (SPLITS[rule].lock, SPLITS[rule].reinvest, SPLITS[rule].reserve)
    assert desk.see(2 * DAY) == ()


@pytest.mark.parametrize(
    "facts",
    [
        {"dd": 0.05},
        {"reserve": 0.05},
        {"reserve": 0.15},
        {"dd": Missing.UNKNOWN, "reserve": 0.01},
        {"reserve": Missing.UNKNOWN},
        {"reserve": 0.01, **off("B2")},
    ],
    ids=str,
)
def test_nothing_moves_at_the_bounds_or_where_nothing_is_known(facts: dict[str, Any]) -> None:
    assert Desk("cfo").rules(**facts) == []
    locked = Desk("cfo")
    locked.see(dd=0.06)
    assert locked.rules(2 * DAY, **{"dd": 0.05, **facts}) == []


def test_a_split_stands_for_a_day() -> None:
    desk = Desk("cfo")
    desk.see(dd=0.051)
    assert desk.rules(MINUTE, dd=0.01) == []
    assert desk.rules(DAY - MINUTE - SECOND) == []
    (proposal,) = desk.see(SECOND)
    assert proposal.rule == "B4"
    assert proposal.payload == {"profit_lock_pct": 0.3, "reinvest_pct": 0.6, "reserve_buffer_pct": 0.1}


def test_splits_sum_to_one_exactly() -> None:
    assert sorted(SPLITS) == ["B1", "B2", "B3", "B4"]
    for split in SPLITS.values():
        assert Decimal(split.lock) + Decimal(split.reinvest) + Decimal(split.reserve) == 1
        assert math.fsum(split.shares) == 1.0
