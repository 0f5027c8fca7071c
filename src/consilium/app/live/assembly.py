"""What a living system is made of, by its settings: the one place where its concrete classes meet."""

from consilium.app.bootstrap import SystemClock
from consilium.app.live.alone import hold
from consilium.app.live.candle_log import CandleLog
from consilium.app.live.core import Parts
from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.faults import Faults
from consilium.app.live.feed_choice import make_feed
from consilium.app.live.feeds import LiveFeed
from consilium.app.live.members import Shelf
from consilium.app.live.question import question_of
from consilium.app.live.system import LiveSystem
from consilium.app.live.training import TrainingDesk
from consilium.app.settings import Settings
from consilium.bus.journal import open_journal
from consilium.bus.state_store import open_state_store
from consilium.bus.transport import open_transport
from consilium.domain import Clock


def assemble(settings: Settings, *, clock: Clock | None = None, faults: Faults | None = None) -> LiveSystem:
    """Make a living system; `start` sets it going and `stop` ends it.

    Without a database an SQLite journal is made in the data folder; without Redis its keys stay in memory;
    without models and feed it waits, and says so.

    Parameters
    ----------
    settings
        Of the process.
    clock
        The machine's own if not given.
    faults
        What is wrong already, to be told with whatever else is.

    Raises
    ------
    ConsiliumError
        A feed, model setting or database that cannot be.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> with assemble(Settings(data_dir=Path(mkdtemp()))) as system:
    ...     system.health()["coverage"]
    'none'
    """
    clock = clock or SystemClock()
    faults = faults or Faults()
    feed = faults.attempt(lambda: make_feed(settings.live, seed=settings.training.seed, clock=clock.now_ns))
    journal = faults.attempt(lambda: open_journal(settings.journal_url))
    held = None if journal is None else faults.attempt(lambda: hold(settings, settings.journal_url))
    # Opening it mends it, which is for the one process that may write there.
    log_folder = settings.data_dir / "live" / "candles"
    candle_log = None if held is None else faults.attempt(lambda: CandleLog(log_folder))
    store = faults.attempt(lambda: open_state_store(settings.redis_url))
    transport = faults.attempt(lambda: open_transport(settings.redis_url))
    faults.attempt(lambda: make_live_ensemble(settings))
    feed, journal, candle_log = faults.need(feed), faults.need(journal), faults.need(candle_log)
    shelf = shelf_of(settings, feed)
    members = shelf.load(clock.now_ns())
    question = question_of(settings, feed.symbols, feed.interval_ns, members.spec)
    # The engine keeps its messages through the system, which is made of the engine.
    made: list[LiveSystem] = []
    engine = EnsembleEngine(
        make_live_ensemble(
            settings,
            (*members.models, *members.missing),
            capacity=question.rounds,
        ),
        store,
        settings=settings,
        clock=clock,
        publish=lambda messages: made[0].keep_cycle(messages),
        symbol=question.symbol,
        label_id=question.label_id,
        horizon_ns=question.horizon_ns,
    )
    parts = Parts(
        settings=settings,
        clock=clock,
        journal=journal,
        transport=faults.need(transport),
        store=faults.need(store),
        engine=engine,
        training=TrainingDesk(
            settings,
            clock,
            lambda message, **more: made[0].submit(message, **more),
            until=lambda: made[0].pipeline.market.newest,
        ),
        feed=feed,
        shelf=shelf,
        members=members,
        candle_log=candle_log,
        held=faults.need(held),
    )
    made.append(LiveSystem(parts))
    return made[0]


def shelf_of(settings: Settings, feed: LiveFeed) -> Shelf:
    """Return where the models of a data folder are, for the bars of a feed."""
    return Shelf(
        settings.data_dir / "models",
        interval_ns=feed.interval_ns,
        max_age_days=settings.serving.max_age_days,
    )
