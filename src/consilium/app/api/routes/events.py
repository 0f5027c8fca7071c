"""/api/events: the journal as a stream and as pages, and events from outside."""

from typing import Annotated, Any

from fastapi import Header, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from consilium.app.api.access import caller_of, needs, router, system_of
from consilium.app.api.answers import Page, Published
from consilium.app.api.cached import JsonBytes, as_json
from consilium.app.api.paging import LARGEST_OFFSET, After, Limit, page_of
from consilium.app.api.problems import ApiProblem
from consilium.app.api.reading import read
from consilium.app.api.schemas import PAYLOADS, OutsideEvent
from consilium.app.api.streams import EventHub, EventStream, event_body
from consilium.domain import UnknownName

routes = router("/api/events", "events")

MOST_TOPICS = 32
TOPICS = r"^[a-z][a-z0-9_.]{0,99}(,[a-z][a-z0-9_.]{0,99}){0,31}$"

Topics = Annotated[
    str | None,
    Query(
        pattern=TOPICS,
        description=f"Only these topics, at most {MOST_TOPICS}, separated by commas.",
        examples=["ensemble.consensus_reached"],
    ),
]
Place = Annotated[
    int | None,
    Query(ge=0, le=LARGEST_OFFSET, description="Place after which to begin; the journal's end if not given."),
]
Before = Annotated[
    int | None,
    Query(ge=0, le=LARGEST_OFFSET, description="Newest first, before this place: `next` of the page before."),
]
LastEventId = Annotated[
    int | None,
    Header(
        ge=0, le=LARGEST_OFFSET, description="Id of the last event that was received; prevails over `after`."
    ),
]


_SERVED = {
    "type": "object",
    "description": "One event of the stream; data is JSON as in the items of /api/events/history.",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
}


@routes.get(
    "",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events: id is the place in the journal, event the topic, data JSON.",
            "content": {"text/event-stream": {"schema": _SERVED}},
        }
    },
    **needs("read"),
)
async def follow(
    request: Request, topics: Topics = None, after: Place = None, last_event_id: LastEventId = None
) -> Response:
    """Follow the journal from a place on; a client that is cut off resumes where it was."""
    hub: EventHub = request.app.state.hub
    keys, caller = request.app.state.keys, caller_of(request)
    if hub.clients >= hub.most_clients:
        raise ApiProblem(
            429,
            f"{hub.most_clients} clients may follow the events; got one more: try again later",
            {"Retry-After": "5"},
        )
    given = last_event_id if last_event_id is not None else after
    place = hub.end() if given is None else given
    if place > hub.end():
        head = (await read(request.app.state.system.journal.head)).offset
        if place > head:
            raise ApiProblem(
                409, f"the place must be in the journal, which ends at {head}; got {place}: begin anew"
            )
    chosen = topics.split(",") if topics else None
    return EventStream(hub, place, chosen, lambda: keys.holds(caller.key_id))


@routes.get("/history", response_model=Page, **needs("read"))
async def history(
    request: Request, topics: Topics = None, after: After = 0, before: Before = None, limit: Limit = 100
) -> Response:
    """Return events of the journal, page by page: oldest first, or newest first where `before` is given."""
    system = system_of(request)
    chosen = topics.split(",") if topics else None
    found = await read(
        system.journal.read, after, limit, topics=chosen, newest_first=before is not None, before=before
    )
    return JsonBytes(as_json(page_of([event_body(recorded) for recorded in found], limit)))


def publishing(topic: str, schema: type[BaseModel]) -> None:
    """Add the route by which an outside system publishes one topic."""

    async def publish(request: Request, body: BaseModel) -> Response:
        return await _publish(request, topic, body)

    # The type of the body is known only now; FastAPI reads it from here.
    publish.__annotations__["body"] = OutsideEvent[schema]  # type: ignore[valid-type]
    publish.__name__ = f"publish_{topic.replace('.', '_')}"
    publish.__doc__ = f"Publish {topic}; the same source and sequence again changes nothing."
    routes.post(f"/{topic}", response_model=Published, **needs("publish"))(publish)


for _topic, _schema in PAYLOADS.items():
    publishing(_topic, _schema)


@routes.post("/{topic}", include_in_schema=False, **needs("publish"))
async def publish_unknown(topic: str) -> Response:
    """Refuse a topic that nobody may publish from outside."""
    if topic == "history":
        raise ApiProblem(405, "history can be read only; got POST: use GET", {"Allow": "GET"})
    raise ApiProblem(404, str(UnknownName("topic", topic[:100], PAYLOADS)))


async def _publish(request: Request, topic: str, body: Any) -> Response:
    system = system_of(request)
    event = await run_in_threadpool(
        system.publish_outside,
        topic,
        source=body.source,
        sequence=body.sequence,
        ts_event=body.ts_event,
        payload=body.payload.model_dump(exclude_unset=True),
        by=caller_of(request).person,
    )
    return JsonBytes(as_json({"success": True, "event_id": event.event_id, "topic": topic}))
