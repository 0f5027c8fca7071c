"""What an officer from outside the house may hold: nothing that its kinds of decisions do not name."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from consilium.council.holds import is_grant
from consilium.council.role import Follower, Proposal, Role, Ruling
from consilium.council.roles import ROLES, make_role
from consilium.council.service import CouncilService
from consilium.domain import Briefing, Hold, ReportRefused
from council_voices import Voices


class Greedy(Follower):
    """Says that profits are split, and holds something else."""

    name: ClassVar[str] = "cfo"
    kinds: ClassVar[frozenset[str]] = frozenset(("CASHFLOW",))

    def __init__(self, rule: str, key: str, value: Any) -> None:
        self.wanted = rule, key, value

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        rule, key, value = self.wanted
        hold = Hold(owner="cfo", rule=rule, key=key, value=value, reason="x", ts_event=briefing.ts_event)
        body = {"profit_lock_pct": 0.3, "reinvest_pct": 0.6, "reserve_buffer_pct": 0.1}
        return Ruling(
            proposals=(Proposal(rule=rule, kind="CASHFLOW", payload=body, reason="x", holds=(hold,)),),
            memory=memory,
        )


@pytest.mark.parametrize(
    ("rule", "key", "value"),
    [
        ("P3", "profile", "AGGRESSIVE"),
        ("C3", "symbols", ("DOGEUSDT",)),
        ("C1", "allocation:xgboost", 0.9),
        ("X", "mode", "PAUSED"),
        ("X", "max_leverage", 1.0),
    ],
)
def test_a_hold_of_another_kind_than_its_officers_is_refused(rule: str, key: str, value: Any) -> None:
    roles: dict[str, Role] = {name: make_role(name) for name in ROLES} | {"cfo": Greedy(rule, key, value)}
    desk = Voices(roles=roles)
    told = desk.says()
    (refused,) = [one for one in told if isinstance(one, ReportRefused)]
    assert "may not hold this key" in refused.reason
    assert f"cfo/{rule}/{key}" not in desk.council.holds
    assert desk.council.policy.profile == CouncilService().policy.profile == "MICRO"


def test_a_body_that_no_journal_can_keep_is_refused_and_stops_nobody() -> None:
    class Odd(Greedy):
        def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:  # noqa: ARG002
            proposal = Proposal(rule="X", kind="CASHFLOW", payload={"profit_lock_pct": object()}, reason="x")
            return Ruling(proposals=(proposal,), memory=memory)

    roles: dict[str, Role] = {name: make_role(name) for name in ROLES} | {"cfo": Odd("X", "split", ())}
    desk = Voices(roles=roles)
    told = desk.says()
    assert "plain JSON" in next(one.reason for one in told if isinstance(one, ReportRefused))
    assert desk.mode == "LIVE"


@pytest.mark.parametrize("owner", ["supervisor", "cro", "cio", "cfo", "researcher", "operator"])
def test_only_the_ceo_grants_a_profile(owner: str) -> None:
    hold = Hold(owner=owner, rule="P3", key="profile", value="AGGRESSIVE", reason="x", ts_event=0)
    assert not is_grant(hold)
