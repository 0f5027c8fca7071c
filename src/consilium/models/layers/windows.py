"""Windows that are cut when they are read: as many rows as a history has, in the memory of its table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.models.layers.inputs import LARGEST

_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """Windows (n, T, F) of one table; window i holds the rows up to ``last[i]``. Read like an array.

    Parameters
    ----------
    table
        Shape (M, F), single precision, in standard units; finite in every row that a window reads.
    last
        Shape (n,), place of each window's newest row, in [T - 1, M).
    steps
        T, >= 1.

    Raises
    ------
    InvalidValue
        A window that begins before the table or ends behind it, or that reads NaN or inf.

    Examples
    --------
    >>> table = np.arange(8, dtype=np.float32).reshape(4, 2)
    >>> windows = Windows(table=table, last=np.array([1, 3]), steps=2)
    >>> windows.shape, windows[1:].tolist()
    ((2, 2, 2), [[[4.0, 5.0], [6.0, 7.0]]])
    """

    table: NDArray[np.float32]
    last: NDArray[np.int64]
    steps: int

    def __post_init__(self) -> None:
        rows = len(self.table)
        if len(self.last) and (self.last.min() < self.steps - 1 or self.last.max() >= rows):
            raise InvalidValue(
                f"windows of {self.steps} rows must lie in a table of {rows}",
                f"last rows {self.last.min()} to {self.last.max()}",
                "leave out rows without a whole window",
            )
        self._require_finite()

    def _require_finite(self) -> None:
        # +1 where a window begins, -1 behind its end: the running sum says by how many a row is read.
        change = np.zeros(len(self.table) + 1, dtype=np.int64)
        np.add.at(change, self.last - self.steps + 1, 1)
        np.add.at(change, self.last + 1, -1)
        read = np.cumsum(change[:-1]) > 0
        for start in range(0, len(read), _ROWS_AT_ONCE):
            block = slice(start, start + _ROWS_AT_ONCE)
            bad = read[block, None] & ~(np.abs(self.table[block]) <= LARGEST)
            if bad.any():
                row, column = (int(place) for place in np.argwhere(bad)[0])
                raise InvalidValue(
                    f"X must not hold NaN, inf or numbers beyond {LARGEST:g}",
                    f"{self.table[start + row, column]} in row {start + row}, column {column}",
                    "leave out warm-up rows before fit and predict",
                )

    def __len__(self) -> int:
        return len(self.last)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, T, F)."""
        return len(self.last), self.steps, self.table.shape[1]

    @property
    def ndim(self) -> int:
        """3."""
        return 3

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Copy some windows, shape (k, T, F); by slice, places or mask."""
        cut: NDArray[np.float32] = self.table[self.last[rows][:, None] + np.arange(1 - self.steps, 1)]
        return cut


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JoinedWindows(Windows):
    """Windows (n, T, F + A): beside each step of window i stand the same A columns, ``beside[place[i]]``.

    Parameters
    ----------
    beside
        Shape (B, A), single precision, in standard units.
    place
        Shape (n,), rows of ``beside``.

    Raises
    ------
    InvalidValue
        Also where a row that is read beside a window holds NaN or inf.

    Examples
    --------
    >>> table = np.arange(4, dtype=np.float32).reshape(4, 1)
    >>> joined = JoinedWindows(table=table, last=np.array([1, 3]), steps=2, place=np.array([0, 1]),
    ...     beside=np.array([[8.0], [9.0]], dtype=np.float32))
    >>> joined.shape, joined[1:].tolist()
    ((2, 2, 2), [[[2.0, 9.0], [3.0, 9.0]]])
    """

    beside: NDArray[np.float32]
    place: NDArray[np.int64]

    def __post_init__(self) -> None:
        Windows.__post_init__(self)
        # Every row that is read, looked at once: it is one window in a table of its own.
        Windows(table=self.beside, last=np.unique(self.place), steps=1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, T, F + A)."""
        return len(self.last), self.steps, self.table.shape[1] + self.beside.shape[1]

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Copy some windows, shape (k, T, F + A); by slice, places or mask."""
        cut = Windows.__getitem__(self, rows)
        beside = self.beside[self.place[rows]][:, None]
        return np.concatenate([cut, np.broadcast_to(beside, (*cut.shape[:2], beside.shape[-1]))], axis=-1)
