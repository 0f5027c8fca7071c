"""The same rooms in processes of their own, over Redis Streams and one journal."""

import logging
from collections.abc import Callable, Iterable, Mapping
from threading import Event as Flag
from threading import Thread
from typing import Any, ClassVar

from consilium.app.bootstrap import SystemClock
from consilium.app.live.alone import hold
from consilium.app.live.assembly import shelf_of
from consilium.app.live.candle_log import CandleLog, CandleReader
from consilium.app.live.core import Parts
from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.faults import Faults
from consilium.app.live.feed_choice import make_feed
from consilium.app.live.market_room import Observed
from consilium.app.live.mirror import MirrorSystem
from consilium.app.live.pipeline import Pipeline
from consilium.app.live.question import question_of
from consilium.app.live.records import Recorder
from consilium.app.live.room_worker import RoomWorker
from consilium.app.live.rooms import EnsembleRoom, TradingRoom
from consilium.app.live.system import LiveSystem
from consilium.app.settings import Settings
from consilium.bus.journal import Journal, open_journal
from consilium.bus.journal.alone import Held
from consilium.bus.signs import LASTS_S, Signs
from consilium.bus.state_store import open_state_store
from consilium.bus.transport import Transport, open_transport
from consilium.domain import OutputProblem, PoolChanged, UsageError
from consilium.ensemble import Gates

log = logging.getLogger("consilium.worker")


class SilentRoom:
    """Stands in for the ensemble where only the market is followed: it says and remembers nothing."""

    def handle(self, message: Any) -> Iterable[Any]:  # noqa: ARG002 - the signature is the room's
        """Return nothing."""
        return ()

    def flush(self, until: int | None = None) -> Iterable[Any]:  # noqa: ARG002 - the signature is the room's
        """Return nothing."""
        return ()

    def pool_changed(self, change: PoolChanged, gates: Gates) -> None:
        """Do nothing."""

    def cycle(self) -> None:
        """Do nothing."""

    def state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


class MarketPipeline(Pipeline):
    """The pipeline up to the predictions; what follows from them is the work of others."""

    snapshot: ClassVar[str] = "worker-market"

    def conclude(self, ts: int, observed: Observed) -> list[Any]:
        """Return outcomes, feature windows and predictions."""
        self.ts = ts
        return observed.messages()


def market_worker(settings: Settings) -> LiveSystem:
    """Make the worker that follows the feed and forecasts.

    Raises
    ------
    ConsiliumError
        What is wrong, all at once.
    """
    require_redis(settings)
    # it has no account to govern: a council here would speak of one that it does not see
    settings = settings.model_copy(update={"council": settings.council.model_copy(update={"enabled": False})})
    clock, faults = SystemClock(), Faults()
    feed = faults.attempt(lambda: make_feed(settings.live, seed=settings.training.seed, clock=clock.now_ns))
    journal = faults.attempt(lambda: open_journal(settings.journal_url))
    url = settings.journal_url
    held = None if journal is None else faults.attempt(lambda: hold(settings, url, ("market",)))
    log_folder = settings.data_dir / "live" / "candles"
    candle_log = None if held is None else faults.attempt(lambda: CandleLog(log_folder))
    transport = faults.attempt(lambda: open_transport(settings.redis_url))
    store = faults.attempt(lambda: open_state_store(settings.redis_url))
    feed = faults.need(feed)
    shelf = shelf_of(settings, feed)
    silent: Any = SilentRoom()
    return LiveSystem(
        Parts(
            settings=settings,
            clock=clock,
            journal=faults.need(journal),
            transport=faults.need(transport),
            store=faults.need(store),
            engine=silent,
            training=None,
            feed=feed,
            shelf=shelf,
            members=shelf.load(clock.now_ns()),
            candle_log=faults.need(candle_log),
            pipeline=MarketPipeline,
            held=faults.need(held),
        )
    )


def worries(system: LiveSystem) -> str:
    """Return what troubles a market worker, in one line; models that are missing are told in the journal."""
    found = system.ready()
    told = (found[part].removeprefix("warn:").strip() for part in ("journal", "feed", "engine"))
    return "; ".join(text for text in told if text)


def show_life(settings: Settings, room: str, trouble: Callable[[], str], stop: Flag) -> None:
    """Leave a sign of life now and then until told to stop."""
    signs = Signs(settings.redis_url)
    try:
        signs.give(room, trouble())
        while not stop.wait(LASTS_S / 4.0):
            signs.give(room, trouble())
    finally:
        signs.take_back(room)
        signs.close()


class Hired:
    """A room's worker with what it is made of.

    Parameters
    ----------
    settings
        Of the process.
    worker
        Of its room.
    journal, transport
        Closed at the end.
    work
        Runs until told to stop.
    held
        What no other process may have meanwhile.
    warning
        What its sign of life tells while nothing troubles it.
    """

    def __init__(
        self,
        settings: Settings,
        worker: RoomWorker,
        journal: Journal,
        transport: Transport,
        work: Callable[[Flag], None],
        held: Held,
        warning: Callable[[], str] = lambda: "",
    ) -> None:
        self._warning = warning
        self._settings = settings
        self._worker = worker
        self._held = held
        self._journal = journal
        self._transport = transport
        self._work = work

    def run(self, stop: Flag) -> None:
        """Work until told to stop, then close everything.

        Raises
        ------
        OutputProblem
            Another process has taken the room, as while the server of the journal restarted.
        """
        ended = Flag()  # also where the work ends by a fault: then there is no life to show
        room = self._worker.room.name
        lost: list[OutputProblem] = []

        def trouble() -> str:
            taken = self._held.keep()
            if taken is not None:
                lost.append(taken)
                stop.set()
            return self._worker.trouble or str(taken or "") or self._warning()

        living = Thread(
            target=show_life, args=(self._settings, room, trouble, ended), name="consilium-life", daemon=True
        )
        living.start()
        try:
            self._work(stop)
        finally:
            ended.set()
            living.join(10.0)
            self._close()
        if lost:
            raise lost[0]

    def _close(self) -> None:
        self._transport.close()
        self._journal.close()
        self._held.close()


def ensemble_worker(settings: Settings) -> Hired:
    """Make the worker that reaches consensus and shows the keys."""
    journal, transport, held = _shared(settings, "ensemble")
    clock = SystemClock()
    store = open_state_store(settings.redis_url)
    engine = engine_of(settings, journal, store=store)
    room = EnsembleRoom(settings, engine, clock, begun=_candles_of(settings).terms)
    worker = RoomWorker(room, journal, transport)

    def work(stop: Flag) -> None:
        beating = Thread(
            target=worker.beat,
            args=(room, settings.engine.period_s, stop),
            name="consilium-cycles",
            daemon=True,
        )
        beating.start()
        worker.run(stop)
        beating.join(10.0)
        store.close()

    return Hired(settings, worker, journal, transport, work, held)


def trading_worker(settings: Settings) -> Hired:
    """Make the worker that trades on paper."""
    journal, transport, held = _shared(settings, "trading")
    room = TradingRoom(settings, _candles_of(settings), SystemClock(), journal.append)
    worker = RoomWorker(room, journal, transport)
    if room.allowed.warning:
        log.warning("%s", room.allowed.warning)

    def work(stop: Flag) -> None:
        looking = Thread(
            target=worker.beat, args=(room, settings.council.tick_s, stop), name="consilium-halt", daemon=True
        )
        looking.start()
        worker.run(stop)
        looking.join(10.0)

    return Hired(settings, worker, journal, transport, work, held, lambda: room.allowed.warning)


def mirror(settings: Settings) -> MirrorSystem:
    """Make the system of an API worker."""
    journal, transport, _ = _shared(settings)
    return MirrorSystem(
        settings,
        SystemClock(),
        journal,
        transport,
        engine_of(settings, journal),
        _candles_of(settings),
        Signs(settings.redis_url),
    )


def _candles_of(settings: Settings) -> CandleReader:
    """Return what reads the folder that the market worker writes."""
    return CandleReader(settings.data_dir / "live" / "candles")


def engine_of(settings: Settings, journal: Journal, *, store: Any = None) -> EnsembleEngine:
    """Make the engine of a worker; what its cycles say goes into the journal.

    Raises
    ------
    ConsiliumError
        Settings of the ensemble that cannot be.
    """
    clock = SystemClock()
    feed = make_feed(settings.live, seed=settings.training.seed, clock=clock.now_ns)
    members = shelf_of(settings, feed).load(clock.now_ns())

    question = question_of(settings, feed.symbols, feed.interval_ns, members.spec)

    def keep(messages: Any) -> None:
        recorder = Recorder(ts_recorded=clock.now_ns(), trace_id=f"cycle-{clock.now_ns()}")
        journal.append(recorder.events(messages))

    return EnsembleEngine(
        make_live_ensemble(
            settings,
            (*members.models, *members.missing),
            capacity=question.rounds,
        ),
        store,
        settings=settings,
        clock=clock,
        publish=keep,
        symbol=question.symbol,
        label_id=question.label_id,
        horizon_ns=question.horizon_ns,
    )


def _shared(settings: Settings, *rooms: str) -> tuple[Journal, Transport, Held]:
    require_redis(settings)
    faults = Faults()
    url = settings.journal_url
    journal = faults.attempt(lambda: open_journal(url))
    held = None if journal is None else faults.attempt(lambda: hold(settings, url, rooms))
    transport = faults.attempt(lambda: open_transport(settings.redis_url))
    return faults.need(journal), faults.need(transport), faults.need(held)


def require_redis(settings: Settings) -> None:
    """Refuse workers without the Redis over which they speak.

    Raises
    ------
    UsageError
        None is set.
    """
    if not settings.redis_url:
        raise UsageError(
            "workers speak over Redis", "no CONSILIUM_REDIS_URL", "set it, or run all rooms: consilium serve"
        )
