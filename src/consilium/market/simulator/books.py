"""A seeded order book and its trades, with an order flow that moves the mid as strongly as one says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from consilium.domain.checks import require_positive
from consilium.domain.errors import InvalidValue
from consilium.domain.time import SECOND_NS
from consilium.market.book.bars import bars_from_trades
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.candles import CandleSeries
from consilium.market.simulator.candles import START_TS
from consilium.market.simulator.depth import Depth, draw_depth
from consilium.market.simulator.habits import BookHabits
from consilium.market.simulator.prints import Prints, draw_trades
from consilium.market.simulator.streams import Floats, Ints, autoregress, stream

DIGITS = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedBook:
    """A simulated book and what only its maker knows.

    Parameters
    ----------
    book, trades
        What an exchange would publish.
    signal
        The order flow x_t behind each snapshot, N(0, 1) with a memory, shape (n,). The trades up to snapshot
        t and the sizes in it show it; it acts on the mid from snapshot t to t+1.
    strength
        Between 0 (nothing to know) and 1.
    half_ticks
        Twice the mid in ticks, a whole number, shape (n,).
    flow_memory
        Snapshots after which the flow has faded to 1/e.
    move_rate
        Probability of a whole-tick move up to each snapshot, shape (n,).
    habits
        How the book behaves.
    """

    book: BookSeries
    trades: TradeSeries
    signal: Floats
    strength: float
    half_ticks: Ints
    flow_memory: float
    move_rate: Floats
    habits: BookHabits

    @property
    def expected_direction(self) -> Floats:
        """E[sign of the next move | all up to t], ``strength (2 Phi(x_t) - 1)``, shape (n,)."""
        tilt: Floats = self.strength * (2.0 * ndtr(self.signal) - 1.0)
        return tilt

    def information_coefficient(self, horizon: int) -> float:
        r"""Return corr(u_t, mid[t+k] - mid[t]) with u = 2 Phi(x) - 1: the most that a forecast can reach.

        .. math:: \frac{s\,a\,\sigma_u \sum_{j<k} \rho_j}
                  {\sqrt{k b + 2 s^2 a^2 \sigma_u^2 \sum_{j=1}^{k-1} (k - j)\rho_j}}, \quad
                  \rho_j = \tfrac{6}{\pi} \arcsin\frac{\phi^j}{2}, \quad \sigma_u^2 = \tfrac13

        with s the strength, a and b the mean absolute and the mean squared move of a snapshot in this path,
        and phi = e^(-1/memory).

        Parameters
        ----------
        horizon
            k, snapshots ahead, >= 1.

        References
        ----------
        Kruskal 1958, section 8 (the rank correlation of a normal pair).
        """
        if horizon < 1:
            raise InvalidValue("horizon must be >= 1", horizon, "give snapshots ahead")
        moves = np.abs(np.diff(self.half_ticks)).astype(np.float64)
        a, b = float(moves.mean()), float(np.mean(moves**2))
        lags = np.arange(horizon)
        rho = 6.0 / np.pi * np.arcsin(np.exp(-lags / self.flow_memory) / 2.0)
        pull = self.strength * a
        covariance = pull / 3.0 * float(rho.sum())
        variance = horizon * b + 2.0 * pull**2 / 3.0 * float(((horizon - lags) * rho)[1:].sum())
        return covariance / np.sqrt(variance / 3.0) if b > 0.0 else 0.0

    def candles(self, interval_ns: int = SECOND_NS) -> CandleSeries:
        """Return the bars of the same market, built from its trades; see `bars_from_trades`."""
        ts = self.book.ts_event
        return bars_from_trades(self.trades, interval_ns, start_ts=int(ts[0]), stop_ts=int(ts[-1]))


def simulate_book(
    *,
    symbol: str = "SIM00",
    snapshots: int,
    seed: int,
    strength: float = 0.0,
    interval_ns: int = SECOND_NS // 10,
    levels: int = 20,
    start_ts: int = START_TS,
    habits: BookHabits | None = None,
) -> SimulatedBook:
    r"""Simulate a book on a tick grid and its trades: never crossed, and as predictable as one says.

    .. math:: \Delta M_{t+1} = D_{t+1} A_{t+1}, \quad
              P(D_{t+1} = \pm 1) = \tfrac12 (1 \pm s\,(2\Phi(x_t) - 1)), \quad
              x_t = \phi x_{t-1} + \sqrt{1 - \phi^2}\, e_t

    M is twice the mid in ticks, A >= 0 how far it moves and s the strength. A comes from whole-tick moves
    whose rate clusters (an AR(1) in its logarithm) and from the spread, which widens by a tick at times and
    narrows again; no part of it knows D. So with s = 0 the mid is a martingale, whatever one knows, and with
    s > 0 the share ``1/2 + s/4`` of all moves goes where the flow x points.

    The flow shows itself before it acts: it adds up, fading, to a pressure that raises the sizes of the bids
    and lowers those of the asks (most at the touch), and it tilts the side of the trades. With s = 0 it does
    the same and means nothing. Sizes belong to prices, not to ranks: a level keeps its size when the touch
    moves. Some prices hold no orders. Trades print at the touch of the last snapshot, never more than nine
    tenths of it; a move of the touch is a sweep through all levels on its way with probability
    ``sweep_share``, and orders withdrawn otherwise.

    Parameters
    ----------
    symbol
        Name of the market.
    snapshots
        How many, >= 2; the first ones are the same whatever the number.
    seed
        The same seed gives the same market.
    strength
        s, in [0, 1].
    interval_ns, start_ts
        Time from one snapshot to the next (default 100 ms), and time of the first.
    levels
        A side, >= 1. Where fewer hold orders within reach, the rest has a NaN price and size 0.
    habits
        Tick, sizes, rates and memories; by default a liquid market whose spread is mostly one tick.

    Raises
    ------
    InvalidValue
        A number outside its bound, or a path that would come to a price of 0.

    Examples
    --------
    >>> market = simulate_book(snapshots=500, seed=7, strength=0.5)
    >>> market.book.levels, len(market.candles())
    (20, 49)
    >>> bool((market.book.ask_price[:, 0] > market.book.bid_price[:, 0]).all())
    True

    References
    ----------
    Cont, Kukanov and Stoikov 2014, eq. 3 (order flow imbalance and the mid); Huang, Lehalle and Rosenbaum
    2015, section 2 (sizes that belong to prices).
    """
    _require(snapshots, strength, interval_ns, levels)
    habits = habits or BookHabits()
    flow = autoregress(stream(seed, "flow").standard_normal(snapshots), habits.flow_memory)
    tilt = 2.0 * ndtr(flow) - 1.0
    rate = _move_rate(seed, snapshots, habits)
    spread = _spreads(seed, rate, habits)
    middle = _middle(seed, rate, spread, strength * tilt, habits)
    bid, ask = (middle - spread) // 2, (middle + spread) // 2
    depth = draw_depth(seed, bid, ask, flow, levels, habits)
    ts = start_ts + interval_ns * np.arange(snapshots, dtype=np.int64)
    prints = draw_trades(seed, ts, depth, tilt, rate / habits.move_rate, habits)
    return SimulatedBook(
        book=_book(symbol, ts, depth, habits),
        trades=_trades(symbol, prints, habits),
        signal=flow,
        strength=strength,
        half_ticks=middle,
        flow_memory=habits.flow_memory,
        move_rate=rate,
        habits=habits,
    )


def _require(snapshots: int, strength: float, interval_ns: int, levels: int) -> None:
    if snapshots < 2:
        raise InvalidValue("snapshots must be >= 2", snapshots, "ask for at least two")
    if not 0.0 <= strength <= 1.0:
        raise InvalidValue("strength must lie in [0, 1]", strength, "give a share of the strongest flow")
    require_positive("interval_ns", interval_ns)
    if levels < 1:
        raise InvalidValue("levels must be >= 1", levels, "use 20")


def _move_rate(seed: int, n: int, habits: BookHabits) -> Floats:
    """Probability of a whole-tick move in each interval: log-normal around its mean, with clusters."""
    swing = habits.volatility_swing
    walk = autoregress(stream(seed, "volatility").standard_normal(n), habits.volatility_memory)
    rate: Floats = np.minimum(habits.move_rate * np.exp(swing * walk - swing**2 / 2.0), 0.9)
    return rate


def _spreads(seed: int, rate: Floats, habits: BookHabits) -> Ints:
    """Spread of each snapshot in ticks, >= 1; it changes by one tick at most."""
    draws = stream(seed, "spread").random(len(rate)).tolist()
    widen = (habits.widen_rate * rate / habits.move_rate).tolist()
    spread, now = [], 1
    for draw, up in zip(draws, widen, strict=True):
        if draw < up and now < habits.widest:
            now += 1
        elif draw > 1.0 - habits.narrow_rate and now > 1:
            now -= 1
        spread.append(now)
    return np.array(spread, dtype=np.int64)


def _middle(seed: int, rate: Floats, spread: Ints, pull: Floats, habits: BookHabits) -> Ints:
    """Twice the mid in ticks: how far it moves knows nothing of where to."""
    n = len(rate)
    draws = stream(seed, "moves").random((n, 3))
    further = np.floor(np.log1p(-draws[:, 1]) / np.log(habits.extra_ticks / (1.0 + habits.extra_ticks)))
    ticks = np.where(draws[:, 0] < rate, 1 + further.astype(np.int64), 0)
    distance = 2 * ticks[1:] + np.abs(np.diff(spread))
    direction = np.where(draws[1:, 2] < 0.5 * (1.0 + pull[:-1]), 1, -1)
    first = 2 * round(habits.start_price / habits.tick_size) + int(spread[0])
    return np.concatenate([[first], first + np.cumsum(direction * distance)]).astype(np.int64)


def _book(symbol: str, ts: Ints, depth: Depth, habits: BookHabits) -> BookSeries:
    tick, lot = habits.tick_size, habits.lot_size
    return BookSeries(
        symbol=symbol,
        venue="simulator",
        ts_event=ts,
        bid_price=_scaled(depth.bid_tick, tick, depth.bid_lots),
        bid_size=np.round(depth.bid_lots * lot, DIGITS),
        ask_price=_scaled(depth.ask_tick, tick, depth.ask_lots),
        ask_size=np.round(depth.ask_lots * lot, DIGITS),
    )


def _trades(symbol: str, prints: Prints, habits: BookHabits) -> TradeSeries:
    return TradeSeries(
        symbol=symbol,
        venue="simulator",
        ts_event=prints.ts,
        price=np.round(prints.tick * habits.tick_size, DIGITS),
        size=np.round(prints.lots * habits.lot_size, DIGITS),
        taker_buy=prints.buy,
    )


def _scaled(ticks: Ints, tick_size: float, lots: Ints) -> NDArray[np.float64]:
    return np.where(lots > 0, np.round(ticks * tick_size, DIGITS), np.nan)
