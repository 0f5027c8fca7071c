"""At exact thresholds nothing moves, where the council does the sums itself."""

import pytest

from consilium.domain import Decision
from consilium.domain.time import MINUTE_NS
from council_voices import Voices


@pytest.mark.promise("001", "at exact thresholds nothing moves")
@pytest.mark.parametrize(
    ("nav", "rules"),
    [
        (9_800.0, set()),
        (9_700.0, {"R1"}),
        (9_500.0, {"R1"}),
        (9_400.0, {"F2", "M2", "R1"}),
        (9_200.0, {"F2", "M2", "R1", "E1"}),
        (9_000.0, {"F2", "F5", "M1", "P1", "R1", "R2", "E1"}),
    ],
)
def test_a_loss_of_exactly_a_threshold_moves_nothing(nav: float, rules: set[str]) -> None:
    desk = Voices()
    for _ in range(3):
        desk.says(after=MINUTE_NS, nav=10_000.0)
    told = [
        one
        for one in desk.says(after=MINUTE_NS, nav=nav)
        if isinstance(one, Decision) and one.kind != "CASHFLOW"
    ]
    held = {hold.rule for hold in desk.council.holds.values() if hold.owner != "cfo"} - {"P0"}
    assert held | {one.rule for one in told} - {"Q1"} == rules
