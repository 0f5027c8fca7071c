"""Messages as events, and events as JSON: topics with versions, ids from content, one way to write.

An event's payload is a JSON object, in the journal and on the wire; `message_of` makes the domain's message
of it again. Payloads of older versions are lifted first, one version at a time; newer ones are refused.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from consilium.bus.payloads import as_json, clipped, decode, encode, require_encodable
from consilium.bus.upcasting import decision_of_1
from consilium.domain import (
    ConflictResolved,
    Consensus,
    CouncilCommanded,
    DataProblem,
    Event,
    FeatureWindow,
    Fill,
    HandlerFailed,
    InvalidValue,
    ModelConfigured,
    Order,
    OrderEvent,
    OrderShadowed,
    Outcome,
    PerformanceReported,
    PolicyChanged,
    PortfolioSnapshot,
    Prediction,
    ProfitSplit,
    ReportRefused,
    RuleChanged,
    SignalReceived,
    StepDone,
    TimePassed,
    TrainingEnded,
    TrainingStarted,
    UnknownName,
)

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class Topic(NamedTuple):
    """What travels under a topic: a domain type, or ``dict`` for any object, and its schema's version."""

    type: type
    version: int


TOPICS: dict[str, Topic] = {
    "market.features_updated": Topic(FeatureWindow, 1),
    "market.outcome_matured": Topic(Outcome, 1),
    "market.step_done": Topic(StepDone, 1),
    "model.predicted": Topic(Prediction, 1),
    "model.performance_reported": Topic(PerformanceReported, 1),
    "model.performance_updated": Topic(dict, 1),
    "ensemble.consensus_reached": Topic(Consensus, 1),
    "ensemble.model_configured": Topic(ModelConfigured, 1),
    "ensemble.rule_changed": Topic(RuleChanged, 1),
    "ensemble.signal_received": Topic(SignalReceived, 1),
    "trading.order_sent": Topic(Order, 1),
    "trading.order_changed": Topic(OrderEvent, 1),
    "trading.order_shadowed": Topic(OrderShadowed, 1),
    "trading.filled": Topic(Fill, 1),
    "trading.profit_split": Topic(ProfitSplit, 1),
    "portfolio.snapshot_updated": Topic(PortfolioSnapshot, 1),
    "ai.federation.decision_made": Topic(dict, 2),
    "council.commanded": Topic(CouncilCommanded, 1),
    "council.conflict_resolved": Topic(ConflictResolved, 1),
    "council.policy_changed": Topic(PolicyChanged, 1),
    "council.report_refused": Topic(ReportRefused, 1),
    "council.time_passed": Topic(TimePassed, 1),
    "system.handler_failed": Topic(HandlerFailed, 1),
    "system.health_updated": Topic(dict, 1),
    "training.started": Topic(TrainingStarted, 1),
    "training.ended": Topic(TrainingEnded, 1),
}
_PLAIN = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
UPCASTERS: dict[tuple[str, int], Upcaster] = {("ai.federation.decision_made", 1): decision_of_1}
"""Of (topic, version): makes a payload of the next version of one of this version."""


def register(topic: str, kind: type, version: int = 1) -> None:
    """Add a topic, or raise the version of a known one.

    Raises
    ------
    InvalidValue
        A version below the known one, or a type that JSON cannot carry.
    """
    known = TOPICS.get(topic)
    if not topic or version < (known.version if known else 1):
        bound = (
            f"version of {topic or 'a topic'} must be >= {known.version if known else 1}, its name not empty"
        )
        raise InvalidValue(bound, version, "raise the version with the schema")
    require_encodable(kind)
    TOPICS[topic] = Topic(kind, version)


def topic_of(message: object) -> str:
    """Name the topic under which messages of this type travel.

    Raises
    ------
    UnknownName
        No topic, or several as with plain objects.

    Examples
    --------
    >>> topic_of(HandlerFailed(handler="h", topic="t", event_id="e", error="x", ts_event=0))
    'system.handler_failed'
    """
    kind = type(message)
    found = [topic for topic, entry in TOPICS.items() if entry.type is kind]
    if len(found) != 1:
        raise UnknownName("type of a message", kind.__name__, {t.type.__name__ for t in TOPICS.values()})
    return found[0]


def canonical(value: object) -> bytes:
    """Write JSON with sorted keys and no spaces.

    Raises
    ------
    DataProblem
        What is not plain, finite JSON.

    Examples
    --------
    >>> canonical({"b": 1.0, "a": [None, "x"]})
    b'{"a":[null,"x"],"b":1.0}'
    """
    return _write(as_json(value))


def _write(plain: object) -> bytes:
    try:
        text = orjson.dumps(plain, option=_PLAIN)
    except TypeError as error:
        raise DataProblem("a message must be plain JSON", error, "use numbers, valid texts, lists") from None
    if b"null" in text:
        as_json(plain)  # orjson writes what is not finite as null: refuse that
    return text


def content_id(
    topic: str, stream: str, ts_event: int, payload: Mapping[str, Any], occurrence: int = 0
) -> str:
    """Identify an event by what it says: the first 32 hex digits of SHA-256.

    Parameters
    ----------
    occurrence
        Sets apart what rightly happens twice in the same words, such as two equal fills at one instant.
    """
    return _id(topic, stream, ts_event, canonical(payload), occurrence)


def _id(topic: str, stream: str, ts_event: int, payload: bytes, occurrence: int) -> str:
    told = _write([topic, stream, ts_event, *([occurrence] if occurrence else [])])
    return sha256(told + b"\n" + payload).hexdigest()[:32]


def envelope(
    message: Any,
    *,
    stream: str,
    ts_recorded: int,
    cause_id: str = "",
    trace_id: str = "",
    topic: str | None = None,
    ts_event: int | None = None,
    occurrence: int = 0,
) -> Event:
    """Put a message into an event whose id says what is in it: the same message twice is the same event.

    Parameters
    ----------
    message
        A domain type of `TOPICS`, or a mapping (then with ``topic``).
    stream
        What it belongs to, such as a symbol.
    ts_recorded
        When it is written down; no part of the id.
    ts_event
        When it happened; the message's own if not given: ``ts_matured`` of an outcome, else ``ts_event``.
    occurrence
        Sets apart what rightly happens twice in the same words.

    Raises
    ------
    UnknownName
        An unknown topic, or a type that has none of its own.
    DataProblem
        A message of another type than its topic's, or one that JSON cannot carry.

    Examples
    --------
    >>> fill = Fill(order_id="o1", price=100.0, quantity=0.5, fee=0.05, ts_event=7)
    >>> event = envelope(fill, stream="BTCUSDT", ts_recorded=9)
    >>> event.topic, event.ts_event, event.event_id
    ('trading.filled', 7, '266ad6d35cf7229f99964f0fcaf3f1bd')
    >>> message_of(event) == fill
    True
    """
    topic = topic if topic is not None else topic_of(message)
    known = _known(topic)
    if not isinstance(message, Mapping if known.type is dict else known.type):
        bound = f"a message of {topic} must be of type {known.type.__name__}"
        raise DataProblem(bound, type(message).__name__, "publish it under its own topic")
    payload = encode(message)
    if ts_event is None:
        ts_event = _happened(payload)
    return Event(
        event_id=_id(topic, stream, ts_event, _write(payload), occurrence),
        topic=topic,
        stream=stream,
        version=known.version,
        ts_event=ts_event,
        ts_recorded=ts_recorded,
        cause_id=cause_id,
        trace_id=trace_id,
        payload=payload,
    )


def _happened(payload: Mapping[str, Any]) -> int:
    found = payload.get("ts_matured", payload.get("ts_event"))
    if type(found) is not int:
        raise DataProblem("a message must say when it happened", clipped(found), "give ts_event")
    return found


def _known(topic: str) -> Topic:
    if topic not in TOPICS:
        raise UnknownName("topic", topic[:100], TOPICS)
    return TOPICS[topic]


def message_of(event: Event) -> Any:
    """Make the domain's message of an event.

    Raises
    ------
    UnknownName
        An unknown topic.
    DataProblem
        A version newer than known, an older one without an upcaster, or a payload against its schema.
    """
    lifted = upcast(event)
    known = _known(lifted.topic)
    if not isinstance(lifted.payload, Mapping):
        return lifted.payload
    try:
        return decode(known.type, lifted.payload)
    except DataProblem as error:
        raise DataProblem(f"{event.topic}: {error.bound}", error.value, error.cure) from None


def upcast(event: Event) -> Event:
    """Lift an event to the version of its schema that is known here; its id stays.

    Raises
    ------
    UnknownName, DataProblem
        As in `message_of`.
    """
    known = _known(event.topic)
    if event.version == known.version:
        return event
    _require_readable(event.topic, event.version)
    payload: Any = event.payload
    for version in range(event.version, known.version):
        lift = UPCASTERS.get((event.topic, version))
        if lift is None:
            raise DataProblem(
                f"{event.topic} must have an upcaster from version {version}", "none", "add it to UPCASTERS"
            )
        payload = lift(dict(payload))
    return Event(
        event_id=event.event_id,
        topic=event.topic,
        stream=event.stream,
        version=known.version,
        ts_event=event.ts_event,
        ts_recorded=event.ts_recorded,
        cause_id=event.cause_id,
        trace_id=event.trace_id,
        payload=payload,
    )


def _require_readable(topic: str, version: int) -> None:
    known = _known(topic).version
    if version > known:
        raise DataProblem(f"version of {topic} must be <= {known}", version, "upgrade consilium to read it")


def to_wire(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object; a message that is no JSON yet is encoded."""
    payload = event.payload if isinstance(event.payload, dict) else encode(event.payload)
    return {
        "event_id": event.event_id,
        "topic": event.topic,
        "stream": event.stream,
        "version": event.version,
        "ts_event": event.ts_event,
        "ts_recorded": event.ts_recorded,
        "cause_id": event.cause_id,
        "trace_id": event.trace_id,
        "payload": payload,
    }


_WIRE = {
    "event_id": str,
    "topic": str,
    "stream": str,
    "version": int,
    "ts_event": int,
    "ts_recorded": int,
    "cause_id": str,
    "trace_id": str,
    "payload": dict,
}


def from_wire(wire: Mapping[str, Any]) -> Event:
    """Read an event; its payload stays as it was written, `message_of` lifts and reads it.

    Raises
    ------
    UnknownName
        An unknown topic.
    DataProblem
        Fields that are missing, unknown or of another type, or a version newer than known.
    """
    if type(wire) is not dict or wire.keys() != _WIRE.keys():
        raise DataProblem(f"an event must have {', '.join(_WIRE)}", clipped(wire), "send all of them")
    for name, kind in _WIRE.items():
        if type(wire[name]) is not kind:
            raise DataProblem(
                f"{name} of an event must be {kind.__name__}", clipped(wire[name]), "correct it"
            )
    _require_readable(wire["topic"], wire["version"])
    return Event(**wire)


def to_bytes(event: Event) -> bytes:
    """Write an event as canonical JSON."""
    return _write(to_wire(event))


def from_bytes(text: bytes) -> Event:
    """Read an event from JSON.

    Raises
    ------
    UnknownName, DataProblem
        As in `from_wire`, or no JSON.
    """
    try:
        wire = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise DataProblem("an event must be JSON", clipped(text), "send a JSON object") from None
    return from_wire(wire)
