"""The system as an API worker sees it: the journal, and a copy of the ensemble that follows it."""

import logging
from collections.abc import Callable, Mapping
from threading import Event as Flag
from threading import Thread
from typing import Any

from consilium.app.live import views
from consilium.app.live.alone import ROOMS_OF_ONE
from consilium.app.live.candle_log import CandleReader
from consilium.app.live.council_worker import SittingRoom
from consilium.app.live.engine import EnsembleEngine
from consilium.app.live.mirrored_council import Copies, CouncilMirror
from consilium.app.live.outside import outside_event, require_owner, require_same
from consilium.app.live.records import (
    ACCOUNT,
    CONSENSUS_REACHED,
    POOL_CHANGED,
    PREDICTED,
    STEP_DONE,
    Recorder,
)
from consilium.app.live.research_worker import ResearchAmongWorkers, following
from consilium.app.live.room_worker import RoomWorker
from consilium.app.live.rooms import EnsembleRoom
from consilium.app.live.terms import Terms
from consilium.app.live.training import TrainingDesk, training_data
from consilium.app.settings import Settings
from consilium.bus.journal import Journal
from consilium.bus.signs import Signs
from consilium.bus.transport import Transport
from consilium.domain import Candle, Clock, Event, UnknownName, coverage, to_iso

SNAPSHOT = "portfolio.snapshot_updated"
PERFORMANCE = "model.performance_updated"

PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""After a fault of the journal it is tried again so soon, then ever later."""

log = logging.getLogger("consilium.worker")


class MirrorSystem(CouncilMirror):
    """What `LiveSystem` shows, read from the journal; commands are written there for the other workers.

    Parameters
    ----------
    settings, clock, journal, transport, engine
        Of this process; the engine is a copy that writes nothing.
    candles
        The folder that the market worker writes.
    signs
        The signs of life of the other workers; None where nobody leaves any.
    sitting
        A copy of the council that says nothing; None where none sits.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        journal: Journal,
        transport: Transport,
        engine: EnsembleEngine,
        candles: CandleReader,
        signs: Signs | None = None,
        sitting: SittingRoom | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.journal = journal
        self.transport = transport
        self.engine = engine
        self.training = TrainingDesk(
            settings, clock, self.submit, data=self._training_data, until=self._played_until
        )
        self._candles = candles
        self._signs = signs
        self._stop = Flag()
        self._callbacks: list[Callable[[], None]] = []
        self._room = Copies(EnsembleRoom(settings, engine, clock, silent=True, begun=candles.terms), sitting)
        self._mirror_council(sitting)
        self._worker = RoomWorker(self._room, journal, transport)
        self._threads = [
            Thread(target=self._follow, name="consilium-mirror", daemon=True),
            Thread(target=self._watch, name="consilium-changes", daemon=True),
        ]
        if sitting is not None:
            self._threads.append(Thread(target=self._research, name="consilium-research", daemon=True))
        self._blind = ""

    def start(self) -> None:
        """Follow the journal in the background."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and close what it holds."""
        self.training.close()
        self._stop.set()
        for thread in self._threads:
            thread.join(10.0)
        if self._signs is not None:
            self._signs.close()
        self.transport.close()
        self.journal.close()

    def _follow(self) -> None:
        """Follow the journal; an API that cannot must live to say so, and try again."""
        pause = PAUSE_S
        while not self._stop.is_set():
            try:
                self._worker.run(self._stop)
            except Exception as error:  # noqa: BLE001 - it must be taken up again, whatever it was
                self._worker.trouble = f"cannot follow the journal: {' '.join(str(error).split())}"
                log.warning("%s", self._worker.trouble)
                self._stop.wait(pause)
                pause = min(2.0 * pause, LONGEST_PAUSE_S)

    def _watch(self) -> None:
        """Tell when something is new in the journal; where it cannot be read, look again later."""
        after, pause = -1, PAUSE_S
        while not self._stop.is_set():
            try:
                after = self._look(after)
                self._blind, pause = "", PAUSE_S
            except Exception as error:  # noqa: BLE001 - changes must be told again when it is over
                self._blind = f"changes are not seen: {' '.join(str(error).split())}"
                log.warning("%s", self._blind)
                self._stop.wait(pause)
                pause = min(2.0 * pause, LONGEST_PAUSE_S)

    def _look(self, after: int) -> int:
        # Rows that the copy takes, and rows that only the journal shows, such as fills.
        taken, head = self._room.taken.wait(0.2), self.journal.head().offset
        self._room.taken.clear()
        if taken or head > after:
            for callback in self._callbacks:
                callback()
        return max(after, head)

    def _training_data(self, settings: Settings) -> tuple[str, str]:
        return training_data(following(settings, self._candles.terms()))

    def _research(self) -> None:
        """Carry out what the researcher asks for, with this process's training desk."""
        ResearchAmongWorkers(
            self.settings,
            self.journal,
            self.clock,
            self.training,
            self._candles,
            status=self.market_status,
            account=self.trading_status,
            now=self.council_now,
        ).run(self._stop)

    def submit(self, message: Any, *, by: str, trace_id: str = "") -> Event:
        """Check a command and write it down; the ensemble worker applies it.

        Raises
        ------
        ConsiliumError
            It is not possible; nothing is journaled then.
        """
        self.engine.check(message)
        recorder = Recorder(ts_recorded=self.clock.now_ns(), trace_id=trace_id or f"by-{by}")
        event = recorder.event(message)
        self.journal.append([event])
        return event

    def _played_until(self) -> int:
        """Return the newest close that the market worker has taken."""
        return int(self._newest(STEP_DONE).get("ts_event", 0))

    def publish_outside(
        self,
        topic: str,
        *,
        source: str,
        sequence: int,
        ts_event: int,
        payload: Mapping[str, Any],
        by: str,
    ) -> Event:
        """Take up an event of an outside system; the same source and sequence again is the same event.

        Raises
        ------
        ConsiliumError
            An unknown topic, one of our own rooms, a payload that is no plain JSON, or another
            one than this source and sequence had before.
        """
        event = outside_event(
            topic,
            source=source,
            sequence=sequence,
            ts_event=ts_event,
            payload=payload,
            by=by,
            ts_recorded=self.clock.now_ns(),
        )
        if self.journal.find(event.event_id) is None:
            require_owner(self.journal, event)
            self._require_heard(event)
            self.journal.append([event])
        require_same(self.journal, event)
        return event

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call this when something new is in the journal."""
        self._callbacks.append(callback)

    def health(self) -> dict[str, Any]:
        """Return the body of /health."""
        status = self.market_status()
        return views.health_body(
            self.ready(),
            coverage=status["coverage"],
            feed={"name": status["feed"], "ts_event": status["ts_event"]},
            federation=self.engine.federation(),
            roles_active=self.roles_active(),
        )

    def ready(self) -> dict[str, str]:
        """Return by part: nothing if it is ready, ``warn: ...``, or why not."""
        pool = self._newest(POOL_CHANGED)
        step = self._newest(STEP_DONE)
        missing = [f"{name}: {why}" for name, why in pool.get("missing", {}).items()]
        missing += views.foreseen(pool.get("learned_until", {}), step.get("ts_event", -1))
        return {
            "journal": self.journal.failed or views.warned([self._blind, *self.journal.warnings]),
            "migrations": "",
            "bus": views.warned([self.transport.healthy(), *self.transport.warnings()]),
            "feed": views.warned([] if step else ["no step is done yet"]),
            "models": views.warned(missing if pool.get("models") else [*missing, "no model is loaded"]),
            "engine": self._worker.trouble or ("" if self._worker.begun else "catching up with the journal"),
            "workers": views.warned(self._absent()),
        }

    def _absent(self) -> list[str]:
        """Return which workers do not live, or what troubles them."""
        rooms = [room for room in ROOMS_OF_ONE if room != "council" or self.settings.council.enabled]
        seen = None if self._signs is None else self._signs.seen(rooms)
        if seen is None:
            return []  # where Redis is away, the bus says so
        absent = [name for name, trouble in seen.items() if trouble is None]
        told = [f"{name}: {trouble}" for name, trouble in seen.items() if trouble]
        if absent:
            told.append(f"no sign of life from {', '.join(absent)}: start consilium worker {absent[0]}")
        return told

    def market_status(self) -> dict[str, Any]:
        """Return what is followed, and how far."""
        kept, step, pool = self._candles.terms(), self._newest(STEP_DONE), self._newest(POOL_CHANGED)
        terms = Terms.of(kept) if kept else Terms(bars_per_day={})
        ts = int(step.get("ts_event", 0))
        models, missing = pool.get("models", {}), pool.get("missing", {})
        return {
            "feed": terms.feed,
            "interval_ns": terms.interval_ns,
            "symbols": list(terms.symbols),
            "ts_event": ts,
            "time": to_iso(ts),
            "coverage": coverage(len(models), len(models) + len(missing)) if models or missing else "none",
            "models": models,
            "missing": missing,
        }

    def candles(self, symbol: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest candles of a symbol, oldest first.

        Raises
        ------
        UnknownName
            It is not followed.
        """
        symbols = self.market_status()["symbols"]
        if symbol not in symbols:
            raise UnknownName("symbol", symbol, symbols)
        found: list[Candle] = self._candles.newest(symbol, limit)
        return [views.plain_candle(candle) for candle in found]

    def consensus_history(self, symbol: str | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Return consensuses after a place of the journal, in order."""
        return views.history(self.journal, CONSENSUS_REACHED, symbol, after, limit)

    def predictions(self, symbol: str | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Return predictions after a place of the journal, in order."""
        return views.history(self.journal, PREDICTED, symbol, after, limit)

    def trading_status(self) -> dict[str, Any]:
        """Return the account and its positions, as of the newest snapshot."""
        snapshot = self._newest(SNAPSHOT, ACCOUNT)
        # By the streams of the shadow books: what others publish under this topic is not of them.
        known = [*self.engine.pure.service.models, *self._newest(POOL_CHANGED).get("models", {})]
        found = {name: self._newest(PERFORMANCE, f"model:{name}") for name in dict.fromkeys(known)}
        models = {name: figures for name, figures in found.items() if figures}
        limits = {} if self._sitting is None else self.limits()
        return {"ts_event": 0, "positions": {}} | snapshot | {"account": "paper", "models": models} | limits

    def _newest(self, topic: str, stream: str | None = None) -> dict[str, Any]:
        rows = self.journal.read(0, 1, topics=[topic], stream=stream, newest_first=True)
        payload: Any = rows[0].event.payload if rows else {}
        return dict(payload)
