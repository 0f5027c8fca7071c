"""The council beside the other workers: it rules, and is obeyed, as in one process; nobody opens without."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from company import Company, company, until
from consilium.app.council.kill_switch import path_of
from consilium.app.live.assembly import assemble
from consilium.app.live.records import DECIDED, Recorder
from consilium.app.settings import Settings
from consilium.bus.journal import Journal
from consilium.council.approvals import PermissionRefused
from consilium.domain import ArtefactRefused, CouncilCommanded, Decision
from live_process import CONCLUDED
from worker_process import by_topic

RULED = (
    *CONCLUDED,
    "ai.federation.decision_made",
    "council.policy_changed",
    "council.conflict_resolved",
    "council.report_refused",
    "trading.profit_split",
    "trading.order_shadowed",
)
OBEYED = "trading.step_obeyed"
HALTED = "supervisor/F0/mode"
FEED = "simulate:symbols=4,bars=520,seed=5"
STEPS = 40
"""Closes that are compared; more come."""
UNIVERSE = ["SIM00", "SIM01", "SIM02"]
FLOOR = 9_990
"""Soon reached: the account begins with 10,000."""
Told = dict[str, list[tuple[str, str, Any]]]


def sections(speed: float = 0.0, **council: Any) -> dict[str, Any]:
    sitting = {"start_profile": "NORMAL", "universe": UNIVERSE, "lost_s": 60, "tick_s": 0.1}
    return {
        "live": {"feed": FEED, "speed": speed},
        "council": {**sitting, **council},
        "ensemble": {"gates": "seed", "rule": "weighted_voting"},
        "serving": {"max_age_days": 0, "workers": 1},
    }


def ruled(journal: Journal) -> Told:
    """Return what was concluded and ruled at the first closes."""
    last = journal.read(0, STEPS, topics=["market.step_done"])[-1].event.ts_event
    rows = journal.read(0, 1_000_000, topics=RULED)
    return by_topic([row.event for row in rows if row.event.ts_event <= last])


def in_one_process(folder: Path) -> Told:
    system = assemble(Settings.model_validate({"data_dir": folder, **sections(floor_usd=FLOOR)}))
    with system:
        done = ["market.step_done"]
        until(lambda: len(system.journal.read(0, STEPS + 1, topics=done)) > STEPS, "too few closes")
        return ruled(system.journal)


def staffed(desk: Company) -> Company:
    for name in ("ensemble", "trading", "council"):
        desk.hire(name)
    return desk


@pytest.mark.long
@pytest.mark.promise("001", "a council among workers rules what it rules in one process, and is obeyed alike")
def test_workers_conclude_what_one_process_does_under_a_council(tmp_path: Path) -> None:
    expected = in_one_process(tmp_path / "one")
    with company(tmp_path / "many", **sections(floor_usd=FLOOR)) as desk:
        staffed(desk).market()
        for target in (5, 15, 25):  # replaced at work: the next one knows the journal only
            until(lambda least=target: desk.count(OBEYED) >= least, f"not {target} closes")  # type: ignore[misc]
            desk.dismiss("council")
            desk.hire("council")
        until(lambda: desk.count(OBEYED) > STEPS, "too few closes")
        assert desk.count("trading.council_heard") == 0
        found = ruled(desk.journal)
    rules = {payload["rule"] for _, _, payload in expected["ai.federation.decision_made"]}
    assert {"S1", "F4"} <= rules
    assert expected["trading.filled"]
    assert {payload["symbol"] for _, _, payload in expected["model.predicted"]} == set(UNIVERSE)
    assert found == expected


@pytest.mark.promise("001", "where no council sits among workers, nothing is opened")
def test_without_a_council_the_market_is_followed_and_nothing_is_opened(tmp_path: Path) -> None:
    with company(tmp_path, **sections(lost_s=0.5)) as desk:
        desk.hire("ensemble")
        desk.hire("trading")
        desk.market()
        until(lambda: desk.count(OBEYED) >= 20, "not 20 closes")
        (heard,) = desk.journal.read(topics=["trading.council_heard"])
        assert dict(heard.event.payload)["heard"] is False  # type: ignore[call-overload]
        assert desk.count("trading.order_sent") == 0
        assert "no word of the council" in desk.rooms["trading"].allowed.warning
        desk.hire("council")
        until(lambda: not desk.rooms["trading"].allowed.lost, "not heard again")
        until(lambda: desk.count("trading.order_sent") > 0, "no order")


def asked(action: str, person: str, now: int, **payload: Any) -> CouncilCommanded:
    return CouncilCommanded(
        command_id=f"{action}-{person}-{now}", action=action, payload=payload, reason="tried",
        person=person, authenticated_at=now, ts_event=now,
    )  # fmt: skip


@pytest.mark.promise("001", "a research task is carried out by one API worker, once")
def test_one_of_two_api_workers_carries_out_what_the_researcher_asks(tmp_path: Path) -> None:
    with company(tmp_path, **sections(lost_s=0.5)) as desk:
        desk.hire("ensemble")
        desk.hire("trading")
        desk.market()
        until(lambda: desk.count(OBEYED) >= 3, "not 3 closes")
        desk.api()
        desk.api()
        task = Decision(
            decision_id="task", ts_event=1, officer="researcher", kind="RESEARCH_TASK", reason="tried",
            payload={"task_type": "risk_analysis", "model_name": "", "priority": "high"},
        )  # fmt: skip
        desk.journal.append([Recorder(ts_recorded=1, trace_id="t").event(task)])
        until(lambda: desk.count("research.ended") > 0, "no end")
        (ended,) = [dict(row.event.payload) for row in desk.journal.read(topics=["research.ended"])]  # type: ignore[call-overload]
        assert (ended["outcome"], ended["report"]) == ("done", "research/task.json")
        report = json.loads((tmp_path / "research" / "task.json").read_text())
        assert report["equity"] == 10_000.0
        assert set(report["worst_moves"]) == {"SIM00", "SIM01", "SIM02", "SIM03"}


@pytest.mark.promise("001", "among workers too two persons loosen, and outside reports tighten")
def test_two_persons_loosen_and_an_outside_report_is_heard_once(tmp_path: Path) -> None:
    with company(tmp_path, **sections(speed=2.0)) as desk:
        staffed(desk).market()
        api = desk.api()
        until(lambda: api.council_status()["mode"] == "LIVE", "not LIVE")
        trading = desk.rooms["trading"].allowed
        api.govern(asked("risk", "ann", api.council_now(), max_leverage=2.0))
        until(lambda: trading.policy.max_leverage == 2.0, "not obeyed")
        waiting = api.govern(asked("risk", "bea", api.council_now(), max_leverage=5.0)).approval
        assert waiting is not None
        assert trading.policy.max_leverage == 2.0
        api.govern(asked("approve", "cleo", api.council_now(), approval_id=waiting.approval_id))
        until(lambda: trading.policy.max_leverage == 5.0, "not loosened")
        told: dict[str, Any] = {"source": "ops", "ts_event": desk.clock.now_ns(), "by": "ann"}
        body = {"system_status": "CRITICAL", "ess_state": "NOMINAL"}
        first = api.publish_outside("system.health_updated", sequence=2, payload=body, **told)
        until(lambda: trading.policy.mode == "PAUSED", "not heard")
        again = api.publish_outside("system.health_updated", sequence=2, payload=body, **told)
        assert again.event_id == first.event_id
        assert desk.count("system.health_updated") == 2  # our own, and this one
        with pytest.raises(ArtefactRefused, match="hear"):
            api.publish_outside("system.health_updated", sequence=1, payload=body, **told)
        decided: list[Any] = [row.event.payload for row in desk.journal.read(topics=[DECIDED])]
        assert "M2" in {decision["rule"] for decision in decided}


@pytest.mark.promise("001", "a freeze among workers survives all of them and ends by the rule only")
def test_a_freeze_outlives_every_worker_and_its_note(tmp_path: Path) -> None:
    with company(tmp_path, **sections(speed=20.0)) as desk:
        staffed(desk).market()
        api = desk.api()
        until(lambda: desk.count(OBEYED) >= 8, "not 8 closes")
        until(lambda: api.council_status()["mode"] == "LIVE", "not LIVE")
        said = api.govern(asked("mode", "ann", api.council_now(), mode="PAUSED"))
        assert [decision.kind for decision in said.decisions if decision.officer == "operator"] == [
            "MODE_CHANGE"
        ]
        until(lambda: desk.rooms["trading"].allowed.policy.mode == "PAUSED", "not obeyed")
        named = api.kill("smoke in the room", "ann")
        until(lambda: desk.rooms["trading"].allowed.policy.mode == "FROZEN", "not frozen")
        until(lambda: api.council_status()["mode"] == "FROZEN", "not ruled")
        assert api.kill("again", "bob") == named
        for name in list(desk.alive):
            desk.dismiss(name)
        path_of(tmp_path).unlink()  # by one person: it lifts nothing
        place = desk.journal.head().offset
        staffed(desk)
        more = desk.count(OBEYED) + 8
        until(lambda: desk.count(OBEYED) >= more, f"not {more} closes")
        assert desk.rooms["trading"].allowed.policy.mode == "FROZEN"
        assert not path_of(tmp_path).exists()
        orders = [dict(row.event.payload) for row in desk.journal.read(place, topics=["trading.order_sent"])]  # type: ignore[call-overload]
        assert all(order["reduce_only"] for order in orders)
        api.govern(asked("review", "ann", api.council_now(), what="freeze", note="seen"))
        with pytest.raises(PermissionRefused, match="another one"):
            api.govern(replace(asked("review", "ann", api.council_now(), what="freeze"), command_id="second"))
        assert api.council_status()["reviews"] == {"freeze": ["ann"]}
        assert desk.rooms["trading"].allowed.policy.mode == "FROZEN"


@pytest.mark.promise("001", "a halt under another freeze is a halt of its own, with its note")
def test_a_halt_among_workers_is_one_of_its_own_under_another_freeze(tmp_path: Path) -> None:
    with company(tmp_path, **sections(speed=20.0)) as desk:
        staffed(desk).market()
        api = desk.api()
        until(lambda: api.council_status()["mode"] == "LIVE", "not LIVE")
        first = api.kill("a test", "ann")
        until(lambda: HALTED in api.council.holds, "not frozen")
        assert api.kill("again", "bob") == first
        for person in ("ann", "bob"):
            api.govern(asked("review", person, api.council_now(), what="freeze", note="seen"))
        until(lambda: HALTED not in api.council.holds, "not over")
        told: dict[str, Any] = {"source": "ops", "ts_event": desk.clock.now_ns(), "by": "ann"}
        api.publish_outside(
            "system.health_updated", sequence=1, payload={"system_status": "EMERGENCY"}, **told
        )
        until(lambda: api.council_status()["mode"] == "FROZEN", "not frozen by F5")
        until(lambda: not path_of(tmp_path).exists(), "the first note is still there")
        second = api.kill("smoke", "bob")
        assert second != first
        assert path_of(tmp_path).exists()
        until(lambda: HALTED in api.council.holds, "the halt is not in force beside F5")
        asks = [row.event.payload for row in desk.journal.read(0, 1_000, topics=["council.commanded"])]
        assert [dict(ask)["command_id"] for ask in asks][-1] == second  # type: ignore[call-overload]
