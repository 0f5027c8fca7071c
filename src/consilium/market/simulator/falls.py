"""A quiet market with falls at known places: what a council must stop, and how it lets trade again.

A slow slide makes a market look oversold, and the price jumps up: who bought it has gained. The next slide
ends with the price opening lower by a known share: who bought that one loses as much, whatever the stop.
Between the stages nothing happens, so that what needs days of calm has them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_fraction
from consilium.domain.errors import InvalidValue
from consilium.domain.time import HOUR_NS
from consilium.market.candles import CandleSeries
from consilium.market.simulator.candles import START_TS

KIND = "drawdown"
FALLS = (0.028, 0.013, 0.021, 0.015, 0.021, 0.026, 0.035)
"""Shares by which the price opens lower, one a stage."""

WARM_UP = 1_240
"""Quiet bars before the first stage: a service takes them in as history."""

STAGE = 108
"""Bars from one stage to the next: all falls within the 30 days of a peak."""

TICK = 0.0002
"""How far a quiet bar moves, to and fro."""

REACH = 0.0015
"""How far high and low lie beyond open and close: a stop two ranges away outlasts a slide."""

SLIDE_BARS, SLIDE = 12, -0.0003
"""A slide makes RSI say oversold within half of its bars."""

PROFIT, RECOVERY = 0.008, 0.02
"""Shares by which the price opens higher: before a fall (so losses come one by one), and after all falls."""

APART = 36
"""Bars from the first slide of a stage to the second."""

VOLUME = 5e7
"""Turnover of a bar in quote units: a paper account is filled whole."""

Floats = NDArray[np.float64]


def shortest(falls: Sequence[float] = FALLS) -> int:
    """Return the bars that the falls take, the quiet ones before them too.

    Examples
    --------
    >>> shortest((0.03, 0.02))
    1456
    """
    return WARM_UP + STAGE * len(falls)


def simulate_falls(
    *,
    symbols: int = 1,
    bars: int,
    seed: int,
    falls: Sequence[float] = FALLS,
    interval_ns: int = HOUR_NS,
    start_ts: int = START_TS,
) -> dict[str, CandleSeries]:
    """Simulate the market; the falls are those of the first symbol, the others stay quiet.

    A stage is a slide, a jump up, another slide, the fall. After the last one every second slide
    ends in a jump up too: what was lost can be earned back.

    Parameters
    ----------
    symbols
        How many, named SIM00, SIM01, ...
    bars
        How many, at least `shortest` of the falls.
    seed
        Of the small moves; the falls do not depend on it.
    falls
        Shares in (0, 1) by which the price opens lower, in their order.
    interval_ns, start_ts
        Length of a bar, and opening time of the first.

    Raises
    ------
    InvalidValue
        Too few bars, no symbol, or a fall outside its bound.

    Examples
    --------
    >>> found = simulate_falls(bars=1_456, seed=1, falls=(0.03, 0.02))["SIM00"]
    >>> gaps = found.open[1:] / found.close[:-1] - 1.0
    >>> sorted(gaps.round(4).tolist())[:3]
    [-0.03, -0.02, 0.0]
    """
    if symbols < 1:
        raise InvalidValue("symbols must be >= 1", symbols, "ask for at least one")
    for fall in falls:
        require_fraction("a fall", fall)
    if bars < shortest(falls):
        raise InvalidValue(
            f"{len(falls)} falls need bars >= {shortest(falls)}", bars, "ask for more bars, or fewer falls"
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    found = {}
    for place in range(symbols):
        moves, gaps = _quiet(generator, bars), np.zeros(bars)
        if place == 0:
            _stages(moves, gaps, falls)
        name = f"SIM{place:02d}"
        found[name] = _series(name, moves, gaps, interval_ns, start_ts)
    return found


def _quiet(generator: np.random.Generator, bars: int) -> Floats:
    """Moves to and fro: an oscillator stays in its middle, and no average runs away."""
    sizes = TICK * generator.uniform(0.8, 1.2, bars)
    signs = np.where(np.arange(bars) % 2 == 0, 1.0, -1.0)
    moves: Floats = sizes * signs
    moves -= moves.mean()
    return moves


def _stages(moves: Floats, gaps: Floats, falls: Sequence[float]) -> None:
    """Write slides and jumps into the moves of the first symbol, one stage after the other."""
    for stage, at in enumerate(range(WARM_UP, len(moves) - STAGE + 1, STAGE)):
        second = at + APART
        for first in (at, second):
            moves[first : first + SLIDE_BARS] += SLIDE
        gaps[at + SLIDE_BARS] = np.log1p(PROFIT)
        gaps[second + SLIDE_BARS] = np.log1p(-falls[stage] if stage < len(falls) else RECOVERY)


def _series(name: str, moves: Floats, gaps: Floats, interval_ns: int, start_ts: int) -> CandleSeries:
    closes = 100.0 * np.exp(np.cumsum(moves + gaps))
    before = np.concatenate([[100.0], closes[:-1]])
    opens = before * np.exp(gaps)
    return CandleSeries(
        symbol=name,
        venue="simulator",
        interval_ns=interval_ns,
        ts_open=start_ts + interval_ns * np.arange(len(moves), dtype=np.int64),
        open=opens,
        high=np.maximum(opens, closes) * (1.0 + REACH),
        low=np.minimum(opens, closes) * (1.0 - REACH),
        close=closes,
        volume=VOLUME / closes,
    )
