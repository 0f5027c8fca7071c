"""/api/federation: what operators ask of the council."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from consilium.app.api import federation as bodies
from consilium.app.api.access import caller_of, council_of, needs, router, system_of, trace_of
from consilium.app.api.cached import JsonBytes, as_json
from consilium.app.api.port import Governed
from consilium.app.api.problems import ApiProblem
from consilium.council.approvals import PermissionRefused
from consilium.council.identity import command_id_of
from consilium.council.roles import ROLES
from consilium.domain import CouncilCommanded, InvalidValue, UnknownName, UsageError

routes = router("/api/federation", "federation")

NOTED = "not in force yet: its note is on the disk, and acts at the next look of whoever trades"
"""What a halt answers that comes while the journal is replayed, or goes to another process."""

Endpoint = TypeVar("Endpoint", bound=Callable[..., Coroutine[Any, Any, Response]])


def _ruling(path: str, told: type[bodies.Ruled]) -> Callable[[Endpoint], Endpoint]:
    """Route what rules at once, or waits for another person."""
    waiting: dict[int | str, dict[str, Any]] = {202: {"model": bodies.Waiting}}
    return routes.post(path, response_model=told, responses=waiting, **needs("override"))


@_ruling("/mode", bodies.ModeRuled)
async def change_mode(request: Request, body: bodies.ChangeMode) -> Response:
    """Place a mode, or ask for a looser one; never LIVE while another holds against it."""
    return await _ruled(request, "mode", body, mode=body.mode)


@_ruling("/risk", bodies.RiskRuled)
async def adjust_risk(request: Request, body: bodies.AdjustRisk) -> Response:
    """Place limits, or ask for looser ones."""
    return await _ruled(request, "risk", body, limits=body.limits())


@_ruling("/profile", bodies.ProfileRuled)
async def change_profile(request: Request, body: bodies.ChangeProfile) -> Response:
    """Place a capital profile, or ask for a looser one."""
    return await _ruled(request, "profile", body, profile=body.profile)


@_ruling("/universe", bodies.UniverseRuled)
async def change_universe(request: Request, body: bodies.ChangeUniverse) -> Response:
    """Restrict the symbols in which positions may be opened, or ask for more."""
    return await _ruled(request, "universe", body, symbols=body.symbols)


@_ruling("/allocation", bodies.AllocationRuled)
async def change_allocation(request: Request, body: bodies.ChangeAllocation) -> Response:
    """Set the share of one model for a day at most; it is never a loosening."""
    return await _ruled(request, "allocation", body, model=body.model, weight=body.weight)


@_ruling("/approvals/{approval_id}", bodies.Ruled)
async def approve(request: Request, approval_id: str, body: bodies.GiveReason) -> Response:
    """Complete a loosening that another person has asked for."""
    found = await governed(request, "approve", {"approval_id": approval_id[:100]}, body.reason)
    return _answer(found, approval_id=approval_id)


@routes.post("/freeze", response_model=bodies.Ruled, **needs("override"))
async def freeze(request: Request, body: bodies.GiveReason) -> Response:
    """Stop trading at once; it ends only by review, as every freeze does."""
    caller = caller_of(request)
    council = council_of(request)
    named = await run_in_threadpool(council.kill, body.reason, caller.person, key_id=caller.key_id)
    now = await run_in_threadpool(council.council_status)
    detail = "FROZEN" if now.get("mode") == "FROZEN" else NOTED
    said = {"success": True, "decision_id": command_id_of("decision", named)}
    return JsonBytes(as_json({**said, "mode": "EMERGENCY", "detail": detail}))


@routes.post("/freeze/review", response_model=bodies.Noted, **needs("override"))
async def review(request: Request, body: bodies.ReviewFreeze) -> Response:
    """Say that a freeze (or reduce-only, or a rebase of the peak) was looked at; it ends when all is met."""
    found = await governed(request, "review", {"what": body.what, "note": body.reason}, body.reason)
    return _noted(found, what=body.what)


@routes.post(
    "/holds/{hold_id:path}/release",
    response_model=bodies.Noted,
    responses={202: {"model": bodies.Waiting}},
    **needs("override"),
)
async def release(request: Request, hold_id: str, body: bodies.GiveReason) -> Response:
    """End a hold of the operators; what that loosens takes two persons."""
    found = await governed(request, "release", {"hold_id": hold_id[:200]}, body.reason)
    if found.approval is not None:
        return _waiting(found)
    return _noted(found, hold_id=hold_id)


@routes.post("/sources/{source}/retire", response_model=bodies.Noted, **needs("override"))
async def retire(request: Request, source: str, body: bodies.GiveReason) -> Response:
    """Count a source no more that has been silent for 300 s."""
    found = await governed(request, "retire", {"source": source[:100]}, body.reason)
    return _noted(found, source=source)


@routes.post("/alerts/{alert_id}/acknowledge", response_model=bodies.Noted, **needs("override"))
async def acknowledge(request: Request, alert_id: str) -> Response:
    """Say that an alert was seen: nobody is reminded of it any more."""
    watch = request.app.state.watch
    known = {standing.alert.alert_id for standing in watch.alerts()}
    if alert_id not in known:
        raise UnknownName("alert", alert_id[:100], known)
    found = await governed(request, "acknowledge", {"alert_id": alert_id}, "acknowledged")
    return _noted(found, alert_id=alert_id)


@routes.post("/roles/{role}/enable", response_model=bodies.RoleSwitched, **needs("admin"))
async def enable(request: Request, role: str) -> Response:
    """Let a role sit."""
    return await _switch(request, role, enabled=True)


@routes.post("/roles/{role}/disable", response_model=bodies.RoleSwitched, **needs("admin"))
async def disable(request: Request, role: str) -> Response:
    """Send a role out; what it holds stays. Supervisor and chief risk officer always sit."""
    return await _switch(request, role, enabled=False)


async def _switch(request: Request, role: str, *, enabled: bool) -> Response:
    if role not in ROLES:
        raise UnknownName("role", role[:100], ROLES)
    word = "enabled" if enabled else "disabled"
    found = await governed(request, "role", {"role": role, "enabled": enabled}, f"{word} by an operator")
    body = {"success": True, "role": role, "status": word, "event_id": found.event.event_id}
    return JsonBytes(as_json(body))


async def _ruled(request: Request, action: str, body: bodies.Asked, **shown: object) -> Response:
    """Ask the council for what a body wants; tell what of it holds."""
    return _answer(await governed(request, action, body.asked(), body.reason), **shown)


def _answer(found: Governed, **shown: object) -> Response:
    return _waiting(found) if found.approval is not None else JsonBytes(as_json(_told(found) | shown))


async def governed(request: Request, action: str, asked: Mapping[str, object], reason: str) -> Governed:
    """Hand a command to the council.

    Raises
    ------
    ApiProblem
        409: it may not be done as things stand, such as by the same person, or without a council.
    """
    council, caller = council_of(request), caller_of(request)
    told = await run_in_threadpool(council.council_status)
    now = int(told.get("now") or system_of(request).clock.now_ns())
    command = CouncilCommanded(
        command_id=uuid4().hex,
        action=action,
        payload=dict(asked),
        reason=reason,
        person=caller.person,
        key_id=caller.key_id,
        authenticated_at=now,
        ts_event=now,
    )
    try:
        return await run_in_threadpool(council.govern, command, trace_id=trace_of(request))
    except UnknownName:
        raise
    except (PermissionRefused, InvalidValue, UsageError) as error:
        # The body was checked: what is refused now is refused for how things stand.
        raise ApiProblem(409, str(error)) from None


def _told(found: Governed) -> dict[str, Any]:
    """Return success and the operator's decision; what others ruled at the same time is not told here."""
    mine = [decision.decision_id for decision in found.decisions if decision.officer == "operator"]
    return {"success": True, "decision_id": mine[0] if mine else found.event.event_id}


def _waiting(found: Governed) -> Response:
    assert found.approval is not None  # noqa: S101 - asked before
    approval_id = found.approval.approval_id
    detail = f"another person must complete it: POST /api/federation/approvals/{approval_id}"
    mine = [decision.decision_id for decision in found.decisions if decision.officer == "operator"]
    body = {
        "success": False,
        "approval_id": approval_id,
        "detail": detail,
        "decision_id": mine[0] if mine else None,
    }
    return JsonBytes(as_json(body), 202)


def _noted(found: Governed, **more: object) -> Response:
    return JsonBytes(as_json({"success": True, **more, "event_id": found.event.event_id}))
