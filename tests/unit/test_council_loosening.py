"""What two persons, or one, may take back, and what the world may do in between."""

from typing import Any

import pytest

from consilium.council.commands import PermissionRefused
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import AccountReported, CouncilCommanded, Decision, HealthReported, TimePassed
from consilium.domain.time import HOUR_NS, SECOND_NS

START = 1_700_006_400 * SECOND_NS + 12 * HOUR_NS


class Desk:
    """A council with all its officers, and its operators."""

    def __init__(self, **rules: Any) -> None:
        self.council = CouncilService(rules=CouncilRules(**({"start_profile": "NORMAL"} | rules)))
        self.now, self.count = START, 0
        self.says()

    def says(self, after: int = 0, status: str = "HEALTHY", **figures: Any) -> list[Any]:
        self.now += after
        self.count += 1
        said: dict[str, Any] = {"equity": 1e4, "positions": 0, "unprotected": 0, "exposure": 0.0} | figures
        return self.council.handle_all(
            (
                HealthReported(source="system", sequence=self.count, ts_event=self.now, system_status=status),
                AccountReported(source="paper", sequence=self.count, ts_event=self.now, **said),
            )
        )

    def command(self, action: str, payload: dict[str, Any], person: str = "ada") -> CouncilCommanded:
        self.count += 1
        return CouncilCommanded(
            command_id=f"c{self.count}", action=action, payload=payload, reason="a test asks", person=person,
            authenticated_at=self.now, ts_event=self.now,
        )  # fmt: skip

    def asks(self, action: str, payload: dict[str, Any], person: str = "ada") -> list[Any]:
        command = self.command(action, payload, person)
        self.council.check(command)
        return self.council.handle(command)

    def approves(self) -> CouncilCommanded:
        (name,) = self.council.approvals
        return self.command("approve", {"approval_id": name}, "bob")


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
