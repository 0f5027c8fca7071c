"""Redis is killed, wiped, flushed or rolled back mid-run: the same state, nothing lost or doubled."""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import redis

from bus_cases import until
from consilium.bus.codec import envelope, message_of
from consilium.bus.journal import Journal, open_journal
from consilium.bus.transport import Consumed, Pump, RedisTransport
from consilium.domain import Direction, Event, Outcome, Prediction, digest
from consilium.ensemble import EnsembleService
from real_servers import RealValkey

STEPS, MODELS, SYMBOLS = 60, ("lightgbm", "nhits", "patchtst", "xgboost"), ("BTCUSDT", "ETHUSDT")
HOUR = 3_600 * 10**9
INPUTS = ("model.predicted", "market.outcome_matured")
CONSENSUS = "ensemble.consensus_reached"


def service() -> EnsembleService:
    return EnsembleService(MODELS, trust="fixed_share")


def step(number: int) -> list[Event]:
    """Outcomes of the step before, then what every model says of every symbol."""
    rng = np.random.default_rng(number)
    ts = number * HOUR
    messages: list[Outcome | Prediction] = []
    for symbol in SYMBOLS:
        if number:
            outcome = Outcome(
                symbol=symbol,
                ts_event=ts - HOUR,
                horizon_ns=HOUR,
                label_id="l",
                ts_matured=ts,
                direction=Direction(int(rng.integers(3))),
                realised_return=float(rng.normal(0.0, 0.01)),
            )
            messages.append(outcome)
    for symbol in SYMBOLS:
        for model in MODELS:
            down, flat, up = (float(p) for p in rng.dirichlet([1.0, 1.0, 2.0]))
            said = Prediction(
                model=model,
                symbol=symbol,
                ts_event=ts,
                horizon_ns=HOUR,
                label_id="l",
                probabilities=(down, flat, up),
            )
            messages.append(said)
    return [envelope(message, stream=message.symbol, ts_recorded=ts) for message in messages]


def concluded(ensemble: EnsembleService, event: Event) -> list[Event]:
    return [
        envelope(consensus, stream=consensus.symbol, ts_recorded=event.ts_recorded, cause_id=event.event_id)
        for consensus in ensemble.handle(message_of(event))
    ]


class Run:
    """A journal, a pump, and one consumer that keeps an ensemble, around a Redis of its own."""

    def __init__(self, folder: Path, server: RealValkey, room: int) -> None:
        self.server = server
        self.journal: Journal = open_journal(f"sqlite:///{folder}/journal.sqlite")
        self.ensemble = service()
        self.seen: list[str] = []
        self.consumed = Consumed()
        self._transports = [RedisTransport(server.url, max_entries=room) for _ in range(2)]
        self.pump = Pump(self.journal, self._transports[0], window=room, look_s=0.05)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self.pump.run, args=(self._stop,)),
            threading.Thread(target=self._consume),
        ]
        for thread in self._threads:
            thread.start()

    def _consume(self) -> None:
        self.consumed = self._transports[1].consume(
            "ensemble", "one", INPUTS, handler=self._handle, stop=self._stop, journal=self.journal, batch=20
        )

    def _handle(self, event: Event) -> Sequence[Event]:
        self.seen.append(event.event_id)
        return concluded(self.ensemble, event)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20.0)
        for transport in self._transports:
            transport.close()
        self.journal.close()


Disaster = Callable[[RealValkey, Path], None]


def killed(server: RealValkey, folder: Path) -> None:
    server.kill()


def wiped(server: RealValkey, folder: Path) -> None:
    server.wipe()


def flushed(server: RealValkey, folder: Path) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


def stream_deleted(server: RealValkey, folder: Path) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.delete("consilium:bus:events")


def rolled_back(server: RealValkey, folder: Path) -> None:
    """To what its files were when the test last came by here, as from an old backup."""
    server.kill()
    older = folder / "older"
    if older.exists():
        shutil.rmtree(server.folder)
        shutil.copytree(older, server.folder)
    else:
        shutil.copytree(server.folder, older)


@pytest.fixture
def run(tmp_path: Path, start_valkey: Callable[..., RealValkey]) -> Iterator[Callable[[bool, int], Run]]:
    runs: list[Run] = []

    def begin(appendonly: bool, room: int) -> Run:
        runs.append(Run(tmp_path, start_valkey(appendonly=appendonly), room))
        return runs[-1]

    yield begin
    for one in runs:
        one.close()


@pytest.mark.parametrize(
    ("disaster", "appendonly", "room"),
    [
        pytest.param(killed, False, 100_000, id="killed-and-forgetful"),
        pytest.param(wiped, True, 100_000, id="wiped"),
        pytest.param(rolled_back, True, 100_000, id="rolled-back"),
        pytest.param(killed, True, 100_000, id="killed", marks=pytest.mark.long),
        pytest.param(killed, False, 100, id="killed-with-a-short-stream", marks=pytest.mark.long),
        pytest.param(flushed, True, 100_000, id="flushed", marks=pytest.mark.long),
        pytest.param(stream_deleted, True, 100_000, id="deleted", marks=pytest.mark.long),
    ],
)
def test_a_lost_redis_changes_nothing_in_the_end(
    run: Callable[[bool, int], Run], tmp_path: Path, disaster: Disaster, appendonly: bool, room: int
) -> None:
    going = run(appendonly, room)
    for number in range(STEPS):
        going.journal.append(step(number))
        if number % 20 == 10:
            until(lambda: len(going.seen) > 50)
            disaster(going.server, tmp_path)
        if number % 20 == 17 and going.server._process is None:
            going.server.start()
    events = [event for number in range(STEPS) for event in step(number)]
    until(lambda: len(going.seen) >= len(events), 30.0)

    reference = service()
    conclusions = [effect for event in events for effect in concluded(reference, event)]
    assert going.seen == [event.event_id for event in events]
    assert digest(going.ensemble.state()) == digest(reference.state())
    until(lambda: len(going.journal.read(limit=10_000, topics=[CONSENSUS])) == len(conclusions))
    kept = [row.event.event_id for row in going.journal.read(limit=10_000, topics=[CONSENSUS])]
    assert kept == [effect.event_id for effect in conclusions]
    assert going.journal.verify().rows == len(events) + len(conclusions)
    # the effects reach the transport too, and nothing is in it twice
    head = going.journal.head()
    until(lambda: going._transports[1].position() == (head.offset, head.hash))
    assert going.consumed.lost == 0


def test_a_redis_that_is_never_there_loses_nothing(
    run: Callable[[bool, int], Run], caplog: pytest.LogCaptureFixture
) -> None:
    going = run(True, 1_000)
    going.server.kill()
    for number in range(5):
        going.journal.append(step(number))
    until(lambda: "does not answer" in going.pump.problem)
    assert going.seen == []
    told = [record.getMessage() for record in caplog.records if "does not answer" in record.getMessage()]
    assert 1 <= len(told) <= 4
    going.server.start()
    until(lambda: len(going.seen) == len([event for number in range(5) for event in step(number)]))
