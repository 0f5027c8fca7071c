"""Bodies that are written once and sent many times."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.responses import Response

from consilium.app.api.port import System

JSON = "application/json"

log = structlog.get_logger("consilium.api")


class JsonBytes(Response):
    """An answer whose JSON is written already."""

    media_type = JSON


def as_json(value: Any) -> bytes:
    """Write JSON; what is not a number becomes null."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


class EnsembleBodies:
    """The answers of the ensemble's routes, written when the ensemble changes, not when somebody asks.

    Parameters
    ----------
    system
        Tells of its changes, from its own thread.
    """

    def __init__(self, system: System) -> None:
        self._engine = system.engine
        self._lock = threading.Lock()
        self.status = self.models = JsonBytes(b"{}")
        self._write()
        system.on_change(self.refresh)

    def refresh(self) -> None:
        """Write them anew; a failure here is no failure of the step that called."""
        try:
            self._write()
        except Exception as error:  # noqa: BLE001 - the pipeline must go on, whatever cannot be shown
            log.error("the ensemble cannot be shown", error=f"{type(error).__name__}: {error}")  # noqa: TRY400

    def _write(self) -> None:
        with self._lock:
            self.status = JsonBytes(as_json(self._engine.status()))
            self.models = JsonBytes(as_json(self._engine.models()))


class Fresh:
    """A body that is at most so old; however many ask, it is made once.

    Parameters
    ----------
    make
        Returns the value; called in a thread of its own: those of the routes may all be waiting.
    seconds
        How old it may be.
    """

    def __init__(self, make: Callable[[], Any], seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._made = -seconds
        self._value: Any = None
        self._thread: CapacityLimiter | None = None

    async def get(self) -> Any:
        """Return the value."""
        if time.monotonic() - self._made >= self._seconds:
            async with self._lock:
                if time.monotonic() - self._made >= self._seconds:
                    if self._thread is None:
                        self._thread = CapacityLimiter(1)
                    self._value = await run_sync(self._make, limiter=self._thread)
                    self._made = time.monotonic()
        return self._value
