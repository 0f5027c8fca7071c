"""How long a word of one person counts, and for what."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from consilium.council.commands import PermissionRefused
from consilium.council.role import Follower, Proposal, Role, Ruling
from consilium.council.roles import ROLES, make_role
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import Briefing, Hold
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from council_persons import Desk


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


def test_what_was_overridden_before_a_restart_is_not_told_again_after_it() -> None:
    class Eager(Follower):
        """A chief executive that wants AGGRESSIVE, whatever happens."""

        name: ClassVar[str] = "ceo"
        kinds: ClassVar[frozenset[str]] = frozenset(("CAPITAL_PROFILE",))

        def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
            hold = Hold(
                owner="ceo", rule="P3", key="profile", value="AGGRESSIVE", reason="x",
                ts_event=briefing.ts_event,
            )  # fmt: skip
            payload = {"profile": "AGGRESSIVE"}
            said = Proposal(rule="P3", kind="CAPITAL_PROFILE", payload=payload, reason="x", holds=(hold,))
            return Ruling(proposals=(said,), memory=memory)

    def seated() -> CouncilService:
        roles: dict[str, Role] = {name: make_role(name) for name in ROLES}
        return CouncilService(rules=CouncilRules(start_profile="NORMAL"), roles=roles | {"ceo": Eager()})

    desk = Desk()
    desk.council = seated()
    desk.asks("mode", {"mode": "FROZEN"})
    desk.says()
    desk.says(SECOND_NS)
    state, overrides = desk.council.state(), desk.council.status()["counts"]["overrides"]
    desk.council = seated()
    desk.council.restore(state)
    desk.says(SECOND_NS)
    assert desk.council.status()["counts"]["overrides"] == overrides > 0


def test_the_depth_since_a_rebase_is_remembered_when_the_account_recovers() -> None:
    desk = Desk()
    desk.asks("review", {"what": "rebase"})
    desk.asks("review", {"what": "rebase"}, "bob")
    desk.says(MINUTE_NS, equity=9.7e3)
    desk.says(MINUTE_NS, equity=1e4)
    of = desk.council.briefing.portfolio
    assert of.drawdown_rebased == 0.0
    assert of.max_drawdown_rebased == pytest.approx(0.03)


def test_a_rebase_stands_for_sixty_days() -> None:
    desk = Desk()
    desk.says(MINUTE_NS, equity=9.7e3)
    desk.asks("review", {"what": "rebase"})
    desk.asks("review", {"what": "rebase"}, "bob")
    for _ in range(31 * 24):
        desk.says(HOUR_NS, equity=9.7e3)
    assert desk.council.state()["facts"]["accounts"]["paper"]["rebased"] is not None
