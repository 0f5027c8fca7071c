"""The chief executive: the trading mode and the capital profile."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from consilium.council.afterwards import blind, policy_after, remaining, restricting
from consilium.council.ladder import take_steps
from consilium.council.levels import ESS_LEVELS, SYSTEM_STATES
from consilium.council.payloads import payload_of
from consilium.council.role import Follower, Proposal, Ruling, conclude
from consilium.council.timers import MINUTE, Timers
from consilium.domain import Briefing, DecisionKind, Hold

GONE_FOR = 15 * MINUTE
PAUSED_FOR = 30 * MINUTE


@dataclass(frozen=True, slots=True)
class ModeRow:
    """A row of the table that bounds the mode."""

    rule: str
    mode: str
    systems: tuple[str, ...]
    levels: tuple[str, ...]
    dwell: int
    lasts: int | None = None

    def reason(self, briefing: Briefing) -> str:
        """Return why it is true, empty where it is not."""
        told = []
        if briefing.ess in self.levels:
            told.append(f"the emergency stop is at {briefing.ess}")
        if briefing.system in self.systems:
            told.append(f"the system is {briefing.system}")
        return "" if self.rule in briefing.disabled_rules else " and ".join(told)


MODE_ROWS = (
    ModeRow("M1", "EMERGENCY", ("EMERGENCY",), ("CRITICAL",), 30 * MINUTE),
    ModeRow("M2", "PAUSED", ("CRITICAL",), ("WARNING",), 30 * MINUTE, PAUSED_FOR),
    ModeRow("M3", "SHADOW", ("DEGRADED",), (), 15 * MINUTE),
)
"""From the tightest to the loosest."""


class ChiefExecutive(Follower):
    """Rows M1 to M4 and P1 to P4."""

    name: ClassVar[str] = "ceo"
    kinds: ClassVar[frozenset[str]] = frozenset(
        {DecisionKind.MODE_CHANGE.value, DecisionKind.CAPITAL_PROFILE.value}
    )

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        """Bound the mode and the profile, and let them go where rows allow it."""
        timers = Timers(memory, briefing.ts_event, briefing.fresh_since)
        return conclude([*_modes(briefing, timers), *_profiles(briefing, timers)], timers)


def _modes(briefing: Briefing, timers: Timers) -> Iterator[Proposal]:
    """Yield at most one change of mode: what sets on, what ends, or LIVE again (M4)."""
    placed: list[Hold] = []
    ended: list[str] = []
    told: list[tuple[str, str]] = []
    for row in MODE_ROWS:
        hold = briefing.holds.get(f"ceo/{row.rule}/mode")
        why = row.reason(briefing)
        gone = timers.held(f"{row.rule} gone", _gone(briefing, why), GONE_FOR)
        if _to_place(row, hold, timers, why, gone):
            reason = why or f"the cause of {row.rule} is gone for less than 15 min"
            placed.append(_mode_hold(row, briefing.ts_event, reason))
            told.append((row.rule, reason))
            if hold is None and timers.recall(f"{row.rule} at") is None:
                timers.keep(f"{row.rule} at", briefing.ts_event)
        elif hold is not None and gone and not blind(briefing):
            first = timers.recall(f"{row.rule} at", hold.ts_event)
            if timers.reached(first + row.dwell):
                ended.append(hold.hold_id)
                timers.keep(f"{row.rule} at", None)
        elif hold is None:
            timers.keep(f"{row.rule} at", None)
    yield from _mode_change(briefing, timers, placed, ended, told)


def _gone(briefing: Briefing, why: str) -> bool:
    """Return whether a cause is known to be gone."""
    return not why and briefing.system in SYSTEM_STATES and briefing.ess in ESS_LEVELS


def _to_place(row: ModeRow, hold: Hold | None, timers: Timers, why: str, gone: bool) -> bool:
    """Return whether a row's hold is to be placed: at its onset, and again where it expired too soon."""
    if hold is not None:
        return False
    return bool(why) or (timers.recall(f"{row.rule} at") is not None and not gone)


def _mode_hold(row: ModeRow, now: int, reason: str) -> Hold:
    ends = None if row.lasts is None else now + row.lasts
    return Hold(
        owner="ceo",
        rule=row.rule,
        key="mode",
        value=row.mode,
        reason=reason,
        ts_event=now,
        expires_at=ends,
    )


def _mode_change(
    briefing: Briefing,
    timers: Timers,
    placed: list[Hold],
    ended: list[str],
    told: list[tuple[str, str]],
) -> Iterator[Proposal]:
    after = remaining(briefing, placed, ended).values()
    bound = any(hold.key == "mode" for hold in restricting(after))
    live = not bound and _may_live(briefing)
    barred = timers.recall("barred", False)
    if bound != barred and (bound or live):
        timers.keep("barred", bound or None)
    if placed:
        rule, reason = told[0]
    elif live and (barred or ended):
        rule = "M4"
        reason = f"the system is HEALTHY, the emergency stop at {briefing.ess}, and nothing holds the mode"
    elif ended:
        rule = ended[0].split("/")[1]
        stays = policy_after(briefing, placed, ended).mode
        reason = f"the cause of {rule} is gone for 15 min, the mode stays {stays}"
    else:
        return
    lasts = placed[0].expires_at if placed else None
    minutes = None if lasts is None else (lasts - briefing.ts_event) // MINUTE
    yield Proposal(
        rule=rule,
        kind=DecisionKind.MODE_CHANGE.value,
        payload=payload_of(DecisionKind.MODE_CHANGE, policy_after(briefing, placed, ended))
        | {"duration_minutes": minutes},
        reason=reason,
        holds=tuple(placed),
        releases=tuple(ended),
        expires_at=lasts,
    )


def _may_live(briefing: Briefing) -> bool:
    """Return whether M4's figures are met."""
    well = briefing.system == "HEALTHY" and briefing.ess in ("NOMINAL", "CAUTION")
    return well and not blind(briefing) and "M4" not in briefing.disabled_rules


def _profiles(briefing: Briefing, timers: Timers) -> Iterator[Proposal]:
    """Yield at most one change of profile."""
    steps = take_steps(briefing, timers)
    if not steps.done:
        return
    placed = tuple(steps.placed.values())
    yield Proposal(
        rule=steps.done[-1][0],
        kind=DecisionKind.CAPITAL_PROFILE.value,
        payload=payload_of(DecisionKind.CAPITAL_PROFILE, policy_after(briefing, placed, steps.released)),
        reason="; ".join(dict.fromkeys(reason for _, reason in steps.done)),
        holds=placed,
        releases=tuple(steps.released),
    )
