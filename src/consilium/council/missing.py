"""What is done while required facts are unknown (S1): nobody trades, by a hold of the supervisor's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from consilium.council.holds import UNKNOWN_HOLD
from consilium.council.payloads import kind_of, payload_of
from consilium.council.role import Proposal
from consilium.council.sitting import Stamp, decide, figures_of
from consilium.council.standing import Standing
from consilium.domain import Briefing, Decision, Hold, Mode

RULE = "S1"
OWNER = "supervisor"
_ALL_KNOWN = "all that is required is known again"


def paused(reason: str, ts_event: int) -> Hold:
    """Return the hold of one who does not know enough to trade."""
    return Hold(owner=OWNER, rule=RULE, key="mode", value=Mode.PAUSED.value, reason=reason, ts_event=ts_event)


def guard(standing: Standing, unknown: Sequence[str], now: int) -> str:
    """Pause where anything required is unknown, end that pause where all is known.

    Returns
    -------
    str
        Why either was done; empty where nothing was.
    """
    hold = standing.holds.get(UNKNOWN_HOLD)
    if unknown and (hold is None or not hold.decision_id):
        reason = f"unknown: {', '.join(unknown)}"
        standing.release(UNKNOWN_HOLD)
        standing.place(paused(reason, now), "")
        return reason
    if not unknown and hold is not None:
        standing.release(UNKNOWN_HOLD)
        return _ALL_KNOWN
    return ""


def tell(standing: Standing, briefing: Briefing, reason: str, stamp: Stamp) -> Decision:
    """Tell that the pause begins or ends, and which mode is in force after all else was decided."""
    hold = standing.holds.get(UNKNOWN_HOLD)
    decision = _told(briefing, OWNER, RULE, payload_of(kind_of("mode"), standing.policy), reason, stamp)
    if hold is not None:
        standing.holds[UNKNOWN_HOLD] = replace(hold, decision_id=decision.decision_id)
    standing.publish(decision, figures_of(briefing))
    return decision


def begin(standing: Standing, briefing: Briefing, stamp: Stamp) -> list[Decision]:
    """Tell with which holds a fresh council begins, the pause apart."""
    told = []
    for hold in [standing.holds[name] for name in sorted(standing.holds) if name != UNKNOWN_HOLD]:
        payload = payload_of(kind_of(hold.key), standing.policy)
        decision = _told(briefing, hold.owner, hold.rule, payload, hold.reason, stamp)
        standing.holds[hold.hold_id] = replace(
            hold, ts_event=briefing.ts_event, decision_id=decision.decision_id
        )
        standing.publish(decision, figures_of(briefing))
        told.append(decision)
    return told


def _told(
    briefing: Briefing, owner: str, rule: str, payload: Mapping[str, object], reason: str, stamp: Stamp
) -> Decision:
    kind = kind_of("mode") if rule == RULE else kind_of("profile")
    return decide(briefing, owner, Proposal(rule=rule, kind=kind, payload=payload, reason=reason), stamp)
