"""Windows over the last w bars, exact: nothing of a value remains once it has left the window.

A window is folded by doubling. Sums over 2, 4, 8, ... bars are made from two neighbours each, and the sum
over w bars from the blocks of w's binary digits: log2(w) passes over the series, rounding that grows with
log2(w), and no running total from which old values would have to be subtracted. Means, variances and higher
moments merge in the same way [1]_, so the variance of a constant is exactly 0.

References
----------
.. [1] P. Pebay, Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
   statistical moments, Sandia report SAND2008-6212 (2008), eqs 1.1-1.2 and 3.1-3.2.
"""

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from consilium.market.features.operation import FloatArray, Step

Moments = tuple[Any, ...]
Merge = Callable[[Moments, Moments, int, int], Moments]
"""Merges an older block with the newer one beside it; then their numbers of bars."""


@dataclass(frozen=True, slots=True)
class Fold:
    """What is gathered over a window: how one bar starts it and how two neighbouring blocks merge.

    `several` says that the value is the whole tuple, to be picked from; else it is the first member. `join`
    is `merge_floats` of a fold with one input and one member, on the bare floats.
    """

    lift: Callable[..., Moments]
    merge_arrays: Merge
    merge_floats: Merge
    several: bool = False
    join: Callable[[float, float], float] | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A fold over the last w bars."""

    fold: Fold
    bars: int

    @property
    def extra(self) -> int:
        """It needs w - 1 bars before its first."""
        return self.bars - 1

    def block(self, *inputs: FloatArray) -> Any:
        """Fold all windows at once; each level covers twice as many bars as the one before."""
        merge, level, size = self.fold.merge_arrays, self.fold.lift(*inputs), 1
        done: Moments | None = None
        covered = 0
        while True:
            if self.bars & size:
                if done is None:
                    done = level
                else:
                    older = tuple(x[: len(x) - covered] for x in level)
                    done = merge(older, tuple(x[size:] for x in done), size, covered)
                covered += size
            if 2 * size > self.bars:
                return done if self.fold.several else done[0]  # type: ignore[index]  # bars >= 1
            level = merge(tuple(x[:-size] for x in level), tuple(x[size:] for x in level), size, size)
            size *= 2

    def stepper(self) -> Step:
        """Return the bar-by-bar form."""
        return WindowStep(self) if self.fold.join is None else JoinStep(self.fold.join, self.bars)


class WindowStep:
    """A window that moves bar by bar, with one ring of past blocks for each level of doubling."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._begin()

    def _begin(self) -> None:
        bars = self.window.bars
        self.recent: deque[tuple[float, ...]] = deque(maxlen=max(bars - 1, 1))
        sizes = [1 << j for j in range(bars.bit_length())]
        self.levels: list[tuple[int, bool, list[Any]]] = [(s, bool(bars & s), [None] * s) for s in sizes]
        self.time = 0

    def __call__(self, *inputs: float) -> Any:
        """Take one bar; the value is None until the window is full."""
        self.recent.append(inputs)
        fold, time = self.window.fold, self.time
        self.time += 1
        merge, level = fold.merge_floats, fold.lift(*inputs)
        done: Moments | None = None
        covered = 0
        for size, counts, ring in self.levels:
            neighbour = ring[time % size]
            if counts:
                if done is None:
                    done = level
                else:
                    older = ring[(time - covered) % size]
                    done = merge(older, done, size, covered) if older is not None else done
                covered += size
            ring[time % size] = level
            if neighbour is None:
                # A longer block needs more bars than have come; so does the window itself, unless it
                # ends at this level.
                return (done if fold.several else done[0]) if done is not None else None
            if covered < self.window.bars:
                level = merge(neighbour, level, size, size)
        return done if fold.several else done[0]  # type: ignore[index]  # bars >= 1

    def state(self) -> list[Any]:
        """Return the last w - 1 bars, from which the blocks are made again."""
        return [list(bar) for bar in self.recent]

    def restore(self, state: list[Any]) -> None:
        """Take the bars again."""
        self._begin()
        for bar in state:
            self(*bar)


class JoinStep:
    """A window of one number that moves bar by bar: `WindowStep` without its tuples, to the same bits.

    All rings lie in one array: with many symbols a bar finds none of it in the cache, and pays by the place.

    Parameters
    ----------
    join
        Merges an older block with the newer one beside it.
    bars
        Length of the window, >= 1.
    """

    __slots__ = ("_held", "_join", "_last", "_levels", "_recent", "_time", "bars")

    def __init__(self, join: Callable[[float, float], float], bars: int) -> None:
        self.bars = bars
        self._join = join
        *self._levels, self._last = levels_of(bars)
        self._begin()

    def _begin(self) -> None:
        self._held = array("d", [0.0]) * (2 * (1 << self.bars.bit_length() - 1) - 1)
        self._recent = array("d", [0.0]) * max(self.bars - 1, 1)
        self._time = 0

    def __call__(self, x: float) -> float:
        """Take one bar; until the window is full the value means nothing."""
        held, join, time, recent = self._held, self._join, self._time, self._recent
        self._time = time + 1
        recent[time % len(recent)] = x
        level = done = x
        for base, mask, covered in self._levels:
            if covered > 0:
                done = join(held[base + (time - covered & mask)], done)
            elif not covered:
                done = level
            place = base + (time & mask)
            neighbour = held[place]
            held[place] = level
            level = join(neighbour, level)
        base, mask, covered = self._last
        older = held[base + (time - covered & mask)]
        held[base + (time & mask)] = level
        return join(older, done) if covered else level

    def state(self) -> list[Any]:
        """Return the last w - 1 bars, from which the blocks are made again."""
        size = len(self._recent)
        times = range(max(self._time - size, 0), self._time)
        return [[self._recent[time % size]] for time in times]

    def restore(self, state: list[Any]) -> None:
        """Take the bars again."""
        self._begin()
        for (bar,) in state:
            self(bar)


@cache
def levels_of(bars: int) -> tuple[tuple[int, int, int], ...]:
    """Return of each level of a window where its ring begins, the mask of a place in it, and what is covered.

    The last are the bars of the window that lower levels cover, -1 where this level covers none itself.

    Examples
    --------
    >>> levels_of(6)
    ((0, 0, -1), (1, 1, 0), (3, 3, 2))
    """
    sizes = [1 << j for j in range(bars.bit_length())]
    return tuple((size - 1, size - 1, bars & (size - 1) if bars & size else -1) for size in sizes)


@dataclass(frozen=True, slots=True)
class Lag:
    """The value k bars ago."""

    bars: int

    @property
    def extra(self) -> int:
        """It needs k bars before its first."""
        return self.bars

    def block(self, x: FloatArray) -> FloatArray:
        """Shift all rows."""
        return x[: len(x) - self.bars]

    def stepper(self) -> Step:
        """Return the bar-by-bar form."""
        return LagStep(self.bars + 1)


@dataclass(frozen=True, slots=True)
class Weighted:
    """Sum of the last w values, each times its weight; the oldest first."""

    weights: tuple[float, ...]

    @property
    def extra(self) -> int:
        """It needs w - 1 bars before its first."""
        return len(self.weights) - 1

    def block(self, x: FloatArray) -> FloatArray:
        """Add one tap after the other."""
        rows = len(x) - self.extra
        total = x[:rows] * self.weights[0]
        for j, weight in enumerate(self.weights[1:], start=1):
            total += x[j : j + rows] * weight
        return total

    def stepper(self) -> Step:
        """Return the bar-by-bar form."""
        weights = self.weights

        def total(taps: Sequence[float]) -> float:
            value = taps[0] * weights[0]
            for j in range(1, len(taps)):
                value += taps[j] * weights[j]
            return value

        return TapStep(len(weights), total)


@dataclass(frozen=True, slots=True)
class MeanDeviation:
    """``mean |x_j - m|`` over the last w bars, m being their mean."""

    bars: int

    @property
    def extra(self) -> int:
        """It needs w - 1 bars before its first."""
        return self.bars - 1

    def block(self, x: FloatArray) -> FloatArray:
        """Add one tap after the other."""
        rows = len(x) - self.extra
        centre = np.zeros(rows)
        for j in range(self.bars):
            centre += x[j : j + rows]
        centre /= self.bars
        total = np.zeros(rows)
        for j in range(self.bars):
            total += np.abs(x[j : j + rows] - centre)
        return total / self.bars

    def stepper(self) -> Step:
        """Return the bar-by-bar form."""
        bars = self.bars

        def deviation(taps: Sequence[float]) -> float:
            centre = 0.0
            for value in taps:
                centre += value
            centre /= bars
            total = 0.0
            for value in taps:
                total += abs(value - centre)
            return total / bars

        return TapStep(bars, deviation)


class TapStep:
    """A function of the last w values."""

    def __init__(self, bars: int, function: Callable[[Sequence[float]], float]) -> None:
        self.bars = bars
        self.function = function
        self.taps: deque[float] = deque(maxlen=bars)

    def __call__(self, x: float) -> Any:
        """Take one bar; the value is None until w have come."""
        self.taps.append(x)
        return self.function(self.taps) if len(self.taps) == self.bars else None

    def state(self) -> list[Any]:
        """Return the last w values."""
        return list(self.taps)

    def restore(self, state: list[Any]) -> None:
        """Take them back."""
        self.taps = deque(state, maxlen=self.bars)


class LagStep:
    """The first of the last w values."""

    __slots__ = ("taps",)

    def __init__(self, bars: int) -> None:
        self.taps: deque[float] = deque(maxlen=bars)

    def __call__(self, x: float) -> float:
        """Take one bar; until w have come the value is that of the first."""
        self.taps.append(x)
        return self.taps[0]

    def state(self) -> list[Any]:
        """Return the last w values."""
        return list(self.taps)

    def restore(self, state: list[Any]) -> None:
        """Take them back."""
        self.taps = deque(state, maxlen=self.taps.maxlen)
