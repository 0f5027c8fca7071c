"""Operations on one bar alone, and the ratios that are 0 where there is nothing to divide by."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import sqrt
from operator import add, itemgetter, mul, sub, truediv
from typing import Any

import numpy as np

from consilium.market.features.operation import TINY, FloatArray, Step


@dataclass(frozen=True, slots=True)
class Elementwise:
    """A function of one bar, in its array form and its float form."""

    over_arrays: Callable[..., Any]
    over_floats: Callable[..., Any]

    @property
    def extra(self) -> int:
        """It needs its own bar only."""
        return 0

    def block(self, *inputs: FloatArray) -> Any:
        """Apply it to all rows."""
        return self.over_arrays(*inputs)

    def stepper(self) -> Step:
        """It keeps no state: the function itself."""
        return self.over_floats


@dataclass(frozen=True, slots=True)
class Affine:
    """``gain x + offset``."""

    gain: float
    offset: float = 0.0

    @property
    def extra(self) -> int:
        """It needs its own bar only."""
        return 0

    def block(self, x: FloatArray) -> FloatArray:
        """Apply it to all rows."""
        return x * self.gain + self.offset

    def stepper(self) -> Step:
        """It keeps no state."""
        return _affine(self.gain, self.offset)


@dataclass(frozen=True, slots=True)
class Pick:
    """One of the values of an operation that has several."""

    position: int

    @property
    def extra(self) -> int:
        """It needs its own bar only."""
        return 0

    def block(self, several: tuple[FloatArray, ...]) -> FloatArray:
        """Take one column."""
        return several[self.position]

    def stepper(self) -> Step:
        """It keeps no state."""
        return _pick(self.position)


@dataclass(frozen=True, slots=True)
class Ratio:
    """``x / y``, and 0 where y is not above the floor (times a scale, if one is given).

    Where y is a difference of prices the scale is the price: y <= floor x price is rounding noise, and
    noise over noise is no feature. All denominators of the formulas are >= 0 in exact arithmetic.
    """

    floor: float = TINY
    logarithm: bool = False

    @property
    def extra(self) -> int:
        """It needs its own bar only."""
        return 0

    def block(self, x: FloatArray, y: FloatArray, scale: FloatArray | None = None) -> FloatArray:
        """Divide all rows."""
        bound = self.floor if scale is None else self.floor * scale
        usable = y > bound
        if not self.logarithm:
            return np.divide(x, y, out=np.zeros(len(y)), where=usable)
        usable &= x > bound
        quotient = np.divide(x, y, out=np.ones(len(y)), where=usable)
        return np.asarray(np.log(quotient, out=quotient))

    def stepper(self) -> Step:
        """It keeps no state."""
        return _ratio(self.floor, self.logarithm)


@dataclass(frozen=True, slots=True)
class Above:
    """1 where x exceeds y by more than ``floor x scale``, else 0: ties stay ties after rounding."""

    floor: float

    @property
    def extra(self) -> int:
        """It needs its own bar only."""
        return 0

    def block(self, x: FloatArray, y: FloatArray, scale: FloatArray) -> FloatArray:
        """Compare all rows."""
        return (x - y > self.floor * scale).astype(np.float64)

    def stepper(self) -> Step:
        """It keeps no state."""
        return _above(self.floor)


# One function for all streams: each with its own would find none of them in the cache.


@cache
def _affine(gain: float, offset: float) -> Step:
    return lambda x: x * gain + offset


@cache
def _pick(position: int) -> Step:
    return itemgetter(position)


@cache
def _above(floor: float) -> Step:
    return lambda x, y, scale: 1.0 if x - y > floor * scale else 0.0


@cache
def _ratio(floor: float, logarithm: bool) -> Step:
    def divide(x: float, y: float, scale: float = 1.0) -> float:
        bound = floor * scale
        return x / y if y > bound else 0.0

    def divide_log(x: float, y: float, scale: float = 1.0) -> float:
        bound = floor * scale
        return _log(x / y) if y > bound and x > bound else 0.0

    return divide_log if logarithm else divide


def _log(x: float) -> float:
    # math.log may differ from NumPy's in the last bit, and a stream must equal its batch.
    return float(np.log(x))


def _log_positive_rows(x: FloatArray) -> FloatArray:
    return np.log(x, out=np.zeros(len(x)), where=x > TINY)


def _log_positive(x: float) -> float:
    return _log(x) if x > TINY else 0.0


ADD = Elementwise(add, add)
SUBTRACT = Elementwise(sub, sub)
MULTIPLY = Elementwise(mul, mul)
DIVIDE = Elementwise(truediv, truediv)
MAXIMUM = Elementwise(np.maximum, max)
MINIMUM = Elementwise(np.minimum, min)
ABSOLUTE = Elementwise(np.abs, abs)
SQUARE_ROOT = Elementwise(np.sqrt, sqrt)
LOG = Elementwise(np.log, _log)
LOG_POSITIVE = Elementwise(_log_positive_rows, _log_positive)
POSITIVE = Elementwise(lambda x: (x > TINY).astype(np.float64), lambda x: 1.0 if x > TINY else 0.0)
FALLING = Elementwise(lambda x: np.minimum(x, 0.0), lambda x: min(x, 0.0))
RISING = Elementwise(lambda x: np.maximum(x, 0.0), lambda x: max(x, 0.0))
WITHIN_ONE = Elementwise(lambda x: np.clip(x, -1.0, 1.0), lambda x: max(-1.0, min(1.0, x)))
