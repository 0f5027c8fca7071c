"""The best forecast there can be of a simulated book: that of one who knows all but the dice."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from consilium.domain.checks import require_at_least
from consilium.domain.errors import InvalidValue
from consilium.market.simulator.books import SimulatedBook
from consilium.market.simulator.streams import Floats, Ints

ROWS_AT_ONCE = 512


def chances(
    market: SimulatedBook,
    rows: Ints,
    horizon: int,
    threshold: float,
    *,
    flow: Floats | None = None,
    flow_error: float = 0.0,
    draws: int = 1_000,
    seed: int = 0,
) -> Floats:
    r"""Return P(down, flat, up) of the smoothed mid after some snapshots, given the whole state, (n, 3).

    The state of snapshot t is the flow, the rate of moves, the spread and the mid; none of what an exchange
    publishes adds to it. From it the market is played on ``draws`` times, and

    .. math:: l_t = \frac{1}{k m_t} \sum_{i=1}^{k} m_{t+i} - 1

    is counted as UP above the threshold, DOWN below its negative, else FLAT. No forecast that reads the book
    has a lower expected loss than this one without the error of so many draws.

    Parameters
    ----------
    market
        From `simulate_book`.
    rows
        Snapshots, shape (n,).
    horizon
        k, >= 1.
    threshold
        A relative change, >= 0.
    flow
        What is believed of the flow at each row, shape (n,), in place of what it is: the best forecast of one
        who sees that much of it. None for the truth.
    flow_error
        Deviation of the truth from what is believed, >= 0.
    draws
        Futures of each row, >= 1.
    seed
        Of the futures.

    Examples
    --------
    >>> from consilium.market.simulator import simulate_book
    >>> market = simulate_book(snapshots=300, seed=7, strength=1.0)
    >>> p = chances(market, np.arange(100, 200), 10, 5e-5, draws=200)
    >>> bool(np.corrcoef(p[:, 2] - p[:, 0], market.signal[100:200])[0, 1] > 0.9)
    True
    """
    if horizon < 1 or draws < 1:
        raise InvalidValue("horizon and draws must be >= 1", (horizon, draws), "give both")
    require_at_least("threshold", threshold, 0.0)
    require_at_least("flow_error", flow_error, 0.0)
    rng = np.random.default_rng(seed)
    believed = market.signal[rows] if flow is None else flow
    found = np.empty((len(rows), 3))
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        known = _spread_out(believed[start : start + len(part)], (len(part), draws))
        known += flow_error * rng.standard_normal(known.shape)
        change = _played_on(market, part, known, horizon, rng)
        up, down = (change > threshold).mean(axis=1), (change < -threshold).mean(axis=1)
        found[start : start + len(part)] = np.column_stack([down, 1.0 - up - down, up])
    return found


def _played_on(
    market: SimulatedBook, rows: Ints, flow: Floats, horizon: int, rng: np.random.Generator
) -> Floats:
    """Return l of each row in each future, shape (n, draws), from what is believed of the flow."""
    habits, shape = market.habits, (flow.shape[0], flow.shape[1])
    swing = habits.volatility_swing
    wave = np.log(market.move_rate[rows] / habits.move_rate) + swing**2 / 2.0
    width = market.book.ask_price[rows, 0] - market.book.bid_price[rows, 0]
    spread = _spread_out(np.round(width / habits.tick_size), shape)
    wave = _spread_out(wave, shape)
    moved, total = np.zeros(shape), np.zeros(shape)
    for _ in range(horizon):
        up = rng.random(shape) < 0.5 * (1.0 + market.strength * (2.0 * ndtr(flow) - 1.0))
        wave = _next(wave, habits.volatility_memory, swing, rng)
        rate = np.minimum(habits.move_rate * np.exp(wave - swing**2 / 2.0), 0.9)
        wider = _widened(spread, rate, market, rng)
        ticks = np.where(rng.random(shape) < rate, _ticks(shape, habits.extra_ticks, rng), 0.0)
        moved += np.where(up, 1.0, -1.0) * (2.0 * ticks + np.abs(wider - spread))
        total += moved
        spread, flow = wider, _next(flow, habits.flow_memory, 1.0, rng)
    return total / horizon / market.half_ticks[rows, None]


def _spread_out(values: Floats, shape: tuple[int, int]) -> Floats:
    return np.broadcast_to(values[:, None].astype(np.float64), shape).copy()


def _next(values: Floats, memory: float, deviation: float, rng: np.random.Generator) -> Floats:
    phi = np.exp(-1.0 / memory)
    following: Floats = phi * values + deviation * np.sqrt(1.0 - phi**2) * rng.standard_normal(values.shape)
    return following


def _widened(spread: Floats, rate: Floats, market: SimulatedBook, rng: np.random.Generator) -> Floats:
    habits, draw = market.habits, rng.random(spread.shape)
    wider = (draw < habits.widen_rate * rate / habits.move_rate) & (spread < habits.widest)
    narrower = ~wider & (draw > 1.0 - habits.narrow_rate) & (spread > 1)
    changed: Floats = spread + wider.astype(np.float64) - narrower.astype(np.float64)
    return changed


def _ticks(shape: tuple[int, int], extra: float, rng: np.random.Generator) -> NDArray[np.float64]:
    further = np.floor(np.log1p(-rng.random(shape)) / np.log(extra / (1.0 + extra)))
    ticks: Floats = 1.0 + further
    return ticks
