"""Sums over the last seconds, exact: nothing of a value remains once it has left the window.

Time is cut into blocks as long as the window. A window then covers the end of one block and the beginning of
the next, so its sum is a sum from the right within the one plus a sum from the left within the other: no
running total from which old values would have to be subtracted, and two additions a row [1]_. Blocks are cut
at multiples of their length since the epoch, so a row's sum does not depend on where a series begins.

References
----------
.. [1] M. van Herk, A fast algorithm for local minimum and maximum filters on rectangular and octagonal
   kernels, Pattern Recognition Letters 13 (1992), 517-521, there for maxima over equal numbers of rows.
"""

import numpy as np
from numpy.typing import NDArray

from consilium.market.features.operation import FloatArray

Times = NDArray[np.int64]


def window_sums(
    ts: Times, values: FloatArray, at: Times, end: NDArray[np.intp], length_ns: int
) -> tuple[FloatArray, FloatArray]:
    """Return sums and numbers of the rows with ``t - length < ts <= t`` for all t in ``at``.

    Parameters
    ----------
    ts
        Times of the rows, ascending, shape (n,).
    values
        Shape (n, K).
    at, end
        Each t, shape (q,), and how many rows had come when it was asked for.
    length_ns
        Of the window, > 0.

    Returns
    -------
    tuple
        Sums, shape (q, K), and numbers of rows, shape (q,).

    Examples
    --------
    >>> ts, values = np.array([0, 4, 7, 12]), np.array([[1.0], [2.0], [4.0], [8.0]])
    >>> sums, counts = window_sums(ts, values, ts, np.arange(1, 5), 8)
    >>> sums[:, 0].tolist(), counts.tolist()
    ([1.0, 3.0, 7.0, 12.0], [1.0, 2.0, 3.0, 2.0])
    """
    start = np.minimum(np.searchsorted(ts, at - length_ns, side="right"), end)
    cut = np.minimum(np.searchsorted(ts, at // length_ns * length_ns, side="left"), end)
    sums = np.zeros((len(at), values.shape[1]))
    if len(ts):
        from_left, from_right = _block_sums(ts // length_ns, values)
        np.add(sums, from_right[np.minimum(start, len(ts) - 1)], out=sums, where=(start < cut)[:, None])
        np.add(sums, from_left[end - 1], out=sums, where=(cut < end)[:, None])
    return sums, (end - start).astype(np.float64)


def _block_sums(block: Times, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    from_left, from_right = values.copy(), values.copy()
    edges = np.concatenate(([0], np.flatnonzero(np.diff(block)) + 1, [len(block)]))
    for i in np.flatnonzero(np.diff(edges) > 1):
        part = slice(edges[i], edges[i + 1])
        np.add.accumulate(values[part], axis=0, out=from_left[part])
        np.add.accumulate(values[part][::-1], axis=0, out=from_right[part][::-1])
    return from_left, from_right


class MovingWindow:
    """The same sums row by row.

    Parameters
    ----------
    length_ns
        Of the window, > 0.
    summed
        How many values of a row, K, are summed.
    kept
        How many more come with it and are not.

    Examples
    --------
    >>> window = MovingWindow(8, 1, 1)
    >>> for t, value in zip((0, 4, 7, 12), (1.0, 2.0, 4.0, 8.0)):
    ...     window.push(t, np.array([value, -value]))
    ...     print(window.at(t).tolist(), window.count, window.before)
    [1.0] 1 [0.0]
    [3.0] 2 [0.0]
    [7.0] 3 [0.0]
    [12.0] 2 [-2.0]
    """

    def __init__(self, length_ns: int, summed: int, kept: int = 0) -> None:
        self.length_ns = length_ns
        self.summed = summed
        self._nothing = np.zeros(summed)
        self._now, self._last = _Block(summed + kept), _Block(summed + kept)
        self._block = -1
        self._from_left = self._nothing
        self._from_right = np.empty((0, summed))
        self._gone = 0
        self._before = [0.0] * kept

    def push(self, ts: int, row: FloatArray) -> None:
        """Take the next row, K + kept values; times must not descend."""
        self._move(ts // self.length_ns)
        self._from_left = self._from_left + row[: self.summed] if self._now.rows else row[: self.summed]
        self._now.add(ts, row)

    def at(self, ts: int) -> FloatArray:
        """Return the sums over ``(ts - length, ts]``, shape (K,); ts is not before any row."""
        self._move(ts // self.length_ns)
        times, first, bound = self._last.times, self._gone, ts - self.length_ns
        while first < len(times) and times[first] <= bound:
            first += 1
        self._gone = first
        total = self._nothing + self._from_right[first] if first < len(times) else self._nothing
        return total + self._from_left if self._now.rows else total

    @property
    def count(self) -> int:
        """Rows in the window that `at` last summed."""
        return self._last.rows - self._gone + self._now.rows

    @property
    def before(self) -> list[float]:
        """What was kept with the last row that is older than the window; zeros if there is none."""
        if self._gone:
            kept: list[float] = self._last.values[self._gone - 1, self.summed :].tolist()
            return kept
        return self._before

    def _move(self, block: int) -> None:
        if block == self._block:
            return
        for old in (self._last, self._now)[: 1 if block == self._block + 1 else 2]:
            if old.rows:
                self._before = old.values[old.rows - 1, self.summed :].tolist()
        self._last, self._now = self._now, self._last
        if block != self._block + 1:
            self._last.clear()
        self._now.clear()
        values = self._last.values[: self._last.rows, : self.summed]
        self._from_right = np.add.accumulate(values[::-1], axis=0)[::-1]
        self._block, self._gone = block, 0


class _Block:
    """Rows of one block, in an array that grows."""

    def __init__(self, width: int) -> None:
        self.times: list[int] = []
        self.values = np.empty((64, width))
        self.rows = 0

    def add(self, ts: int, row: FloatArray) -> None:
        if self.rows == len(self.values):
            self.values = np.concatenate((self.values, np.empty_like(self.values)))
        self.values[self.rows] = row
        self.times.append(ts)
        self.rows += 1

    def clear(self) -> None:
        self.times.clear()
        self.rows = 0
