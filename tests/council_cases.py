"""A living system under its council, moved close by close by a test, beside the same one left alone."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest

from consilium.app.live.assembly import assemble
from consilium.app.live.feeds import PanelFeed, Step
from consilium.app.live.governing import Governed
from consilium.app.settings import Live
from consilium.bus.codec import message_of
from consilium.domain import CouncilCommanded, Event
from consilium.market.simulator import simulate
from live_cases import settings_of

BARS = 300
WARM = 240
"""Closes before the first step: so many that what trades is warm there, and the first entry comes soon."""
STEPS = BARS - WARM


class GatedFeed(PanelFeed):
    """Plays one close whenever the test lets it."""

    def __init__(self, bars: int = BARS, symbols: int = 3, seed: int = 5, **more: Any) -> None:
        super().__init__("gated", simulate(symbols=symbols, bars=bars, seed=seed, **more).series, speed=0.0)
        self._begin = int(np.unique(self._ts)[WARM - 1])
        self.gate = threading.Semaphore(0)

    def steps(
        self, after: int, stop: threading.Event, held: Mapping[str, int] | None = None
    ) -> Iterator[Step]:
        for step in super().steps(after, stop, held):
            while not self.gate.acquire(timeout=0.05):
                if stop.is_set():
                    return
            yield step


class Ward:
    """A system whose closes and messages come one by one."""

    def __init__(
        self, folder: Path, models: Path, *, council: Mapping[str, Any] | None = None, **feed: Any
    ) -> None:
        if not (folder / "models").exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copytree(models, folder / "models")
        chosen = {"start_profile": "NORMAL", "tick_s": 0.05, "trusted_sources": ["desk"]} | dict(
            council or {}
        )
        self.system = assemble(settings_of(folder, live=Live(), council=chosen))
        self.feed = GatedFeed(**feed)
        self.system.feed = self.feed
        self._sequence = count(int(time.time() * 1e6))

    def __enter__(self) -> Self:
        self.system.start()
        self.until(lambda: "engine" not in self.system.troubles)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.system.stop()

    def until(self, good: Callable[[], bool], seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < end, f"it did not happen: {self.system.troubles}"
            time.sleep(0.005)

    @property
    def steps(self) -> int:
        return len(self.system.journal.read(0, 100_000, topics=["market.step_done"]))

    def go(self, closes: int = 1) -> Self:
        """Let so many closes come, and wait until they are in the journal."""
        for _ in range(closes):
            before = self.system.pipeline.ts
            self.feed.gate.release()
            self.until(lambda before=before: self.system.pipeline.ts > before)  # type: ignore[misc]
        self.system._run(lambda: None)
        assert self.system.troubles == {}
        return self

    def tell(self, topic: str, payload: Mapping[str, Any], source: str = "desk") -> Event:
        """Publish as an outside system does."""
        return self.system.publish_outside(
            topic,
            source=source,
            sequence=next(self._sequence),
            ts_event=self.system.clock.now_ns(),
            payload=payload,
            by="publisher",
        )

    def account(self, **changes: Any) -> Event:
        """Tell of an account that is well but for what is given."""
        told = {
            "total_equity": 10_000.0,
            "drawdown_pct": 0.0,
            "max_drawdown_pct": 0.0,
            "realized_pnl_today": 0.0,
            "exposure_pct": 0.0,
            "open_positions": 0,
            "win_rate": None,
            "sharpe_ratio": None,
            "consecutive_losses": 0,
            "winning_days": 0,
            "losing_days": 0,
        }
        return self.tell("portfolio.snapshot_updated", told | changes)

    def ask(self, action: str, person: str = "ann", **payload: Any) -> Governed:
        return self.system.govern(
            CouncilCommanded(
                command_id=f"c{next(self._sequence)}",
                action=action,
                payload=payload,
                reason="a test wants it",
                person=person,
                key_id=person,
                authenticated_at=self.system.council_now(),
                ts_event=self.system.council_now(),
            )
        )

    # what came of it

    def events(self, *topics: str, after: int = 0) -> list[Event]:
        return [row.event for row in self.system.journal.read(after, 1_000_000, topics=list(topics))]

    def said(self, *topics: str, after: int = 0) -> list[Any]:
        return [message_of(event) for event in self.events(*topics, after=after)]

    def entries(self, after: int = 0) -> list[Any]:
        """Return the orders that opened something."""
        return [order for order in self.said("trading.order_sent", after=after) if not order.reduce_only]

    def rules(self, after: int = 0) -> list[str]:
        return [body["rule"] for body in self.said("ai.federation.decision_made", after=after)]

    @property
    def head(self) -> int:
        return int(self.system.journal.head().offset)

    @property
    def held(self) -> dict[str, Any]:
        positions: dict[str, Any] = self.system.trading_status()["positions"]
        return positions


@pytest.fixture
def ward(tmp_path: Path, models: Path) -> Iterator[Ward]:
    """A system of this test's own."""
    with Ward(tmp_path / "ward", models) as made:
        yield made


def with_an_entry(ward: Ward) -> Ward:
    """Go on until an order that adds risk waits."""
    while not resting(ward):
        ward.go()
    return ward


def resting(ward: Ward) -> list[Any]:
    """Return the orders that wait to open something."""
    orders = ward.system.pipeline.accounts.trading.broker.open_orders()
    return [order for order in orders.values() if not order.reduce_only]
