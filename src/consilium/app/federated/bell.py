"""Who waits is woken by what concerns it: nobody asks again and again, and nobody for others."""

import asyncio
import secrets
import threading
from collections import defaultdict
from contextlib import suppress

_FIRST = 1 << 40


class Bell:
    """Marks what each of many may see, and wakes who waits for another mark.

    Marks only grow. They begin somewhere at random, so that one from before a restart is another one.

    Examples
    --------
    >>> bell = Bell()
    >>> anna, bert = bell.mark("anna"), bell.mark("bert")
    >>> bell.ring("anna")
    >>> bell.mark("anna") > anna, bell.mark("bert") == bert
    (True, True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = self._everybody = secrets.randbelow(_FIRST)
        self._own: dict[str, int] = {}
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._loops: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def mark(self, name: str) -> int:
        """Return the mark of what one may see now."""
        with self._lock:
            return max(self._everybody, self._own.get(name, 0))

    @property
    def waiting(self) -> int:
        """How many wait."""
        with self._lock:
            return len(self._loops)

    def ring(self, name: str) -> None:
        """Tell one that there is something else for it."""
        with self._lock:
            self._last += 1
            self._own[name] = self._last
            self._wake(list(self._waiting.get(name, ())))

    def ring_all(self) -> None:
        """Tell everybody."""
        with self._lock:
            self._last += 1
            self._everybody = self._last
            self._own.clear()
            self._wake(list(self._loops))

    async def changed(self, name: str, have: int, seconds: float) -> None:
        """Wait until the mark of one is not ``have``, or the seconds are over."""
        event = asyncio.Event()
        with self._lock:
            self._waiting[name].add(event)
            self._loops[event] = asyncio.get_running_loop()
        try:
            if self.mark(name) == have:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await event.wait()
        finally:
            self._forget(name, event)

    def _forget(self, name: str, event: asyncio.Event) -> None:
        with self._lock:
            del self._loops[event]
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    def _wake(self, events: list[asyncio.Event]) -> None:
        """Set events in their loops: one call a loop, however many wait in it."""
        of_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = defaultdict(list)
        for event in events:
            of_loop[self._loops[event]].append(event)
        for loop, found in of_loop.items():
            with suppress(RuntimeError):  # a loop that has ended: nobody waits there any more
                loop.call_soon_threadsafe(_set_all, found)


def _set_all(events: list[asyncio.Event]) -> None:
    for event in events:
        event.set()
