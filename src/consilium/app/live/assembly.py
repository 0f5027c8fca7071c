"""What a living system is made of, by its settings: the one place where its concrete classes meet."""

from typing import Any

from consilium.app.bootstrap import SystemClock
from consilium.app.live.alone import hold
from consilium.app.live.candle_log import CandleLog
from consilium.app.live.core import Parts
from consilium.app.live.engine import OUTSIDE_LABEL, EnsembleEngine, make_live_ensemble
from consilium.app.live.faults import Faults
from consilium.app.live.feed_choice import make_feed
from consilium.app.live.feeds import LiveFeed
from consilium.app.live.members import Members, Shelf
from consilium.app.live.system import LiveSystem
from consilium.app.live.training import TrainingDesk
from consilium.app.settings import Settings
from consilium.bus.journal import open_journal
from consilium.bus.state_store import open_state_store
from consilium.bus.transport import open_transport
from consilium.domain import Clock
from consilium.training.labels import LabelSpec

FEWEST_ROUNDS = 4_096
"""Rounds that are kept for their outcome in any case."""

SPARE_BARS = 4
"""Bars beyond the horizon by which an outcome may come late: a gap delays it."""


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
    # The engine keeps its messages through the system, which is made of the engine.
    made: list[LiveSystem] = []
    engine = EnsembleEngine(
        make_live_ensemble(
            settings,
            (*members.models, *members.missing),
            capacity=rounds_kept(settings, feed, members),
        ),
        store,
        settings=settings,
        clock=clock,
        publish=lambda messages: made[0].keep_cycle(messages),
        **question_of(settings, feed, members),
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


def rounds_kept(settings: Settings, feed: LiveFeed, members: Members) -> int:
    """Return how many rounds wait for their outcome at most: all symbols over the horizon, and as many again.

    Examples
    --------
    >>> from consilium.app.live.feeds import NoFeed
    >>> rounds_kept(Settings(), NoFeed(), Members())
    4096
    """
    horizon = settings.training.horizon if members.spec is None else members.spec.horizon
    return max(FEWEST_ROUNDS, 2 * len(feed.symbols) * (horizon + SPARE_BARS))


def question_of(settings: Settings, feed: LiveFeed, members: Members) -> dict[str, Any]:
    """Return what our models forecast, which signals from outside take too: symbol, label and horizon."""
    symbol = settings.engine.symbol or next(iter(feed.symbols), "")
    if not feed.interval_ns:
        return {"symbol": symbol, "label_id": OUTSIDE_LABEL}
    spec = members.spec or LabelSpec(horizon=settings.training.horizon)
    return {
        "symbol": symbol,
        "label_id": spec.label_id(feed.interval_ns),
        "horizon_ns": spec.horizon * feed.interval_ns,
    }
