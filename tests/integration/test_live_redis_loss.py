"""A living system whose Redis is wiped and killed mid-run concludes what it would without one."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event as Flag

import pytest

from bus_cases import until
from consilium.app.live.assembly import assemble
from consilium.app.live.feeds import PanelFeed, Step
from consilium.app.live.system import LiveSystem
from consilium.app.settings import Live
from consilium.bus.transport import RedisTransport
from consilium.market.simulator import simulate
from live_cases import settings_of
from real_servers import RealValkey, free_port

BARS = 420


class Eventful(PanelFeed):
    """Plays a panel, and lets something happen before some of its steps."""

    def __init__(self, happens: dict[int, Callable[[], object]]) -> None:
        super().__init__("replay", simulate(symbols=3, bars=BARS, seed=5).series, speed=0.0)
        self._happens = happens
        self.happened: list[int] = []

    def steps(self, after: int, stop: Flag, held: Mapping[str, int] | None = None) -> Iterator[Step]:
        for number, step in enumerate(super().steps(after, stop, held)):
            if number in self._happens:
                self._happens[number]()
                self.happened.append(number)
            yield step


def system_of(folder: Path, feed: Eventful, redis_url: str = "") -> LiveSystem:
    system = assemble(settings_of(folder, live=Live(), redis_url=redis_url))
    system.feed = feed
    return system


def concluded(system: LiveSystem) -> tuple[list[object], str]:
    until(lambda: system.feed.problem() == "the feed has ended", 60.0)
    history = [consensus["event_id"] for consensus in system.consensus_history(None, 0, 100_000)]
    return history, system.state_hash()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[object], str]:
    with system_of(tmp_path_factory.mktemp("plain"), Eventful({})) as system:
        return concluded(system)


@pytest.mark.parametrize("appendonly", [pytest.param(True, marks=pytest.mark.long), False])
def test_redis_wiped_and_killed_mid_run_changes_nothing(
    tmp_path: Path,
    start_valkey: Callable[..., RealValkey],
    expected: tuple[list[object], str],
    appendonly: bool,
) -> None:
    server = start_valkey(appendonly=appendonly)
    feed = Eventful({40: server.wipe, 80: server.kill, 120: server.start, 160: server.kill})
    with system_of(tmp_path, feed, server.url) as system:
        assert concluded(system) == expected
        assert feed.happened == [40, 80, 120, 160]
        assert "does not answer" in system.ready()["bus"]
        assert system.ready()["bus"].startswith("warn: ")
        server.start()
        head = system.journal.head()
        watcher = RedisTransport(server.url)
        until(lambda: (watcher.position() or (0, ""))[0] >= head.offset)
        watcher.close()
        until(lambda: "does not answer" not in system.ready()["bus"])
        assert ("appendonly no" in system.ready()["bus"]) is not appendonly
        assert system.journal.verify().rows >= head.offset


def test_a_redis_that_is_not_there_at_the_start_is_no_reason_to_stop(
    tmp_path: Path, expected: tuple[list[object], str]
) -> None:
    began = time.monotonic()
    with system_of(tmp_path, Eventful({}), f"redis://:secret@127.0.0.1:{free_port()}/0") as system:
        assert concluded(system) == expected
        told = system.ready()["bus"]
    assert told.startswith("warn: redis at 127.0.0.1:")
    assert "secret" not in told
    assert time.monotonic() - began < 60.0
