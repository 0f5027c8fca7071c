"""The hash chain: each row's SHA-256 covers the row before it and the event's canonical JSON."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from orjson import Fragment, dumps, loads

from consilium.bus.journal.canonical import canonical_json
from consilium.domain import Event, InvalidValue

_LARGEST = 2**63


class Row(NamedTuple):
    """An event as columns; the payload is canonical JSON text."""

    event_id: str
    topic: str
    stream: str
    version: int
    ts_event: int
    ts_recorded: int
    cause_id: str
    trace_id: str
    payload: str


class Stored(NamedTuple):
    """A row as it is kept: with its offset before it and its hash behind it."""

    offset: int
    event_id: str
    topic: str
    stream: str
    version: int
    ts_event: int
    ts_recorded: int
    cause_id: str
    trace_id: str
    payload: str
    hash: bytes


def body(
    event_id: str,
    topic: str,
    stream: str,
    version: int,
    ts_event: int,
    ts_recorded: int,
    cause_id: str,
    trace_id: str,
    payload: str,
) -> bytes:
    """Return the canonical JSON of a row's columns, which its hash covers.

    Examples
    --------
    >>> body("e1", "a.b", "s", 1, 5, 6, "", "t1", '{"x":1}').decode()[:61]
    '{"cause_id":"","event_id":"e1","payload":{"x":1},"stream":"s"'
    """
    return dumps(
        {
            "cause_id": cause_id,
            "event_id": event_id,
            "payload": Fragment(payload),
            "stream": stream,
            "topic": topic,
            "trace_id": trace_id,
            "ts_event": ts_event,
            "ts_recorded": ts_recorded,
            "version": version,
        }
    )


def link(previous: bytes, row: Sequence[Any]) -> bytes:
    """Return the hash of a row: ``SHA-256(previous hash || canonical JSON)``.

    Parameters
    ----------
    row
        The columns of a `Row`, in its order.

    Examples
    --------
    >>> link(bytes(32), Row("e1", "a.b", "s", 1, 5, 6, "", "", '{"x":1}')).hex()[:16]
    'b8d484b8efdca103'
    """
    return sha256(previous + body(*row)).digest()


def row_of(event: Event) -> Row:
    """Return an event as columns.

    Raises
    ------
    InvalidValue
        A field is not of the plain type that comes back unchanged, or the payload is no JSON object.
    """
    words = (event.event_id, event.topic, event.stream, event.cause_id, event.trace_id)
    for word in words:
        if type(word) is not str or "\0" in word:
            raise InvalidValue(
                "ids, topic and stream of an event must be text without a zero character",
                repr(word),
                "correct it",
            )
    for number in (event.version, event.ts_event, event.ts_recorded):
        if type(number) is not int or not -_LARGEST <= number < _LARGEST:
            raise InvalidValue(
                "version and times of an event must be whole numbers of 64 bits", repr(number), "correct it"
            )
    if type(event.payload) is not dict:
        raise InvalidValue(
            "an event's payload must be a JSON object in the journal",
            type(event.payload).__name__,
            "put the message into an envelope first",
        )
    row = Row(
        event.event_id,
        event.topic,
        event.stream,
        event.version,
        event.ts_event,
        event.ts_recorded,
        event.cause_id,
        event.trace_id,
        canonical_json(event.payload).decode(),
    )
    _encodable(words)
    return row


def event_of(row: Sequence[Any]) -> Event:
    """Return the event of a row's columns; its payload is a dict."""
    event_id, topic, stream, version, ts_event, ts_recorded, cause_id, trace_id, payload = row
    return Event(
        event_id=event_id,
        topic=topic,
        stream=stream,
        version=version,
        ts_event=ts_event,
        ts_recorded=ts_recorded,
        cause_id=cause_id,
        trace_id=trace_id,
        payload=loads(payload),
    )


def _encodable(words: tuple[str, ...]) -> None:
    for word in words:
        if not word.isascii():
            try:
                word.encode()
            except UnicodeEncodeError:
                raise InvalidValue(
                    "ids, topic and stream of an event must be Unicode text", ascii(word), "correct it"
                ) from None
