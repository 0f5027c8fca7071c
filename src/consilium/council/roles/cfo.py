"""The finance officer: how realised profit above the last high is split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from consilium.council.figures import above, below, percent
from consilium.council.role import Follower, Proposal, Ruling, conclude
from consilium.council.timers import HOUR, Timers
from consilium.domain import Briefing, DecisionKind, Hold, Missing

LOCK_DRAWDOWN = 0.05
LOW_RESERVE = 0.05
HIGH_RESERVE = 0.15
SPLIT_DWELL = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of profit that are locked, traded with, and kept in reserve: they sum to 1."""

    rule: str
    lock: str
    reinvest: str
    reserve: str

    @property
    def shares(self) -> tuple[float, float, float]:
        """As numbers."""
        return float(self.lock), float(self.reinvest), float(self.reserve)


SPLITS = {
    split.rule: split
    for split in (
        Split("B1", "0.6", "0.25", "0.15"),
        Split("B2", "0.2", "0.5", "0.3"),
        Split("B3", "0.25", "0.7", "0.05"),
        Split("B4", "0.3", "0.6", "0.1"),
    )
}
"""In the order in which the first true one counts; as texts, so that they sum to 1 exactly."""


class FinanceOfficer(Follower):
    """Rows B1 to B4."""

    name: ClassVar[str] = "cfo"
    kinds: ClassVar[frozenset[str]] = frozenset({DecisionKind.CASHFLOW.value})

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        """Choose the split of the first row that is true, once a day at most."""
        timers = Timers(memory, briefing.ts_event, briefing.fresh_since)
        rule, reason = _row(briefing)
        if not rule:
            return conclude((), timers)
        split, hold = SPLITS[rule], briefing.holds.get("cfo/B/split")
        if hold is not None:
            same = hold.value == (split.lock, split.reinvest, split.reserve)
            if same or not timers.reached(hold.ts_event + SPLIT_DWELL):
                return conclude((), timers)
        elif split.shares == _shares_of_base(briefing):
            return conclude((), timers)
        return conclude([_cashflow(briefing, split, reason)], timers)


def _row(briefing: Briefing) -> tuple[str, str]:
    """Return the first row that is true and why; none at a bound, nor where drawdown is unknown."""
    of, off = briefing.portfolio, briefing.disabled_rules
    if isinstance(of.drawdown, Missing) or of.drawdown == LOCK_DRAWDOWN:
        return "", ""
    if above(of.drawdown, LOCK_DRAWDOWN) and "B1" not in off:
        return "B1", f"drawdown {percent(of.drawdown)} is above {percent(LOCK_DRAWDOWN)}"
    if of.reserve in (LOW_RESERVE, HIGH_RESERVE):
        return "", ""
    if below(of.reserve, LOW_RESERVE) and "B2" not in off:
        return "B2", f"reserves {percent(of.reserve)} are below {percent(LOW_RESERVE)}"
    if above(of.reserve, HIGH_RESERVE) and "B3" not in off:
        return "B3", f"reserves {percent(of.reserve)} are above {percent(HIGH_RESERVE)}"
    if "B4" in off or isinstance(of.reserve, Missing):
        return "", ""
    return "B4", f"drawdown {percent(of.drawdown)} and reserves {percent(of.reserve)} are ordinary"


def _shares_of_base(briefing: Briefing) -> tuple[float, float, float]:
    base = briefing.base
    return base.profit_lock, base.reinvest, base.reserve_buffer


def _cashflow(briefing: Briefing, split: Split, reason: str) -> Proposal:
    lock, reinvest, reserve = split.shares
    hold = Hold(
        owner="cfo",
        rule="B",
        key="split",
        value=(split.lock, split.reinvest, split.reserve),
        reason=reason,
        ts_event=briefing.ts_event,
    )
    return Proposal(
        rule=split.rule,
        kind=DecisionKind.CASHFLOW.value,
        payload={"profit_lock_pct": lock, "reinvest_pct": reinvest, "reserve_buffer_pct": reserve},
        reason=reason,
        holds=(hold,),
    )
