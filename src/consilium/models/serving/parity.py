"""Fixed rows and the digest of what a graph says of them: a served file is recognised by its forecasts.

Forecasts of one file differ in their last digits between processors. The digest is therefore taken of
probabilities rounded to a grid, over rows whose probabilities all lie well inside its cells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEED = 20_260_101
CANDIDATES = 96
"""Fixed rows that are made; of those that lie well inside the grid's cells the first `ROWS` are kept."""
ROWS = 16
CELL = 2e-3
"""Width of a cell of probability."""
MARGIN = 0.05
"""Part of a cell that a kept probability stays away from its borders: 1e-4."""
OFFSETS = 20


def fixed_rows(shape: tuple[int, ...], count: int = CANDIDATES) -> Floats:
    """Make rows of standard units, the same on every machine and with every version of NumPy.

    Each number is the sum of four uniform draws, centred and scaled to variance 1. The raw stream of a bit
    generator is what NumPy promises never to change.

    Parameters
    ----------
    shape
        Of one row: (F,) or (window, F).
    count
        How many, >= 1.

    Examples
    --------
    >>> fixed_rows((2,), 2).round(3).tolist() == fixed_rows((2,), 3)[:2].round(3).tolist()
    True
    """
    size = count * int(np.prod(shape))
    raw = np.random.PCG64(SEED).random_raw(4 * size) >> np.uint64(11)
    uniform = raw.astype(np.float64) * 2.0**-53
    rows: Floats = (uniform.reshape(size, 4).sum(axis=1) - 2.0) * np.sqrt(3.0)
    return rows.reshape(count, *shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What a graph is held to.

    Parameters
    ----------
    rows
        Which of the fixed rows are asked, ascending.
    offset
        Where the grid begins, a part of a cell.
    digest
        SHA-256 of the cells of their probabilities.
    difference
        Largest difference to the native forecasts that was seen when the graph was made.
    """

    rows: tuple[int, ...]
    offset: float
    digest: str
    difference: float

    def holds(self, forecast: Callable[[Floats], Floats], shape: tuple[int, ...]) -> bool:
        """Ask the fixed rows again and compare the digests."""
        asked = fixed_rows(shape, max(self.rows) + 1)[list(self.rows)]
        return _digest(forecast(asked), self.offset) == self.digest

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "rows": list(self.rows),
            "offset": self.offset,
            "digest": self.digest,
            "difference": self.difference,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` wrote."""
        return cls(
            rows=tuple(int(row) for row in state["rows"]),
            offset=float(state["offset"]),
            digest=str(state["digest"]),
            difference=float(state["difference"]),
        )


def measure_parity(p: Floats, difference: float) -> Parity:
    """Choose grid and rows, and take the digest.

    Parameters
    ----------
    p
        Probabilities (n, 3) of what `fixed_rows` made.
    difference
        To be stored with it.
    """
    best: tuple[float, NDArray[np.int64]] = (0.0, np.arange(0))
    for offset in np.arange(OFFSETS) / OFFSETS:
        inside = np.flatnonzero((np.abs((p / CELL + offset) % 1.0 - 0.5) < 0.5 - MARGIN).all(axis=1))
        if len(inside) > len(best[1]):
            best = (float(offset), inside)
        if len(best[1]) >= ROWS:
            break
    # Three numbers exclude at most three tenths of all offsets, so a row is always found.
    kept = best[1][:ROWS]
    return Parity(
        rows=tuple(int(row) for row in kept),
        offset=best[0],
        digest=_digest(p[kept], best[0]),
        difference=difference,
    )


def _digest(p: Floats, offset: float) -> str:
    cells = np.floor(p / CELL + offset).astype("<i8")
    return sha256(cells.tobytes()).hexdigest()
