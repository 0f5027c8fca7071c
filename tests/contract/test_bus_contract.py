"""One exam for every transport: in this process, and through the streams of a real Valkey."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bus_cases import EFFECT, Running, filled, numbers, read, told, until
from consilium.bus.journal import Journal
from consilium.bus.transport import MemoryTransport, RedisTransport, Transport, open_transport, replay


@pytest.fixture
def journal_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.sqlite"


def test_a_url_decides_which_it_is(fresh_valkey: str) -> None:
    assert isinstance(open_transport(), MemoryTransport)
    opened = open_transport(fresh_valkey)
    assert isinstance(opened, RedisTransport)
    opened.close()


def test_each_group_gets_every_event_once_and_in_order(transport: Transport) -> None:
    assert transport.publish([told(number) for number in range(50)])
    assert transport.publish([])
    for group in ("one", "two"):
        assert transport.open_group(group, 0)
        assert transport.open_group(group, 0)
        assert [numbers(transport, group, 20) for _ in range(4)] == [
            list(range(20)),
            list(range(20, 40)),
            list(range(40, 50)),
            [],
        ]


def test_an_event_goes_through_unchanged(transport: Transport) -> None:
    event = replace(told(7), cause_id="cause", trace_id="trace")
    transport.publish([event])
    transport.open_group("g", 0)
    taken = transport.take("g", "c", 1, 0)
    assert taken is not None
    assert read(taken.entries[0].text) == event


def test_consumers_of_a_group_share_its_events(transport: Transport) -> None:
    seen: list[list[int]] = []
    with Running(transport, consumer="a", batch=5) as one, Running(transport, consumer="b", batch=5) as other:
        for number in range(300):
            transport.publish([told(number)])
        until(lambda: len(one.seen) + len(other.seen) == 300)
        seen += [one.seen, other.seen]
    assert sorted(seen[0] + seen[1]) == list(range(300))
    assert all(part == sorted(part) for part in seen)


def test_what_is_not_finished_is_given_again_and_taken_over_when_idle(transport: Transport) -> None:
    transport.publish([told(number) for number in range(3)])
    transport.open_group("g", 0)
    taken = transport.take("g", "dead", 3, 0)
    assert taken is not None
    transport.done("g", taken.entries[:1])
    again = transport.pending("g", "dead", 10)
    assert again is not None
    assert [entry.place for entry in again.entries] == [entry.place for entry in taken.entries[1:]]
    assert [entry.deliveries for entry in again.entries] == [2, 2]
    nothing = transport.pending("g", "other", 10)
    assert nothing is not None
    assert nothing.entries == ()
    none = transport.reclaim("g", "other", 60.0, 10)
    assert none is not None
    assert none.entries == ()
    time.sleep(0.06)
    over = transport.reclaim("g", "other", 0.05, 10)
    assert over is not None
    assert [(entry.place, entry.deliveries) for entry in over.entries] == [
        (entry.place, 3) for entry in taken.entries[1:]
    ]
    transport.done("g", over.entries)
    for gone in (transport.pending("g", "dead", 10), transport.pending("g", "other", 10)):
        assert gone is not None
        assert gone.entries == ()


def test_a_group_that_is_not_there_is_told(transport: Transport) -> None:
    for answer in (
        transport.take("none", "c", 1, 0),
        transport.pending("none", "c", 1),
        transport.reclaim("none", "c", 1.0, 1),
    ):
        assert answer is not None
        assert not answer.group_known
    assert transport.reached("none") is None


def test_only_topics_that_are_asked_for_are_handled(transport: Transport) -> None:
    transport.publish([told(1), told(2, EFFECT), told(3)])
    with Running(transport, topics=[EFFECT]) as some, Running(transport, "all", topics=None) as every:
        until(lambda: (some.seen, every.seen) == ([2], [1, 2, 3]))


def test_one_process_never_handles_an_event_twice(transport: Transport, journal: Journal) -> None:
    filled(journal, range(20))
    replay(journal, transport)
    with Running(transport, journal=journal) as consumer:
        until(lambda: len(consumer.seen) == 20)
        transport.rewind("g", 0)
        filled(journal, [20])
        replay(journal, transport)
        until(lambda: len(consumer.seen) == 21)
    assert consumer.seen == list(range(21))
    assert consumer.consumed.repeated == 20


def test_waiting_ends_with_the_next_event(transport: Transport) -> None:
    began = time.monotonic()
    transport.wait((0, 0), 0.05)
    assert time.monotonic() - began >= 0.04
    late = threading.Timer(0.05, transport.publish, ([told(1)],))
    late.start()
    began = time.monotonic()
    transport.wait((0, 0), 4.0)
    assert time.monotonic() - began < 2.0
    late.join()
