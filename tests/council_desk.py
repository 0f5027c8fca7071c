"""One officer at a desk: its memory and its holds go from one briefing to the next, nothing else does."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from consilium.council.role import Proposal
from consilium.council.roles import make_role
from consilium.domain import AccountFigures, Briefing, Decision, Hold

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MIDDAY = 1_700_006_400 * SECOND - (1_700_006_400 * SECOND) % DAY + 12 * HOUR

CALM: Mapping[str, Any] = {
    "equity": 10_000.0,
    "nav": 1.0,
    "drawdown": 0.025,
    "max_drawdown": 0.03,
    "drawdown_rebased": 0.025,
    "max_drawdown_rebased": 0.03,
    "drawdown_rise": 0.0,
    "daily_loss": 0.0,
    "ess_loss": 0.0,
    "loss_15m": 0.0,
    "exposure": 0.2,
    "leverage": 0.5,
    "margin_ratio": 0.1,
    "positions": 1.0,
    "unprotected": 0.0,
    "win_rate": 0.55,
    "sharpe": 1.2,
    "consecutive_losses": 1.0,
    "winning_days": 2.0,
    "losing_days": 0.0,
    "reserve": 0.10,
    "profit": 0.0,
    "age_s": 1.0,
    "late": False,
    "lost": False,
}
"""Figures on which no row fires."""


def spelled(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts with ``dd`` and ``max_dd`` as both figures that they stand for."""
    found = dict(facts)
    for short, name in (("dd", "drawdown"), ("max_dd", "max_drawdown")):
        if short in found:
            found = dict.fromkeys((name, f"{name}_rebased"), found.pop(short)) | found
    return found


def briefing(**facts: Any) -> Briefing:
    """Return a calm briefing with other facts; names of `AccountFigures` go there."""
    changes = spelled(facts)
    figures = {name: changes.pop(name) for name in list(changes) if name in CALM}
    known: dict[str, Any] = {
        "snapshot_id": "s",
        "ts_event": MIDDAY,
        "portfolio": AccountFigures(**{**CALM, **figures}),
        "system": "HEALTHY",
        "ess": "NOMINAL",
    }
    return Briefing(**{**known, **changes})


def hold(owner: str, rule: str, key: str, value: Any, ts_event: int = MIDDAY) -> Hold:
    """Return a hold."""
    return Hold(owner=owner, rule=rule, key=key, value=value, reason="given", ts_event=ts_event)


class Desk:
    """An officer, what it remembers, and the holds in force.

    Parameters
    ----------
    facts
        Of every briefing until they are changed; see `briefing`.
    """

    def __init__(self, officer: str, **facts: Any) -> None:
        self.role = make_role(officer)
        self.facts = spelled(facts)
        self.memory: Mapping[str, Any] = {}
        self.holds: dict[str, Hold] = {}
        self.now = MIDDAY

    def put(self, *holds: Hold) -> "Desk":
        """Place others' holds, or one that was given before."""
        self.holds |= {each.hold_id: each for each in holds}
        return self

    def see(self, after: int = 0, **facts: Any) -> tuple[Proposal, ...]:
        """Brief the officer after a time; return what it proposes, carried out."""
        self.now += after
        self.facts |= spelled(facts)
        self.holds = {
            name: each
            for name, each in self.holds.items()
            if each.expires_at is None or each.expires_at > self.now
        }
        ruling = self.role.evaluate(self.briefing(), self.memory)
        self.memory = ruling.memory
        for proposal in ruling.proposals:
            for name in proposal.releases:
                del self.holds[name]
            self.put(*proposal.holds)
        return ruling.proposals

    def briefing(self) -> Briefing:
        """Return what the officer sees now."""
        return briefing(**{**self.facts, "ts_event": self.now, "holds": dict(self.holds)})

    def value(self, name: str) -> Any:
        """Return what a hold says, None where there is none."""
        found = self.holds.get(name)
        return None if found is None else found.value

    def rules(self, after: int = 0, **facts: Any) -> list[str]:
        """Brief the officer; return the rows that moved."""
        return [proposal.rule for proposal in self.see(after, **facts)]


def decision(officer: str, kind: str, payload: Mapping[str, object], rule: str = "X") -> Decision:
    """Return a decision of an officer."""
    return Decision(
        decision_id=f"{officer}-{kind}",
        ts_event=MIDDAY,
        officer=officer,
        kind=kind,
        payload=payload,
        reason="given",
        rule=rule,
    )


def off(rule: str) -> Mapping[str, Any]:
    """Return the facts of a desk on which a row never fires."""
    return {"disabled_rules": frozenset({rule})}


def later(given: Briefing, by: int) -> Briefing:
    """Return the same facts at a later time."""
    return replace(given, ts_event=given.ts_event + by)
