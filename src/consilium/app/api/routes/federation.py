"""/api/federation: what is in force, who decided it, and why."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from consilium.app.api import federation as bodies
from consilium.app.api.access import council_of, needs, router, system_of
from consilium.app.api.cached import JsonBytes, as_json
from consilium.app.api.paging import LARGEST_OFFSET
from consilium.app.api.port import Journal
from consilium.app.council.recall import recalled
from consilium.app.council.tally import DECISION
from consilium.council.payloads import WIRE_MODES
from consilium.domain import (
    DecisionKind,
    UnknownName,
    to_iso,
)

routes = router("/api/federation", "federation")

_SCANNED = 20
_PAGE = 500
"""A search for rare decisions looks at so many pages of the journal, and then says where to go on."""

Newest = Annotated[
    int,
    Query(
        ge=1, le=LARGEST_OFFSET, description="Before this place: `next` of the page before.", examples=[99]
    ),
]
Most = Annotated[int, Query(ge=1, le=1_000, description="Most decisions of the page.", examples=[10])]
OfType = Annotated[DecisionKind | None, Query(alias="type", description="Only of this type.")]
Officer = Literal["operator", "supervisor", "cro", "ceo", "cio", "cfo", "researcher"]
OfRole = Annotated[Officer | None, Query(alias="role", description="Only of this role.")]


@routes.get("/status", response_model=bodies.FederationStatus, **needs("read"))
async def status(request: Request) -> Response:
    """Return who sits, how many decisions there were, and what is in force in one word each."""
    found = dict(await run_in_threadpool(council_of(request).council_status))
    last, mode = int(found.get("last_update") or 0), str(found.get("mode", ""))
    body = {
        "enabled": bool(found.get("enabled", True)),
        "roles": found.get("roles", {}),
        "total_decisions": found.get("total_decisions", 0),
        "last_update": to_iso(last) if last else None,
        "mode": WIRE_MODES.get(mode, mode),
        "detail": mode,
        "profile": found.get("profile", ""),
        "holds": len(found.get("holds", ())),
        "approvals": len(found.get("approvals", ())),
        "frozen_at": _moment(found.get("frozen_at")),
        "release_at": _moment(found.get("release_at")),
        "reviews": found.get("reviews", {}),
    }
    if found.get("advice") is not None:
        body["advice"] = found["advice"]
    return JsonBytes(as_json(body))


@routes.get("/decisions", response_model=bodies.Decisions, **needs("read"))
async def decisions(
    request: Request,
    limit: Most = 10,
    before: Newest = LARGEST_OFFSET,
    kind: OfType = None,
    officer: OfRole = None,
) -> Response:
    """Return decisions, newest first."""
    wanted = {"decision_type": None if kind is None else kind.value, "role_source": officer}
    journal = system_of(request).journal
    found, place = await run_in_threadpool(_newest, journal, before, limit, wanted)
    return JsonBytes(as_json({"total": len(found), "decisions": found, "next": place}))


def _newest(
    journal: Journal, before: int, limit: int, wanted: Mapping[str, str | None]
) -> tuple[list[dict[str, Any]], int | None]:
    """Return decisions before a place, and where to go on."""
    found: list[dict[str, Any]] = []
    every = not any(wanted.values())
    size = min(limit, _PAGE) if every else _PAGE
    for _ in range(_SCANNED if not every else 1 + limit // size):
        rows = journal.read(0, size, topics=[DECISION], newest_first=True, before=before)
        for row in rows:
            before = row.offset
            body = decision_of(row.event.payload, row.offset)
            if all(value is None or body.get(name) == value for name, value in wanted.items()):
                found.append(body)
                if len(found) == limit:
                    return found, before
        if len(rows) < size:
            return found, None
    return found, before


def decision_of(payload: object, offset: int) -> dict[str, Any]:
    """Return a decision as it is shown: its body, and its place."""
    return {**(payload if isinstance(payload, Mapping) else {}), "offset": offset}


@routes.get("/policy", response_model=bodies.PolicyShown, **needs("read"))
async def policy(request: Request) -> Response:
    """Return the limits in force."""
    found = await run_in_threadpool(council_of(request).council_status)
    return JsonBytes(as_json(policy_body(found.get("policy", {}))))


def policy_body(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy in the seed's words."""
    renamed = {
        "max_risk_per_trade": "max_risk_per_trade_pct",
        "max_daily_risk": "max_daily_risk_pct",
        "max_position_usd": "max_position_size_usd",
        "max_drawdown": "max_drawdown_pct",
        "max_exposure": "max_exposure_pct",
        "stop_multiplier": "stop_loss_multiplier",
        "ess_caution": "caution_threshold_pct",
        "ess_warning": "warning_threshold_pct",
        "ess_critical": "critical_threshold_pct",
        "symbols": "active_symbols",
        "weights": "model_weights",
        "profit_lock": "profit_lock_pct",
        "reinvest": "reinvest_pct",
        "reserve_buffer": "reserve_buffer_pct",
    }
    body = {renamed.get(name, name): value for name, value in policy.items()}
    mode = str(policy.get("mode", ""))
    return body | {"mode": WIRE_MODES.get(mode, mode), "detail": mode}


@routes.get("/holds", response_model=bodies.Holds, **needs("read"))
async def holds(request: Request) -> Response:
    """Return the restrictions in force, with who may release each and when it ends."""
    found = await run_in_threadpool(council_of(request).council_status)
    return JsonBytes(as_json({"holds": [_dated(hold) for hold in found.get("holds", ())]}))


@routes.get("/approvals", response_model=bodies.Approvals, **needs("read"))
async def approvals(request: Request) -> Response:
    """Return the loosenings that wait for another person."""
    found = await run_in_threadpool(council_of(request).council_status)
    return JsonBytes(as_json({"approvals": [_dated(waiting) for waiting in found.get("approvals", ())]}))


@routes.get("/alerts", response_model=bodies.Alerts, **needs("read"))
async def alerts(request: Request) -> Response:
    """Return what somebody should know, the worst that nobody has seen first."""
    watch = request.app.state.watch
    found = [standing.as_dict() for standing in watch.alerts()]
    body = {
        "alerts": [{**told, "timestamp": to_iso(told["ts_event"])} for told in found],
        "waiting": watch.outstanding(),
    }
    return JsonBytes(as_json(body))


@routes.get("/explain/{decision_id}", response_model=bodies.Explained, **needs("read"))
async def explain(request: Request, decision_id: str) -> Response:
    """Return what led to a decision, what it holds, and what would release that, at the earliest when."""
    found = await run_in_threadpool(_explained, request, decision_id[:100])
    return JsonBytes(as_json(found))


def _explained(request: Request, decision_id: str) -> dict[str, Any]:
    """Return what the journal knows of a decision, and what the council still does."""
    found = recalled(system_of(request).journal, decision_id)
    try:
        known = dict(council_of(request).council_explain(decision_id))
    except UnknownName:
        return found  # it is not among the newest: the journal knows it
    return found | known | {"earliest_at": _moment(known.get("earliest"))}


def _moment(ts: object) -> str | None:
    return to_iso(ts) if isinstance(ts, int) and ts > 0 else None


def _dated(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Add the times as people read them."""
    return {
        **fields,
        "timestamp": _moment(fields.get("ts_event")),
        "expires": _moment(fields.get("expires_at")),
    }
