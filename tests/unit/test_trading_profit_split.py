"""Profit above the last high is split once; what is set aside is not traded with."""

from dataclasses import replace

import pytest

from consilium.domain import HOUR_NS, ProfitSplit
from policy_cases import DOWN, LIVE, UP, Floor


def gained(floor: Floor, amount: float) -> None:
    """Let AAA be bought and sold with a gain."""
    floor.hold("AAA")
    price = 100.0 + amount / floor.held["AAA"]
    floor.close({"AAA": DOWN})
    floor.close(rows={"AAA": (price, price, price, price)})
    assert floor.held == {}
    for _ in range(30):
        floor.close()


@pytest.mark.promise(
    "001", "profit is split between free cash, the lock and the reserve; it sums to 1 exactly"
)
def test_profit_above_the_last_high_is_split_and_nothing_is_lost() -> None:
    floor = Floor(replace(LIVE, profit_lock=0.3, reinvest=0.6, reserve_buffer=0.1))
    service, book = floor.service, floor.service.portfolio
    assert service.split_profit(0) is None
    gained(floor, 100.0)
    equity, nav, cash = book.equity, book.nav, book.cash
    assert service.unsplit == pytest.approx(100.0)
    split = service.split_profit(7)
    assert isinstance(split, ProfitSplit)
    assert [book.locked, book.reserve] == [split.locked, split.reserve]
    assert [split.locked, split.reserve, split.reinvested] == pytest.approx([30.0, 10.0, 60.0])
    assert sum(round(part * 1e8) for part in (split.locked, split.reserve, split.reinvested)) == round(
        split.profit * 1e8
    )
    assert [book.equity, book.cash] == [equity, cash]
    assert book.free_cash == pytest.approx(cash - 40.0)
    book.settle(floor.hour * HOUR_NS)
    assert book.nav == pytest.approx(nav, rel=1e-14)
    assert service.split_profit(8) is None  # once


def test_a_loss_that_is_won_back_is_no_new_profit() -> None:
    floor = Floor(LIVE)
    gained(floor, 100.0)
    assert floor.service.split_profit(1) is not None
    gained(floor, -40.0)
    gained(floor, 30.0)
    assert floor.service.split_profit(2) is None
    gained(floor, 20.0)
    split = floor.service.split_profit(3)
    assert split is not None
    assert split.profit == pytest.approx(10.0)


def test_what_is_set_aside_is_not_traded_with() -> None:
    floor = Floor(replace(LIVE, max_risk_per_trade=1.0, max_daily_risk=1.0, max_position_usd=1e9))
    floor.service.portfolio.put_aside(locked=5_000.0)
    floor.close({"AAA": UP})
    floor.close()
    assert floor.held["AAA"] * 100.0 == pytest.approx(5_000.0)
    assert floor.service.portfolio.free_cash >= 0.0


def test_profit_waits_while_what_is_free_does_not_suffice() -> None:
    floor = Floor(replace(LIVE, profit_lock=1.0, reinvest=0.0, reserve_buffer=0.0))
    gained(floor, 100.0)
    book = floor.service.portfolio
    book.put_aside(reserve=book.free_cash - 50.0)
    assert floor.service.split_profit(1) is None
    book.put_aside(reserve=-100.0)
    split = floor.service.split_profit(2)
    assert split is not None
    assert split.locked == pytest.approx(100.0)
