import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from consilium.council.identity import CODE_HASH
from consilium.council.role import Follower, Proposal, Role, Ruling
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.council.sitting import may_release
from consilium.council.wire import decision_body, decision_of
from consilium.domain import (
    AccountReported,
    Briefing,
    ConflictResolved,
    CouncilCommanded,
    Decision,
    HealthReported,
    Hold,
    InvalidValue,
    PolicyChanged,
    ReportRefused,
    TimePassed,
    UnknownName,
)
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

START = 1_700_006_400 * SECOND_NS


class Says(Follower):
    """An officer that always proposes the same."""

    kinds: ClassVar[frozenset[str]] = frozenset(("MODE_CHANGE", "RISK_ADJUSTMENT", "CAPITAL_PROFILE"))

    name: ClassVar[str] = "ceo"

    def __init__(self, *proposals: Proposal, overrides: bool = False) -> None:
        self.proposals = proposals
        self.overrides = overrides

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:  # noqa: ARG002
        return Ruling(proposals=self.proposals, memory=memory)

    def review(self, briefing: Briefing, decisions: Sequence[Decision]) -> Sequence[Proposal]:  # noqa: ARG002
        if not self.overrides:
            return ()
        return [
            Proposal(
                rule="V1", kind="OVERRIDE", payload={"overridden_decision_id": one.decision_id},
                reason="not now", overrides=one.decision_id,
            )
            for one in decisions
            if one.officer != self.name
        ]  # fmt: skip


class Risk(Says):
    name: ClassVar[str] = "cro"


class Guardian(Says):
    name: ClassVar[str] = "supervisor"


def hold(owner: str, rule: str, key: str, value: Any, until: int | None = None) -> Hold:
    return Hold(
        owner=owner, rule=rule, key=key, value=value, reason="a test", ts_event=START, expires_at=until
    )


def proposes(kind: str, payload: dict[str, Any], *holds: Hold, rule: str = "X1", **more: Any) -> Proposal:
    return Proposal(rule=rule, kind=kind, payload=payload, reason="a test", holds=holds, **more)


def council(*roles: Says, **rules: Any) -> CouncilService:
    settings: dict[str, Any] = {"start_profile": "NORMAL"} | rules
    named: dict[str, Role] = {role.name: role for role in roles}
    return CouncilService(rules=CouncilRules(**settings), roles=named, started_at=START, config_hash="cfg")


def account(ts: int = START, **more: Any) -> AccountReported:
    said: dict[str, Any] = {"equity": 1e4, "positions": 0, "exposure": 0.0, "interval_ns": HOUR_NS} | more
    return AccountReported(source="paper", sequence=1 + (ts - START) // SECOND_NS, ts_event=ts, **said)


def health(ts: int = START, status: str = "HEALTHY") -> HealthReported:
    sequence = 1 + (ts - START) // SECOND_NS
    return HealthReported(source="system", sequence=sequence, ts_event=ts, system_status=status)


def of(kind: type, answers: Sequence[Any]) -> list[Any]:
    return [answer for answer in answers if isinstance(answer, kind)]


def test_a_fresh_council_is_paused_until_it_knows_enough() -> None:
    service = council()
    assert service.policy.mode == "PAUSED"
    service.handle(account())
    assert service.policy.mode == "PAUSED"
    answers = service.handle(health())
    assert service.policy.mode == "LIVE"
    (decision,) = of(Decision, answers)
    assert (decision.officer, decision.rule, decision.payload["mode"]) == ("supervisor", "S1", "LIVE")


def test_what_falls_silent_pauses_and_comes_back() -> None:
    service = council()
    service.handle_all((health(), account()))
    assert of(Decision, service.handle(TimePassed(ts_event=START + 2 * HOUR_NS))) == []
    (decision,) = of(Decision, service.handle(TimePassed(ts_event=START + 2 * HOUR_NS + 1)))
    assert (decision.rule, service.policy.mode) == ("S1", "PAUSED")
    assert "late" in decision.reason
    later = START + 3 * HOUR_NS
    service.handle_all((health(later), account(later)))
    assert service.policy.mode == "LIVE"


def test_a_word_of_health_that_nobody_knows_pauses() -> None:
    service = council()
    service.handle_all((health(), account()))
    service.handle(health(START + SECOND_NS, "splendid"))
    assert service.policy.mode == "PAUSED"


def test_time_that_changes_nothing_is_forgotten() -> None:
    service = council()
    service.handle_all((health(), account()))
    state = service.state_hash()
    assert service.handle(TimePassed(ts_event=START + MINUTE_NS)) == []
    assert not service.changed
    assert service.state_hash() == state


def test_a_clock_that_goes_back_is_refused() -> None:
    service = council()
    service.handle_all((health(START + HOUR_NS), account(START + HOUR_NS)))
    state = service.state_hash()
    (refused,) = service.handle(TimePassed(ts_event=START))
    assert isinstance(refused, ReportRefused)
    assert "back" in refused.reason
    assert service.state_hash() == state


def test_a_decision_names_facts_cause_code_and_settings() -> None:
    says = Says(proposes("CAPITAL_PROFILE", {"profile": "LOW"}, hold("ceo", "X1", "profile", "LOW")))
    answers = council(says).handle_all((health(), account()), cause_id="event-7")
    decision = next(one for one in of(Decision, answers) if one.officer == "ceo")
    assert (decision.cause_id, decision.code_hash, decision.config_hash) == ("event-7", CODE_HASH, "cfg")
    assert decision.snapshot_id
    assert len(decision.decision_id) == 32
    assert decision_of(json.loads(json.dumps(decision_body(decision)))) == decision


def test_the_same_proposal_is_told_once() -> None:
    says = Says(proposes("CAPITAL_PROFILE", {"profile": "LOW"}, hold("ceo", "X1", "profile", "LOW")))
    service = council(says)
    assert len([one for one in service.handle(health()) if isinstance(one, Decision)]) == 2
    assert of(Decision, service.handle(health(START + SECOND_NS))) == []


@pytest.mark.promise("001", "same decision type: the highest role wins, and the conflict is recorded")
def test_of_two_on_one_kind_the_higher_authority_wins_and_what_tightens_stands() -> None:
    cro = Risk(proposes("CAPITAL_PROFILE", {"profile": "LOW"}, hold("cro", "X1", "profile", "LOW")))
    ceo = Says(proposes("CAPITAL_PROFILE", {"profile": "MICRO"}, hold("ceo", "X1", "profile", "MICRO")))
    service = council(ceo, cro)
    answers = service.handle_all((health(), account()))
    (conflict,) = of(ConflictResolved, answers)
    assert (conflict.winner, conflict.loser, conflict.payload) == ("cro", "ceo", {"profile": "MICRO"})
    told = [one.officer for one in of(Decision, answers) if one.kind == "CAPITAL_PROFILE"]
    assert told == ["cro"]
    assert service.policy.profile == "MICRO"
    assert service.holds["ceo/X1/profile"].decision_id == conflict.loser_id


@pytest.mark.promise("001", "the supervisor overrides dangerous decisions")
def test_an_overridden_decision_changes_nothing_and_is_told_once() -> None:
    ceo = Says(proposes("CAPITAL_PROFILE", {"profile": "LOW"}, hold("ceo", "X1", "profile", "LOW")))
    service = council(ceo, Guardian(overrides=True))
    answers = of(Decision, service.handle_all((health(), account())))
    cancelled = next(one for one in answers if one.officer == "ceo")
    override = next(one for one in answers if one.kind == "OVERRIDE")
    assert override.overrides == cancelled.decision_id
    assert service.policy.profile == "NORMAL"
    assert of(Decision, service.handle(health(START + SECOND_NS))) == []


@pytest.mark.parametrize(
    ("proposal", "why"),
    [
        (proposes("FREEZE", {}), "may not decide on this kind"),
        (proposes("MODE_CHANGE", {}, hold("cro", "X1", "mode", "PAUSED")), "its own holds only"),
        (proposes("MODE_CHANGE", {}, hold("ceo", "X1", "mode", "SLEEP")), "mode"),
        (proposes("MODE_CHANGE", {}, releases=("supervisor/S1/mode",)), "may not release"),
    ],
)
def test_what_is_not_an_officers_to_say_is_refused(proposal: Proposal, why: str) -> None:
    service = council(Says(proposal))
    refused = of(ReportRefused, service.handle(health()))
    assert why in refused[0].reason
    assert "supervisor/S1/mode" in service.holds


def test_nothing_is_loosened_while_anything_required_is_unknown() -> None:
    ceo = Says()
    service = council(ceo, start_profile="MICRO")
    service.handle_all((health(), account()))
    ceo.proposals = (proposes("CAPITAL_PROFILE", {"profile": "NORMAL"}, releases=("ceo/P0/profile",)),)
    service.handle(health(START + SECOND_NS, "?"))
    assert service.policy.profile == "MICRO"
    service.handle(health(START + 2 * SECOND_NS))
    assert service.policy.profile == "NORMAL"


def test_no_hold_ends_sooner_while_anything_required_is_unknown() -> None:
    ceo = Says(proposes("MODE_CHANGE", {}, hold("ceo", "X1", "mode", "SHADOW", START + DAY_NS)))
    service = council(ceo)
    service.handle_all((health(), account()))
    ceo.proposals = (proposes("MODE_CHANGE", {}, hold("ceo", "X1", "mode", "SHADOW", START + HOUR_NS)),)
    service.handle(health(START + SECOND_NS, "?"))
    assert service.holds["ceo/X1/mode"].expires_at == START + DAY_NS
    service.handle(health(START + 2 * SECOND_NS))
    assert service.holds["ceo/X1/mode"].expires_at == START + HOUR_NS


@pytest.mark.parametrize(("officer", "may"), [("supervisor", False), ("cro", False), ("operator", True)])
def test_an_operators_hold_is_operators_to_release(officer: str, may: bool) -> None:
    assert may_release(officer, hold("operator", "O1:x", "max_leverage", 5.0)) == may


def test_a_hold_is_its_owners_or_a_higher_ranks_to_release() -> None:
    held = hold("cro", "R1", "max_leverage", 5.0)
    may = [name for name in ("operator", "supervisor", "cro", "ceo", "cio") if may_release(name, held)]
    assert may == ["supervisor", "cro"]


def test_a_freeze_that_sets_on_again_begins_its_dwell_anew() -> None:
    service = CouncilService(started_at=START)
    service.handle_all((health(), account()))
    for minutes, equity in ((1, 8_900.0), (30, 9_500.0), (60, 8_800.0)):
        ts = START + minutes * MINUTE_NS
        service.handle(account(ts, equity=equity))
    assert service.holds["supervisor/F1/mode"].ts_event == START + 60 * MINUTE_NS


def test_a_hold_ends_by_time_and_its_owner_tells_it() -> None:
    until = START + HOUR_NS
    ceo = Says(proposes("MODE_CHANGE", {"mode": "SHADOW"}, hold("ceo", "X1", "mode", "SHADOW", until)))
    service = council(ceo)
    service.handle_all((health(), account()))
    assert service.policy.mode == "SHADOW"
    ceo.proposals = ()
    answers = service.handle(TimePassed(ts_event=until))
    (decision,) = of(Decision, answers)
    assert (decision.officer, decision.rule) == ("ceo", "X1")
    assert decision.payload == {
        "mode": "LIVE", "duration_minutes": None, "expired": True, "hold_ids": ["ceo/X1/mode"],
    }  # fmt: skip
    assert of(PolicyChanged, answers)[0].decisions == (decision.decision_id,)


def test_no_time_ends_a_freeze_whatever_its_hold_says() -> None:
    frozen = hold("supervisor", "F1", "mode", "FROZEN", START + HOUR_NS)
    supervisor = Guardian(proposes("MODE_CHANGE", {"mode": "EMERGENCY"}, frozen))
    service = council(supervisor)
    service.handle_all((health(), account()))
    supervisor.proposals = ()
    for day in range(1, 90):
        service.handle(TimePassed(ts_event=START + day * DAY_NS))
        assert service.policy.mode == "FROZEN"


class Fails(Follower):
    name: ClassVar[str] = "researcher"
    kinds: ClassVar[frozenset[str]] = frozenset()

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        if briefing.system == "DEGRADED":
            raise ZeroDivisionError("a broken officer")
        return Ruling(memory=memory)


def test_an_officer_that_fails_pauses_and_silences_nobody_else() -> None:
    cro = Risk(proposes("RISK_ADJUSTMENT", {}, hold("cro", "R1", "max_leverage", 5.0)))
    service = CouncilService(
        rules=CouncilRules(start_profile="NORMAL"),
        roles={"cro": cro, "researcher": Fails()},
        started_at=START,
    )
    service.handle_all((health(), account()))
    answers = service.handle(health(START + SECOND_NS, "DEGRADED"))
    assert "a broken officer" in of(ReportRefused, answers)[0].reason
    assert service.policy.mode == "PAUSED"
    assert service.policy.max_leverage == 5.0
    assert of(ReportRefused, service.handle(health(START + 2 * SECOND_NS, "DEGRADED"))) == []
    service.handle(health(START + 3 * SECOND_NS))
    assert service.policy.mode == "LIVE"


def test_a_row_that_is_switched_off_never_fires() -> None:
    service = CouncilService(
        rules=CouncilRules(disabled_rules=frozenset(("S1",)), start_profile="NORMAL"), roles={}
    )
    assert service.policy.mode == "LIVE"


def _story() -> list[Any]:
    """Return messages of ten bad days, with operators among them."""
    messages: list[Any] = []
    nav = 10_000.0
    for place in range(240):
        ts = START + place * HOUR_NS
        nav *= 0.993 if 20 < place < 50 else 1.0005
        messages.append(health(ts, "DEGRADED" if place == 100 else "HEALTHY"))
        messages.append(account(ts, equity=nav, positions=place % 3, unprotected=0))
        messages.append(TimePassed(ts_event=ts + 20 * MINUTE_NS))
        if place % 24 == 10:
            messages.append(
                CouncilCommanded(
                    command_id=f"c{place}", action="mode", payload={"mode": "PAUSED", "duration_minutes": 90},
                    reason="a look", person="ada", ts_event=ts + 30 * MINUTE_NS,
                )
            )  # fmt: skip
    return messages


def test_a_restart_anywhere_and_a_replay_from_zero_end_in_the_same_state() -> None:
    whole = CouncilService(rules=CouncilRules(universe=("ADA", "BTC", "ETH", "SOL")))
    told = [answer for message in _story() for answer in whole.handle(message)]
    assert any(one.kind == "FREEZE" for one in of(Decision, told))
    broken = CouncilService(rules=CouncilRules(universe=("ADA", "BTC", "ETH", "SOL")))
    again: list[Any] = []
    for place, message in enumerate(_story()):
        again += broken.handle(message)
        if place % 7 == 0:
            fresh = CouncilService(rules=CouncilRules(universe=("ADA", "BTC", "ETH", "SOL")))
            fresh.restore(json.loads(json.dumps(broken.state())))
            assert fresh.state_hash() == broken.state_hash()
            assert fresh.policy == broken.policy
            broken = fresh
        assert list(broken.briefing.holds) == sorted(broken.briefing.holds), "as after any restart"
    assert again == told
    assert broken.state_hash() == whole.state_hash()


def test_a_replay_without_idle_time_ends_in_the_same_state() -> None:
    whole, kept = CouncilService(), []
    for message in _story():
        whole.handle(message)
        if whole.changed or not isinstance(message, TimePassed):
            kept.append(message)
    other = CouncilService()
    for message in kept:
        other.handle(message)
    assert len(kept) < len(_story())
    assert other.state_hash() == whole.state_hash()


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(InvalidValue, match="version"):
        council().restore({"version": 0})


def test_a_decision_is_explained_by_its_figures_its_holds_and_what_releases_them() -> None:
    service = CouncilService(started_at=START)
    service.handle_all((health(), account()))
    answers = service.handle(account(START + MINUTE_NS, equity=8_900.0, positions=1, unprotected=0))
    freeze = next(one for one in of(Decision, answers) if one.rule == "F1")
    told = service.explain(freeze.decision_id)
    assert told["figures"]["drawdown"] == pytest.approx(0.11)
    assert told["holds"][0]["hold_id"] == "supervisor/F1/mode"
    assert told["earliest"] == START + MINUTE_NS + 120 * MINUTE_NS
    assert "reviewed" in told["released_by"]
    json.dumps(told)
    with pytest.raises(UnknownName, match="decision"):
        service.explain("nothing")


def test_status_counts_and_says_what_is_unknown() -> None:
    service = council()
    service.handle(health())
    status = service.status()
    assert status["unknown"][:2] == ["equity", "nav"]
    assert status["mode"] == "PAUSED"
    json.dumps(status)
