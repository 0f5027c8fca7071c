"""Events of outside systems: under which topics they may come, and their ids."""

from collections.abc import Mapping
from typing import Any

from consilium.bus.codec import TOPICS, canonical, content_id
from consilium.bus.journal import Journal
from consilium.domain import ArtefactRefused, ConsiliumError, Event, UnknownName

OUTSIDE_TOPICS = frozenset(
    {"portfolio.snapshot_updated", "system.health_updated", "model.performance_updated"}
)
"""Topics that both a room and an outside system publish under."""

OUTSIDE = "outside:"
"""Before the name of a source, in the stream of its events."""

ROOMS = (
    "ai",
    "council",
    "ensemble",
    "market",
    "model",
    "portfolio",
    "research",
    "system",
    "trading",
    "training",
)
"""First words of the topics that our rooms speak under; a topic of another first word is free."""


def outside_event(
    topic: str,
    *,
    source: str,
    sequence: int,
    ts_event: int,
    payload: Mapping[str, Any],
    by: str,
    ts_recorded: int,
) -> Event:
    """Return the event of an outside system; its id is made of source and sequence.

    Raises
    ------
    UnknownName
        No such topic.
    ConsiliumError
        A topic of our own rooms: what it says would be ours.
    DataProblem
        A payload that is no plain JSON.
    """
    if topic not in TOPICS:
        raise UnknownName("topic", topic[:100], TOPICS)
    if topic not in OUTSIDE_TOPICS and topic.partition(".")[0] in ROOMS:
        raise ConsiliumError(
            "an outside system must publish under a topic of its own",
            topic,
            f"use {', '.join(sorted(OUTSIDE_TOPICS))}, or a first word other than {', '.join(ROOMS)}",
        )
    return Event(
        event_id=content_id(topic, source, sequence, {}),
        topic=topic,
        stream=f"{OUTSIDE}{source}",
        version=TOPICS[topic].version,
        ts_event=ts_event,
        ts_recorded=ts_recorded,
        cause_id="",
        trace_id=f"{f'{by}:{source}'[:180]}:{sequence}",
        payload=dict(payload),
    )


def require_owner(journal: Journal, event: Event) -> None:
    """Refuse an event of a source that another person has spoken as first: the journal keeps who it was.

    Raises
    ------
    ArtefactRefused
        It is another's.
    """
    rows = journal.read(0, 1, stream=event.stream)
    if rows and speaker_of(rows[0].event) != speaker_of(event):
        raise ArtefactRefused(
            "a source must belong to the person who first spoke as it",
            f"{event.stream.removeprefix(OUTSIDE)} by another",
            "choose another name for yours",
        )


def speaker_of(event: Event) -> str:
    """Return who published an outside event, as its trace tells it."""
    by = event.trace_id.rpartition(":")[0]
    return by.removesuffix(f":{event.stream.removeprefix(OUTSIDE)}")


def require_same(journal: Journal, event: Event) -> None:
    """Refuse another event under a source and sequence that the journal has already.

    Raises
    ------
    ArtefactRefused
        It says something else.
    """
    kept = journal.find(event.event_id)
    if kept is None:
        return
    if (kept.event.ts_event, canonical(kept.event.payload)) != (event.ts_event, canonical(event.payload)):
        raise ArtefactRefused(
            "an event of one source and sequence must stay the same",
            "another time or payload",
            "give it the next sequence",
        )
