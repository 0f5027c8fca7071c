"""Margin ratio: maintenance by the instrument's tiers, beside the account's equity."""

import pytest

from consilium.app.live.account import Accounts
from consilium.app.settings import Settings
from consilium.domain import HOUR_NS, Fill, Instrument
from consilium.trading.book.perpetual import liquidation_price
from consilium.trading.holdings import Holding
from consilium.trading.margin import LIQUIDATED, maintenance, margin_ratio

TIERED = Instrument(symbol="BTC", market="perp", tiers=((0.0, 0.004, 0.0), (50_000.0, 0.005, 50.0)))
FLAT = Instrument(symbol="ETH", market="perp", maintenance=0.05)


def held(symbol: str, quantity: float, mark: float) -> Holding:
    made = Holding(symbol, 0)
    made.quantity, made.mark = quantity, mark
    return made


def test_the_margin_of_all_positions_is_set_beside_equity() -> None:
    terms = {"BTC": TIERED, "ETH": FLAT}
    # 60,000 x .005 - 50 = 250 in the second tier, 2,000 x .05 = 100: a short counts as a long does
    both = [held("BTC", 2.0, 30_000.0), held("ETH", -1.0, 2_000.0)]
    assert margin_ratio(both, terms, 700.0) == pytest.approx(0.5)
    assert margin_ratio(both[:1], terms, 1_000.0) == pytest.approx(0.25)


def test_one_is_where_the_position_is_liquidated() -> None:
    quantity, entry, margin = 1.0, 30_000.0, 3_000.0
    rate, amount = maintenance(TIERED, quantity * entry)
    mark = liquidation_price(quantity, entry, margin, rate, amount)
    equity = margin + quantity * (mark - entry)
    assert margin_ratio([held("BTC", quantity, mark)], {"BTC": TIERED}, equity) == pytest.approx(1.0)


def test_a_debt_without_equity_is_unknown_and_not_calm() -> None:
    assert margin_ratio([held("ETH", 1.0, 100.0)], {"ETH": FLAT}, 0.0) == LIQUIDATED
    assert margin_ratio([], {"ETH": FLAT}, 0.0) == 0.0


def test_a_position_on_spot_borrows_nothing() -> None:
    accounts = Accounts(Settings(), ["ETH"], HOUR_NS, {}, horizon=1)
    accounts.trading.portfolio.apply(
        "ETH", 1, Fill(order_id="1", price=1.0, quantity=5.0, fee=0.0, ts_event=0)
    )
    accounts.trading.portfolio.mark("ETH", 0.1)
    assert accounts.trading.margin_ratio == 0.0
