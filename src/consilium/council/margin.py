"""L1: what is near liquidation when trading freezes critically is closed, not held."""

from consilium.council.afterwards import policy_after
from consilium.council.figures import above, percent
from consilium.council.payloads import payload_of
from consilium.council.role import Proposal
from consilium.domain import Briefing, DecisionKind, Hold, Mode

RULE = "L1"
CLOSE_MARGIN = 0.50
"""Margin ratio above which positions are closed: 1 is liquidation."""
HOLD_ID = f"supervisor/{RULE}/mode"


def must_close(briefing: Briefing) -> bool:
    """Return whether the margin ratio is above its bound, and nothing is closed for that yet."""
    ratio = briefing.portfolio.margin_ratio
    free = RULE not in briefing.disabled_rules and HOLD_ID not in briefing.holds
    return free and above(ratio, CLOSE_MARGIN)


def closing(briefing: Briefing) -> Hold:
    """Return the hold that closes all positions; it ends with the freeze."""
    ratio = percent(briefing.portfolio.margin_ratio)
    return Hold(
        owner="supervisor",
        rule=RULE,
        key="mode",
        value=Mode.EMERGENCY.value,
        reason=f"margin ratio {ratio} is above {percent(CLOSE_MARGIN)} in a critical freeze",
        ts_event=briefing.ts_event,
    )


def close_all(briefing: Briefing) -> Proposal:
    """Return the decision of a freeze that was in force before the margin ratio rose."""
    hold, kind = closing(briefing), DecisionKind.MODE_CHANGE.value
    payload = payload_of(kind, policy_after(briefing, (hold,)))
    return Proposal(rule=RULE, kind=kind, payload=payload, reason=hold.reason, holds=(hold,))
