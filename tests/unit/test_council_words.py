"""How long a word of one person counts, and for what."""

from dataclasses import replace
from typing import Any

import pytest

from consilium.council.commands import PermissionRefused
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import (
    AccountReported,
    CouncilCommanded,
    HealthReported,
)
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

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


def test_two_words_for_a_rebase_count_within_a_day() -> None:
    desk = Desk()
    desk.says(SECOND_NS, drawdown=0.06)
    desk.asks("review", {"what": "rebase"})
    desk.says(DAY_NS, drawdown=0.06)
    desk.asks("review", {"what": "rebase"}, "bob")
    assert desk.council.briefing.portfolio.drawdown_rebased == 0.06
    desk.says(DAY_NS - SECOND_NS, drawdown=0.06)
    desk.asks("review", {"what": "rebase"})
    assert desk.council.briefing.portfolio.drawdown_rebased == 0.0


def test_a_new_freeze_forgets_a_word_for_a_rebase() -> None:
    desk = Desk()
    desk.says(SECOND_NS, drawdown=0.06)
    desk.asks("review", {"what": "rebase"})
    desk.says(SECOND_NS, drawdown=0.12)
    assert desk.council.policy.mode == "FROZEN"
    desk.asks("review", {"what": "rebase"}, "bob")
    assert desk.council.briefing.portfolio.drawdown_rebased == 0.12


def test_a_review_ends_one_reduction_and_not_the_next() -> None:
    desk = Desk()
    desk.says(SECOND_NS, drawdown=0.09)
    desk.asks("review", {"what": "reduce_only"})
    desk.says(HOUR_NS, drawdown=0.05)
    for _ in range(61):
        desk.says(MINUTE_NS, drawdown=0.05)
    assert "cro/R2/mode" not in desk.council.holds
    assert "reduce_only" not in desk.council.briefing.reviews
    for _ in range(30):
        desk.says(HOUR_NS, drawdown=0.09)
    assert "cro/R2/mode" in desk.council.holds


def test_one_person_ends_nothing_sooner_by_saying_it_again_for_less_time() -> None:
    desk = Desk()
    desk.asks("mode", {"mode": "PAUSED", "duration_minutes": 60})
    desk.asks("mode", {"mode": "PAUSED", "duration_minutes": 1})
    desk.says(59 * MINUTE_NS)
    assert desk.council.policy.mode == "PAUSED"
    desk.asks("mode", {"mode": "PAUSED"})
    desk.asks("mode", {"mode": "PAUSED", "duration_minutes": 1})
    desk.says(DAY_NS)
    assert desk.council.policy.mode == "PAUSED"


def test_one_person_ends_nothing_by_a_tighter_word_for_less_time() -> None:
    desk = Desk()
    desk.asks("mode", {"mode": "PAUSED"})
    desk.asks("mode", {"mode": "REDUCING", "duration_minutes": 1})
    assert desk.council.policy.mode == "REDUCING"
    desk.says(MINUTE_NS)
    assert desk.council.policy.mode == "PAUSED"


def test_an_authentication_of_the_future_is_not_fresh() -> None:
    desk = Desk(one_person=True)
    desk.asks("risk", {"max_leverage": 2.0})
    desk.asks("risk", {"max_leverage": 4.0})
    desk.says(DAY_NS)
    (name,) = desk.council.approvals
    ahead = replace(desk.command("approve", {"approval_id": name}), authenticated_at=desk.now + SECOND_NS)
    with pytest.raises(PermissionRefused, match="authentication"):
        desk.council.check(ahead)
