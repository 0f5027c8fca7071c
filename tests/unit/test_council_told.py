"""What decisions tell is in force after them: who follows them alone never allows more than the council."""

import pytest

from consilium.domain import Decision
from consilium.domain.time import MINUTE_NS
from council_voices import Voices


@pytest.mark.promise("001", "LIVE is never told while trading is frozen")
def test_live_is_not_told_at_the_instant_of_a_freeze() -> None:
    desk = Voices()
    desk.says(status="DEGRADED")
    for _ in range(14):
        desk.says(MINUTE_NS, positions=1)
    desk.says(MINUTE_NS, positions=1)
    assert desk.mode == "SHADOW"
    told = desk.says(MINUTE_NS, positions=1, consecutive_losses=5)
    said = [one for one in told if isinstance(one, Decision)]
    assert [one.rule for one in said if one.kind == "FREEZE"] == ["F3"]
    assert "ceo/M3/mode" not in desk.council.holds, "its cause is gone for 15 minutes at this very instant"
    assert [one.payload["mode"] for one in said if one.kind == "MODE_CHANGE"] == ["EMERGENCY"]
    assert desk.mode == "FROZEN"


def test_live_that_others_hide_is_told_when_they_are_gone() -> None:
    desk = Voices()
    desk.says(status="DEGRADED")
    for _ in range(15):
        desk.says(MINUTE_NS)
    desk.says(MINUTE_NS, consecutive_losses=5)
    assert desk.mode == "FROZEN"
    desk.review()
    modes = []
    for _ in range(200):
        told = desk.says(MINUTE_NS)
        modes += [
            one.payload["mode"] for one in told if isinstance(one, Decision) and one.kind == "MODE_CHANGE"
        ]
    assert desk.mode == "LIVE"
    assert modes[-1] == "LIVE"
