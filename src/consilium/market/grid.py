"""How long the bars of an input are, told from all its symbols together.

One thin symbol says little about itself: bars five hours apart may be hourly bars with holes or bars of five
hours. The others decide. A symbol that cannot be read with the bars of the others is left out, because a bar
taken for shorter than it is would be known before it has closed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consilium.domain.time import length_text
from consilium.market.checks import RawBars, possible, typical_interval
from consilium.market.findings import Finding
from consilium.market.hours import TradingHours, find_hours

SAME = 0.1
"""Lengths that differ by less are one: clocks change, and months have 28 to 31 days."""
MOST_MISSING = 10
"""A name that says bars this many times shorter than the common step does not speak of the bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The bars of an input.

    Parameters
    ----------
    interval_ns
        Length of a bar; 0 where no symbol has two bars.
    hours
        When the fullest symbol of that length trades; a thin one cannot say.
    """

    interval_ns: int
    hours: TradingHours | None


def find_grid(groups: Sequence[RawBars]) -> Grid:
    """Return the length of bar that most rows have; where file names say one, of the rows under such names.

    Examples
    --------
    >>> times = np.arange(9) * 3_600_000_000_000
    >>> full, thin = (RawBars(symbol=s, row=t, ts=t, values=np.ones((len(t), 5)))
    ...               for s, t in (("A", times), ("B", times[[0, 2, 4, 7]])))
    >>> length_text(find_grid([full, thin]).interval_ns)
    '1 h'
    """
    shown: Counter[int] = Counter()
    named: Counter[int] = Counter()
    fullest: dict[int, NDArray[np.int64]] = {}
    for bars in groups:
        ts = _times(bars)
        own = typical_interval(ts)
        shown[own] += len(bars)
        if _believed(bars.interval_ns, own):
            named[bars.interval_ns] += len(bars)
        if len(ts) > len(fullest.get(own, ())):
            fullest[own] = ts
    del shown[0]
    votes = named or shown
    if not votes:
        return Grid(interval_ns=0, hours=None)
    interval = min(votes, key=lambda length: (-votes[length], length))
    hours = find_hours(np.unique(fullest[interval]), interval) if interval in fullest else None
    return Grid(interval_ns=interval, hours=hours)


def place(bars: RawBars, grid: Grid) -> tuple[RawBars, Finding | None]:
    """Give the rows of one symbol the input's length of bar, or say that they do not fit it.

    Bars that are thin fit if no longer bar could lie on their times, or if their file's name says the length.
    """
    ts = _times(bars)
    own = typical_interval(ts)
    if not own:
        return replace(bars, interval_ns=0), None
    if _same(own, grid.interval_ns):
        return replace(bars, interval_ns=grid.interval_ns), None
    spacing = int(np.gcd.reduce(np.diff(np.unique(ts))))
    named = _believed(bars.interval_ns, own) and bars.interval_ns == grid.interval_ns
    if spacing == grid.interval_ns or (named and spacing % grid.interval_ns == 0):
        return replace(bars, interval_ns=grid.interval_ns, hours=grid.hours), None
    return replace(bars, interval_ns=0), _misfit(bars, own, grid.interval_ns)


def _times(bars: RawBars) -> NDArray[np.int64]:
    return bars.ts[possible(bars)]


def _same(own: int, interval_ns: int) -> bool:
    return abs(own - interval_ns) <= SAME * interval_ns


def _believed(said: int, own: int) -> bool:
    """A name such as ``btc-30d`` or ``btc-1m`` may say how long the history is, and not the bar."""
    return said > 0 and (1.0 - SAME) * said <= own <= MOST_MISSING * said


def _misfit(bars: RawBars, own: int, interval_ns: int) -> Finding:
    first = int(np.flatnonzero(possible(bars))[0])
    return Finding(
        kind="interval", symbol=bars.symbol, row=int(bars.row[first]), ts=int(bars.ts[first]),
        count=len(bars),
        detail=f"bars {length_text(own)} apart among symbols with bars of {length_text(interval_ns)}",
        cure=f"load it on its own, or fetch its bars of {length_text(interval_ns)}",
    )  # fmt: skip
