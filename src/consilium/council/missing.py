"""What is done while required facts are unknown (S1): nobody trades, by a hold of the supervisor's."""

from collections.abc import Iterable

from consilium.council.identity import CODE_HASH, decision_id
from consilium.council.payloads import payload_of
from consilium.council.sitting import Stamp, figures_of
from consilium.council.standing import Standing
from consilium.domain import Briefing, Decision, DecisionKind, Hold, Mode

RULE = "S1"
OWNER = "supervisor"
HOLD_ID = f"{OWNER}/{RULE}/mode"


def paused(reason: str, ts_event: int) -> Hold:
    """Return the hold of one who does not know enough to trade."""
    return Hold(owner=OWNER, rule=RULE, key="mode", value=Mode.PAUSED.value, reason=reason, ts_event=ts_event)


def guard(standing: Standing, briefing: Briefing, unknown: Iterable[str], stamp: Stamp) -> list[Decision]:
    """Pause where anything required is unknown, and end that pause where all is known; tell either."""
    names = list(unknown)
    if bool(names) == (HOLD_ID in standing.holds):
        return []
    if names:
        reason = f"unknown: {', '.join(names)}"
        hold = paused(reason, briefing.ts_event)
        left = payload_of(DecisionKind.MODE_CHANGE.value, standing.supposing([hold]))
        decision = _decision(briefing, left, reason, stamp)
        standing.place(hold, decision.decision_id)
    else:
        standing.release(HOLD_ID)
        left = payload_of(DecisionKind.MODE_CHANGE.value, standing.policy)
        decision = _decision(briefing, left, "all that is required is known again", stamp)
    standing.publish(decision, figures_of(briefing))
    return [decision]


def _decision(briefing: Briefing, payload: dict[str, object], reason: str, stamp: Stamp) -> Decision:
    kind = DecisionKind.MODE_CHANGE.value
    return Decision(
        decision_id=decision_id(briefing.snapshot_id, OWNER, kind, RULE, payload, briefing.ts_event),
        ts_event=briefing.ts_event,
        officer=OWNER,
        kind=kind,
        payload=payload,
        reason=reason,
        snapshot_id=briefing.snapshot_id,
        rule=RULE,
        cause_id=stamp.cause_id,
        code_hash=CODE_HASH,
        config_hash=stamp.config_hash,
    )
