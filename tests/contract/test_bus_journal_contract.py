"""Every transport beside a journal: rows mirrored, dropped and read again, wiped and filled."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bus_cases import Running, filled, numbers, told, until
from consilium.bus.journal import GENESIS, Journal, open_journal
from consilium.bus.transport import Pump, Transport, replay

Make = Callable[[int], Transport]


@pytest.fixture
def journal_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.sqlite"


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
