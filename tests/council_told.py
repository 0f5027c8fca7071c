"""One law of a council: what its decisions tell is in force."""

from collections.abc import Sequence

import council_meet as force
from consilium.domain import Decision, Policy


def law(name: str, holds: object, *why: object) -> None:
    if not holds:
        raise AssertionError(f"{name}: {'; '.join(map(str, why))}")


def told_is_in_force(outputs: Sequence[object], policy: Policy) -> None:
    """Who follows decisions alone, as the seed's consumers do, never allows more than the council."""
    overruled = {one.overrides for one in outputs if isinstance(one, Decision) and one.overrides}
    told = [one for one in outputs if isinstance(one, Decision) and one.decision_id not in overruled]
    modes = [str(one.payload["mode"]) for one in told if one.kind == "MODE_CHANGE"]
    if [one.kind for one in told if one.kind in ("MODE_CHANGE", "FREEZE")][-1:] == ["FREEZE"]:
        modes = ["EMERGENCY"]
    wire = force.TIGHTNESS.index("PAUSED" if policy.mode == "REDUCING" else policy.mode)
    if policy.mode == "FROZEN":
        wire = force.TIGHTNESS.index("EMERGENCY")
    if modes:
        law("I3 the mode that is told is in force", force.TIGHTNESS.index(modes[-1]) >= wire, modes)
    profiles = [str(one.payload["profile"]) for one in told if one.kind == "CAPITAL_PROFILE"]
    if profiles:
        order = force.PROFILE_ORDER.index
        law("the profile that is told is in force", order(profiles[-1]) <= order(policy.profile), profiles)
    for kind, name, key in (
        ("RISK_ADJUSTMENT", "max_leverage", "max_leverage"),
        ("RISK_ADJUSTMENT", "max_exposure_pct", "max_exposure"),
        ("ESS_POLICY", "critical_threshold_pct", "ess_critical"),
    ):
        said = [one.payload[name] for one in told if one.kind == kind and name in one.payload]
        law(f"the {name} that is told is in force", not said or said[-1] <= getattr(policy, key), said)
