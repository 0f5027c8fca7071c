"""The account of the twin as a row of numbers: what it holds, what its orders wait for, what it may risk."""

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Instrument, InvalidValue, Policy
from consilium.trading.execution import CostModel
from consilium.trading.portfolio import DUST, PEAK_DAYS
from consilium.trading.risk import SLACK, RiskGate
from consilium.trading.strategy import LOWEST_STOP, Strategy
from consilium.trading.twin.rounding import round_cash

Floats = NDArray[np.float64]

OPEN, LOW, CLOSE, VOLUME, ATR, SIGMA_DAY, VOLUME_DAY, MEDIAN_VOLUME = range(8)
"""Columns of a table of bars."""

COLUMNS = 8

# broker and portfolio each keep a quantity, because each calls another remainder nothing
(
    CASH,
    LANE,
    HELD,
    ENTRY,
    STOP,
    BOUGHT,
    PAID,
    RECEIVED,
    TRADE_FEES,
    DISTANCE,
    DEADLINE,
    LEAVING,
    BUYING,
    SELLING,
    GUARD,
    GUARD_LEVEL,
    GUARDED,
    GUARDED_STOP,
    CAPACITY,
    FEES,
    TRADED,
    FILLS,
    TRADES,
    WINS,
    SHORT,
    UNITS,
    NAV,
    DAY,
    DAY_HIGH,
    PAST_HIGH,
    PEAK,
    DRAWDOWN,
    HALTED,
    HALTS,
    PAST,
) = range(35)
"""Slots of an account. BUYING, SELLING and GUARD are what is left of the order that waits, 0 if none does."""

SLOTS = 35
PAST_DAYS = PEAK_DAYS + 2

BAR, SIGN, PRICE, QUANTITY, FEE = range(5)
"""Columns of a table of fills."""


class Terms(NamedTuple):
    """Everything that stays the same through a run; ``notional`` 0 sizes by risk."""

    half_spread: float
    impact: float
    participation: float
    fee: float
    lot: float
    tick: float
    min_notional: float
    notional: float
    limits: bool
    band: float
    risk: float
    daily_risk: float
    positions: float
    leverage: float
    position_usd: float
    drawdown: float
    exposure: float
    stop_multiplier: float
    entry: bool
    strategy_exit: bool
    protective_stop: bool


def make_terms(
    instrument: Instrument, costs: CostModel, policy: Policy, strategy: Strategy, *, limits: bool
) -> Terms:
    """Gather what broker, gate and strategy would be made of.

    Raises
    ------
    InvalidValue
        The instrument is not spot.
    """
    if instrument.market != "spot":
        raise InvalidValue(
            "the twin trades market spot",
            f"{instrument.market} of {instrument.symbol}",
            "use a spot instrument; perpetuals need funding and liquidation",
        )
    return Terms(
        half_spread=float(costs.half_spread),
        impact=float(costs.impact_coefficient),
        participation=float(costs.participation),
        fee=float(instrument.taker_fee * costs.fee_scale),
        lot=float(instrument.lot_size),
        tick=float(instrument.tick_size),
        min_notional=float(instrument.min_notional),
        notional=float(strategy.notional or 0.0),
        limits=bool(limits),
        band=float(RiskGate(policy).band),
        risk=float(policy.max_risk_per_trade),
        daily_risk=float(policy.max_daily_risk),
        positions=float(policy.max_positions),
        leverage=float(policy.max_leverage),
        position_usd=float(policy.max_position_usd),
        drawdown=float(policy.max_drawdown),
        exposure=float(policy.max_exposure),
        stop_multiplier=float(policy.stop_multiplier),
        entry=bool(policy.entry),
        strategy_exit=bool(policy.strategy_exit),
        protective_stop=bool(policy.protective_stop),
    )


def open_account(state: Floats, cash: float) -> None:
    """Start with cash and nothing else."""
    state[:] = 0.0
    state[CASH] = state[UNITS] = cash
    state[NAV] = state[DAY_HIGH] = state[PEAK] = 1.0
    state[DEADLINE] = inf
    state[DAY] = state[HALTED] = -inf


def book_purchase(terms: Terms, state: Floats, price: float, quantity: float, fee: float) -> None:
    """Pay for a fill and set the stop that it asks for."""
    value = price * quantity
    state[CASH] = round_cash(state[CASH] - value - fee)
    state[FEES] += fee
    state[TRADED] += value
    state[CAPACITY] -= quantity
    state[LANE] += quantity
    if state[HELD] <= 0.0:
        state[ENTRY] = state[BOUGHT] = state[PAID] = state[RECEIVED] = state[TRADE_FEES] = 0.0
    held = state[HELD] + quantity
    state[ENTRY] = (state[HELD] * state[ENTRY] + value) / held
    state[HELD] = held
    state[BOUGHT] += quantity
    state[PAID] += value
    state[TRADE_FEES] += fee
    state[STOP] = max(state[ENTRY] - terms.stop_multiplier * state[DISTANCE], state[ENTRY] * LOWEST_STOP)


def book_sale(state: Floats, price: float, quantity: float, fee: float) -> None:
    """Take the money for a fill; count the round trip if it ends one."""
    value = price * quantity
    state[CASH] = round_cash(state[CASH] + value - fee)
    state[FEES] += fee
    state[TRADED] += value
    state[CAPACITY] -= quantity
    left = state[LANE] - quantity
    state[LANE] = left if left > DUST * state[LANE] else 0.0
    state[RECEIVED] += value
    state[TRADE_FEES] += fee
    left = state[HELD] - quantity
    state[HELD] = left if left > DUST * state[HELD] else 0.0
    if state[HELD] <= 0.0:
        state[TRADES] += 1.0
        if state[RECEIVED] - state[PAID] - state[TRADE_FEES] > 0.0:
            state[WINS] += 1.0


def worth(state: Floats, price: float) -> float:
    """Return cash and what is held at a price."""
    return state[CASH] + state[HELD] * price  # type: ignore[no-any-return]  # an item of an array


def size_by_risk(terms: Terms, equity: float, price: float, distance: float, median_volume: float) -> float:
    """Return the quantity of an entry of a flat account, 0 if the gate refuses it."""
    target = min(terms.risk * equity / distance, terms.participation * median_volume)
    if not terms.limits:
        return target if target > 0.0 else 0.0
    target = min(target, terms.leverage * equity / price, terms.position_usd / price)
    if not target > 0.0:
        return 0.0
    room = min(terms.exposure * equity / price, terms.leverage * equity / price)
    at_stop = distance * terms.stop_multiplier
    if at_stop > 0.0:
        room = min(room, terms.daily_risk * equity / at_stop)
    return 0.0 if room < terms.band * target else min(target, room)


def breaks_limit(terms: Terms, equity: float, quantity: float, price: float, distance: float) -> bool:
    """Whether the gate would refuse the order of a flat account."""
    value = quantity * price
    return (
        value > terms.position_usd * SLACK
        or quantity * distance > terms.risk * equity * SLACK
        or value > terms.leverage * equity * SLACK
        or value > terms.exposure * equity * SLACK
        or quantity * (distance * terms.stop_multiplier) > terms.daily_risk * equity * SLACK
    )


def watch_drawdown(terms: Terms, state: Floats, past: Floats, equity: float, day: int) -> None:
    """Move peak and drawdown after a close of a UTC day; halt entries beyond the limit, or end a halt."""
    if day != state[DAY]:
        _turn_day(state, past, day)
    nav = equity / state[UNITS]
    state[NAV] = nav
    if nav > state[DAY_HIGH]:
        state[DAY_HIGH] = nav
        state[PEAK] = max(state[PAST_HIGH], nav)
    state[DRAWDOWN] = 1.0 - nav / state[PEAK]
    if state[HALTED] >= 0.0 and day > state[HALTED]:
        state[HALTED] = -inf
        state[PAST] = state[PAST_HIGH] = state[DRAWDOWN] = 0.0
        state[DAY_HIGH] = state[PEAK] = nav
    if state[HALTED] < 0.0 and state[DRAWDOWN] > terms.drawdown:
        state[HALTS] += 1.0
        state[HALTED] = day


def _turn_day(state: Floats, past: Floats, day: int) -> None:
    count = int(state[PAST])
    if state[DAY] > -inf:
        past[count, 0], past[count, 1] = state[DAY], state[DAY_HIGH]
        count += 1
    kept, high = 0, 0.0
    for j in range(count):
        if past[j, 0] > day - PEAK_DAYS:
            past[kept, 0], past[kept, 1] = past[j, 0], past[j, 1]
            high = max(high, past[j, 1])
            kept += 1
    state[PAST], state[PAST_HIGH], state[DAY] = kept, high, day
    state[DAY_HIGH] = state[NAV]
    state[PEAK] = max(high, state[NAV])


PARTS = (open_account, book_purchase, book_sale, worth, size_by_risk, breaks_limit, _turn_day, watch_drawdown)
"""What compiled code may call."""
