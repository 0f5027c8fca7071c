"""Ctrl-C and SIGTERM: the first asks for an end, the second ends at once."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def ends_on_signals(stop: asyncio.Event, lost: Callable[[], str]) -> Iterator[None]:
    """Set ``stop`` at the first signal; at the second leave the process with exit code 1.

    Plain handlers, not the loop's: a loop that is busy writing would not hear the second one.

    Parameters
    ----------
    stop
        Of the running loop.
    lost
        Says what the second signal leaves undone, for one line on standard error.
    """
    loop = asyncio.get_running_loop()

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop.is_set():
            with suppress(Exception):  # whatever cannot be told must not delay the end
                os.write(sys.stderr.fileno(), f"error: ended at once: {lost()}\n".encode())
            os._exit(1)
        stop.set()
        loop.call_soon_threadsafe(lambda: None)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
