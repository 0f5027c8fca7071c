"""How a council is shown: in force, held, frozen, silent."""

import pytest

from consilium.app.council.shown import shown
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import AccountReported, CouncilCommanded, Decision, HealthReported
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from council_voices import Voices

NOW = 1_704_110_400 * SECOND_NS


def council(interval_ns: int = 0) -> CouncilService:
    made = CouncilService(rules=CouncilRules(), started_at=NOW)
    account = AccountReported(
        source="backend",
        sequence=1,
        ts_event=NOW,
        interval_ns=interval_ns,
        equity=10_000.0,
        drawdown=0.0,
        max_drawdown=0.0,
        realized_pnl_today=0.0,
        exposure=0.0,
        positions=0,
    )
    made.handle(account)
    made.handle(HealthReported(source="system", sequence=1, ts_event=NOW, system_status="HEALTHY"))
    return made


@pytest.mark.parametrize(("interval_ns", "silent_after_s"), [(0, 300), (HOUR_NS, 5 * 3_600)])
def test_a_source_is_called_silent_after_300_s_or_five_of_its_intervals_and_not_before(
    interval_ns: int, silent_after_s: int
) -> None:
    made = council(interval_ns)
    for age_s, silent in ((silent_after_s - 1, False), (silent_after_s, True)):
        told = shown(made, NOW + age_s * SECOND_NS)["sources"]
        assert {source["source"]: source["silent"] for source in told} == {
            "backend": silent,
            "system": silent,
        }


def test_each_source_is_silent_by_its_own_interval() -> None:
    made = council(DAY_NS)  # the desk's own account speaks daily
    for name, interval_ns in (("outside:fast", MINUTE_NS), ("outside:hourly", HOUR_NS)):
        made.handle(
            AccountReported(
                source=name, sequence=1, ts_event=NOW, interval_ns=interval_ns, equity=1e4, drawdown=0.0,
                exposure=0.0, positions=0,
            )
        )  # fmt: skip

    def silent(age_s: int) -> set[str]:
        sources = shown(made, NOW + age_s * SECOND_NS)["sources"]
        return {source["source"] for source in sources if source["silent"]}

    assert silent(299) == set()
    assert silent(300) == {"outside:fast"}
    assert silent(5 * 3_600) == {"outside:fast", "outside:hourly"}
    assert silent(5 * 86_400) == {"outside:fast", "outside:hourly", "backend", "system"}


def test_a_freeze_is_shown_with_its_beginning_its_reason_and_its_earliest_end() -> None:
    made = council()
    before = shown(made, NOW)
    assert (before["frozen_at"], before["release_at"], before["mode"]) == (0, 0, "LIVE")
    asked = CouncilCommanded(
        command_id="c", action="mode", payload={"mode": "FROZEN"}, reason="fire", person="ann", ts_event=NOW
    )
    made.handle(asked)
    told = shown(made, NOW)
    assert (told["frozen_at"], told["release_at"]) == (NOW, NOW + 120 * MINUTE_NS)
    hold = next(hold for hold in told["holds"] if hold["value"] == "FROZEN")
    assert (hold["owner"], hold["reason"], hold["priority"]) == ("supervisor", "fire", 1)
    assert "reviewed" in hold["released_by"]
    assert told["policy"]["entry"] is False


def test_a_role_that_does_not_sit_and_an_approval_that_waits_are_shown() -> None:
    made = council()
    asked: list[tuple[str, dict[str, object]]] = [
        ("role", {"role": "researcher", "enabled": False}),
        ("risk", {"max_leverage": 3.0}),
        ("risk", {"max_leverage": 6.0}),
    ]
    for number, (action, payload) in enumerate(asked):
        made.handle(
            CouncilCommanded(
                command_id=f"c{number}",
                action=action,
                payload=payload,
                reason="x",
                person="ann",
                ts_event=NOW,
            )
        )
    told = shown(made, NOW)
    assert told["roles"]["researcher"] is False
    (waiting,) = told["approvals"]
    assert (waiting["action"], waiting["person"]) == ("risk", "ann")
    assert told["policy"]["max_leverage"] == 3.0


def test_a_freeze_for_a_daily_loss_ends_with_the_day_wherever_it_is_told() -> None:
    desk = Voices(rules=CouncilRules(disabled_rules=frozenset(("F5",))))
    desk.says()
    (freeze,) = [
        one
        for one in desk.says(MINUTE_NS, equity=9_400.0)
        if isinstance(one, Decision) and one.kind == "FREEZE"
    ]
    assert freeze.rule == "F2"
    midnight = (desk.now // DAY_NS + 1) * DAY_NS
    assert desk.council.explain(freeze.decision_id)["earliest"] == midnight
    assert shown(desk.council, desk.now)["release_at"] == midnight
    assert freeze.payload["duration_minutes"] == (midnight - desk.now) // MINUTE_NS
