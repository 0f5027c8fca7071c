"""What the supervisor overrides (V1)."""

from typing import Any

import pytest

from consilium.council.roles.supervisor import Supervisor
from consilium.domain import Missing, Policy
from council_desk import briefing, decision, hold, off

SECOND = 10**9


def reviewed(
    kind: str, payload: dict[str, object], *, officer: str = "ceo", rule: str = "X", **facts: Any
) -> str:
    given = decision(officer, kind, payload, rule)
    found = Supervisor().review(briefing(**facts), [given])
    for override in found:
        assert (override.kind, override.rule) == ("OVERRIDE", "V1")
        assert override.overrides == given.decision_id
        assert override.payload == {"overridden_decision_id": given.decision_id, "reason": override.reason}
    return found[0].reason if found else ""


TIGHT = Policy(profile="LOW", max_leverage=5.0, ess_warning=0.04, symbols=("A", "B"))


@pytest.mark.promise("001", "the supervisor overrides what loosens while drawdown > 5 %")
@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("CAPITAL_PROFILE", {"profile": "NORMAL"}),
        ("RISK_ADJUSTMENT", {"max_leverage": 6.0}),
        ("ESS_POLICY", {"warning_threshold_pct": 0.05}),
        ("SYMBOL_UNIVERSE", {"active_symbols": ["A", "B", "C"]}),
    ],
)
def test_v1_overrides_a_loosening_above_five_percent_and_not_at_it(
    kind: str, payload: dict[str, object]
) -> None:
    assert reviewed(kind, payload, policy=TIGHT, dd=0.05) == ""
    assert "while drawdown 5.1 % is above 5 %" in reviewed(kind, payload, policy=TIGHT, dd=0.051)
    assert reviewed(kind, payload, policy=TIGHT, dd=Missing.UNKNOWN) == ""
    assert reviewed(kind, payload, policy=TIGHT, dd=0.051, **off("V1")) == ""
    assert reviewed(kind, payload, officer="operator", policy=TIGHT, dd=0.06)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("CAPITAL_PROFILE", {"profile": "MICRO"}),
        ("CAPITAL_PROFILE", {"profile": "LOW"}),
        ("RISK_ADJUSTMENT", {"max_leverage": 5.0, "max_exposure_pct": 0.5}),
        ("ESS_POLICY", {"warning_threshold_pct": 0.04}),
        ("SYMBOL_UNIVERSE", {"active_symbols": ["A"]}),
        ("MODE_CHANGE", {"mode": "LIVE"}),
        ("CASHFLOW", {"profit_lock_pct": 0.2}),
    ],
)
def test_v1_lets_what_loosens_nothing_stand(kind: str, payload: dict[str, object]) -> None:
    assert reviewed(kind, payload, policy=TIGHT, dd=0.2) == ""


@pytest.mark.parametrize("owner", ["supervisor", "cro"])
def test_v1_overrides_aggressive_under_a_hold_of_supervisor_or_risk_officer(owner: str) -> None:
    held = hold(owner, "R1", "max_leverage", 5.0)
    said = reviewed("CAPITAL_PROFILE", {"profile": "AGGRESSIVE"}, holds={held.hold_id: held})
    assert said == f"AGGRESSIVE while {owner} holds max_leverage"
    other = hold("cio", "C2", "symbols", ("A",))
    assert reviewed("CAPITAL_PROFILE", {"profile": "AGGRESSIVE"}, holds={other.hold_id: other}) == ""


def test_v1_lets_the_end_of_reduce_only_pass() -> None:
    assert (
        reviewed("RISK_ADJUSTMENT", {"max_leverage": 10.0}, officer="cro", rule="R2", policy=TIGHT, dd=0.09)
        == ""
    )


def test_v1_leaves_the_supervisors_own_rulings_and_what_merely_expires() -> None:
    ended = {"profile": "NORMAL", "expired": True}
    assert reviewed("CAPITAL_PROFILE", ended, officer="cro", policy=TIGHT, dd=0.06) == ""
    assert (
        reviewed("CAPITAL_PROFILE", {"profile": "NORMAL"}, officer="supervisor", policy=TIGHT, dd=0.06) == ""
    )
