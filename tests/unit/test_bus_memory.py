from collections.abc import Iterable

import pytest

from consilium.bus.memory import MemoryBus
from consilium.domain import InvalidValue


def test_answers_are_delivered_after_the_message_that_caused_them() -> None:
    seen: list[object] = []

    def split(text: str) -> Iterable[object]:
        seen.append(text)
        return [len(text), len(text) + 1]

    def keep(number: int) -> Iterable[object]:
        seen.append(number)
        return []

    bus = MemoryBus({str: [split], int: [keep]})
    bus.publish("ab")
    bus.publish("c")
    assert seen == ["ab", 2, 3, "c", 1, 2]


def test_an_event_handler_that_fails_becomes_a_dead_letter_and_the_next_one_runs() -> None:
    seen: list[int] = []

    def broken(number: int) -> Iterable[object]:
        raise InvalidValue("n must be 0", number, "give 0")

    def keep(number: int) -> Iterable[object]:
        seen.append(number)
        return []

    bus = MemoryBus({int: [broken, keep]})
    bus.publish(4)
    assert seen == [4]
    assert [letter.topic for letter in bus.dead_letters] == ["int"]
    assert "n must be 0; got 4" in bus.dead_letters[0].error


def test_a_command_that_fails_raises_to_its_caller_and_publishes_nothing() -> None:
    seen: list[object] = []

    def half(number: int) -> Iterable[object]:
        yield "first"
        raise InvalidValue("n must be even", number, "give an even n")

    def keep(text: str) -> Iterable[object]:
        seen.append(text)
        return []

    bus = MemoryBus({int: [half], str: [keep]})
    with pytest.raises(InvalidValue):
        bus.send(3)
    assert seen == []


def test_the_tap_sees_every_message_before_its_handlers() -> None:
    order: list[str] = []

    def handle(text: str) -> Iterable[object]:
        order.append("handled " + text)
        return []

    bus = MemoryBus({str: [handle]}, tap=lambda message: order.append("kept " + message))
    bus.publish("a")
    assert order == ["kept a", "handled a"]
