"""What another system publishes is kept under its own topics, and never becomes a command."""

from pathlib import Path
from typing import Any

import pytest

from consilium.app.api.schemas import PAYLOADS
from consilium.app.bootstrap import SystemClock
from consilium.app.council_settings import Council
from consilium.app.live.assembly import assemble
from consilium.app.live.candle_log import CandleReader
from consilium.app.live.mirror import PERFORMANCE, MirrorSystem
from consilium.app.live.outside import OUTSIDE_TOPICS, ROOMS
from consilium.app.live.records import Recorder
from consilium.app.live.recovery import Replayer
from consilium.app.live.worker_assembly import engine_of
from consilium.app.settings import Settings
from consilium.bus.codec import TOPICS, Topic
from consilium.bus.journal import open_journal
from consilium.bus.transport import open_transport
from consilium.domain import ArtefactRefused, ConsiliumError, Event

FORGED: list[tuple[str, dict[str, Any]]] = [
    ("ensemble.rule_changed", {"rule": "majority", "by": "x", "ts_event": 1}),
    ("ensemble.rule_changed", {"rule": "nonsense", "by": "x", "ts_event": 1}),
    ("ensemble.model_configured", {"model": "xgboost", "enabled": False, "by": "x", "ts_event": 1}),
    ("council.time_passed", {"ts_event": 1}),
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
    assert {"ensemble.rule_changed", "trading.filled", "market.step_done", "council.commanded"} <= set(ours)
    with assemble(Settings(data_dir=tmp_path, council=Council(enabled=False))) as system:
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
            kept = [row.event.payload for row in system.journal.read(topics=[topic], stream="outside:other")]
            assert kept == [{"x": 1}]


def test_a_source_and_sequence_say_one_thing_for_ever(tmp_path: Path) -> None:
    topic = min(OUTSIDE_TOPICS)
    with assemble(Settings(data_dir=tmp_path)) as system:
        first = publish(system, topic, {"x": 1})
        with pytest.raises(ArtefactRefused, match="of one source and sequence must stay the same"):
            publish(system, topic, {"x": 2})
        kept = system.journal.find(first.event_id)
    assert kept is not None
    assert kept.event.payload == {"x": 1}


@pytest.mark.parametrize("worker", [False, True])
def test_a_source_belongs_to_the_person_who_first_spoke_as_it(worker: bool, tmp_path: Path) -> None:
    def say(system: Any, topic: str, sequence: int, by: str) -> Event:
        event: Event = system.publish_outside(
            topic, source="desk", sequence=sequence, ts_event=1, payload={"x": 1}, by=by
        )
        return event

    topics = sorted(OUTSIDE_TOPICS)
    with assemble(Settings(data_dir=tmp_path)) as system:
        say(system, topics[0], 1, "carl: the first")
    settings = Settings(data_dir=tmp_path)
    with assemble(settings) as again:
        shown = MirrorSystem(
            settings,
            SystemClock(),
            again.journal,
            open_transport(""),
            engine_of(settings, again.journal),
            CandleReader(tmp_path),
        )
        asked: Any = shown if worker else again
        for topic in topics:
            with pytest.raises(ArtefactRefused, match="must belong to the person who first spoke as it"):
                say(asked, topic, 10**6, "dave")
        assert len(again.journal.read(stream="outside:desk")) == 1
        assert say(asked, topics[1], 2, "carl: the first").stream == "outside:desk"


def test_what_the_council_would_refuse_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    told = {"system_status": "HEALTHY", "ess_state": "NOMINAL"}

    def say(system: Any, sequence: int, ahead_s: float = 0.0) -> Event:
        event: Event = system.publish_outside(
            "system.health_updated",
            source="ops",
            sequence=sequence,
            ts_event=system.clock.now_ns() + int(ahead_s * 1e9),
            payload=told,
            by="carl",
        )
        return event

    with assemble(Settings(data_dir=tmp_path)) as system:
        say(system, 7)
        with pytest.raises(ArtefactRefused, match=r"sequence must be > 7; got 6: a replay, or an older one"):
            say(system, 6)
        with pytest.raises(ArtefactRefused, match="in the future; the bound is 5 s"):
            say(system, 8, ahead_s=60.0)
        assert len(system.journal.read(stream="outside:ops")) == 1
        assert system.journal.read(topics=["council.report_refused"]) == []
        say(system, 8)
        assert len(system.journal.read(stream="outside:ops")) == 2


def test_an_api_worker_does_not_show_figures_of_the_outside_as_its_books(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    journal = open_journal(f"sqlite:///{tmp_path / 'journal.sqlite'}")
    shown = MirrorSystem(
        settings,
        SystemClock(),
        journal,
        open_transport(""),
        engine_of(settings, journal),
        CandleReader(tmp_path),
    )
    try:
        own = {"model_name": "xgboost", "trades": 3}
        recorder = Recorder(ts_recorded=1, trace_id="step")
        journal.append(recorder.events([own | {"ts_event": 1}]))
        others: list[dict[str, Any]] = [{"model_name": "xgboost", "trades": 9}, {"trades": 9}]
        for sequence, said in enumerate(others):
            publish(shown, PERFORMANCE, said, sequence)
        assert shown.trading_status()["models"] == {"xgboost": own | {"ts_event": 1}}
        # however many newer rows another model has
        other = {"model_name": "nhits", "trades": 0}
        journal.append(recorder.events([other | {"ts_event": ts} for ts in range(2, 300)]))
        assert shown.trading_status()["models"] == {
            "xgboost": own | {"ts_event": 1},
            "nhits": other | {"ts_event": 299},
        }
    finally:
        journal.close()
