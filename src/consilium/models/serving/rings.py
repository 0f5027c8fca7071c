"""The newest rows of a stream in a fixed piece of memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue


class Ring:
    """The newest rows, oldest first; a window of them is one contiguous view and costs no copy.

    Each row is written twice, half the buffer apart, so that no window ever wraps around the end.

    Parameters
    ----------
    capacity
        Rows that can be read back, >= 1.
    width
        Columns of a row, >= 1.
    kind
        Type of the numbers.

    Examples
    --------
    >>> ring = Ring(2, 1)
    >>> for value in (1.0, 2.0, 3.0):
    ...     ring.append(np.array([value]))
    >>> ring.newest(2).tolist(), ring.count, len(ring)
    ([[2.0], [3.0]], 3, 2)
    """

    def __init__(self, capacity: int, width: int, kind: Any = np.float64) -> None:
        if capacity < 1 or width < 1:
            raise InvalidValue("a ring needs capacity and width >= 1", (capacity, width), "give both")
        self.capacity = capacity
        self.width = width
        self.count = 0
        self._twice = np.empty((2 * capacity, width), dtype=kind)

    def __len__(self) -> int:
        return min(self.count, self.capacity)

    def append(self, row: NDArray[Any]) -> None:
        """Take the next row, shape (width,)."""
        place = self.count % self.capacity
        self._twice[place] = row
        self._twice[place + self.capacity] = row
        self.count += 1

    def newest(self, rows: int) -> NDArray[Any]:
        """Return the newest rows, shape (rows, width), as a view that the next rows may change.

        Raises
        ------
        InvalidValue
            More than there are.
        """
        if not 0 <= rows <= len(self):
            raise InvalidValue(f"rows must lie in [0, {len(self)}]", rows, "append more rows first")
        stop = self.count % self.capacity + self.capacity
        view: NDArray[Any] = self._twice[stop - rows : stop]
        return view

    def clear(self) -> None:
        """Forget all rows; the count of rows ever seen starts again."""
        self.count = 0
