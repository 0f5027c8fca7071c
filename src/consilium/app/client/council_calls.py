"""What can be asked of the council: one function for each route of /api/federation."""

from collections.abc import Sequence
from urllib.parse import quote

from consilium.app.api.federation import (
    Alerts,
    AllocationRuled,
    Approvals,
    Decisions,
    Explained,
    FederationStatus,
    Holds,
    ModeRuled,
    Noted,
    PolicyShown,
    ProfileRuled,
    RiskRuled,
    RoleSwitched,
    Ruled,
    UniverseRuled,
    Waiting,
)
from consilium.app.client.call import Call, get, part, post

PATH = "/api/federation"


def council_status() -> Call[FederationStatus]:
    """Who sits, how many decisions there were, and what is in force."""
    return get(f"{PATH}/status", FederationStatus)


def decisions(
    limit: int = 10, before: int | None = None, decision_type: str | None = None, role: str | None = None
) -> Call[Decisions]:
    """Return decisions, newest first."""
    return get(f"{PATH}/decisions", Decisions, limit=limit, before=before, type=decision_type, role=role)


def council_policy() -> Call[PolicyShown]:
    """Return the limits in force."""
    return get(f"{PATH}/policy", PolicyShown)


def holds() -> Call[Holds]:
    """Return the restrictions in force."""
    return get(f"{PATH}/holds", Holds)


def approvals() -> Call[Approvals]:
    """Return the loosenings that wait for another person."""
    return get(f"{PATH}/approvals", Approvals)


def alerts() -> Call[Alerts]:
    """What somebody should know."""
    return get(f"{PATH}/alerts", Alerts)


def explain_decision(decision_id: str) -> Call[Explained]:
    """What led to a decision, and what would release what it holds."""
    return get(f"{PATH}/explain/{part(decision_id)}", Explained)


def change_mode(mode: str, reason: str, duration_minutes: int | None = None) -> Call[ModeRuled | Waiting]:
    """Place a mode, or ask for a looser one."""
    body = {"mode": mode, "reason": reason, "duration_minutes": duration_minutes}
    return post(f"{PATH}/mode", ModeRuled | Waiting, body)


def adjust_risk(
    reason: str,
    max_leverage: float | None = None,
    max_position_size_usd: float | None = None,
    max_drawdown_pct: float | None = None,
    max_exposure_pct: float | None = None,
    stop_loss_multiplier: float | None = None,
    duration_minutes: int | None = None,
) -> Call[RiskRuled | Waiting]:
    """Place limits, at least one, or ask for looser ones."""
    body = {
        "max_leverage": max_leverage,
        "max_position_size_usd": max_position_size_usd,
        "max_drawdown_pct": max_drawdown_pct,
        "max_exposure_pct": max_exposure_pct,
        "stop_loss_multiplier": stop_loss_multiplier,
        "reason": reason,
        "duration_minutes": duration_minutes,
    }
    return post(f"{PATH}/risk", RiskRuled | Waiting, body)


def change_profile(
    profile: str, reason: str, duration_minutes: int | None = None
) -> Call[ProfileRuled | Waiting]:
    """Place a capital profile, or ask for a looser one."""
    body = {"profile": profile, "reason": reason, "duration_minutes": duration_minutes}
    return post(f"{PATH}/profile", ProfileRuled | Waiting, body)


def change_universe(
    symbols: Sequence[str], reason: str, duration_minutes: int | None = None
) -> Call[UniverseRuled | Waiting]:
    """Restrict the symbols in which positions may be opened, or ask for more."""
    body = {"symbols": list(symbols), "reason": reason, "duration_minutes": duration_minutes}
    return post(f"{PATH}/universe", UniverseRuled | Waiting, body)


def change_allocation(
    model: str, weight: float, reason: str, duration_minutes: int | None = None
) -> Call[AllocationRuled | Waiting]:
    """Set the share of one model."""
    body = {"model": model, "weight": weight, "reason": reason, "duration_minutes": duration_minutes}
    return post(f"{PATH}/allocation", AllocationRuled | Waiting, body)


def approve(approval_id: str, reason: str) -> Call[Ruled | Waiting]:
    """Complete a loosening that another person has asked for."""
    return post(f"{PATH}/approvals/{part(approval_id)}", Ruled | Waiting, {"reason": reason})


def freeze(reason: str) -> Call[Ruled]:
    """Stop trading at once."""
    return post(f"{PATH}/freeze", Ruled, {"reason": reason})


def review(what: str, reason: str) -> Call[Noted]:
    """Say that a freeze, reduce-only or a rebase was looked at."""
    return post(f"{PATH}/freeze/review", Noted, {"what": what, "reason": reason})


def release_hold(hold_id: str, reason: str) -> Call[Noted | Waiting]:
    """End a hold of the operators."""
    return post(f"{PATH}/holds/{quote(hold_id)}/release", Noted | Waiting, {"reason": reason})


def retire_source(source: str, reason: str) -> Call[Noted]:
    """Count a source no more that is silent."""
    return post(f"{PATH}/sources/{part(source)}/retire", Noted, {"reason": reason})


def acknowledge(alert_id: str) -> Call[Noted]:
    """Say that an alert was seen."""
    return post(f"{PATH}/alerts/{part(alert_id)}/acknowledge", Noted)


def enable_role(role: str) -> Call[RoleSwitched]:
    """Let a role sit."""
    return post(f"{PATH}/roles/{part(role)}/enable", RoleSwitched)


def disable_role(role: str) -> Call[RoleSwitched]:
    """Send a role out; what it holds stays."""
    return post(f"{PATH}/roles/{part(role)}/disable", RoleSwitched)
