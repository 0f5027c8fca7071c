"""Consumers in processes of their own die by SIGKILL before they acknowledge: each effect exactly once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bus_cases import effects_in, filled, until
from consilium.bus.journal import Journal, open_journal
from consilium.bus.transport import Pump, RedisTransport

KILLS = 30 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 8

# Says "ready", then handles events, 2 ms each, until it is killed. With a fourth word it kills itself once:
# after the effects of that event are in the journal, before anything is acknowledged.
CONSUMER = """
import os, signal, sys, threading, time
from bus_cases import TOLD, effect, number_of
from consilium.bus.journal import open_journal
from consilium.bus.transport import RedisTransport

redis_url, database_url, name, fatal = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
journal = open_journal(database_url)
transport = RedisTransport(redis_url)
keep = journal.append_once_async

def append_once(consumer, event_id, effects):
    done = keep(consumer, event_id, effects)
    if number_of(effects[0]) == fatal:
        done.result()
        os.kill(os.getpid(), signal.SIGKILL)
    return done

journal.append_once_async = append_once
print("ready", flush=True)
transport.consume("effects", name, [TOLD], handler=lambda event: time.sleep(0.002) or [effect(event)],
                  stop=threading.Event(), journal=journal, idle_s=0.5, batch=50)
"""


Process = subprocess.Popen[str]


class Consumers:
    """Processes of the group; all end with the test."""

    def __init__(self, redis_url: str, database_url: str) -> None:
        self._urls = (redis_url, database_url)
        self.named: dict[str, Process] = {}

    def start(self, name: str, fatal: int = -1) -> Process:
        started = subprocess.Popen(
            [sys.executable, "-c", CONSUMER, *self._urls, name, str(fatal)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.named[name] = started
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        return started

    def kill(self, name: str) -> int:
        ended = self.named.pop(name)
        ended.kill()
        assert ended.stdout is not None
        ended.stdout.close()
        return ended.wait(10.0)


@pytest.fixture
def consumers(fresh_valkey: str, database_url: str) -> Iterator[Consumers]:
    started = Consumers(fresh_valkey, database_url)
    yield started
    for name in list(started.named):
        started.kill(name)


@pytest.fixture
def journal(database_url: str) -> Iterator[Journal]:
    opened = open_journal(database_url)
    yield opened
    opened.close()


@pytest.fixture
def transport(fresh_valkey: str) -> Iterator[RedisTransport]:
    opened = RedisTransport(fresh_valkey)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.sqlite"
    found: str = request.getfixturevalue("fresh_postgres")
    return found


def test_a_consumer_killed_between_effect_and_acknowledgement_leaves_the_effect_once(
    consumers: Consumers, journal: Journal, transport: RedisTransport
) -> None:
    filled(journal, range(120))
    assert Pump(journal, transport).once()
    assert consumers.start("one", fatal=30).wait(20.0) == -signal.SIGKILL
    assert (
        transport.reached("effects") == 0
    )  # all 50 of its batch are still open, 31 of them have their effect
    assert effects_in(journal) == list(range(31))
    consumers.start("two")
    until(lambda: len(effects_in(journal)) >= 120)
    until(lambda: transport.reached("effects") == 120)
    assert sorted(effects_in(journal)) == list(range(120))


@pytest.mark.long
def test_consumers_killed_at_random_leave_each_effect_exactly_once(
    consumers: Consumers, journal: Journal, transport: RedisTransport
) -> None:
    stop = threading.Event()
    pumping = threading.Thread(target=Pump(journal, transport, look_s=0.1).run, args=(stop,))
    pumping.start()
    rng = np.random.default_rng(11)
    total = killed_at_work = 0
    try:
        for name in ("one", "two"):
            consumers.start(name)
        for kill in range(KILLS):
            name = ("one", "two")[kill % 2]
            time.sleep(float(rng.uniform(0.0, 0.2)))
            while not transport.pending_of("effects").get(name, 0):  # it shall die in the middle of work
                filled(journal, range(total, total + 100))
                total += 100
                time.sleep(0.02)
            time.sleep(float(rng.uniform(0.0, 0.02)))
            assert consumers.kill(name) == -signal.SIGKILL
            killed_at_work += transport.pending_of("effects").get(name, 0) > 0
            # under the same name it finds what it had; under the same group the other takes it over
            consumers.start(name)
        until(lambda: len(effects_in(journal)) >= total, 60.0 + total / 20)
        until(lambda: transport.reached("effects") == journal.head().offset, 60.0)
    finally:
        stop.set()
        pumping.join()
    assert [number for number, times in Counter(effects_in(journal)).items() if times != 1] == []
    assert sorted(effects_in(journal)) == list(range(total))
    assert transport.dead_letters() == []
    assert killed_at_work >= 0.7 * KILLS
    assert journal.verify().rows == 2 * total
