"""A council in a worker: its state is that of its rows, its clock the machine's on a venue's feed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consilium.app.council.health import Assessment
from consilium.app.live.close_reports import CloseTold
from consilium.app.live.council_worker import SittingRoom
from consilium.app.live.room_worker import RoomWorker
from consilium.app.live.terms import Terms
from consilium.app.settings import Settings
from consilium.bus.codec import envelope
from consilium.bus.journal import Journal, open_journal
from consilium.bus.transport import MemoryTransport
from consilium.domain import MINUTE_NS, SECOND_NS, AccountReported, Event

NOW = 1_700_006_400 * 10**9
TERMS = Terms(feed="exchange:any", interval_ns=MINUTE_NS, symbols=("S1",), bars_per_day={"S1": 1440.0})


class Clock:
    """Set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def now_ns(self) -> int:
        """Return what it was set to."""
        return self.now


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()


class Desk:
    """A council at work over a journal."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self.clock, self.journal = Clock(), journal
        settings = Settings.model_validate({"data_dir": folder})
        self.room = SittingRoom(settings, lambda: TERMS, self.clock, journal.append)
        self.worker = RoomWorker(self.room, journal, MemoryTransport())
        self.worker.catch_up()
        self.room.assessed = Assessment(status="HEALTHY")

    def pass_time(self, seconds: int) -> None:
        """Let the clock go on, and the council look at it each second."""
        for _ in range(seconds):
            self.clock.now += SECOND_NS
            self.worker.cycle(self.room)

    def count(self, topic: str) -> int:
        """Return how many rows of a topic there are."""
        return len(self.journal.read(topics=[topic]))


def traded(ts: int, positions: int = 0) -> Event:
    account = AccountReported(
        source="account:paper", sequence=0, ts_event=ts, interval_ns=MINUTE_NS, equity=1e4, nav=1.0,
        exposure=0.1, positions=positions, unprotected=0,
    )  # fmt: skip
    told = CloseTold(ts_event=ts, account=account, nav=1.0, drawdown=0.0, market=0.0)
    return envelope(told.as_dict(), stream="account:paper", ts_recorded=ts, topic="trading.step_traded")


def test_a_close_waits_until_the_councils_own_health_is_known(journal: Journal, tmp_path: Path) -> None:
    desk = Desk(journal, tmp_path)
    journal.append([traded(NOW)])
    desk.worker.catch_up()
    assert (desk.count("council.step_ruled"), desk.room.hearing.policy.mode) == (0, "PAUSED")
    desk.pass_time(1)
    assert (desk.count("council.step_ruled"), desk.room.hearing.policy.mode) == (1, "LIVE")


@pytest.mark.promise("001", "a council in a worker freezes on unknown facts by the clock")
def test_it_sees_the_clock_and_writes_down_only_looks_that_change_something(
    journal: Journal, tmp_path: Path
) -> None:
    desk = Desk(journal, tmp_path)
    desk.pass_time(1)
    journal.append([traded(NOW + SECOND_NS, positions=1)])
    desk.worker.catch_up()
    assert desk.room.hearing.policy.mode == "LIVE"
    before = desk.count("council.time_passed")
    desk.pass_time(20)
    assert desk.count("council.time_passed") == before
    desk.pass_time(110)
    assert desk.room.hearing.policy.mode == "PAUSED"  # nothing of the account for two bars
    desk.pass_time(190)
    assert desk.room.hearing.policy.mode == "FROZEN"
    assert desk.count("council.time_passed") < 20
    assert 8 <= desk.count("system.health_updated") <= 12
    again = Desk(journal, tmp_path)
    assert again.room.hearing.service.state_hash() == desk.room.hearing.service.state_hash()
    assert again.room.state() == desk.room.state()
