"""Every transport with handlers that fail: tries, dead letters, effects kept once."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bus_cases import EFFECT, TOLD, Running, effect, effects_in, filled, number_of, told, until
from consilium.bus.codec import to_bytes
from consilium.bus.journal import Journal
from consilium.bus.transport import Pump, Transport, replay
from consilium.bus.transport.consumer import FAILED
from consilium.domain import Event


@pytest.fixture
def journal_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.sqlite"


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
