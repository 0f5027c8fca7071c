"""A council in a worker over a real journal, its clock set by hand."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from consilium.app.council.health import Assessment
from consilium.app.live.close_reports import CloseTold
from consilium.app.live.council_worker import SittingRoom
from consilium.app.live.room_worker import RoomWorker
from consilium.app.live.terms import Terms
from consilium.app.settings import Settings
from consilium.bus.codec import envelope, message_of
from consilium.bus.journal import Journal, open_journal
from consilium.bus.transport import MemoryTransport
from consilium.domain import MINUTE_NS, SECOND_NS, AccountReported, Event

NOW = 1_700_006_400 * 10**9
VENUE = Terms(feed="exchange:any", interval_ns=MINUTE_NS, symbols=("S1",), bars_per_day={"S1": 1440.0})


class Clock:
    """Set by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.ticks = 0.0

    def now_ns(self) -> int:
        """Return what it was set to."""
        return self.now


class Desk:
    """A council at work over a journal."""

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        terms: Terms = VENUE,
        keep: Callable[[Sequence[Event]], object] | None = None,
    ) -> None:
        self.clock, self.journal = Clock(), journal
        settings = Settings.model_validate({"data_dir": folder})
        self.room = SittingRoom(
            settings,
            lambda: terms,
            self.clock,
            journal.append if keep is None else keep,
            ticks=lambda: self.clock.ticks,
        )
        self.worker = RoomWorker(self.room, journal, MemoryTransport())
        self.worker.catch_up()
        self.room.assessed = Assessment(status="HEALTHY")

    def pass_time(self, seconds: int, every: int = 1) -> None:
        """Let the clock go on, and the council look at it every so many seconds."""
        for _ in range(seconds // every):
            self.clock.now += every * SECOND_NS
            self.clock.ticks += every
            self.worker.cycle(self.room)

    def hear(self, *events: Event) -> None:
        """Let it take what others write down."""
        self.journal.append(events)
        self.worker.catch_up()

    def count(self, topic: str) -> int:
        """Return how many rows of a topic there are."""
        return len(self.journal.read(topics=[topic]))

    def said(self, topic: str) -> list[Any]:
        """Return what the rows of a topic say."""
        return [message_of(row.event) for row in self.journal.read(0, 100_000, topics=[topic])]

    @property
    def mode(self) -> str:
        """Return which mode is in force."""
        return self.room.hearing.policy.mode

    @property
    def time(self) -> int:
        """Return the council's time."""
        return int(self.room.hearing.service.status()["last_update"])


def traded(ts: int, positions: int = 0) -> Event:
    account = AccountReported(
        source="account:paper", sequence=0, ts_event=ts, interval_ns=MINUTE_NS, equity=1e4, nav=1.0,
        exposure=0.1, positions=positions, unprotected=0,
    )  # fmt: skip
    told = CloseTold(ts_event=ts, account=account, nav=1.0, drawdown=0.0, market=0.0)
    return envelope(told.as_dict(), stream="account:paper", ts_recorded=ts, topic="trading.step_traded")


@pytest.fixture
def desk_journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal in a file."""
    journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()
