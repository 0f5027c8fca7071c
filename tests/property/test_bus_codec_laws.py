"""Laws of the codec: what was said comes back, in one way to write it, and nothing else comes in."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.bus.codec import (
    TOPICS,
    UPCASTERS,
    canonical,
    envelope,
    from_bytes,
    from_wire,
    message_of,
    register,
    to_bytes,
    to_wire,
    topic_of,
)
from consilium.domain import DataProblem, Event, FeatureWindow, Fill, InvalidValue, Prediction, UnknownName
from event_cases import BY_TYPE, json_values, messages

PREDICTION = Prediction(
    model="xgboost", symbol="BTCUSDT", ts_event=5, horizon_ns=10, label_id="l", probabilities=(0.1, 0.2, 0.7)
)


@pytest.fixture
def own_topics() -> Iterator[None]:
    topics, upcasters = dict(TOPICS), dict(UPCASTERS)
    yield
    TOPICS.clear()
    TOPICS.update(topics)
    UPCASTERS.clear()
    UPCASTERS.update(upcasters)


def event_of(told: tuple[str, Any], **more: Any) -> Event:
    topic, message = told
    return envelope(message, stream="s", ts_recorded=1, topic=topic, **more)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, FeatureWindow):  # its arrays stay where they are
        one, other = ((w.symbol, w.ts_event, w.volatility, w.regime) for w in (one, other))
    return bool(one == other)


@given(messages())
def test_every_message_comes_back_from_the_wire(told: tuple[str, Any]) -> None:
    event = event_of(told, cause_id="c", trace_id="t")
    back = from_bytes(to_bytes(event))
    assert back == event
    assert from_wire(to_wire(event)) == event
    assert same(message_of(back), told[1])
    assert type(message_of(back)) is type(told[1])


def test_every_topic_is_tried() -> None:
    assert {topic.type for topic in TOPICS.values()} == set(BY_TYPE)


@given(messages())
def test_the_same_message_twice_is_the_same_event(told: tuple[str, Any]) -> None:
    first, second = event_of(told), event_of(told, trace_id="other")
    assert first.event_id == second.event_id
    assert len(first.event_id) == 32
    # and what was read back says the same again, whatever it travelled through
    again = message_of(from_bytes(to_bytes(first)))
    if not isinstance(again, FeatureWindow):
        assert event_of((told[0], again)).event_id == first.event_id


@given(st.dictionaries(st.text("ab", max_size=3), json_values), st.randoms())
def test_the_order_of_keys_is_of_no_account(told: dict[str, Any], random: Any) -> None:
    items = list(told.items())
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(told)


@given(json_values)
def test_canonical_json_is_a_fixed_point(told: Any) -> None:
    assert canonical(orjson.loads(canonical(told))) == canonical(told)


@pytest.mark.parametrize("change", ["topic", "stream", "ts_event", "payload", "occurrence"])
def test_what_is_said_differently_is_another_event(change: str) -> None:
    told = {"text": "a", "ts_event": 1}
    first = envelope(told, stream="s", ts_recorded=0, topic="system.health_updated")
    more: dict[str, Any] = {"stream": "s", "topic": "system.health_updated"}
    more |= {"topic": {"topic": "model.performance_updated"}, "stream": {"stream": "t"}}.get(change, {})
    more |= {"ts_event": {"ts_event": 2}, "occurrence": {"occurrence": 1}}.get(change, {})
    if change == "payload":
        told = {"text": "b", "ts_event": 1}
    assert envelope(told, ts_recorded=0, **more).event_id != first.event_id


def test_equal_messages_have_equal_ids_whatever_their_numbers_are_made_of() -> None:
    fills = [
        Fill(order_id="o", price=price, quantity=1.0, fee=fee, ts_event=np.int64(3))  # type: ignore[arg-type]
        for price, fee in ((100, 0.0), (100.0, -0.0), (np.float32(100), np.float64(0)))
    ]
    assert len({envelope(fill, stream="s", ts_recorded=0).event_id for fill in fills}) == 1


@given(st.sampled_from([float("nan"), float("inf"), -float("inf"), np.float64("nan")]))
def test_what_is_not_finite_is_refused(value: float) -> None:
    for topic, message in (
        ("trading.order_changed", None),
        ("system.health_updated", {"ts_event": 1, "deep": [{"x": value}]}),
        (
            "market.features_updated",
            FeatureWindow(symbol="a", ts_event=1, features=np.eye(1), volatility=value),
        ),
    ):
        if message is not None:
            with pytest.raises(DataProblem, match="finite"):
                event_of((topic, message))
    with pytest.raises(DataProblem, match="finite"):
        canonical({"x": value})
    raw = replace(event_of(("system.health_updated", {"ts_event": 1})), payload={"x": [float(value)]})
    with pytest.raises(DataProblem, match="finite"):
        to_bytes(raw)


@given(st.sampled_from(["model", "ts_event", "probabilities", "confidence", "direction"]), json_values)
def test_a_payload_of_another_shape_is_refused_or_read_as_what_it_says(field: str, value: Any) -> None:
    event = envelope(PREDICTION, stream="s", ts_recorded=0)
    payload = {**to_wire(event)["payload"], field: value}
    try:
        message = message_of(replace(event, payload=payload))
    except DataProblem as error:
        told = str(error)
    else:
        assert envelope(message, stream="s", ts_recorded=0).payload == payload
        return
    assert "\n" not in told
    assert len(told) < 1_000


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("model", 5, "model must be a text; got 5"),
        ("ts_event", 1.5, "ts_event must be a whole number; got 1.5"),
        ("ts_event", True, "ts_event must be a whole number; got True"),
        ("ts_event", 2**63, "ts_event must fit 64 bits"),
        ("probabilities", [0.5, 0.5], "probabilities must have 3 items; got 2"),
        ("probabilities", [0.5, 0.5, "0"], "probabilities must be a number"),
        ("confidence", None, "confidence must be a number; got None"),
        ("confidence", 7.0, "confidence must lie in"),
    ],
)
def test_the_field_and_the_value_are_named(field: str, value: Any, told: str) -> None:
    event = envelope(PREDICTION, stream="s", ts_recorded=0)
    with pytest.raises(DataProblem) as refused:
        message_of(replace(event, payload={**to_wire(event)["payload"], field: value}))
    assert str(refused.value).startswith(f"model.predicted: {told}")


def test_missing_and_unknown_fields_are_named() -> None:
    event = envelope(PREDICTION, stream="s", ts_recorded=0)
    payload = to_wire(event)["payload"]
    del payload["model"]
    with pytest.raises(DataProblem, match="without model and with unknown 'colour'"):
        message_of(replace(event, payload={**payload, "colour": "red"}))


def test_an_unknown_topic_is_refused_by_name() -> None:
    wire = to_wire(envelope(PREDICTION, stream="s", ts_recorded=0))
    with pytest.raises(UnknownName, match=r"did you mean 'model.predicted'"):
        from_wire({**wire, "topic": "model.predict"})
    with pytest.raises(UnknownName, match="topic"):
        envelope(PREDICTION, stream="s", ts_recorded=0, topic="nothing")


def test_a_newer_version_is_refused_and_never_guessed() -> None:
    event = envelope(PREDICTION, stream="s", ts_recorded=0)
    for read in (
        lambda: from_wire({**to_wire(event), "version": 2}),
        lambda: message_of(replace(event, version=2)),
    ):
        with pytest.raises(DataProblem, match=r"version of model.predicted must be <= 1; got 2: upgrade"):
            read()


def test_a_message_travels_only_under_its_own_topic() -> None:
    with pytest.raises(DataProblem, match="must be of type Fill"):
        envelope(PREDICTION, stream="s", ts_recorded=0, topic="trading.filled")
    with pytest.raises(UnknownName, match="type of a message"):
        topic_of({"ts_event": 1})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"topic": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'"' + b"a" * 10_000_000 + b'"',
    ],
)
def test_hostile_bytes_are_refused_in_one_line(text: bytes) -> None:
    with pytest.raises(DataProblem) as refused:
        from_bytes(text)
    assert len(str(refused.value)) < 500


def test_a_payload_nested_too_deep_or_with_broken_text_is_refused() -> None:
    deep: Any = 1
    for _ in range(1_000):
        deep = [deep]
    for value, told in (
        (deep, "deep"),
        ("\ud800", "valid texts"),
        ({1: 2}, "keys must be texts"),
        (object(), "plain"),
    ):
        with pytest.raises(DataProblem, match=told):
            event_of(("system.health_updated", {"ts_event": 1, "x": value}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    ts_event: int
    celsius: float
    place: str


@pytest.mark.usefixtures("own_topics")
def test_a_payload_of_version_one_climbs_to_version_three() -> None:
    register("weather.told", Weather, 3)
    UPCASTERS["weather.told", 1] = lambda old: {
        "ts_event": old["ts_event"],
        "celsius": (old["fahrenheit"] - 32) / 1.8,
    }
    UPCASTERS["weather.told", 2] = lambda old: {**old, "place": "unknown"}
    old = Event(
        event_id="e1",
        topic="weather.told",
        stream="s",
        version=1,
        ts_event=1,
        ts_recorded=2,
        payload={"ts_event": 1, "fahrenheit": 212.0},
    )
    before = to_bytes(old)
    assert message_of(from_bytes(before)) == Weather(ts_event=1, celsius=100.0, place="unknown")
    assert to_bytes(old) == before
    del UPCASTERS["weather.told", 2]
    with pytest.raises(DataProblem, match="upcaster from version 2"):
        message_of(old)


@pytest.mark.usefixtures("own_topics")
def test_a_version_never_goes_back_and_a_type_must_be_plain() -> None:
    register("weather.told", Weather, 2)
    with pytest.raises(InvalidValue, match="must be >= 2"):
        register("weather.told", Weather, 1)
    with pytest.raises(InvalidValue, match="dataclass or dict"):
        register("weather.text", str)

    @dataclass
    class Opaque:
        inside: set[int]

    with pytest.raises(InvalidValue, match="JSON"):
        register("weather.opaque", Opaque)
