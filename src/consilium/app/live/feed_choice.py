"""Which feed the settings name."""

from collections.abc import Callable
from pathlib import Path

from consilium.app.live.exchange_feed import ExchangeFeed
from consilium.app.live.feeds import LiveFeed, NoFeed, PanelFeed
from consilium.app.settings import Live
from consilium.domain import UsageError

KINDS = ("replay:PATH", "simulate:...", "exchange:VENUE")


def make_feed(live: Live, *, seed: int, clock: Callable[[], int]) -> LiveFeed:
    """Make the feed that the settings name.

    Parameters
    ----------
    live
        Feed, symbols, bar and speed.
    seed
        Of a simulation that names none.
    clock
        UTC nanoseconds, for a venue whose time cannot be asked.

    Raises
    ------
    UsageError
        An unknown kind of feed, or data that do not exist.
    DataProblem
        Nothing usable is in the data.
    """
    kind, _, rest = live.feed.partition(":")
    if not live.feed:
        return NoFeed()
    if kind == "exchange":
        return ExchangeFeed.of(rest, live.symbols, live.bar, clock=clock)
    if kind not in ("replay", "simulate") or (kind == "replay" and not rest):
        raise UsageError(
            f"live.feed must be one of {', '.join(KINDS)}, or empty for none",
            f"'{live.feed}'",
            "write for example simulate:symbols=5",
        )
    # Polars comes with the reader of files: a service without a replay must not wait for it.
    from consilium.app.observe import observe

    data = live.feed if kind == "simulate" else rest
    observed = observe(data, live.symbols or None, seed=seed, bar=_bar_of(data, live.bar))
    return PanelFeed(live.feed, observed.panel, speed=live.speed)


def _bar_of(data: str, bar: str) -> str:
    """Return the length of bar where the data are trades that have to be built into bars, else nothing."""
    from consilium.app.simulated import has_books, is_simulated
    from consilium.market.recordings import is_recording

    if is_simulated(data):
        return bar if has_books(data) else ""
    path = Path(data)
    return bar if path.exists() and is_recording(path) else ""
