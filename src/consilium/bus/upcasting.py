"""Payloads of older versions, lifted to the next."""

from typing import Any

from consilium.domain import PRIORITIES, to_iso


def decision_of_1(old: dict[str, Any]) -> dict[str, Any]:
    """Give a decision the words that outside systems read.

    Examples
    --------
    >>> old = {"decision_id": "d", "ts_event": 0, "officer": "cro", "kind": "FREEZE", "payload": {}}
    >>> decision_of_1(old)["role_source"], decision_of_1(old)["timestamp"]
    ('cro', '1970-01-01T00:00:00Z')
    """
    kept = dict(old)
    officer, kind = str(kept.pop("officer")), kept.pop("kind")
    return kept | {
        "decision_type": kind,
        "role_source": officer,
        "priority": PRIORITIES.get(officer, max(PRIORITIES.values())),
        "timestamp": to_iso(int(kept["ts_event"])),
    }
