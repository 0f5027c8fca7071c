"""/api/network: sessions of learning together; participants pull what is theirs, and send signed bytes."""

import base64
import binascii
import io
import struct
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from fastapi import Path, Query, Request
from starlette.responses import Response

from consilium.app.api import network as bodies
from consilium.app.api.access import needs, router
from consilium.app.api.cached import JsonBytes, as_json
from consilium.app.api.problems import ApiProblem
from consilium.app.api.reading import at_desk
from consilium.app.api.schemas import SOURCE
from consilium.domain import DataProblem, InvalidValue, UnknownName, UsageError

routes = router("/api/network", "network")

OCTETS = "application/octet-stream"
MOST_WAIT_S = 20.0

Session = Annotated[str, Path(pattern=SOURCE, description="Name of the session.", examples=["s-1"])]
Owner = Annotated[str, Path(min_length=1, max_length=64, description="Name of the owner.")]
Wait = Annotated[
    float, Query(ge=0.0, le=MOST_WAIT_S, description="Seconds to wait for something other than `have`.")
]
Have = Annotated[int, Query(ge=-1, le=2**53, description="`X-Change` of the last answer; -1 for none.")]
Since = Annotated[int, Query(ge=1, le=2**53, description="First round that is asked for.")]

_BYTES: dict[str, Any] = {"content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}


async def _ask(request: Request, act: Callable[[Any], Any]) -> Any:
    """Do something at the desk, off the loop.

    What the desk refuses is well-formed: signatures, owner lists and moves that do not fit how things stand.
    """
    try:
        return await at_desk(lambda: act(_holder(request).desk()))
    except UnknownName:
        raise
    except (InvalidValue, DataProblem, UsageError) as refused:
        raise ApiProblem(409, str(refused)) from None


def _holder(request: Request) -> Any:
    holder = getattr(request.app.state, "network", None)
    if holder is None:
        raise ApiProblem(
            409, "the network's desk must sit in this service; got a worker: ask consilium serve"
        )
    return holder


@routes.get("/sessions", response_model=bodies.Sessions, **needs("read"))
async def sessions(request: Request) -> Response:
    """Return how every session stands."""
    found = await _ask(request, lambda desk: {"sessions": desk.sessions(), "waiting": dict(desk.troubles)})
    return JsonBytes(as_json(found))


@routes.post("/sessions", response_model=bodies.SessionStands, **needs("admin"))
async def create(request: Request, body: bodies.NewSession) -> Response:
    """Begin a session: those who were admitted may join."""
    return JsonBytes(as_json(await _ask(request, lambda desk: _created(desk, body))))


def _created(desk: Any, body: bodies.NewSession) -> dict[str, Any]:
    from consilium.app.federated.joinable import Unjoinable
    from consilium.federated.local import LocalPlan
    from consilium.federated.session import Buffering, Terms

    beside = {"owners", "admission_key", "parameters", "options", "optimizer_options", "judge_data"}
    given = body.model_dump(exclude=beside)
    given["local"] = LocalPlan(**given["local"])
    given["buffering"] = None if body.buffering is None else Buffering(**given["buffering"])
    terms = Terms(**given, options=body.optimizer_options)
    try:
        found: dict[str, Any] = desk.create(
            terms,
            body.owners,
            bytes.fromhex(body.admission_key),
            _floats(body.parameters),
            options=body.options,
            judge_data=body.judge_data,
        )
    except Unjoinable as refused:
        raise ApiProblem(422, str(refused)) from None
    return found


def _floats(text: str) -> Any:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValue("parameters must be base64", "other characters", "encode their bytes") from None
    if not raw or len(raw) % 8 or len(raw) // 8 > bodies.MOST_VALUES:
        raise InvalidValue(
            f"parameters must be 1 to {bodies.MOST_VALUES:,} doubles",
            f"{len(raw)} bytes",
            "send every number",
        )
    return np.frombuffer(raw, dtype="<f8").astype(np.float64)


@routes.get("/sessions/{session}", response_model=bodies.SessionAbout, **needs("read"))
async def about(request: Request, session: Session) -> Response:
    """Return what a participant must know before it joins."""
    return JsonBytes(as_json(await _ask(request, lambda desk: desk.of(session).about())))


def _moving(word: str, to: str) -> None:
    async def move(request: Request, session: Session, body: bodies.Move) -> Response:
        return JsonBytes(
            as_json(await _ask(request, lambda desk: desk.move(session, to, reason=body.reason)))
        )

    move.__name__ = f"{word}_session"
    move.__doc__ = f"{word.capitalize()} a session."
    routes.post(f"/sessions/{{session}}/{word}", response_model=bodies.SessionStands, **needs("admin"))(move)


for _word, _to in (("start", "running"), ("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
    _moving(_word, _to)


@routes.get("/sessions/{session}/reports", response_model=bodies.Reports, **needs("read"))
async def reports(request: Request, session: Session, since: Since = 1) -> Response:
    """Return the reports of the rounds from `since` on, the oldest first."""
    found = await _ask(request, lambda desk: desk.of(session).reports(since))
    return JsonBytes(as_json({"reports": found}))


@routes.get(
    "/sessions/{session}/owners",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    **needs("read"),
)
async def owners(request: Request, session: Session) -> Response:
    """Return the signed owner list as it was issued; who joins checks it by the admission key."""
    text = await _ask(request, lambda desk: desk.of(session).owners_text)
    return Response(text, media_type="text/plain")


@routes.post("/sessions/{session}/registrations", response_model=bodies.JoinedBody, **needs("publish"))
async def register(request: Request, session: Session, body: bodies.RegistrationBody) -> Response:
    """Join a session; the same registration again gives the same answer."""
    from consilium.federated.registration import Registration

    def join(desk: Any) -> Any:
        said = Registration.from_dict(body.model_dump())
        _admitting(desk.of(session), said.owner)
        return desk.guarded(session, lambda kept: kept.register(said))

    joined = await _ask(request, join)
    return JsonBytes(as_json({"participant": body.participant, "first_round": joined.first_round}))


@routes.get("/sessions/{session}/round", response_model=bodies.Planned, **needs("publish"))
async def plan(request: Request, session: Session) -> Response:
    """Return the round that is on."""

    def look(desk: Any) -> dict[str, Any]:
        kept = desk.of(session)
        now = kept.kept.session
        return {"state": str(now.state), "done": now.done, "round": kept.plan()}

    return JsonBytes(as_json(await _ask(request, look)))


@routes.get("/sessions/{session}/model", response_class=Response, responses={200: _BYTES}, **needs("publish"))
async def model(request: Request, session: Session) -> Response:
    """Return the model as an npz file: `parameters`, and the optimizer's public state."""
    version, arrays = await _ask(request, lambda desk: desk.of(session).model())
    return Response(await at_desk(lambda: _npz(arrays)), media_type=OCTETS, headers={"X-Version": version})


def _npz(arrays: dict[str, Any]) -> bytes:
    held = io.BytesIO()
    np.savez(held, allow_pickle=False, **arrays)
    return held.getvalue()


@routes.get(
    "/sessions/{session}/outbox/{owner}", response_class=Response, responses={200: _BYTES}, **needs("publish")
)
async def outbox(
    request: Request, session: Session, owner: Owner, have: Have = -1, wait: Wait = 0.0
) -> Response:
    """Return what an owner should have now: messages, each after its length in four bytes.

    With `have` the answer waits until there is something else for this owner. `X-Attempt` tells the round and
    attempt that are on, such as `3.1`; it is absent between rounds.
    """
    kept = await _ask(request, lambda desk: _admitting(desk.of(session), owner))
    if wait:
        await kept.bell.changed(owner, have, wait)
    shown = await _ask(request, lambda desk: desk.guarded(session, lambda now: now.outbox(owner)))
    content = b"".join(struct.pack("<I", len(one)) + one for one in shown.messages)
    headers = {"X-Change": str(shown.change)}
    if shown.attempt is not None:
        headers["X-Attempt"] = "{}.{}".format(*shown.attempt)
    return Response(content, media_type=OCTETS, headers=headers)


def _admitting(kept: Any, owner: str) -> Any:
    """Return a session in which an owner may take part."""
    if owner not in kept.kept.owners:
        raise ApiProblem(
            403,
            f"an owner must be in the owner list of session {kept.terms.session}; got {owner[:64]!r}: "
            "ask who signs the list to admit it",
        )
    return kept


@routes.post(
    "/sessions/{session}/messages",
    response_model=bodies.Taken,
    openapi_extra=needs("publish")["openapi_extra"] | {"requestBody": {"required": True, **_BYTES}},
)
async def take(request: Request, session: Session) -> Response:
    """Take a signed message of a participant; the same one again changes nothing."""
    from consilium.federated.messages import Signed

    _require_octets(request)
    most = await _ask(request, lambda desk: desk.of(session).most_bytes())
    raw = await _within(request, most)
    await _ask(request, lambda desk: desk.guarded(session, lambda kept: kept.take(Signed.decode(raw))))
    return JsonBytes(as_json({"success": True}))


@routes.post(
    "/sessions/{session}/updates",
    response_model=bodies.Taken,
    openapi_extra=needs("publish")["openapi_extra"] | {"requestBody": {"required": True, **_BYTES}},
)
async def take_update(request: Request, session: Session) -> Response:
    """Take a signed update of a session in mode visible; the same one again changes nothing."""
    _require_octets(request)
    most = await _ask(request, lambda desk: _seeing(desk.of(session)).most_update_bytes())
    raw = await _within(request, most)
    await _ask(request, lambda desk: desk.guarded(session, lambda kept: _seeing(kept).take_update(raw)))
    return JsonBytes(as_json({"success": True}))


def _seeing(kept: Any) -> Any:
    if not hasattr(kept, "take_update"):
        raise ApiProblem(
            409, f"updates are seen in mode visible only; got mode {kept.terms.mode}: send masked messages"
        )
    return kept


def _require_octets(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != OCTETS:
        raise ApiProblem(415, f"the body must be {OCTETS}; got {kind[:80] or 'no type'!r}: send signed bytes")


async def _within(request: Request, most: int) -> bytes:
    """Read a body no further than its bound."""
    length = request.headers.get("content-length", "0")
    held = bytearray()
    if length.isdigit() and int(length) <= most:
        async for part in request.stream():
            held += part
            if len(held) > most:
                break
        else:
            return bytes(held)
    raise ApiProblem(413, f"a message must have at most {most} bytes now; got more: send what the round asks")
