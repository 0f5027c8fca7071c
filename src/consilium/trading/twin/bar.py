"""One bar of the twin: what strategy, gate and broker do between two closes."""

from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Direction
from consilium.trading.execution import MAX_SLIPPAGE
from consilium.trading.portfolio import CASH_DIGITS
from consilium.trading.strategy import BASE_STOP_ATR
from consilium.trading.twin.account import (
    ATR,
    BAR,
    BUYING,
    CAPACITY,
    CASH,
    CLOSE,
    DEADLINE,
    DISTANCE,
    FEE,
    FILLS,
    GUARD,
    GUARD_LEVEL,
    GUARDED,
    GUARDED_STOP,
    HALTED,
    HELD,
    LANE,
    LEAVING,
    LOW,
    MEDIAN_VOLUME,
    OPEN,
    PRICE,
    QUANTITY,
    SELLING,
    SHORT,
    SIGMA_DAY,
    SIGN,
    STOP,
    VOLUME,
    VOLUME_DAY,
    Floats,
    Terms,
    book_purchase,
    book_sale,
    breaks_limit,
    size_by_risk,
    watch_drawdown,
    worth,
)
from consilium.trading.twin.rounding import round_cash, to_tick, whole_lots

UP = int(Direction.UP) + 1
"""How an actionable UP stands in a column of codes; 0 is nothing."""

DOWN = int(Direction.DOWN) + 1
_LEAST_VALUE = 10.0**-CASH_DIGITS


def _taken(bars: Floats, i: int, terms: Terms, sign: float, base: float, quantity: float) -> float:
    slippage = terms.half_spread
    if bars[i, VOLUME_DAY] > 0.0:
        slippage += terms.impact * bars[i, SIGMA_DAY] * sqrt(quantity / bars[i, VOLUME_DAY])
    moved = base * (1.0 + sign * min(slippage, MAX_SLIPPAGE))
    return to_tick(moved, terms.tick, sign > 0.0)


def _note(
    state: Floats, fills: Floats, i: int, sign: float, price: float, quantity: float, fee: float
) -> None:
    row = int(state[FILLS])
    state[FILLS] += 1.0
    if row < len(fills):
        fills[row, BAR], fills[row, SIGN] = i, sign
        fills[row, PRICE], fills[row, QUANTITY], fills[row, FEE] = price, quantity, fee


def _buy(bars: Floats, i: int, terms: Terms, state: Floats, fills: Floats) -> None:
    """Meet the open with the order that opens; what is not filled is cancelled."""
    quantity = whole_lots(min(state[BUYING], state[CAPACITY]), terms.lot)
    state[BUYING] = 0.0
    if quantity <= 0.0:
        return
    price = _taken(bars, i, terms, 1.0, bars[i, OPEN], quantity)
    if quantity * price * (1.0 + terms.fee) > state[CASH]:
        state[SHORT] = 1.0
        quantity = whole_lots(state[CASH] / (price * (1.0 + terms.fee)) * (1.0 - 1e-12), terms.lot)
        if quantity <= 0.0 or quantity * price < max(terms.min_notional, _LEAST_VALUE):
            return
    fee = round_cash(quantity * price * terms.fee)
    _note(state, fills, i, 1.0, price, quantity, fee)
    book_purchase(terms, state, price, quantity, fee)


def _sell(
    bars: Floats, i: int, terms: Terms, state: Floats, fills: Floats, base: float, remaining: float
) -> bool:
    """Sell what an order still wants; what is not filled is cancelled."""
    quantity = whole_lots(min(min(remaining, state[LANE]), state[CAPACITY]), terms.lot)
    if quantity <= 0.0:
        return False
    price = _taken(bars, i, terms, -1.0, base, quantity)
    fee = round_cash(quantity * price * terms.fee)
    _note(state, fills, i, -1.0, price, quantity, fee)
    book_sale(state, price, quantity, fee)
    return True


def _stop_out(bars: Floats, i: int, terms: Terms, state: Floats, fills: Floats, base: float) -> None:
    remaining = state[GUARD]
    state[GUARD] = 0.0
    if _sell(bars, i, terms, state, fills, base, remaining):
        state[LEAVING] = 1.0


def _tend(terms: Terms, state: Floats) -> None:
    """Keep exactly one stop, for all that is held and at its price; forget a position that is over."""
    if state[HELD] <= 0.0:
        state[GUARD] = state[SELLING] = state[DISTANCE] = state[LEAVING] = 0.0
        state[DEADLINE] = inf
        return
    if state[GUARD] > 0.0 and state[GUARDED] == state[HELD] and state[GUARDED_STOP] == state[STOP]:
        return
    state[GUARD] = 0.0
    if terms.protective_stop and state[LANE] > 0.0:
        state[GUARD] = max(whole_lots(state[HELD], terms.lot), 0.0)
        state[GUARDED], state[GUARDED_STOP] = state[HELD], state[STOP]
        state[GUARD_LEVEL] = to_tick(state[STOP], terms.tick, False)


def _live(bars: Floats, i: int, terms: Terms, state: Floats, fills: Floats) -> None:
    """Let orders and position live through a bar: the open first, then its course."""
    below = state[GUARD] > 0.0 and bars[i, LOW] <= state[GUARD_LEVEL]
    if not (below or state[BUYING] > 0.0 or state[SELLING] > 0.0):
        return
    opened = bars[i, OPEN]
    state[CAPACITY] = terms.participation * bars[i, VOLUME]
    happened = False
    if state[GUARD] > 0.0 and opened <= state[GUARD_LEVEL]:
        _stop_out(bars, i, terms, state, fills, opened)
        happened = True
    if state[BUYING] > 0.0:
        _buy(bars, i, terms, state, fills)
        happened = True
    if state[SELLING] > 0.0:
        remaining = state[SELLING]
        state[SELLING] = 0.0
        _sell(bars, i, terms, state, fills, opened, remaining)
        happened = True
    if happened:
        _tend(terms, state)
    if state[GUARD] > 0.0 and bars[i, LOW] <= state[GUARD_LEVEL]:
        _stop_out(bars, i, terms, state, fills, min(opened, state[GUARD_LEVEL]))
        _tend(terms, state)


def _enter(bars: Floats, i: int, horizon: int, terms: Terms, state: Floats) -> None:
    """Size an entry and send it, if gate and broker take it."""
    if not terms.entry or (terms.limits and (state[HALTED] >= 0.0 or terms.positions <= 0.0)):
        return
    price, distance, cash = bars[i, CLOSE], BASE_STOP_ATR * bars[i, ATR], state[CASH]
    if not 0.0 < distance < price:
        return
    if terms.notional > 0.0:
        quantity = terms.notional / price
    else:
        quantity = size_by_risk(terms, cash, price, distance, bars[i, MEDIAN_VOLUME])
    if quantity <= 0.0:
        return
    unit = price * (1.0 + terms.half_spread) * (1.0 + terms.fee)
    affordable = max(cash, 0.0) / unit * (1.0 - 1e-9)
    if affordable < quantity:
        state[SHORT] = 1.0
        if affordable < terms.band * quantity:
            return
        quantity = affordable
    if terms.limits and breaks_limit(terms, cash, quantity, price, distance):
        return
    working = whole_lots(quantity, terms.lot)
    if working <= 0.0 or working * price < terms.min_notional:
        return
    if working * price * (1.0 + terms.half_spread) * (1.0 + terms.fee) > cash:
        state[SHORT] = 1.0
        return
    state[BUYING], state[DISTANCE], state[DEADLINE] = working, distance, i + 1 + horizon


def _decide(bars: Floats, i: int, code: int, horizon: int, terms: Terms, state: Floats) -> None:
    """Act on an actionable direction at a close."""
    if code == UP:
        if state[HELD] > 0.0:
            state[DEADLINE], state[LEAVING] = i + 1 + horizon, 0.0
        else:
            _enter(bars, i, horizon, terms, state)
    elif code == DOWN and state[HELD] > 0.0:
        state[LEAVING] = 1.0


def step(
    bars: Floats,
    days: NDArray[np.int64],
    late: NDArray[np.bool_],
    i: int,
    code: int,
    horizon: int,
    terms: Terms,
    state: Floats,
    past: Floats,
    fills: Floats,
) -> None:
    """Go through bar i and its close: orders, account, signal, exits that are due."""
    if late[i]:
        state[BUYING] = 0.0
    if state[HELD] > 0.0 or state[BUYING] > 0.0:
        _live(bars, i, terms, state, fills)
    if terms.limits:
        watch_drawdown(terms, state, past, worth(state, bars[i, CLOSE]), days[i])
    if code != 0:
        _decide(bars, i, code, horizon, terms, state)
    if state[HELD] > 0.0 and (state[LEAVING] > 0.0 or i + 1 >= state[DEADLINE]):
        state[LEAVING] = 1.0
        if terms.strategy_exit and state[LANE] > 0.0:
            state[SELLING] = max(whole_lots(state[HELD], terms.lot), 0.0)


PARTS = (_taken, _note, _buy, _sell, _stop_out, _tend, _live, _enter, _decide, step)
"""What compiled code may call."""
