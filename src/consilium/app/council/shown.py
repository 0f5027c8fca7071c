"""How a council stands, as plain JSON: what is in force, who holds what, who waits, who is silent."""

from dataclasses import asdict
from typing import Any

from consilium.council.freezing import ends_at_the_earliest
from consilium.council.service import CouncilService
from consilium.council.table import RULES, released_by
from consilium.domain import Hold
from consilium.domain.governance import PRIORITIES


def shown(service: CouncilService, now: int) -> dict[str, Any]:
    """Return all that is shown of a council.

    Parameters
    ----------
    now
        The council's time.
    """
    holds = [hold_body(hold) for _, hold in sorted(service.holds.items())]
    frozen = [hold for hold in service.holds.values() if hold.key == "mode" and hold.value == "FROZEN"]
    return {
        **service.status(),
        "enabled": True,
        "now": now,
        "policy": asdict(service.policy),
        "holds": holds,
        "approvals": [approval.state() for _, approval in sorted(service.approvals.items())],
        "sources": [
            {"source": name, "ts_event": ts, "silent": service.is_silent(name, now)}
            for name, ts in service.sources.items()
        ],
        "frozen_at": min((hold.ts_event for hold in frozen), default=0),
        "release_at": max((ends_at_the_earliest(hold) for hold in frozen), default=0),
    }


def hold_body(hold: Hold) -> dict[str, Any]:
    """Return a hold with its name, the rank of who holds it, and what ends it."""
    row = RULES.get(hold.rule.partition(":")[0])
    return {
        "hold_id": hold.hold_id,
        **asdict(hold),
        "priority": PRIORITIES[hold.owner],
        "released_by": "its officer" if row is None else released_by(row),
    }
