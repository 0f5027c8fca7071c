"""Rounding that gives the broker's numbers, in code that also compiles."""

from math import floor

import numpy as np

from consilium.trading.execution import ROUNDING
from consilium.trading.portfolio import CASH_DIGITS

_SPLITTER = 134217729.0
_CASH_SCALE = 10.0**CASH_DIGITS
_CASH_COARSE = 2.0**26
_STEP_SCALE = 1e12
_STEP_COARSE = 2.0**13


def round_cash(value: float) -> float:
    """Return ``round(value, 8)``, to the last bit.

    Examples
    --------
    >>> round_cash(2.000000005), round(2.000000005, 8)
    (2.0, 2.0)
    """
    return _nearest(value, _CASH_SCALE, _CASH_COARSE)


def round_step(value: float) -> float:
    """Return ``round(value, 12)``, to the last bit."""
    return _nearest(value, _STEP_SCALE, _STEP_COARSE)


def _nearest(value: float, scale: float, coarse: float) -> float:
    """Round to 1 / scale, ties to even; from ``coarse`` on doubles are further apart than that.

    The product with the scale is rounded, which could hide on which side of a half it lies: the error of the
    product, exact by Dekker's split, decides. Below ``coarse`` the steps fit in 53 bits, so that their
    division by the scale is the double nearest to the decimal, as Python's rounding is.
    """
    if abs(value) >= coarse:
        return value
    product = value * scale
    split = _SPLITTER * value
    high = split - (split - value)
    low = value - high
    split = _SPLITTER * scale
    scale_high = split - (split - scale)
    scale_low = scale - scale_high
    error = ((high * scale_high - product) + high * scale_low + low * scale_high) + low * scale_low
    steps = floor(product)
    beyond = (product - steps - 0.5) + error
    if beyond > 0.0 or (beyond == 0.0 and steps % 2 == 1):
        steps += 1
    return steps / scale


def whole_lots(quantity: float, lot: float) -> float:
    """Cut a quantity down to whole lots, as ``floor_quantity`` does."""
    if lot <= 0.0:
        return quantity
    return round_step(np.floor(quantity / lot + ROUNDING) * lot)


def to_tick(price: float, tick: float, up: bool) -> float:
    """Round a price to the tick, as ``round_price`` does."""
    if tick <= 0.0:
        return price
    steps = np.ceil(price / tick - ROUNDING) if up else np.floor(price / tick + ROUNDING)
    return round_step(max(steps, 1.0) * tick)


PARTS = (_nearest, round_cash, round_step, whole_lots, to_tick)
"""What compiled code may call."""
