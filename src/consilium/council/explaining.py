"""Why a decision was made, what it holds, and what would release it."""

from collections.abc import Mapping
from typing import Any

from consilium.council.standing import Standing
from consilium.domain import UnknownName
from consilium.domain.time import HOUR_NS, MINUTE_NS

_REVIEWED = (
    "no reason to freeze, flat or all positions protected, no loss over .1 % in 15 min, drawdown below 5 % "
    "or the peak rebased, equity above 1.5 floors, ESS NOMINAL, HEALTHY and fresh, all for 15 min, reviewed"
)
RELEASES: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(("F0", "F1", "F2", "F3", "F4", "F5", "F6"), (_REVIEWED, 120 * MINUTE_NS)),
    "S1": ("every required fact is known and fresh", 0),
    "U1": ("its time", 0),
    "M1": ("the cause gone for 15 min", 30 * MINUTE_NS),
    "M2": ("the cause gone for 15 min", 30 * MINUTE_NS),
    "M3": ("the cause gone for 15 min", 15 * MINUTE_NS),
    "P0": ("14 days without a reason to step down and drawdown below 3 %, or P3", 72 * HOUR_NS),
    "P1": ("its trigger false and drawdown below 5 % for 24 h: then LOW", 24 * HOUR_NS),
    "P2": ("its triggers false", 24 * HOUR_NS),
    "P3": ("any reason to step down", 0),
    "P4": ("any reason to step down", 0),
    "R1": ("24 h without a new onset: a quarter of the base a day", 60 * MINUTE_NS),
    "R2": ("drawdown below 6 % for 60 min, or flat for 24 h and one review", 60 * MINUTE_NS),
    "R3": ("a new onset of R1", 0),
    "E1": ("drawdown below 2 % for 24 h and the 30-day maximum at most 8 %", 24 * HOUR_NS),
    "C1": ("the next allocation", HOUR_NS),
    "C2": ("drawdown below 4 % and win rate at least 45 % for 24 h", 24 * HOUR_NS),
    "C3": ("C2, or its own trigger false for 24 h", 24 * HOUR_NS),
    "O1": ("its time, or operators: two persons", 0),
}
"""By rule: what releases it, and how long it stays at least."""


def explain(standing: Standing, decision_id: str) -> dict[str, Any]:
    """Tell of one of the newest decisions its trigger, figures, holds and what releases them.

    Raises
    ------
    UnknownName
        No such decision among the newest.
    """
    records = {record["decision"]["decision_id"]: record for record in standing.recent}
    if decision_id not in records:
        raise UnknownName("decision", decision_id, records)
    record = records[decision_id]
    decision = record["decision"]
    held = [hold for hold in standing.holds.values() if hold.decision_id == decision_id]
    words, dwell = RELEASES.get(decision["rule"].partition(":")[0], ("its officer", 0))
    earliest = [hold.expires_at or hold.ts_event + dwell for hold in held]
    return {
        "decision_id": decision_id,
        "officer": decision["officer"],
        "kind": decision["kind"],
        "rule": decision["rule"],
        "trigger": decision["reason"],
        "cause_id": decision["cause_id"],
        "payload": decision["payload"],
        "ts_event": decision["ts_event"],
        "figures": record["figures"],
        "holds": [
            {"hold_id": hold.hold_id, "value": hold.value, "expires_at": hold.expires_at} for hold in held
        ],
        "in_force": bool(held),
        "released_by": words if held else "",
        "earliest": min(earliest, default=None),
    }
