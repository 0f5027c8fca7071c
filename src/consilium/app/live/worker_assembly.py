"""The same rooms in processes of their own, over Redis Streams and one journal."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Event as Flag
from threading import Thread
from typing import Any, ClassVar

import orjson

from consilium.app.bootstrap import SystemClock
from consilium.app.council.health import HealthWatch, signals_of_workers, unjudged
from consilium.app.live.alone import hold
from consilium.app.live.assembly import shelf_of
from consilium.app.live.candle_log import CandleLog, CandleReader
from consilium.app.live.core import Parts
from consilium.app.live.council_worker import SittingRoom
from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.faults import Faults
from consilium.app.live.feed_choice import make_feed
from consilium.app.live.hired import FIGURES, Hired
from consilium.app.live.mirror import MirrorSystem
from consilium.app.live.question import question_of
from consilium.app.live.records import Recorder
from consilium.app.live.room_worker import BeatingRoom, RoomWorker
from consilium.app.live.rooms import EnsembleRoom
from consilium.app.live.terms import Terms
from consilium.app.live.trading_room import TradingRoom
from consilium.app.live.turn import BEYOND_S, MarketPipeline, MarketSystem
from consilium.app.settings import Settings
from consilium.bus.journal import Journal, open_journal
from consilium.bus.journal.alone import Held
from consilium.bus.signs import Signs
from consilium.bus.state_store import open_state_store
from consilium.bus.transport import Transport, open_transport
from consilium.domain import OutputProblem, PoolChanged, UsageError
from consilium.ensemble import Gates


class SilentRoom:
    """Stands in for the ensemble where only the market is followed: it says and remembers nothing."""

    configured: ClassVar[Mapping[str, float]] = {}

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


def market_worker(settings: Settings) -> MarketSystem:
    """Make the worker that follows the feed and forecasts.

    Raises
    ------
    ConsiliumError
        What is wrong, all at once.
    """
    require_redis(settings)
    patience = settings.council.lost_s + BEYOND_S if settings.council.enabled else 0.0
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
    return MarketSystem(
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
        ),
        patience,
    )


def worries(system: MarketSystem) -> str:
    """Return what troubles a market worker, in one line; models that are missing are told in the journal."""
    found = system.ready()
    told = (found[part].removeprefix("warn:").strip() for part in ("journal", "feed", "engine"))
    return "; ".join(text for text in told if text)


def ensemble_worker(settings: Settings) -> Hired:
    """Make the worker that reaches consensus and shows the keys."""
    journal, transport, held = _shared(settings, "ensemble")
    clock = SystemClock()
    store = open_state_store(settings.redis_url)
    engine = engine_of(settings, journal, store=store)
    room = EnsembleRoom(settings, engine, clock, begun=_candles_of(settings).terms)
    worker = RoomWorker(room, journal, transport)

    beat = Beat("cycles", settings.engine.period_s)
    return Hired(settings, worker, journal, transport, working(worker, room, beat, store.close), held)


def trading_worker(settings: Settings) -> Hired:
    """Make the worker that trades on paper."""
    journal, transport, held = _shared(settings, "trading")
    signs = Signs(settings.redis_url)
    seen: list[bool] = [False]
    room = TradingRoom(settings, _candles_of(settings), SystemClock(), journal.append, lambda: seen[0])
    worker = RoomWorker(room, journal, transport)

    def look() -> None:
        """See whether the council lives and has no trouble; Redis may take its time to say so."""
        found = signs.seen(["council"]) if settings.council.enabled else None
        seen[0] = found is not None and found["council"] == ""

    def unseen(_: Exception) -> None:
        seen[0] = False

    beat = Beat("halt", settings.council.tick_s, look, unseen)
    work = working(worker, room, beat, signs.close)
    return Hired(settings, worker, journal, transport, work, held, lambda: room.allowed.warning)


def council_worker(settings: Settings) -> Hired:
    """Make the worker in which the council sits.

    Raises
    ------
    UsageError
        The settings have no council.
    """
    if not settings.council.enabled:
        raise UsageError("the council must be enabled", "council.enabled is false", "set it to true")
    journal, transport, held = _shared(settings, "council")
    clock, candles, watch = SystemClock(), _candles_of(settings), HealthWatch()
    figures = Signs(settings.redis_url, prefix=FIGURES)
    room = SittingRoom(settings, lambda: terms_in(candles), clock, journal.append)
    worker = RoomWorker(room, journal, transport)

    def look() -> None:
        """Judge the health of all that can be seen from here; disk and bus may take their time."""
        terms = room.hearing.terms
        if terms is None:
            return
        told = (figures.seen(["market"]) or {}).get("market")
        room.assessed = watch.look(
            signals_of_workers(
                settings,
                journal,
                transport,
                now=clock.now_ns(),
                terms=terms,
                ts=room.ts,
                market=orjson.loads(told) if told else {},
            )
        )

    def unseen(error: Exception) -> None:
        room.assessed = unjudged(error)

    beat = Beat("sitting", settings.council.tick_s, look, unseen)
    return Hired(
        settings,
        worker,
        journal,
        transport,
        working(worker, room, beat, figures.close),
        held,
        lambda: room.back.told if worker.begun else "catching up with the journal",
    )


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker does every so often beside its rows; see `RoomWorker.beat`."""

    name: str
    period_s: float
    before: Callable[[], None] = lambda: None
    unseen: Callable[[Exception], None] = lambda _: None


def working(
    worker: RoomWorker, room: BeatingRoom, beat: Beat, close: Callable[[], None]
) -> Callable[[Flag], None]:
    """Return what lets a worker take rows and beat beside that until told to stop, and closes then.

    A beat that has ended before that stops the worker too, with an `OutputProblem`: half of one is none.
    """

    def work(stop: Flag) -> None:
        ended: list[OutputProblem] = []

        def go_on() -> None:
            try:
                worker.beat(room, beat.period_s, stop, beat.before, beat.unseen)
            finally:
                if not stop.is_set():
                    ended.append(
                        OutputProblem(
                            f"a worker must go on with its {beat.name}", "it ended", "start it again"
                        )
                    )
                stop.set()

        beating = Thread(target=go_on, name=f"consilium-{beat.name}", daemon=True)
        beating.start()
        try:
            worker.run(stop)
        finally:
            stop.set()
            beating.join(10.0)
            close()
        if ended:
            raise ended[0]

    return work


def mirror(settings: Settings) -> MirrorSystem:
    """Make the system of an API worker."""
    journal, transport, _ = _shared(settings)
    clock, candles = SystemClock(), _candles_of(settings)
    sitting = None
    if settings.council.enabled:
        sitting = SittingRoom(settings, lambda: terms_in(candles), clock, silent=True)
    return MirrorSystem(
        settings,
        clock,
        journal,
        transport,
        engine_of(settings, journal),
        candles,
        Signs(settings.redis_url),
        sitting,
    )


def terms_in(candles: CandleReader) -> Terms | None:
    """Return what the market worker has begun with, None before."""
    kept = candles.terms()
    return None if kept is None else Terms.of(kept)


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
