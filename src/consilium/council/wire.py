"""A decision as the outside reads it, and back."""

from collections.abc import Mapping
from typing import Any

from consilium.domain import Decision
from consilium.domain.digest import plain
from consilium.domain.time import from_iso, to_iso


def decision_body(decision: Decision) -> dict[str, Any]:
    """Return a decision by the names of the outside.

    Examples
    --------
    >>> body = decision_body(Decision(decision_id="d", ts_event=0, officer="ceo", kind="MODE_CHANGE",
    ...                               payload={"mode": "LIVE"}, reason="calm"))
    >>> body["role_source"], body["priority"], body["timestamp"], decision_of(body).kind
    ('ceo', 3, '1970-01-01T00:00:00Z', 'MODE_CHANGE')
    """
    return {
        "decision_id": decision.decision_id,
        "decision_type": decision.kind,
        "role_source": decision.officer,
        "priority": decision.priority,
        "timestamp": to_iso(decision.ts_event),
        "reason": decision.reason,
        "payload": plain(decision.payload),
        "snapshot_id": decision.snapshot_id,
        "rule": decision.rule,
        "cause_id": decision.cause_id,
        "expires_at": decision.expires_at,
        "overrides": decision.overrides,
        "code_hash": decision.code_hash,
        "config_hash": decision.config_hash,
        "ts_event": decision.ts_event,
    }


def decision_of(body: Mapping[str, Any]) -> Decision:
    """Return the decision that a body tells; what it does not tell is empty."""
    ts_event = body.get("ts_event")
    return Decision(
        decision_id=body["decision_id"],
        ts_event=from_iso(body["timestamp"]) if ts_event is None else int(ts_event),
        officer=body["role_source"],
        kind=body["decision_type"],
        payload=dict(body["payload"]),
        reason=body["reason"],
        expires_at=body.get("expires_at"),
        overrides=body.get("overrides") or "",
        snapshot_id=body.get("snapshot_id") or "",
        rule=body.get("rule") or "",
        cause_id=body.get("cause_id") or "",
        code_hash=body.get("code_hash") or "",
        config_hash=body.get("config_hash") or "",
    )
