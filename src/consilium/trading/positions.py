"""Which unit positions signals ask for, and what the bars paid on them: for tests of timing.

Letters: T closes of the whole panel, S symbols.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem, Direction
from consilium.trading.execution import CostModel, impact
from consilium.trading.signals import Signals, as_series, codes_on
from consilium.trading.strategy import BASE_STOP_ATR
from consilium.trading.tape import Tape

_IMPACTS = 2_000
"""Trades whose impact is looked at: their mean does not change beyond it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AskedPositions:
    """Positions of one unit, long or flat, on one grid of times.

    Parameters
    ----------
    ts
        Every close of the panel, shape (T,).
    positions
        1 where the signals up to that close ask for a position from the next open on, else 0, shape (T, S).
    returns
        What a position earns from the next open after that close to the next open after the following one,
        shape (T, S); 0 where the symbol has no bar in between. The last open is replaced by the last close.
    live
        Whether the symbol's bars have begun and not ended in between, shape (T, S); a hole is live.
    symbols
        Names of the columns.
    """

    ts: NDArray[np.int64]
    positions: NDArray[np.float64]
    returns: NDArray[np.float64]
    live: NDArray[np.bool_]
    symbols: tuple[str, ...]

    def returns_anywhere(self) -> NDArray[np.float64]:
        """Return ``returns``, with the mean of the live symbols where a symbol is not live.

        At another time a position may come to where its symbol has no bars. If it earned nothing there and
        paid for it, the same positions at other times would lose to those as they were, whatever the timing.
        """
        living = np.maximum(self.live.sum(axis=1, keepdims=True), 1)
        basket = np.where(self.live, self.returns, 0.0).sum(axis=1, keepdims=True) / living
        return np.where(self.live, self.returns, basket)


def asked_positions(
    tapes: Mapping[str, Tape], signals: Signals, *, horizon: int, start_ts: int | None = None
) -> AskedPositions:
    """Lay out the positions that signals ask for under the strategy's holding rule.

    UP opens for ``horizon`` bars or starts them again, DOWN closes; an entry needs a stop distance and its
    next bar in time, as in a backtest. Stops, size and volume are left out. Through a hole in its bars a
    position is kept and earns the jump where the hole begins; where its bars end it ends.

    Parameters
    ----------
    tapes
        What ``prepare`` made of a panel.
    signals
        Signal series, or consensuses; those that are not at a close of their symbol are left out.
    horizon
        Bars that a position lasts, >= 1.
    start_ts
        The first close that counts.

    Raises
    ------
    DataProblem
        No close from ``start_ts`` on.
    """
    series = as_series(signals, tapes)
    closes = {s: np.asarray(t.ts_open, dtype=np.int64) + t.interval_ns for s, t in tapes.items()}
    ts = np.unique(np.concatenate(list(closes.values())))
    ts = ts[ts >= (ts[0] if start_ts is None else start_ts)]
    if not len(ts):
        raise DataProblem("positions need bars from start_ts on", f"start_ts={start_ts}", "start earlier")
    positions, returns = np.zeros((len(ts), len(tapes))), np.zeros((len(ts), len(tapes)))
    live = np.zeros((len(ts), len(tapes)), dtype=np.bool_)
    for column, (symbol, tape) in enumerate(tapes.items()):
        codes = codes_on(series.get(symbol), closes[symbol])
        codes[closes[symbol] < ts[0]] = 0
        asked = np.array(_held(tape.rewound(), codes.tolist(), horizon))
        at = np.searchsorted(closes[symbol], ts, side="right") - 1
        positions[:, column] = np.where(at >= 0, asked[np.maximum(at, 0)], 0.0)
        price = np.append(np.asarray(tape.open), tape.close[-1])[at + 1]
        returns[:-1, column] = price[1:] / price[:-1] - 1.0
        live[:-1, column] = (at[1:] >= 0) & (at[:-1] < len(closes[symbol]) - 1)
    positions[-1] = 0.0
    return AskedPositions(ts=ts, positions=positions, returns=returns, live=live, symbols=tuple(tapes))


def _held(tape: Tape, codes: list[int], horizon: int) -> list[float]:
    """Return 1 for each bar after whose close a position is asked for."""
    held, until = [0.0] * len(codes), 0
    for i, code in enumerate(codes[:-1]):
        long = i > 0 and held[i - 1] > 0.0
        if code == Direction.UP + 1 and (long or _may_enter(tape, i)):
            until = i + horizon
        elif code == Direction.DOWN + 1:
            until = i
        if i < until:
            held[i] = 1.0
    return held


def _may_enter(tape: Tape, i: int) -> bool:
    tape.i = i
    distance = BASE_STOP_ATR * tape.atr[i]
    return 0.0 < distance < tape.close[i] and tape.ts_open[i + 1] < tape.expected(1)


def mean_impact(asked: AskedPositions, tapes: Mapping[str, Tape], costs: CostModel, notional: float) -> float:
    """Return the mean price impact of the trades that the positions need, a fraction.

    Parameters
    ----------
    asked, tapes
        Positions and the bars they were laid out on.
    costs
        Its impact coefficient is used.
    notional
        Value of a position in quote units, > 0.
    """
    moves = np.diff(asked.positions, axis=0, prepend=0.0)
    rows, columns = np.nonzero(moves)
    if not len(rows):
        return 0.0
    some = np.unique(np.linspace(0, len(rows) - 1, _IMPACTS).astype(np.int64))
    found = []
    for row, column in zip(rows[some].tolist(), columns[some].tolist(), strict=True):
        tape = tapes[asked.symbols[column]]
        end = bisect_left(tape.ts_open, int(asked.ts[row]))
        volume_day = tape.daily_volume(end)
        if volume_day > 0.0:
            quantity = notional / tape.close[end - 1]
            sigma = tape.daily_volatility(end)
            found.append(impact(quantity, sigma, volume_day, costs.impact_coefficient))
    return float(np.mean(found)) if found else 0.0
