"""The sizes of a simulated book: they belong to prices, and lean with the flow."""

from dataclasses import dataclass
from math import ceil, exp, sqrt
from statistics import NormalDist

import numpy as np

from consilium.domain.errors import InvalidValue
from consilium.market.simulator.habits import BookHabits
from consilium.market.simulator.streams import Floats, Ints, autoregress, stream

REACH = 12
"""Ticks looked at beyond those that the levels need on average."""

CHUNK = 4_096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Depth:
    """Levels in whole ticks and lots, best first, shape (n, L); 0 lots where a level is missing."""

    bid_tick: Ints
    bid_lots: Ints
    ask_tick: Ints
    ask_lots: Ints


def draw_depth(seed: int, bid: Ints, ask: Ints, flow: Floats, levels: int, habits: BookHabits) -> Depth:
    """Fill both sides of the book.

    ``ln size = ln depth + ln(1 + min(i, 8) / 4) +- p_t e^(-i/5) / 2 + noise of the price`` at i ticks from
    the touch; the pressure p_t is the flow, added up and fading.

    Parameters
    ----------
    bid, ask
        Best prices in ticks, shape (n,).
    flow
        x_t, shape (n,).
    levels
        L, a side.
    """
    span = ceil(levels / (1.0 - habits.empty_share)) + REACH
    if int(bid.min()) <= span:
        raise InvalidValue(
            f"the bids must stay above {span} ticks",
            int(bid.min()),
            "raise start_price, lower tick_size, or ask for fewer snapshots",
        )
    pressure = _pressure(flow, habits)
    bid_tick, bid_lots = _side(seed, "bid", bid, pressure, span, levels, habits)
    ask_tick, ask_lots = _side(seed, "ask", -ask, -pressure, span, levels, habits)
    return Depth(bid_tick=bid_tick, bid_lots=bid_lots, ask_tick=-ask_tick, ask_lots=ask_lots)


def _pressure(flow: Floats, habits: BookHabits) -> Floats:
    fade, memory = exp(-1.0 / habits.pressure_memory), exp(-1.0 / habits.flow_memory)
    # standard deviation of one fading filter behind another
    usual = sqrt((1.0 + fade * memory) / (1.0 - fade * memory))
    pressure: Floats = habits.pressure / usual * autoregress(flow, habits.pressure_memory)
    return pressure


def _side(
    seed: int, side: str, best: Ints, pressure: Floats, span: int, levels: int, habits: BookHabits
) -> tuple[Ints, Ints]:
    """Sizes of the bids; asks are bids of the mirrored price axis."""
    n = len(best)
    noise = habits.depth_noise
    grid, low = _grid(seed, side, best, span, noise)
    keep = exp(-1.0 / habits.depth_memory)
    fresh = noise * sqrt(1.0 - keep**2)
    away = np.arange(span)
    level = np.log(habits.depth / habits.lot_size) + np.log1p(np.minimum(away, 8) / 4.0)
    lean = np.exp(-away / 5.0) / 2.0
    cut = noise * NormalDist().inv_cdf(habits.empty_share) if habits.empty_share > 0.0 else -np.inf
    random = stream(seed, f"{side}_depth")
    ticks = np.empty((n, levels), dtype=np.int64)
    lots = np.empty((n, levels), dtype=np.int64)
    for begin in range(0, n, CHUNK):
        end = min(begin + CHUNK, n)
        own = fresh * random.standard_normal((end - begin, span))
        for row, top in zip(own, (best[begin:end] - low).tolist(), strict=True):
            prices = grid[top - span + 1 : top + 1][::-1]
            prices *= keep
            prices += row
            row[:] = prices
        there = own > cut
        there[:, 0] = True
        size = np.exp(level + lean * pressure[begin:end, None] + own)
        first = np.argsort(~there, axis=1, kind="stable")[:, :levels]
        found = np.take_along_axis(there, first, axis=1)
        whole = np.maximum(np.rint(np.take_along_axis(size, first, axis=1)), 1.0).astype(np.int64)
        lots[begin:end] = np.where(found, whole, 0)
        ticks[begin:end] = best[begin:end, None] - first
    return ticks, lots


def _grid(seed: int, side: str, best: Ints, span: int, noise: float) -> tuple[Floats, int]:
    """Return the noise of every price that the path touches, and the tick of the first one.

    Drawn upwards and downwards from the first best price, so that a longer path changes none of it.
    """
    low, high, start = int(best.min()) - span + 1, int(best.max()), int(best[0])
    up = stream(seed, f"{side}_start", 0).standard_normal(high - start + 1)
    down = stream(seed, f"{side}_start", 1).standard_normal(start - low)
    return noise * np.concatenate([down[::-1], up]), low
