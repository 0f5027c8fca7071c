"""What rooms in processes of their own are given in tests: an instant, settings, steps."""

import time
from dataclasses import asdict
from typing import Any

from consilium.app.settings import Settings
from consilium.bus.codec import envelope
from consilium.domain import Event, StepDone

HOUR = 3_600 * 10**9
NOW = 1_700_000_000 * 10**9
SETTINGS = Settings.model_validate({"engine": {"period_s": 10, "freshness_s": 60, "horizon_s": 3600}})


class Clock:
    """Stands still."""

    def now_ns(self) -> int:
        """Return the instant of all these tests."""
        return NOW


def step(ts: int, digest: str = "d", topic: str | None = None, stream: str = "feed") -> Event:
    done = StepDone(feed="x", ts_event=ts, digest=digest, candles=1)
    if topic is None:
        return envelope(done, stream=stream, ts_recorded=NOW, trace_id=f"step-{ts}")
    return envelope(asdict(done), stream=stream, ts_recorded=NOW, topic=topic)


def until(holds: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.01)
