"""The workers of a desk as threads of one process, over one journal: quick to start, stop and replace."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

from consilium.app.bootstrap import SystemClock
from consilium.app.council.health import HealthWatch, signals_of_workers
from consilium.app.live.alone import hold
from consilium.app.live.assembly import shelf_of
from consilium.app.live.candle_log import CandleLog, CandleReader
from consilium.app.live.core import Parts
from consilium.app.live.council_worker import SittingRoom
from consilium.app.live.feed_choice import make_feed
from consilium.app.live.mirror import MirrorSystem
from consilium.app.live.room_worker import RoomWorker
from consilium.app.live.rooms import EnsembleRoom
from consilium.app.live.trading_room import TradingRoom
from consilium.app.live.turn import MarketPipeline, MarketSystem
from consilium.app.live.worker_assembly import SilentRoom, engine_of, terms_in
from consilium.app.settings import Settings
from consilium.bus.journal import open_journal
from consilium.bus.state_store import MemoryStore
from consilium.bus.transport import MemoryTransport

TICK_S = 0.05


def until(good: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, f"{what} in {seconds} s"
        time.sleep(0.02)


class Company:
    """A desk of workers; each has the whole of its state from the journal."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.journal = open_journal(settings.journal_url)
        self.transport = MemoryTransport()
        self.candles = CandleReader(settings.data_dir / "live" / "candles")
        self.alive: set[str] = set()
        self.rooms: dict[str, Any] = {}
        self._stops: dict[str, tuple[Flag, list[Thread]]] = {}
        self._systems: list[MarketSystem | MirrorSystem] = []

    def market(self, patience_s: float = 60.0) -> MarketSystem:
        """Start the worker of the market."""
        settings = self.settings.model_copy(
            update={"council": self.settings.council.model_copy(update={"enabled": False})}
        )
        feed = make_feed(settings.live, seed=1, clock=self.clock.now_ns)
        shelf = shelf_of(settings, feed)
        silent: Any = SilentRoom()
        parts = Parts(
            settings=settings, clock=self.clock, journal=open_journal(settings.journal_url),
            transport=self.transport, store=MemoryStore(), engine=silent, training=None, feed=feed,
            shelf=shelf, members=shelf.load(self.clock.now_ns()), pipeline=MarketPipeline,
            candle_log=CandleLog(self.candles.folder),
            held=hold(settings, settings.journal_url, ("market",)),
        )  # fmt: skip
        system = MarketSystem(parts, patience_s)
        self._systems.append(system)
        system.start()
        return system

    def api(self) -> MirrorSystem:
        """Start the worker of the API."""
        settings, journal = self.settings, open_journal(self.settings.journal_url)
        sitting = SittingRoom(settings, lambda: terms_in(self.candles), self.clock, silent=True)
        system = MirrorSystem(
            settings, self.clock, journal, self.transport, engine_of(settings, journal),
            CandleReader(self.candles.folder), None, sitting,
        )  # fmt: skip
        self._systems.append(system)
        system.start()
        return system

    def hire(self, name: str) -> None:
        """Start the worker of a room."""
        room, before = self._room(name)
        worker = RoomWorker(room, self.journal, self.transport)
        stop = Flag()
        works = [Thread(target=worker.run, args=(stop,), daemon=True)]
        if name != "ensemble":
            works.append(Thread(target=worker.beat, args=(room, TICK_S, stop, before), daemon=True))
        self.rooms[name], self._stops[name] = room, (stop, works)
        self.alive.add(name)
        for work in works:
            work.start()

    def dismiss(self, name: str) -> None:
        """End the worker of a room; nothing of it is kept but its rows."""
        self.alive.discard(name)
        stop, works = self._stops.pop(name)
        stop.set()
        for work in works:
            work.join(20.0)
            assert not work.is_alive()

    def _room(self, name: str) -> tuple[Any, Callable[[], None]]:
        settings, clock, keep = self.settings, self.clock, self.journal.append
        if name == "ensemble":
            engine = engine_of(settings, self.journal)
            return EnsembleRoom(settings, engine, clock, begun=self.candles.terms), lambda: None
        if name == "trading":
            candles = CandleReader(self.candles.folder)
            return TradingRoom(settings, candles, clock, keep, lambda: "council" in self.alive), lambda: None
        watch = HealthWatch()
        room = SittingRoom(settings, lambda: terms_in(self.candles), clock, keep)

        def look() -> None:
            terms, now = room.hearing.terms, clock.now_ns()
            if terms is not None:
                seen = signals_of_workers(
                    settings,
                    self.journal,
                    self.transport,
                    now=now,
                    terms=terms,
                    ts=room.ts,
                    market={"models": 1},
                )
                room.assessed = watch.look(seen)

        return room, look

    def count(self, topic: str) -> int:
        """Return how many rows of a topic there are."""
        return len(self.journal.read(0, 1_000_000, topics=[topic]))

    def close(self) -> None:
        """End all of them."""
        for system in self._systems:
            system.stop()
        for name in list(self._stops):
            self.dismiss(name)
        self.journal.close()


@contextmanager
def company(folder: Path, **sections: Any) -> Iterator[Company]:
    """Found a desk in a data folder; it ends with the block."""
    made = Company(Settings.model_validate({"data_dir": folder, **sections}))
    try:
        yield made
    finally:
        made.close()
