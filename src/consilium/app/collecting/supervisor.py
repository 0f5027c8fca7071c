"""Keeps a collector running: whatever fails is told, and begun again after a pause."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from consilium.market.collector.collector import Collector

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
HEALTHY_S = 300.0


class Supervisor:
    """Run a collector until it is told to stop.

    A failure that nobody foresaw ends the collector's run, not the program: its books cannot be read from
    then on (a gap), and it is run again after a pause that doubles from 1 s to 60 s and is short again after
    five minutes without failure. Only what fails before the first connection is raised: it will not mend
    itself.

    Parameters
    ----------
    collector
        May be run again after a failure.
    tell
        Hears one line about each failure.
    first_pause_s
        Seconds, > 0.
    """

    def __init__(
        self, collector: Collector, tell: Callable[[str], None], *, first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self.restarts = 0
        self.last_failure = ""
        self._collector, self._tell, self._first = collector, tell, first_pause_s

    async def run(self, stop: asyncio.Event) -> None:
        """Return when ``stop`` is set."""
        pause = self._first
        while not stop.is_set():
            begun = time.monotonic()
            try:
                await self._collector.run(stop)
            except Exception as error:
                if not self._collector.counts["connections"]:
                    raise
                self.restarts += 1
                self.last_failure = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
            else:
                return
            if time.monotonic() - begun > HEALTHY_S:
                pause = self._first
            with suppress(OSError):  # nobody may listen any more
                self._tell(f"beginning again in {pause:g} s after {self.last_failure}")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
