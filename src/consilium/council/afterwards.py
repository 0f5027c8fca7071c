"""What is in force after a ruling: decisions tell it, so that who follows them alone never loosens."""

from collections.abc import Collection, Iterable

from consilium.council.holds import UNKNOWN_HOLD, is_grant, is_waiver, meet
from consilium.domain import Briefing, Hold, Policy


def restricting(holds: Iterable[Hold]) -> list[Hold]:
    """Return the holds that bound: no grants, and no operator's waiver."""
    return [hold for hold in holds if not is_grant(hold) and not is_waiver(hold)]


def held_by(briefing: Briefing, *owners: str) -> list[Hold]:
    """Return the holds of officers that bound, in the order of their names."""
    held = sorted((name, hold) for name, hold in briefing.holds.items() if hold.owner in owners)
    return restricting(hold for _, hold in held)


def blind(briefing: Briefing) -> bool:
    """Return whether required data are late or unknown: nothing is loosened then."""
    late = briefing.portfolio.late or not briefing.system or not briefing.ess
    return late or UNKNOWN_HOLD in briefing.holds


def remaining(
    briefing: Briefing, placed: Collection[Hold] = (), released: Collection[str] = ()
) -> dict[str, Hold]:
    """Return the holds that stand after a ruling, by id."""
    kept = {name: hold for name, hold in briefing.holds.items() if name not in released}
    return kept | {hold.hold_id: hold for hold in placed}


def policy_after(briefing: Briefing, placed: Collection[Hold] = (), released: Collection[str] = ()) -> Policy:
    """Return the policy that a ruling leaves."""
    return meet(briefing.base, remaining(briefing, placed, released).values(), briefing.performance)
