"""The two loops that are compiled: one account with all its fills, and many variants with their days."""

import numpy as np
from numpy.typing import NDArray

from consilium.trading.twin.account import (
    BUYING,
    CLOSE,
    FEES,
    FILLS,
    HELD,
    PAST_DAYS,
    SHORT,
    SLOTS,
    TRADED,
    TRADES,
    WINS,
    Floats,
    Terms,
    open_account,
    worth,
)
from consilium.trading.twin.bar import step

Ints = NDArray[np.int64]
Codes = NDArray[np.int8]
Bools = NDArray[np.bool_]

TOTALS = (FEES, TRADED, TRADES, WINS, FILLS, SHORT)
"""Slots that a search adds up over symbols, in the order of its columns."""


def run_one(
    bars: Floats,
    days: Ints,
    late: Bools,
    first: int,
    codes: Codes,
    horizon: int,
    terms: Terms,
    state: Floats,
    fills: Floats,
    equity: Floats,
) -> None:
    """Trade one symbol from bar ``first`` on; fills beyond the rows given are counted, not kept."""
    past = np.zeros((PAST_DAYS, 2))
    for i in range(first, len(bars)):
        if codes[i] != 0 or state[HELD] > 0.0 or state[BUYING] > 0.0 or terms.limits:
            step(bars, days, late, i, codes[i], horizon, terms, state, past, fills)
        equity[i - first] = worth(state, bars[i, CLOSE])


def run_many(
    bars: Floats,
    days: Ints,
    late: Bools,
    bounds: Ints,
    slots: Ints,
    codes: Codes,
    horizons: Ints,
    terms: Terms,
    cash: float,
    profits: Floats,
    totals: Floats,
) -> None:
    """Trade one symbol once for each row of codes; add each day's profit and the totals to what is there.

    ``bounds`` cut the bars into UTC days, ``slots`` say in which column of ``profits`` each of them goes.
    """
    past = np.zeros((PAST_DAYS, 2))
    state = np.zeros(SLOTS)
    fills = np.zeros((0, 5))
    for k in range(len(codes)):
        open_account(state, cash)
        row, horizon = codes[k], horizons[k]
        before = cash
        for day in range(len(slots)):
            for i in range(bounds[day], bounds[day + 1]):
                # a step costs most of its time before it finds that there is nothing to do
                if row[i] != 0 or state[HELD] > 0.0 or state[BUYING] > 0.0 or terms.limits:
                    step(bars, days, late, i, row[i], horizon, terms, state, past, fills)
            value = worth(state, bars[bounds[day + 1] - 1, CLOSE])
            profits[k, slots[day]] += value - before
            before = value
        for column in range(len(TOTALS)):
            totals[k, column] += state[TOTALS[column]]
