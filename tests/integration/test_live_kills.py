"""The real service killed, again and again, in the middle of a replay: the same history as without."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from consilium.app.live.assembly import assemble
from consilium.domain import Event
from live_cases import settings_of
from live_process import concluded, journal_of, serving, steps_done, told
from worker_process import prepared

FULL = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
FEED = ("--feed", "simulate:symbols=3,bars=540,seed=5")
QUICK, PACED = ("--speed", "0"), ("--speed", "60")
STEPS = 270
LAST_KILL = 150
"""Steps before the last kill: at the pace set, a life is seconds from the end then."""


@pytest.fixture(scope="module")
def undisturbed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    folder = prepared(tmp_path_factory.mktemp("undisturbed"), models)
    with serving(folder, *FEED, *QUICK) as service:
        service.wait_until_ended()
        assert service.stop() == 0
    events = concluded(folder)
    topics = [event.topic for event in events]
    # A history without trades would prove little about orders, fills and the account.
    assert topics.count("market.step_done") == STEPS
    assert topics.count("trading.filled") > 50
    assert topics.count("ensemble.consensus_reached") == 3 * STEPS
    return events


@pytest.mark.promise("004", "the service killed at any instant of a replay gives the same history as without")
@pytest.mark.parametrize(
    "kills",
    [
        1,
        pytest.param(30 if FULL else 8, marks=pytest.mark.long),
    ],
)
def test_a_killed_service_concludes_what_an_undisturbed_one_does(
    tmp_path: Path, models: Path, undisturbed: list[Event], kills: int
) -> None:
    rng = np.random.default_rng(20260101 + kills)
    folder = prepared(tmp_path / "killed", models)
    reached = [0]
    for target in sorted(rng.integers(1, LAST_KILL, kills).tolist()):
        with serving(folder, *FEED, *PACED) as service:
            # Steps are waited for, not seconds: the replay stands where it shall, however fast the machine.
            service.wait_for_steps(folder, max(target, reached[-1] + 1))
            time.sleep(float(rng.uniform(0.0, 0.05)))
            service.process.kill()
            assert service.process.wait() == -signal.SIGKILL
        reached.append(steps_done(folder))
    assert reached == sorted(reached)
    assert reached[1] > 0
    assert reached[-1] < STEPS, "the kills must come in the middle of the replay"
    assert len(set(reached[1:])) > kills // 2, "most lives must get further"
    finish_and_compare(folder, undisturbed)


def finish_and_compare(folder: Path, undisturbed: list[Event]) -> None:
    with serving(folder, *FEED, *QUICK) as service:
        service.wait_until_ended()
        account = service.get("/api/trading/status").json()
        assert service.stop() == 0
    assert told(concluded(folder)) == told(undisturbed)
    assert account["equity"] == last_snapshot(undisturbed)["equity"]


def last_snapshot(events: list[Event]) -> dict[str, object]:
    found = [event.payload for event in events if event.topic == "portfolio.snapshot_updated"]
    assert isinstance(found[-1], dict)
    return found[-1]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_service_goes_on_from_its_snapshot(
    tmp_path: Path, models: Path, undisturbed: list[Event], number: int
) -> None:
    folder = prepared(tmp_path / "stopped", models)
    with serving(folder, *FEED, *PACED) as service:
        service.wait_for_steps(folder, 20)
        assert service.stop(number) == 0
        assert "stopped: all that was concluded is in the journal" in service.errors()
    assert 0 < steps_done(folder) < STEPS
    with journal_of(folder) as journal:
        kept = journal.load_snapshot("pipeline")
        assert kept is not None
        assert kept[0] == journal.head().offset
    finish_and_compare(folder, undisturbed)


@pytest.mark.promise("004", "replaying the journal from zero gives the same state")
def test_a_service_without_its_snapshots_stands_where_it_stood(
    tmp_path: Path, models: Path, undisturbed: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = []
    folder = prepared(tmp_path / "zero", models)
    for snapshots in (True, False):
        settings = settings_of(folder, live={"feed": FEED[1], "speed": 0.0})
        system = assemble(settings)
        if not snapshots:
            monkeypatch.setattr(system.journal, "load_snapshot", lambda _: None)
        with system:
            until = time.monotonic() + 60.0
            while not system.feed.problem() and time.monotonic() < until:
                time.sleep(0.02)
            hashes.append(system.state_hash())
        assert "engine" not in system.troubles
    assert hashes[0] == hashes[1]
    assert told(concluded(folder)) == told(undisturbed)
