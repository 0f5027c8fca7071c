"""Near liquidation in a critical freeze: positions are closed (L1)."""

from typing import Any

import pytest

from consilium.domain import (
    Decision,
)
from consilium.domain.time import MINUTE_NS, SECOND_NS
from council_persons import Desk


class Venue:
    """A venue that lends: cash and one position at a maintenance rate, marked at a price."""

    def __init__(self, cash: float, size: float, entry: float, maintenance: float = 0.1) -> None:
        self.cash, self.size, self.entry, self.maintenance = cash, size, entry, maintenance

    def figures(self, price: float) -> dict[str, Any]:
        """Return the account as the venue tells it, at a price of the position."""
        equity = self.cash + self.size * (price - self.entry)
        value = self.size * price
        return {
            "equity": equity,
            "exposure": min(1.0, 0.2 * value / equity),
            "margin_ratio": self.maintenance * value / equity,
            "positions": 1,
        }


@pytest.mark.promise("001", "a critical freeze with a margin ratio above 50 % closes positions")
def test_a_critical_freeze_of_a_venue_near_liquidation_closes_positions() -> None:
    desk, venue = Desk(), Venue(cash=1e4, size=450.0, entry=100.0)
    desk.says(SECOND_NS, **venue.figures(100.0))
    told = desk.says(SECOND_NS, **venue.figures(96.0))  # 18 % down: the ratio is 52.7 %
    (freeze,) = [one for one in told if isinstance(one, Decision) and one.rule == "F1"]
    policy = desk.council.policy
    assert (policy.mode, policy.flatten, policy.protective_stop) == ("FROZEN", True, True)
    assert desk.council.holds["supervisor/L1/mode"].decision_id == freeze.decision_id


def test_a_critical_freeze_far_from_liquidation_holds_positions() -> None:
    desk, venue = Desk(), Venue(cash=1e4, size=300.0, entry=100.0)
    desk.says(SECOND_NS, **venue.figures(100.0))
    desk.says(SECOND_NS, **venue.figures(95.0))  # 15 % down: the ratio is 33.5 %
    assert desk.council.policy.mode == "FROZEN"
    assert "supervisor/L1/mode" not in desk.council.holds


@pytest.mark.parametrize(("ratio", "closes"), [(0.5, False), (0.501, True), (None, False)])
def test_a_margin_ratio_that_rises_in_a_critical_freeze_closes_beyond_the_bound(
    ratio: float | None, closes: bool
) -> None:
    desk = Desk()
    desk.says(SECOND_NS, drawdown=0.11, margin_ratio=0.2, positions=1)
    assert not desk.council.policy.flatten
    told = desk.says(SECOND_NS, drawdown=0.11, margin_ratio=ratio, positions=1)
    rules = [one.rule for one in told if isinstance(one, Decision)]
    assert (desk.council.policy.flatten, "L1" in rules) == (closes, closes)


def test_a_lesser_freeze_closes_nothing() -> None:
    desk = Desk()
    desk.says(SECOND_NS, margin_ratio=0.8, positions=1, consecutive_losses=5)
    assert (desk.council.policy.mode, desk.council.policy.flatten) == ("FROZEN", False)


def test_what_is_closed_stays_so_until_the_freeze_ends() -> None:
    desk = Desk()
    desk.says(SECOND_NS, "EMERGENCY", margin_ratio=0.8, positions=1)
    desk.asks("review", {"what": "freeze"})
    desk.asks("review", {"what": "freeze"}, "bob")
    for _ in range(119):
        desk.says(MINUTE_NS, margin_ratio=0.0)
        assert "supervisor/L1/mode" in desk.council.holds
    for _ in range(3):
        desk.says(MINUTE_NS, margin_ratio=0.0)
    assert "supervisor/L1/mode" not in desk.council.holds
    assert (desk.council.policy.mode, desk.council.policy.flatten) == ("SHADOW", False)
