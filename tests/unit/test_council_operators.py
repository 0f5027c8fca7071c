from typing import Any

import pytest

from consilium.council.commands import PermissionRefused
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import (
    AccountReported,
    CouncilCommanded,
    Decision,
    HealthReported,
    InvalidValue,
    ModelReported,
    PolicyChanged,
    ReportRefused,
    TimePassed,
    UnknownName,
    UsageError,
)
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

START = 1_700_006_400 * SECOND_NS


class Desk:
    """A council and its operators, a minute later at each word."""

    def __init__(self, **rules: Any) -> None:
        settings: dict[str, Any] = {"start_profile": "NORMAL", "universe": ("ADA", "BTC", "ETH")} | rules
        self.council = CouncilService(rules=CouncilRules(**settings), roles={}, started_at=START)
        self.now, self.count = START, 0
        self.awake()

    def awake(self) -> None:
        self.count += 1
        self.council.handle(
            HealthReported(source="system", sequence=self.count, ts_event=self.now, system_status="HEALTHY")
        )
        self.council.handle(
            AccountReported(
                source="paper", sequence=self.count, ts_event=self.now, equity=1e4, positions=0, exposure=0.0
            )
        )

    def command(
        self, action: str, payload: dict[str, Any], person: str = "ada", authenticated_at: int = 0
    ) -> CouncilCommanded:
        self.count += 1
        return CouncilCommanded(
            command_id=f"c{self.count}",
            action=action,
            payload=payload,
            reason="a test asks",
            person=person,
            authenticated_at=authenticated_at,
            ts_event=self.now,
        )

    def asks(self, action: str, payload: dict[str, Any], person: str = "ada") -> list[Any]:
        command = self.command(action, payload, person)
        self.council.check(command)
        return self.council.handle(command)

    def waits(self, span: int) -> None:
        self.now += span
        self.awake()

    @property
    def waiting(self) -> str:
        (name,) = self.council.approvals
        return name


@pytest.mark.promise("001", "operators may override the trading mode by hand, with the highest priority")
def test_a_tightening_acts_at_once_and_is_a_decision_of_the_operator() -> None:
    desk = Desk()
    decision, changed = desk.asks("mode", {"mode": "PAUSED", "duration_minutes": 60})
    assert isinstance(decision, Decision)
    assert (decision.officer, decision.priority, decision.kind) == ("operator", 0, "MODE_CHANGE")
    assert decision.payload == {"mode": "PAUSED", "duration_minutes": 60}
    assert isinstance(changed, PolicyChanged)
    assert changed.decisions == (decision.decision_id,)
    assert desk.council.policy.mode == "PAUSED"
    desk.waits(60 * MINUTE_NS)
    assert desk.council.policy.mode == "LIVE"


def test_a_tightening_without_a_duration_stays_until_two_persons_end_it() -> None:
    desk = Desk()
    desk.asks("mode", {"mode": "SHADOW"})
    desk.waits(30 * DAY_NS)
    assert not desk.council.policy.entry
    assert desk.asks("mode", {"mode": "LIVE"}) == []
    assert desk.council.policy.mode == "SHADOW"
    desk.asks("approve", {"approval_id": desk.waiting}, "bob")
    assert desk.council.policy.mode == "LIVE"
    assert not desk.council.approvals


@pytest.mark.promise("001", "operators may adjust risk limits by hand")
def test_limits_tighten_at_once() -> None:
    desk = Desk()
    decision = desk.asks("risk", {"max_leverage": 5.0, "max_drawdown_pct": 0.05})[0]
    assert decision.kind == "RISK_ADJUSTMENT"
    assert (desk.council.policy.max_leverage, desk.council.policy.max_drawdown) == (5.0, 0.05)


def test_of_a_command_in_both_directions_only_the_tightening_acts_at_once() -> None:
    desk = Desk()
    desk.asks("risk", {"max_leverage": 5.0})
    desk.asks("risk", {"max_leverage": 8.0, "max_exposure_pct": 0.5})
    assert (desk.council.policy.max_leverage, desk.council.policy.max_exposure) == (5.0, 0.5)
    assert desk.council.approvals[desk.waiting].payload == {"max_leverage": 8.0}
    desk.asks("approve", {"approval_id": desk.waiting}, "bob")
    assert (desk.council.policy.max_leverage, desk.council.policy.max_exposure) == (10.0, 0.5)


def test_the_same_person_approves_nothing() -> None:
    desk = Desk()
    desk.asks("mode", {"mode": "PAUSED"})
    desk.asks("mode", {"mode": "LIVE"})
    command = desk.command("approve", {"approval_id": desk.waiting})
    with pytest.raises(PermissionRefused, match="a second person must agree"):
        desk.council.check(command)
    before = desk.council.state_hash()
    (refused,) = desk.council.handle(command)
    assert isinstance(refused, ReportRefused)
    assert "ada twice" in refused.reason
    assert desk.council.state_hash() == before
    assert not desk.council.changed


def test_on_a_desk_of_one_the_same_person_may_approve_a_day_later_freshly_authenticated() -> None:
    desk = Desk(one_person=True)
    desk.asks("mode", {"mode": "PAUSED"})
    desk.asks("mode", {"mode": "LIVE"})
    name = desk.waiting
    with pytest.raises(PermissionRefused, match="24 h"):
        desk.council.check(desk.command("approve", {"approval_id": name}, authenticated_at=desk.now))
    desk.waits(DAY_NS)
    with pytest.raises(PermissionRefused, match="authentication"):
        desk.council.check(
            desk.command("approve", {"approval_id": name}, authenticated_at=desk.now - HOUR_NS)
        )
    desk.council.handle(desk.command("approve", {"approval_id": name}, authenticated_at=desk.now))
    assert desk.council.policy.mode == "LIVE"


def test_the_supervisor_overrides_operators_that_loosen_in_a_drawdown() -> None:
    council = CouncilService(rules=CouncilRules(start_profile="NORMAL"), started_at=START)
    for place, equity in enumerate((1e4, 9.9e3, 9.8e3, 9.7e3, 9.6e3, 9.49e3)):
        now = START + place * 12 * HOUR_NS
        council.handle_all(
            (
                HealthReported(source="system", sequence=place, ts_event=now, system_status="HEALTHY"),
                AccountReported(
                    source="paper", sequence=place, ts_event=now, equity=equity, positions=0, exposure=0.0,
                    interval_ns=12 * HOUR_NS,
                ),
            )
        )  # fmt: skip
    told: list[Any] = []
    for count, (action, payload, person) in enumerate(
        (
            ("risk", {"max_leverage": 2.0}, "ada"),
            ("risk", {"max_leverage": 4.0}, "ada"),
            ("approve", None, "bob"),
        )
    ):
        given = {"approval_id": next(iter(council.approvals))} if payload is None else payload
        told += council.handle(
            CouncilCommanded(
                command_id=f"c{count}", action=action, payload=given, reason="a test", person=person,
                ts_event=now,
            )
        )  # fmt: skip
    override = told[-1]
    assert (override.kind, override.rule, override.overrides) == ("OVERRIDE", "V1", told[-2].decision_id)
    assert council.policy.max_leverage == 2.0
    assert not council.approvals


def test_an_approval_that_nobody_gives_is_dropped_after_a_day() -> None:
    desk = Desk()
    desk.asks("mode", {"mode": "PAUSED"})
    desk.asks("mode", {"mode": "LIVE"})
    name = desk.waiting
    desk.waits(DAY_NS)
    assert not desk.council.approvals
    with pytest.raises(UnknownName, match="approval"):
        desk.council.check(desk.command("approve", {"approval_id": name}, "bob"))


def test_only_a_review_ends_a_freeze_by_an_operator() -> None:
    desk = Desk()
    decision = desk.asks("mode", {"mode": "FROZEN", "duration_minutes": 1})[0]
    assert (decision.kind, decision.rule, decision.payload["severity"]) == ("FREEZE", "F0", "HIGH")
    desk.waits(40 * DAY_NS)
    assert desk.council.policy.mode == "FROZEN"
    with pytest.raises(PermissionRefused, match="held at FROZEN by the supervisor"):
        desk.asks("mode", {"mode": "LIVE"})
    with pytest.raises(PermissionRefused, match="review the freeze"):
        desk.asks("release", {"hold_id": "supervisor/F0/mode"})
    assert desk.council.policy.mode == "FROZEN"


def test_reviews_count_persons_and_a_new_freeze_forgets_them() -> None:
    desk = Desk()
    with pytest.raises(UsageError, match="freeze must be in force"):
        desk.asks("review", {"what": "freeze"})
    desk.asks("mode", {"mode": "FROZEN"})
    desk.asks("review", {"what": "freeze", "note": "seen"})
    with pytest.raises(PermissionRefused, match="second person"):
        desk.asks("review", {"what": "freeze"})
    desk.asks("review", {"what": "freeze"}, "bob")
    assert desk.council.briefing.reviews["freeze"] == ("ada", "bob")
    desk.waits(MINUTE_NS)
    desk.asks("mode", {"mode": "FROZEN"})
    desk.waits(MINUTE_NS)
    assert "freeze" not in desk.council.briefing.reviews


def test_on_a_desk_of_one_two_reviews_a_day_apart_end_a_freeze() -> None:
    council = CouncilService(rules=CouncilRules(one_person=True), started_at=START)
    now = START
    for step in range(60):
        now = START + step * HOUR_NS
        council.handle_all(
            (
                HealthReported(source="system", sequence=step, ts_event=now, system_status="HEALTHY"),
                AccountReported(
                    source="paper", sequence=step, ts_event=now, equity=1e4, positions=0, unprotected=0,
                    exposure=0.0, interval_ns=HOUR_NS,
                ),
            )
        )  # fmt: skip
        if step in (1, 3, 28):
            action, payload = ("mode", {"mode": "FROZEN"}) if step == 1 else ("review", {"what": "freeze"})
            council.handle(
                CouncilCommanded(
                    command_id=f"c{step}", action=action, payload=payload, reason="a test", person="ada",
                    authenticated_at=now, ts_event=now,
                )
            )  # fmt: skip
        assert (council.policy.mode == "FROZEN") == (1 <= step < 28), step
    assert council.policy.mode == "LIVE"


def test_two_persons_rebase_the_peak() -> None:
    desk = Desk()
    desk.council.handle(
        AccountReported(source="paper", sequence=50, ts_event=desk.now, equity=9e3, positions=0, exposure=0.0)
    )
    desk.asks("review", {"what": "rebase"})
    assert desk.council.briefing.portfolio.drawdown_rebased == pytest.approx(0.1)
    desk.asks("review", {"what": "rebase"}, "bob")
    assert desk.council.briefing.portfolio.drawdown_rebased == 0.0
    assert desk.council.briefing.portfolio.drawdown == pytest.approx(0.1)


@pytest.mark.promise("001", "the supervisor cannot be disabled")
@pytest.mark.parametrize("role", ["supervisor", "cro"])
def test_supervisor_and_cro_stay_enabled(role: str) -> None:
    with pytest.raises(PermissionRefused, match="must stay enabled"):
        Desk().asks("role", {"role": role, "enabled": False})


@pytest.mark.promise("001", "roles are enabled and disabled by hand")
def test_an_officer_that_is_switched_off_is_heard_again_a_day_later() -> None:
    council = CouncilService(started_at=START)
    off = CouncilCommanded(
        command_id="c1", action="role", payload={"role": "researcher", "enabled": False}, reason="noise",
        person="ada", ts_event=START,
    )  # fmt: skip
    council.handle(off)
    heard = [council.roles["researcher"]]
    council.handle(TimePassed(ts_event=START + DAY_NS))
    heard.append(council.roles["researcher"])
    assert heard == [False, True]
    assert council.changed


def test_an_operators_allocation_ends_after_a_day() -> None:
    desk = Desk()
    for place, model in enumerate(("xgboost", "lightgbm")):
        desk.council.handle(ModelReported(source="s", sequence=1, ts_event=desk.now + place, model=model))
    decision = desk.asks("allocation", {"model": "xgboost", "weight": 0.2})[0]
    assert decision.payload["model_weights"] == {"lightgbm": 0.8, "xgboost": 0.2}
    with pytest.raises(InvalidValue, match="what other allocations leave"):
        desk.asks("allocation", {"model": "lightgbm", "weight": 0.9})
    with pytest.raises(UnknownName, match="model"):
        desk.asks("allocation", {"model": "nobody", "weight": 0.1})
    desk.waits(DAY_NS + SECOND_NS)
    assert desk.council.policy.weights == {}


def test_symbols_narrow_at_once_and_widen_by_two_persons() -> None:
    desk = Desk()
    decision = desk.asks("universe", {"symbols": ["BTC"]})[0]
    assert decision.payload["active_symbols"] == ["BTC"]
    assert decision.payload["excluded_symbols"] == ["ADA", "ETH"]
    assert desk.asks("universe", {"symbols": ["BTC", "ETH"]}) == []
    desk.asks("approve", {"approval_id": desk.waiting}, "bob")
    assert desk.council.policy.symbols == ("ADA", "BTC", "ETH")


def test_operators_release_their_own_holds_only_and_by_two_persons() -> None:
    desk = Desk(start_profile="MICRO")
    with pytest.raises(PermissionRefused, match="their own holds only"):
        desk.asks("release", {"hold_id": "ceo/P0/profile"})
    desk.asks("risk", {"max_leverage": 2.0})
    assert desk.asks("release", {"hold_id": "operator/O1:max_leverage=2/max_leverage"}) == []
    desk.asks("approve", {"approval_id": desk.waiting}, "bob")
    assert desk.council.policy.max_leverage == 10.0


def test_two_persons_waive_the_first_profile_for_a_day_at_most() -> None:
    desk = Desk(start_profile="MICRO")
    desk.asks("profile", {"profile": "NORMAL"})
    assert desk.council.policy.profile == "MICRO"
    decision = desk.asks("approve", {"approval_id": desk.waiting}, "bob")[0]
    assert desk.council.policy.profile == "NORMAL"
    assert decision.expires_at == desk.now + DAY_NS
    assert "approved by bob" in decision.reason
    desk.waits(DAY_NS)
    assert desk.council.policy.profile == "MICRO"
    with pytest.raises(PermissionRefused, match="NORMAL at most"):
        desk.asks("profile", {"profile": "AGGRESSIVE"})


def test_a_source_is_retired_by_an_operator_when_it_is_silent() -> None:
    desk = Desk()
    desk.council.handle(
        AccountReported(source="old", sequence=1, ts_event=desk.now, equity=1.0, positions=0, exposure=0.0)
    )
    desk.waits(299 * SECOND_NS)
    with pytest.raises(PermissionRefused, match="300 s"):
        desk.asks("retire", {"source": "old"})
    desk.waits(SECOND_NS)
    assert desk.council.policy.mode == "PAUSED"
    desk.asks("retire", {"source": "old"})
    assert desk.council.policy.mode == "LIVE"
    with pytest.raises(UnknownName, match="source"):
        desk.asks("retire", {"source": "old"})


@pytest.mark.parametrize(
    ("action", "payload", "match"),
    [
        ("mode", {"mode": "SLEEP"}, "mode must be one of"),
        ("mode", {}, "mode must be a text"),
        ("mode", {"mode": "PAUSED", "duration_minutes": 0}, "1 to 1440"),
        ("mode", {"mode": "PAUSED", "duration_minutes": 1441}, "1 to 1440"),
        ("risk", {}, "at least one limit"),
        ("risk", {"max_leverage": 0.0}, "max_leverage must be > 0"),
        ("risk", {"max_leverage": 10.5}, "<= 10, its base"),
        ("risk", {"max_leverage": float("inf")}, "finite number"),
        ("risk", {"max_drawdown_pct": -0.01}, "max_drawdown_pct"),
        ("risk", {"max_drawdown_pct": 0.09}, "<= 0.08"),
        ("risk", {"leverage": 3.0}, "limit must be one of"),
        ("universe", {"symbols": []}, "not empty"),
        ("universe", {"symbols": ["DOGE"]}, "symbol must be one of"),
        ("allocation", {"model": "x", "weight": float("nan")}, "finite number"),
        ("role", {"role": "nobody", "enabled": False}, "role must be one of"),
        ("role", {"role": "ceo", "enabled": "no"}, "true or false"),
        ("review", {"what": "weather"}, "review must be one of"),
        ("review", {"what": "reduce_only"}, "reduce-only must be in force"),
        ("release", {"hold_id": "x"}, "hold must be one of"),
        ("acknowledge", {}, "alert_id"),
    ],
)
def test_a_bad_command_is_refused_with_its_cure_and_changes_nothing(
    action: str, payload: dict[str, Any], match: str
) -> None:
    desk = Desk()
    before = desk.council.state_hash()
    with pytest.raises((InvalidValue, UsageError), match=match):
        desk.asks(action, payload)
    (refused,) = desk.council.handle(desk.command(action, payload))
    assert isinstance(refused, ReportRefused)
    assert desk.council.state_hash() == before
