"""Freezes: how severe each is, what its decision says, and how long it lasts at the least."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from consilium.council.timers import DAY, MINUTE
from consilium.domain import Hold

MANUAL_FREEZE = "F0"
"""Row of a freeze that an operator demands; it ends as the others do."""
MANUAL_HOLD = f"supervisor/{MANUAL_FREEZE}/mode"
"""Its hold."""
SEVERITIES: Mapping[str, str] = MappingProxyType(
    {
        MANUAL_FREEZE: "HIGH",
        "F1": "CRITICAL",
        "F2": "HIGH",
        "F3": "MEDIUM",
        "F4": "CRITICAL",
        "F5": "CRITICAL",
        "F6": "HIGH",
    }
)
"""By row."""
FREEZE_DWELL = 120 * MINUTE
SUBSYSTEMS = ("trading", "execution")
REVIEWERS: Mapping[str, int] = MappingProxyType({"CRITICAL": 2, "HIGH": 2, "MEDIUM": 1})
"""Persons by severity."""


def ends_at_the_earliest(hold: Hold) -> int:
    """Return when the dwell of a freeze is over: 120 minutes, for F2 also the UTC day.

    Examples
    --------
    >>> loss = Hold(owner="supervisor", rule="F2", key="mode", value="FROZEN", reason="loss", ts_event=0)
    >>> ends_at_the_earliest(loss) == DAY
    True
    """
    after = hold.ts_event + FREEZE_DWELL
    if hold.rule != "F2":
        return after
    return max(after, hold.ts_event - hold.ts_event % DAY + DAY)


def severity_of(hold: Hold) -> str:
    """Return how severe a freeze is; one of an unknown row as if an operator had demanded it."""
    return SEVERITIES.get(hold.rule, SEVERITIES[MANUAL_FREEZE])


def freeze_body(hold: Hold) -> dict[str, Any]:
    """Return the payload of the decision that places a hold which freezes."""
    return {
        "duration_minutes": -(-(ends_at_the_earliest(hold) - hold.ts_event) // MINUTE),
        "affected_subsystems": list(SUBSYSTEMS),
        "severity": severity_of(hold),
        "requires_manual_review": True,
        "reason": hold.reason,
    }


def reviewers_needed(frozen: Iterable[Hold]) -> int:
    """Return how many persons must have reviewed: as the severest freeze in force demands."""
    return max(REVIEWERS[severity_of(hold)] for hold in frozen)
