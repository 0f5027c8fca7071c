"""Holds that end by time: each end is told by a decision of its owner."""

from collections.abc import Iterable

from consilium.council.identity import CODE_HASH, decision_id
from consilium.council.payloads import kind_of, payload_of
from consilium.council.sitting import Stamp, figures_of
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
        decision = Decision(
            decision_id=decision_id(briefing.snapshot_id, owner, kind, rule, payload, briefing.ts_event),
            ts_event=briefing.ts_event,
            officer=owner,
            kind=kind,
            payload=payload,
            reason=f"the time of {', '.join(ids)} is over",
            snapshot_id=briefing.snapshot_id,
            rule=rule,
            cause_id=stamp.cause_id,
            code_hash=CODE_HASH,
            config_hash=stamp.config_hash,
        )
        standing.publish(decision, figures_of(briefing))
        standing.said.pop(f"{owner}/{kind}/{rule}", None)
        told.append(decision)
    return told
