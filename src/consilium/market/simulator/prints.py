"""The trades of a simulated book: at the touch, or walking the levels on the way of a move."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.market.simulator.depth import Depth
from consilium.market.simulator.habits import BookHabits
from consilium.market.simulator.streams import Floats, Ints, stream

MOST = 0.9
"""Share of the touch that trades without a move of the touch take at most."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prints:
    """Trades in whole ticks and lots, by time, shape (m,)."""

    ts: Ints
    tick: Ints
    lots: Ints
    buy: NDArray[np.bool_]


def draw_trades(
    seed: int, ts: Ints, depth: Depth, tilt: Floats, activity: Floats, habits: BookHabits
) -> Prints:
    """Draw the trades after the first snapshot; those in ``(ts[t-1], ts[t]]`` carry the flow of snapshot t.

    Parameters
    ----------
    ts
        Times of the snapshots, shape (n,).
    depth
        The levels that the trades take from.
    tilt
        u_t in [-1, 1], shape (n,).
    activity
        Move rate over its mean, shape (n,); trades come with its square root.
    """
    at, touch_lots, buy, when = _orders(seed, ts, depth, tilt, activity, habits)
    taken = np.zeros((2, len(ts)), dtype=np.int64)
    np.add.at(taken, (buy.astype(np.int64), at), touch_lots)
    touch_tick = np.where(buy, depth.ask_tick[at - 1, 0], depth.bid_tick[at - 1, 0])
    swept = stream(seed, "sweep").random(len(ts)) < habits.sweep_share
    up = _sweeps(ts, depth.ask_tick, depth.ask_lots, swept, taken[1], True)
    down = _sweeps(ts, -depth.bid_tick, depth.bid_lots, swept, taken[0], False)
    times = np.concatenate([when, up.ts, down.ts])
    order = np.argsort(times, kind="stable")
    return Prints(
        ts=times[order],
        tick=np.concatenate([touch_tick, up.tick, -down.tick])[order],
        lots=np.concatenate([touch_lots, up.lots, down.lots])[order],
        buy=np.concatenate([buy, up.buy, down.buy])[order],
    )


def _orders(
    seed: int, ts: Ints, depth: Depth, tilt: Floats, activity: Floats, habits: BookHabits
) -> tuple[Ints, Ints, NDArray[np.bool_], Ints]:
    """Market orders that the touch can fill: snapshot they come before, lots, side and time."""
    count = stream(seed, "trade_count").poisson(habits.trade_rate * np.sqrt(activity))
    count[0] = 0
    at = np.repeat(np.arange(len(ts)), count)
    m = len(at)
    buy = stream(seed, "trade_side").random(m) < 0.5 * (1.0 + habits.trade_tilt * tilt[at])
    size = (
        habits.trade_size
        * habits.depth
        * np.exp(habits.trade_noise * stream(seed, "trade_size").standard_normal(m))
    )
    lots = np.maximum(np.rint(size / habits.lot_size), 1.0).astype(np.int64)
    span = (ts[at] - ts[at - 1]) if m else np.zeros(0, dtype=np.int64)
    when = ts[at] - np.floor(stream(seed, "trade_time").random(m) * span).astype(np.int64)
    key = 2 * at + buy
    order = np.lexsort((when, key))
    begins = np.flatnonzero(np.diff(key[order], prepend=-1))
    total = np.cumsum(lots[order])
    before = np.repeat(total[begins] - lots[order][begins], np.diff(begins, append=m))
    there = np.where(buy, depth.ask_lots[at - 1, 0], depth.bid_lots[at - 1, 0])[order]
    kept = order[total - before <= MOST * there]
    kept.sort()
    return at[kept], lots[kept], buy[kept], when[kept]


def _sweeps(ts: Ints, tick: Ints, lots: Ints, swept: NDArray[np.bool_], taken: Ints, buy: bool) -> Prints:
    """Print each level between the old touch and the new one, at what the earlier trades left of it."""
    rows = np.flatnonzero((np.diff(tick[:, 0]) > 0) & swept[1:]) + 1
    left = lots[rows - 1].copy()
    left[:, 0] -= taken[rows]
    on_the_way = (tick[rows - 1] < tick[rows, :1]) & (left > 0)
    row, level = np.nonzero(on_the_way)
    return Prints(
        ts=ts[rows[row]],
        tick=tick[rows[row] - 1, level],
        lots=left[row, level],
        buy=np.full(len(row), buy),
    )
