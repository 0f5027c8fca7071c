"""The newest rows of numbers, ready as one array at any time."""

from array import array
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


class Recent:
    """At most ``window`` rows of so many columns; the oldest are forgotten.

    Fits read all rows at once: turning thousands of tuples into an array would take longer than the fit.

    Parameters
    ----------
    columns
        Numbers in a row, >= 1.
    window
        Most rows, >= 1.
    kind
        ``"d"`` for floats, ``"q"`` for whole numbers of 64 bits, such as times.

    Examples
    --------
    >>> recent = Recent(2, window=2)
    >>> for row in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]):
    ...     recent.add(row)
    >>> len(recent), recent.table().tolist()
    (2, [[3.0, 4.0], [5.0, 6.0]])
    """

    __slots__ = ("_columns", "_flat", "_most", "_room")

    def __init__(self, columns: int, window: int, kind: Literal["d", "q"] = "d") -> None:
        self._columns, self._most = columns, columns * window
        # Forgetting moves all that is kept, so it is done once for many rows.
        self._room = 2 * self._most
        self._flat: array[Any] = array(kind)

    def __len__(self) -> int:
        return min(len(self._flat), self._most) // self._columns

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self.table().tolist())

    def add(self, row: list[Any]) -> None:
        """Remember a row."""
        flat = self._flat
        flat.fromlist(row)
        if len(flat) > self._room:
            del flat[: -self._most]

    def table(self) -> NDArray[Any]:
        """Return a copy, shape (rows, columns), oldest first."""
        # NumPy reads a view at once, and the array itself number by number.
        newest: NDArray[Any] = np.array(memoryview(self._flat)[-self._most :])
        return newest.reshape(-1, self._columns)
