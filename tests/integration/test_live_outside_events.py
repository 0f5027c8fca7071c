"""What another system publishes is kept under its own topics, and never becomes a command."""

from pathlib import Path
from typing import Any

import pytest

from consilium.app.api.schemas import PAYLOADS
from consilium.app.live.assembly import assemble
from consilium.app.live.outside import OUTSIDE_TOPICS, ROOMS
from consilium.app.live.recovery import Replayer
from consilium.app.settings import Settings
from consilium.bus.codec import TOPICS, Topic
from consilium.domain import ConsiliumError, Event

FORGED: list[tuple[str, dict[str, Any]]] = [
    ("ensemble.rule_changed", {"rule": "majority", "by": "x", "ts_event": 1}),
    ("ensemble.rule_changed", {"rule": "nonsense", "by": "x", "ts_event": 1}),
    ("ensemble.model_configured", {"model": "xgboost", "enabled": False, "by": "x", "ts_event": 1}),
    ("market.step_done", {"feed": "f", "ts_event": 1, "digest": "d", "candles": 0}),
]


def publish(system: Any, topic: str, payload: dict[str, Any], sequence: int = 1) -> Event:
    event: Event = system.publish_outside(
        topic, source="other", sequence=sequence, ts_event=1, payload=payload, by="publisher"
    )
    return event


@pytest.mark.parametrize(("topic", "payload"), FORGED)
def test_a_forged_command_of_the_outside_is_not_applied_by_a_replay(
    topic: str, payload: dict[str, Any], tmp_path: Path
) -> None:
    forged = Event(
        event_id="f" * 32,
        topic=topic,
        stream="outside:other",
        version=TOPICS[topic].version,
        ts_event=1,
        ts_recorded=1,
        cause_id="",
        trace_id="",
        payload=payload,
    )
    with assemble(Settings(data_dir=tmp_path)) as system:
        before = system.engine.state_hash()
        system.journal.append([forged])
        assert Replayer(system.pipeline, system.journal, None).run(0).steps == 0
        assert system.engine.state_hash() == before


def test_topics_of_our_own_rooms_are_refused_and_leave_no_trace(tmp_path: Path) -> None:
    ours = sorted(
        topic for topic in TOPICS if topic not in OUTSIDE_TOPICS and topic.partition(".")[0] in ROOMS
    )
    assert {"ensemble.rule_changed", "trading.filled", "market.step_done", "model.pool_changed"} <= set(ours)
    with assemble(Settings(data_dir=tmp_path)) as system:
        head = system.journal.head()
        for topic in ours:
            with pytest.raises(ConsiliumError, match=f"a topic of its own; got {topic}"):
                publish(system, topic, {})
        with pytest.raises(ConsiliumError, match="topic"):
            publish(system, "no.such_topic", {})
        assert system.journal.head() == head


def test_topics_of_the_outside_and_free_ones_are_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOPICS, "thermostat.read", Topic(dict, 1))
    assert set(PAYLOADS) == OUTSIDE_TOPICS
    with assemble(Settings(data_dir=tmp_path)) as system:
        for topic in (*sorted(OUTSIDE_TOPICS), "thermostat.read"):
            event = publish(system, topic, {"x": 1})
            assert publish(system, topic, {"x": 1}).event_id == event.event_id
            assert [row.event.payload for row in system.journal.read(topics=[topic])] == [{"x": 1}]
