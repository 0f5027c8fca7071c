"""One exam for every transport: in this process, and through the streams of a real Valkey."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bus_cases import EFFECT, TOLD, Running, effect, effects_in, filled, number_of, told, until
from consilium.bus.codec import from_bytes, to_bytes
from consilium.bus.journal import GENESIS, Journal, open_journal
from consilium.bus.transport import (
    MemoryTransport,
    Pump,
    RedisTransport,
    Transport,
    open_transport,
    replay,
)
from consilium.bus.transport.consumer import FAILED
from consilium.domain import Event

Make = Callable[[int], Transport]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes the one transport of a test, with room for about so many events."""
    opened: list[Transport] = []

    def make(room: int) -> Transport:
        if request.param == "memory":
            opened.append(MemoryTransport(room))
        else:
            opened.append(RedisTransport(request.getfixturevalue("fresh_valkey"), max_entries=room))
        return opened[-1]

    yield make
    for transport in opened:
        transport.close()


@pytest.fixture
def transport(make: Make) -> Transport:
    return make(100_000)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield opened
    opened.close()


def numbers(transport: Transport, group: str, count: int = 1_000) -> list[int]:
    taken = transport.take(group, "c", count, 0)
    assert taken is not None
    return [number_of(read(entry.text)) for entry in taken.entries]


def read(text: bytes | None) -> Event:
    assert text is not None
    return from_bytes(text)


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


def test_rows_of_the_journal_keep_their_offsets_and_are_added_once(
    transport: Transport, journal: Journal
) -> None:
    assert transport.position() == (0, GENESIS)
    filled(journal, range(10))
    rows = journal.read(0)
    assert transport.mirror(rows[:4], after=0) == 4
    assert transport.mirror(rows[:4], after=0) == 4
    assert transport.mirror(rows[2:7], after=2) == 7
    assert transport.mirror(rows[9:], after=7) == 7  # a row would be missing before it
    assert transport.mirror(rows[9:], after=9) == 7  # it has not what the sender thinks it has
    assert transport.position() == (7, rows[6].hash)
    transport.open_group("g", 0)
    assert numbers(transport, "g") == list(range(7))


def test_events_without_a_journal_come_between_its_rows(transport: Transport, journal: Journal) -> None:
    filled(journal, range(4))
    rows = journal.read(0)
    transport.publish([told(100)])
    transport.mirror(rows[:2], after=0)
    transport.publish([told(101), told(102)])
    assert transport.position() == (2, rows[1].hash)
    transport.mirror(rows[2:], after=2)
    transport.open_group("g", 0)
    assert numbers(transport, "g") == [100, 0, 1, 101, 102, 2, 3]


def test_a_group_may_begin_behind_an_offset_and_read_again(transport: Transport, journal: Journal) -> None:
    filled(journal, range(10))
    replay(journal, transport)
    transport.open_group("late", 7)
    assert numbers(transport, "late") == [7, 8, 9]
    assert transport.rewind("late", 4)
    assert numbers(transport, "late") == [4, 5, 6, 7, 8, 9]


def test_how_far_a_group_is_counts_what_is_unfinished(transport: Transport, journal: Journal) -> None:
    filled(journal, range(10))
    replay(journal, transport)
    transport.open_group("g", 0)
    assert transport.reached("g") == 0
    taken = transport.take("g", "c", 6, 0)
    assert taken is not None
    assert transport.reached("g") == 0
    transport.done("g", [*taken.entries[:2], taken.entries[4]])
    assert transport.reached("g") == 2
    transport.done("g", taken.entries)
    assert transport.reached("g") == 6


def test_only_topics_that_are_asked_for_are_handled(transport: Transport) -> None:
    transport.publish([told(1), told(2, EFFECT), told(3)])
    with Running(transport, topics=[EFFECT]) as some, Running(transport, "all", topics=None) as every:
        until(lambda: (some.seen, every.seen) == ([2], [1, 2, 3]))


def test_what_the_transport_has_dropped_is_read_from_the_journal_in_order(
    make: Make, journal: Journal
) -> None:
    transport = make(100)
    filled(journal, range(200))
    replay(journal, transport)
    with Running(transport, journal=journal) as first:
        until(lambda: len(first.seen) == 200)
    filled(journal, range(200, 2_000))
    replay(journal, transport)
    assert transport.publish([told(5_000)])
    with Running(transport, journal=journal, batch=50) as late:
        until(lambda: len(late.seen) == 1_801)
    assert first.seen + late.seen == [*range(2_000), 5_000]
    assert late.consumed.refilled >= 1_500
    assert late.consumed.lost == 0


def test_without_a_journal_what_is_dropped_is_counted_as_lost(make: Make, journal: Journal) -> None:
    transport = make(100)
    filled(journal, range(1_000))
    pump = Pump(journal, transport, window=1_000)
    assert pump.once()
    with Running(transport) as late:
        until(lambda: 999 in late.seen)
    assert late.seen == list(range(1_000 - len(late.seen), 1_000))
    assert late.consumed.lost == 1_000 - len(late.seen) > 0


def test_what_is_dropped_while_a_consumer_has_it_is_read_from_the_journal(
    make: Make, journal: Journal
) -> None:
    transport = make(100)
    filled(journal, range(10))
    replay(journal, transport)
    transport.open_group("g", 0)
    assert transport.take("g", "dead", 10, 0) is not None
    filled(journal, range(10, 1_000))
    replay(journal, transport)
    with Running(transport, journal=journal, idle_s=0.05) as other:
        until(lambda: len(other.seen) == 1_000)
        until(lambda: transport.reached("g") == 1_000)
    assert sorted(other.seen) == list(range(1_000))


def test_a_failing_handler_is_tried_again_and_then_gives_a_dead_letter(
    transport: Transport, journal: Journal
) -> None:
    calls: list[int] = []
    broken = threading.Event()
    broken.set()

    def handle(event: Event) -> Sequence[Event]:
        calls.append(number_of(event))
        if number_of(event) == 2 and broken.is_set():
            raise ValueError("two is too much\nand more")
        return [effect(event)]

    filled(journal, range(5))
    replay(journal, transport)
    with (
        Running(transport, "sums", handler=handle, journal=journal, tries=3) as sums,
        Running(transport, "other") as other,
    ):
        until(lambda: len(sums.seen) == 4)
        assert calls == [0, 1, 2, 2, 2, 3, 4]
        (letter,) = transport.dead_letters()
        assert (letter.group, letter.topic, letter.event_id) == ("sums", TOLD, told(2).event_id)
        assert letter.error == "ValueError: two is too much"
        assert transport.warnings()[-1] == "1 dead letter to be retried"
        assert transport.dead_letters(EFFECT) == []
        (failed,) = [row.event for row in journal.read(topics=[FAILED])]
        assert isinstance(failed.payload, dict)
        assert failed.payload["error"] == "ValueError: two is too much"
        assert failed.cause_id == letter.event_id
        # still broken: a dead letter again, told in the journal only once
        assert transport.retry() == 1
        until(lambda: calls.count(2) == 6 and bool(transport.dead_letters()))
        assert len(journal.read(topics=[FAILED])) == 1
        broken.clear()
        assert transport.retry(TOLD, "none") == 0
        assert transport.retry(TOLD, letter.event_id) == 1
        until(lambda: 2 in sums.seen)
        until(lambda: len(other.seen) == 5)
    assert transport.dead_letters() == []
    assert transport.retry() == 0
    assert other.seen == [0, 1, 2, 3, 4]
    assert effects_in(journal) == [0, 1, 3, 4, 2]


def test_what_cannot_be_read_becomes_a_dead_letter_and_holds_up_nobody(transport: Transport) -> None:
    newer = replace(told(1), version=9)
    transport.publish([told(0), newer, told(2)])
    with Running(transport) as consumer:
        until(lambda: consumer.seen == [0, 2])
        until(lambda: len(transport.dead_letters()) == 1)
    (letter,) = transport.dead_letters(TOLD)
    assert "version of system.health_updated must be <= 1; got 9" in letter.error
    assert letter.text == to_bytes(newer)


def test_a_failing_handler_of_failures_does_not_go_on_for_ever(
    transport: Transport, journal: Journal
) -> None:
    def handle(event: Event) -> Sequence[Event]:
        raise ValueError("no")

    filled(journal, [1])
    stop = threading.Event()
    pump = threading.Thread(target=Pump(journal, transport, look_s=0.05).run, args=(stop,))
    pump.start()
    with Running(transport, topics=None, handler=handle, journal=journal, tries=1):
        until(lambda: len(transport.dead_letters()) == 2)
        time.sleep(0.3)
    stop.set()
    pump.join()
    assert journal.head().offset == 2


@pytest.mark.parametrize("kept", [True, False])
def test_effects_that_are_no_json_become_a_dead_letter(
    transport: Transport, journal: Journal, kept: bool
) -> None:
    def handle(event: Event) -> Sequence[Event]:
        payload = {"number": float("nan") if number_of(event) == 1 else 0}
        return [replace(effect(event), payload=payload)]

    filled(journal, range(3))
    replay(journal, transport)
    with Running(transport, handler=handle, journal=journal if kept else None) as consumer:
        until(lambda: consumer.seen == [0, 1, 2] and bool(transport.dead_letters()))
    (letter,) = transport.dead_letters()
    assert letter.event_id == told(1).event_id
    assert "its effects cannot be kept" in letter.error


def test_an_event_that_kills_its_consumers_is_given_up(transport: Transport) -> None:
    transport.publish([told(0), told(1)])
    transport.open_group("g", 0)
    assert transport.take("g", "c", 2, 0) is not None
    for _ in range(20):  # each time the process dies while it works on the first
        again = transport.pending("g", "c", 2)
        assert again is not None
        if again.entries[0].deliveries > 3:
            transport.tried("g", again.entries[0])
    with Running(transport) as consumer:
        until(lambda: consumer.seen == [1])
    (letter,) = transport.dead_letters()
    assert letter.event_id == told(0).event_id
    assert "died" in letter.error


def test_effects_are_kept_once_however_often_an_event_is_delivered(
    transport: Transport, journal: Journal
) -> None:
    filled(journal, range(20))
    replay(journal, transport)

    def handle(event: Event) -> Sequence[Event]:
        return [effect(event)]

    for _ in range(3):  # each is a new process to the group: it remembers nothing
        transport.rewind("g", 0)
        with Running(transport, handler=handle, journal=journal) as consumer:
            until(lambda: consumer.seen == list(range(20)))
    assert effects_in(journal) == list(range(20))


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


def test_a_wiped_transport_is_filled_again_and_nothing_is_missed_or_doubled(
    transport: Transport, journal: Journal
) -> None:
    stop = threading.Event()
    pump = Pump(journal, transport, look_s=0.05)
    pumping = threading.Thread(target=pump.run, args=(stop,))
    pumping.start()
    with Running(transport, journal=journal) as consumer:
        for part in range(5):
            filled(journal, range(100 * part, 100 * (part + 1)))
            if part % 2:
                until(lambda: len(consumer.seen) > 50)
                transport.reset()
        until(lambda: len(consumer.seen) == 500)
    stop.set()
    pumping.join()
    assert consumer.seen == list(range(500))
    assert pump.sent > 500


def test_several_pumps_send_each_row_once(transport: Transport, journal: Journal) -> None:
    stop = threading.Event()
    pumps = [Pump(journal, transport, batch=7, look_s=0.05) for _ in range(3)]
    threads = [threading.Thread(target=pump.run, args=(stop,)) for pump in pumps]
    for thread in threads:
        thread.start()
    for number in range(0, 500, 5):
        filled(journal, range(number, number + 5))
    until(lambda: (transport.position() or (0, ""))[0] == 500)
    stop.set()
    for thread in threads:
        thread.join()
    transport.open_group("g", 0)
    assert numbers(transport, "g") == list(range(500))


def test_another_journals_events_are_not_taken_for_ones_own(
    transport: Transport, journal: Journal, tmp_path: Path
) -> None:
    other = open_journal(f"sqlite:///{tmp_path}/other.sqlite")
    filled(other, range(100, 130))
    assert replay(other, transport) == 30
    other.close()
    filled(journal, range(10))
    assert replay(journal, transport) == 10
    transport.open_group("g", 0)
    assert numbers(transport, "g") == list(range(10))


def test_an_empty_transport_gets_the_newest_rows_and_consumers_the_rest(
    transport: Transport, journal: Journal
) -> None:
    filled(journal, range(300))
    assert replay(journal, transport, after=250) == 300
    with Running(transport, journal=journal) as consumer:
        until(lambda: len(consumer.seen) == 300)
    assert consumer.seen == list(range(300))
    assert consumer.consumed.refilled == 250


def test_a_group_goes_on_after_a_wipe_where_the_journal_says_it_was(
    transport: Transport, journal: Journal
) -> None:
    filled(journal, range(100))
    replay(journal, transport)
    with Running(transport, journal=journal) as first:
        until(lambda: transport.reached("g") == 100)
    transport.reset()
    filled(journal, range(100, 110))
    replay(journal, transport)
    with Running(transport, journal=journal) as then:
        until(lambda: len(then.seen) == 10)
    assert (first.seen, then.seen) == (list(range(100)), list(range(100, 110)))


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
