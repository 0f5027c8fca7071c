"""Holds that end by time: each end is told by a decision of its owner."""

from collections.abc import Iterable

from consilium.council.payloads import kind_of, payload_of
from consilium.council.role import Proposal
from consilium.council.sitting import Stamp, decide, figures_of
from consilium.council.standing import Standing
from consilium.domain import Briefing, Decision, Hold


def tell_expired(
    standing: Standing, briefing: Briefing, over: Iterable[Hold], symbols: Iterable[str], stamp: Stamp
) -> list[Decision]:
    """Tell what is in force after holds ended by time; those that were placed anew are not told."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for hold in over:
        if hold.hold_id not in standing.holds:
            groups.setdefault((hold.owner, hold.rule, kind_of(hold.key)), []).append(hold.hold_id)
    known = list(symbols)
    told = []
    for (owner, rule, kind), ids in groups.items():
        payload = payload_of(kind, standing.policy, known) | {"expired": True, "hold_ids": ids}
        reason = f"the time of {', '.join(ids)} is over"
        proposal = Proposal(rule=rule, kind=kind, payload=payload, reason=reason)
        decision = decide(briefing, owner, proposal, stamp)
        standing.publish(decision, figures_of(briefing))
        standing.said.pop(f"{owner}/{kind}/{rule}", None)
        told.append(decision)
    return told
