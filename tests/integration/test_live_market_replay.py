"""A market worker that starts again over what the other workers have written."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from consilium.app.live.assembly import assemble
from consilium.app.live.records import CONSENSUS_REACHED, OUTCOME, STEP_DONE
from consilium.app.live.worker_assembly import market_worker, worries
from consilium.app.settings import Live
from consilium.bus.journal import open_journal
from consilium.domain import Event
from live_cases import settings_of, store_models
from live_process import journal_of
from live_system_cases import ended, until

FEED = Live(feed="simulate:symbols=2,bars=540,seed=5", speed=0.0)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return a data folder with two hundred and seventy closes."""
    store_models(tmp_path / "one" / "models")
    with assemble(settings_of(tmp_path / "one", live=FEED)) as system:
        ended(system)
    return tmp_path / "one"


def as_workers_write(events: list[Event]) -> list[Event]:
    """Return the same rows as workers write them: each consensus after the end of its step."""
    rows: list[Event] = []
    late: list[Event] = []
    for event in events:
        if event.topic == CONSENSUS_REACHED:
            late.append(event)
            continue
        if not event.topic.startswith(("trading.", "portfolio.")):
            rows.append(event)
        if event.topic == STEP_DONE:
            rows += late
            late = []
    return rows


@pytest.mark.parametrize("lost", [0, 1])
def test_a_market_worker_replays_what_it_concludes_itself_and_no_more(
    desk: Path, tmp_path: Path, fresh_valkey: str, lost: int
) -> None:
    with journal_of(desk) as journal:
        events = as_workers_write([row.event for row in journal.read(0, 100_000)])
    gone = [event for event in events if event.topic == OUTCOME][:lost]
    settings = settings_of(tmp_path / "many", live=FEED, redis_url=fresh_valkey)
    shutil.copytree(desk / "models", tmp_path / "many" / "models")
    shutil.copytree(desk / "live" / "candles", tmp_path / "many" / "live" / "candles")
    with closing(open_journal(settings.journal_url)) as journal:
        journal.append([event for event in events if event not in gone])
    with market_worker(settings) as system:
        until(lambda: "engine" not in system.troubles)
        assert system.pipeline.ts > 0
        assert system.differing == lost
        assert ("replayed steps came out otherwise" in worries(system)) == (lost > 0)
