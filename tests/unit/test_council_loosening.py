"""What two persons, or one, may take back, and what the world may do in between."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from consilium.council.commands import PermissionRefused
from consilium.council.role import Follower, Role, Ruling
from consilium.council.roles import ROLES, make_role
from consilium.council.service import CouncilService
from consilium.domain import (
    Briefing,
    Decision,
    TimePassed,
)
from consilium.domain.time import HOUR_NS, MINUTE_NS, SECOND_NS
from council_persons import Desk


def test_what_was_asked_before_a_freeze_is_not_approved_in_it() -> None:
    desk = Desk()
    desk.says(SECOND_NS, "DEGRADED")
    assert desk.asks("mode", {"mode": "LIVE"}) == []
    desk.says(SECOND_NS, "EMERGENCY")
    assert desk.council.policy.mode == "FROZEN"
    approval, before = desk.approves(), desk.council.state_hash()
    with pytest.raises(PermissionRefused, match="held at FROZEN by the supervisor"):
        desk.council.check(approval)
    assert not [one for one in desk.council.handle(approval) if isinstance(one, Decision)]
    assert desk.council.state_hash() == before


def test_a_freeze_at_the_very_instant_of_an_approval_comes_first() -> None:
    desk = Desk()
    desk.says(SECOND_NS, "DEGRADED", positions=1, exposure=0.1)
    desk.asks("mode", {"mode": "LIVE"})
    desk.now += 400 * SECOND_NS  # nobody spoke: the approval itself tells that all is lost
    told = desk.council.handle(desk.approves())
    modes = [one.payload["mode"] for one in told if isinstance(one, Decision) and one.kind == "MODE_CHANGE"]
    assert desk.council.policy.mode == "FROZEN"
    assert "LIVE" not in modes


@pytest.mark.promise(
    "001", "a loosening of two persons covers nothing that sets on after it, at that instant too"
)
@pytest.mark.parametrize("after", [0, 1])
def test_what_sets_on_after_a_loosening_is_not_covered_by_it(after: int) -> None:
    desk = Desk(start_profile="LOW")
    desk.asks("profile", {"profile": "NORMAL"})
    desk.council.handle(desk.approves())
    assert desk.council.policy.profile == "NORMAL"
    desk.says(after, losing_days=3)  # a market's time stands still between two closes
    assert desk.council.policy.profile != "NORMAL"


def test_the_decision_of_operators_says_what_is_in_force_after_it() -> None:
    desk = Desk()
    desk.asks("risk", {"max_leverage": 2.0})
    (decision, *_) = desk.asks("risk", {"max_exposure_pct": 0.5, "duration_minutes": 60})
    assert decision.payload == {"max_exposure_pct": 0.5, "duration_minutes": 60}
    desk.asks("risk", {"max_leverage": 8.0})
    decision = desk.council.handle(desk.approves())[0]
    assert isinstance(decision, Decision)
    assert decision.payload["max_leverage"] == desk.council.policy.max_leverage


def test_nobody_loosens_while_facts_are_unknown() -> None:
    desk = Desk(start_profile="MICRO")
    desk.says(SECOND_NS, drawdown=0.06)
    desk.asks("profile", {"profile": "NORMAL"})
    desk.now += 90 * SECOND_NS  # the drawdown of 6 % is not told any more
    desk.council.handle(TimePassed(ts_event=desk.now))
    assert desk.council.policy.mode == "PAUSED"
    approval = desk.approves()
    with pytest.raises(PermissionRefused, match="while required facts are unknown"):
        desk.council.check(approval)
    desk.council.handle(approval)
    desk.says(SECOND_NS, drawdown=0.06)
    assert desk.council.policy.profile == "MICRO"


def test_the_supervisor_overrides_operators_whose_loosening_hides_behind_silence() -> None:
    desk = Desk(disabled_rules=frozenset(("S1",)))
    desk.asks("risk", {"max_leverage": 2.0})
    desk.asks("risk", {"max_leverage": 4.0})
    desk.now += 90 * SECOND_NS
    told = desk.council.handle(desk.approves())
    assert [one.rule for one in told if isinstance(one, Decision)][-1] == "V1"
    assert desk.council.policy.max_leverage == 2.0


def test_a_pause_outlasts_its_time_while_nobody_hears_the_officer_who_renews_it() -> None:
    desk = Desk()
    desk.says(SECOND_NS, "CRITICAL")
    assert desk.council.policy.mode == "PAUSED"
    desk.asks("role", {"role": "ceo", "enabled": False})
    for _ in range(3):
        desk.says(30 * MINUTE_NS, "CRITICAL")
        assert desk.council.policy.mode == "PAUSED"
    desk.asks("role", {"role": "ceo", "enabled": True})
    assert desk.council.policy.mode == "PAUSED"
    for _ in range(31):
        desk.says(MINUTE_NS)
    assert desk.council.policy.mode == "LIVE"


GOOD: dict[str, Any] = {
    "drawdown": 0.005, "max_drawdown": 0.01, "win_rate": 0.7, "sharpe": 3.0, "winning_days": 6,
    "losing_days": 0,
}  # fmt: skip


def aggressive() -> Desk:
    """Return a desk that has climbed to AGGRESSIVE."""
    desk = Desk()
    for _ in range(24 * 8):
        if desk.council.policy.profile == "AGGRESSIVE":
            break
        desk.says(HOUR_NS, **GOOD)
    assert desk.council.policy.profile == "AGGRESSIVE"
    return desk


def test_aggressive_ends_at_a_pause_for_unknown_facts_and_stays_ended() -> None:
    desk = aggressive()
    desk.now += 90 * SECOND_NS
    desk.council.handle(TimePassed(ts_event=desk.now))
    desk.council.handle(TimePassed(ts_event=desk.now))
    assert desk.council.policy.profile == "NORMAL"
    desk.council.handle(TimePassed(ts_event=desk.now + SECOND_NS))
    assert not desk.council.changed
    desk.says(2 * SECOND_NS, **GOOD)
    assert (desk.council.policy.mode, desk.council.policy.profile) == ("LIVE", "NORMAL")


def test_what_steps_down_while_facts_are_unknown_ends_aggressive_for_good() -> None:
    desk = aggressive()
    desk.says(HOUR_NS, **(GOOD | {"win_rate": 0.35, "exposure": None}))
    desk.says(MINUTE_NS, **(GOOD | {"win_rate": 0.35}))
    assert desk.council.policy.profile == "LOW"
    mild = GOOD | {"interval_ns": HOUR_NS, "win_rate": 0.45, "winning_days": 0, "sharpe": 0.2}
    seen = set()
    for _ in range(60):
        desk.says(HOUR_NS, **mild)
        seen.add(desk.council.policy.profile)
    assert seen == {"LOW", "NORMAL"}


class Broken(Follower):
    """A researcher that always fails."""

    name: ClassVar[str] = "researcher"
    kinds: ClassVar[frozenset[str]] = frozenset(("RESEARCH_TASK",))

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        raise RuntimeError(briefing.snapshot_id and memory and "broken")


def test_an_officer_that_fails_is_switched_off_and_pauses_no_longer() -> None:
    desk = Desk()
    roles: dict[str, Role] = {name: make_role(name) for name in ROLES}
    desk.council = CouncilService(roles=roles | {"researcher": Broken()})
    desk.says()
    assert desk.council.policy.mode == "PAUSED"
    desk.asks("role", {"role": "researcher", "enabled": False})
    assert (desk.council.policy.mode, desk.council.status()["failing"]) == ("LIVE", {})
