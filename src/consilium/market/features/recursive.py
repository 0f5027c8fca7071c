"""Operations that remember for ever: exponential means, Kaufman's average and the parabolic stop.

Means start from the plain mean of their first n values and are taken as warm after 5n, when at most 0.7 % of
the start remains; Kaufman's, whose rate follows the market, has no such bound but the same warm-up.
"""

from dataclasses import dataclass
from math import fsum
from typing import Any

import numpy as np

from consilium.market.features.operation import FloatArray, Step

WARM_UP_LENGTHS = 5
SAR_WARM_UP = 100
"""Bars. The stop forgets its start at each reversal, and hourly series turn about every ten bars."""


@dataclass(frozen=True, slots=True)
class Smooth:
    """``y = y1 + alpha (x - y1)``, seeded with the mean of the first n values.

    alpha is 2/(n + 1) for an exponential mean and 1/n for Wilder's.
    """

    bars: int
    alpha: float

    @property
    def extra(self) -> int:
        """5n - 1 bars before its first."""
        return WARM_UP_LENGTHS * self.bars - 1

    def block(self, x: FloatArray) -> FloatArray:
        """Run the recursion as a linear filter."""
        # Imported here: a live service, which never comes this way, is spared most of a second.
        from scipy.signal import lfilter

        keep = 1.0 - self.alpha
        seed = fsum(x[: self.bars].tolist()) / self.bars
        smooth, _ = lfilter([self.alpha], [1.0, -keep], x[self.bars :], zi=[keep * seed])
        if self.bars == 1:
            return np.concatenate(([seed], smooth))[self.extra :]
        return np.asarray(smooth[self.extra - self.bars :], dtype=np.float64)

    def stepper(self) -> Step:
        """Return the bar-by-bar form."""
        return SmoothStep(self)


class SmoothStep:
    """An exponential mean, bar by bar."""

    __slots__ = ("alpha", "bars", "carried", "first", "keep")

    def __init__(self, smooth: Smooth) -> None:
        self.bars = smooth.bars
        self.alpha = smooth.alpha
        self.keep = 1.0 - smooth.alpha
        self.first: list[float] = []
        self.carried = 0.0

    def __call__(self, x: float) -> float:
        """Take one bar."""
        if len(self.first) < self.bars:
            self.first.append(x)
            value = fsum(self.first) / len(self.first)
        else:
            value = self.alpha * x + self.carried
        self.carried = self.keep * value
        return value

    def state(self) -> list[Any]:
        """Return the seed's values and what is carried."""
        return [self.carried, list(self.first)]

    def restore(self, state: list[Any]) -> None:
        """Take them back."""
        self.carried, self.first = state[0], list(state[1])


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Kaufman's average: ``y = y1 + a (x - y1)`` with a rate a that comes with each bar.

    Starts from the value before its first rate.
    """

    bars: int

    @property
    def extra(self) -> int:
        """5n - 1 bars in all; the n bars of the efficiency behind its rate are among them."""
        return WARM_UP_LENGTHS * self.bars - 1 - self.bars

    def block(self, x: FloatArray, before: FloatArray, rate: FloatArray) -> FloatArray:
        """Run the recursion."""
        step, rows = AdaptiveStep(), zip(x.tolist(), before.tolist(), rate.tolist(), strict=True)
        return np.array([step(*row) for row in rows])[self.extra :]

    def stepper(self) -> Step:
        """Return the bar-by-bar form."""
        return AdaptiveStep()


class AdaptiveStep:
    """Kaufman's average, bar by bar."""

    def __init__(self) -> None:
        self.value: float | None = None

    def __call__(self, x: float, before: float, rate: float) -> float:
        """Take one bar."""
        last = before if self.value is None else self.value
        self.value = last + rate * (x - last)
        return self.value

    def state(self) -> list[Any]:
        """Return the last value."""
        return [self.value]

    def restore(self, state: list[Any]) -> None:
        """Take it back."""
        self.value = state[0]


@dataclass(frozen=True, slots=True)
class ParabolicStop:
    """Wilder's stop and reverse (acceleration 0.02 to 0.2), from high and low.

    References
    ----------
    J. W. Wilder, New Concepts in Technical Trading Systems (1978), chapter 2.
    """

    acceleration: float = 0.02
    fastest: float = 0.2

    @property
    def extra(self) -> int:
        """It is taken as warm after `SAR_WARM_UP` bars."""
        return SAR_WARM_UP - 1

    def block(self, high: FloatArray, low: FloatArray) -> FloatArray:
        """Run it over all bars."""
        step = ParabolicStep(self)
        return np.array([step(h, l) for h, l in zip(high.tolist(), low.tolist(), strict=True)])[self.extra :]

    def stepper(self) -> Step:
        """Return the bar-by-bar form."""
        return ParabolicStep(self)


class ParabolicStep:
    """The stop, bar by bar: ``[high1, low1, side, stop, extreme, rate]``, side 1 long, 0 short, -1 before."""

    def __init__(self, stop: ParabolicStop) -> None:
        self.add = stop.acceleration
        self.fastest = stop.fastest
        self.memory: list[Any] = []

    def __call__(self, high: float, low: float) -> float:
        """Take one bar and return the stop that held on it."""
        if not self.memory:
            self.memory = [high, low, -1, low, high, self.add]
            return low
        high1, low1, side, stop, extreme, rate = self.memory
        if side < 0:
            fell = low1 - low
            side = 0 if fell > 0 and fell > high - high1 else 1
            stop, extreme = (low1, high) if side else (high1, low)
            high1, low1 = high, low
        if side:
            held, side, stop, extreme, rate = self._long(high, low, high1, low1, stop, extreme, rate)
        else:
            held, turned, stop, extreme, rate = self._long(-low, -high, -low1, -high1, -stop, -extreme, rate)
            held, side, stop, extreme = -held, 1 - turned, -stop, -extreme
        self.memory = [high, low, side, stop, extreme, rate]
        return held

    def _long(
        self, high: float, low: float, high1: float, low1: float, stop: float, extreme: float, rate: float
    ) -> tuple[float, int, float, float, float]:
        """Move a long stop; a short one is a long one upside down."""
        if low <= stop:
            held = max(extreme, high1, high)
            return held, 0, max(held + self.add * (low - held), high1, high), low, self.add
        held = stop
        if high > extreme:
            extreme, rate = high, min(rate + self.add, self.fastest)
        return held, 1, min(stop + rate * (extreme - stop), low1, low), extreme, rate

    def state(self) -> list[Any]:
        """Return what it remembers."""
        return list(self.memory)

    def restore(self, state: list[Any]) -> None:
        """Take it back."""
        self.memory = list(state)
