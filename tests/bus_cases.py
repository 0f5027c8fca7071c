"""Events, journals and consumers for the tests of the bus."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from consilium.bus.codec import envelope, from_bytes
from consilium.bus.journal import Journal
from consilium.bus.transport import Consumed, Transport
from consilium.domain import Event

TOLD = "system.health_updated"
EFFECT = "model.performance_updated"


def told(number: int, topic: str = TOLD) -> Event:
    """An event that says its number."""
    return envelope({"ts_event": number, "number": number}, topic=topic, stream="s", ts_recorded=number)


_calls = itertools.count(1)


def effect(event: Event) -> Event:
    """What follows from an event: another event at each call, so that a second one would show."""
    said = {"ts_event": event.ts_event, "number": number_of(event)}
    call = (os.getpid() << 32) + next(_calls)
    return envelope(said, topic=EFFECT, stream="s", ts_recorded=0, cause_id=event.event_id, occurrence=call)


def number_of(event: Event) -> int:
    payload: Any = event.payload
    return int(payload["number"])


def filled(journal: Journal, numbers: Iterable[int]) -> None:
    journal.append([told(number) for number in numbers])


def effects_in(journal: Journal) -> list[int]:
    """Numbers of the effects in a journal, in its order."""
    return [number_of(row.event) for row in journal.read(0, 1_000_000, topics=[EFFECT])]


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.01)


class Running:
    """A consumer in a thread that keeps the numbers it saw; ends with its ``with`` block."""

    def __init__(
        self,
        transport: Transport,
        group: str = "g",
        consumer: str = "c",
        topics: Collection[str] | None = (TOLD,),
        *,
        handler: Callable[[Event], Sequence[Event]] | None = None,
        **options: Any,
    ) -> None:
        self.seen: list[int] = []
        self.stop = threading.Event()
        self.consumed = Consumed()
        self._handler = handler

        def run() -> None:
            self.consumed = transport.consume(
                group, consumer, topics, handler=self._handle, stop=self.stop, **options
            )

        self._thread = threading.Thread(target=run)

    def _handle(self, event: Event) -> Sequence[Event]:
        effects = self._handler(event) if self._handler is not None else ()
        self.seen.append(number_of(event))
        return effects

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(20.0)
        assert not self._thread.is_alive()


def numbers(transport: Transport, group: str, count: int = 1_000) -> list[int]:
    taken = transport.take(group, "c", count, 0)
    assert taken is not None
    return [number_of(read(entry.text)) for entry in taken.entries]


def read(text: bytes | None) -> Event:
    assert text is not None
    return from_bytes(text)
