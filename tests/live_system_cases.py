"""A living system in this process over a panel whose steps a test may change."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event as Flag

from consilium.app.live.assembly import assemble
from consilium.app.live.feeds import PanelFeed, Step
from consilium.app.live.system import LiveSystem
from consilium.app.settings import Live
from consilium.market.simulator import simulate
from live_cases import settings_of

BARS = 520
STEPS = BARS // 2


def until(good: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class OddFeed(PanelFeed):
    """Plays a panel with the steps changed by a test."""

    def __init__(self, change: Callable[[int, Step], list[Step]], bars: int = BARS, symbols: int = 3) -> None:
        super().__init__("odd", simulate(symbols=symbols, bars=bars, seed=5).series, speed=0.0)
        self._change = change

    def steps(self, after: int, stop: Flag, held: Mapping[str, int] | None = None) -> Iterator[Step]:
        for number, step in enumerate(super().steps(after, stop, held)):
            yield from self._change(number, step)


def system_of(folder: Path, feed: PanelFeed | None = None, **changes: object) -> LiveSystem:
    made = assemble(settings_of(folder, live=Live(), **changes))
    if feed is not None:
        made.feed = feed
    return made


def ended(system: LiveSystem) -> None:
    until(lambda: system.feed.problem() == "the feed has ended" or "feed" in system.troubles)
    assert system.troubles == {}


def consensuses(system: LiveSystem, symbol: str | None = None) -> list[dict[str, object]]:
    return system.consensus_history(symbol, 0, 100_000)
