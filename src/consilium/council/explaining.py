"""Why a decision was made, what it holds, and what would release it."""

from typing import Any

from consilium.council.freezing import ends_at_the_earliest
from consilium.council.holds import is_freeze
from consilium.council.standing import Standing
from consilium.council.table import RULES, released_by
from consilium.domain import Hold, UnknownName


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
    row = RULES.get(decision["rule"].partition(":")[0])
    words, dwell = ("its officer", 0) if row is None else (released_by(row), row.dwell)
    earliest = [hold.expires_at or _ends(hold, dwell) for hold in held]
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


def _ends(hold: Hold, dwell: int) -> int:
    """Return when a hold that has no end of its own may be released at the earliest."""
    return ends_at_the_earliest(hold) if is_freeze(hold) else hold.ts_event + dwell
