"""The books beside the rows of a dataset: one array of snapshots, from which windows are cut when read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from consilium.market.book.rows import BookRows, row_names
from consilium.market.candles import CandleSeries
from consilium.market.features import last_snapshots
from consilium.training.book_labels import HORIZONS, smoothed_change
from consilium.training.labels import NEVER


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """What the mid did after each snapshot, over one horizon.

    Parameters
    ----------
    change
        Shape (S,), mean of the next k mids against the mid now, relative; NaN where unknown.
    ts_matured
        Shape (S,), UTC nanoseconds from which it is known; NEVER where it is not.
    """

    change: NDArray[np.float64]
    ts_matured: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshots:
    """The books of all symbols of a dataset, one symbol after the other.

    Letters: S snapshots, M bars of the dataset, L levels.

    Parameters
    ----------
    levels
        Levels a side.
    table
        Shape (S, 4 L), rows as `BookRows` makes them, single precision.
    run
        Shape (S,), how many snapshots up to this one are unbroken.
    newest
        Shape (M,), place of the last snapshot at or before the close of each bar, at most 1 s old; -1 where
        there is none.
    changes
        By horizon in snapshots, what came of each.
    """

    levels: int
    table: NDArray[np.float32]
    run: NDArray[np.int64]
    newest: NDArray[np.int64]
    changes: Mapping[int, Change]

    @classmethod
    def of(
        cls, panel: Mapping[str, CandleSeries], symbols: Sequence[str], rows: Mapping[str, BookRows]
    ) -> "Snapshots":
        """Lay the books of symbols out in the order of their bars.

        Parameters
        ----------
        panel
            Candles by symbol.
        symbols
            Order of the symbols in the dataset.
        rows
            Books by symbol, at least one; a symbol without books has none.
        """
        newest, tables, runs = [], [], []
        changes: dict[int, list[tuple[NDArray[np.float64], NDArray[np.int64]]]] = {k: [] for k in HORIZONS}
        begin = 0
        for symbol in symbols:
            found = rows.get(symbol)
            if found is None:
                newest.append(np.full(len(panel[symbol]), -1, dtype=np.int64))
                continue
            last = last_snapshots(panel[symbol], found.touch.ts_event)
            newest.append(np.where(last >= 0, last + begin, -1))
            tables.append(found.values)
            runs.append(found.run)
            for horizon, parts in changes.items():
                parts.append(smoothed_change(found.touch, horizon, "mid"))
            begin += len(found)
        return cls(
            levels=next(iter(rows.values())).levels,
            table=np.concatenate(tables),
            run=np.concatenate(runs),
            newest=np.concatenate(newest),
            changes={
                horizon: Change(
                    change=np.concatenate([change for change, _ in parts]),
                    ts_matured=np.concatenate([matured for _, matured in parts]),
                )
                for horizon, parts in changes.items()
            },
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the table."""
        return row_names(self.levels)

    def fits(self, bars: NDArray[np.int64], window: int) -> NDArray[np.bool_]:
        """Tell at which bars (n,) a whole window of snapshots ends, shape (n,)."""
        last = self.newest[bars]
        fits: NDArray[np.bool_] = (last >= 0) & (self.run[last] >= window)
        return fits

    def windows(self, bars: NDArray[np.int64], window: int, columns: int) -> NDArray[np.float32]:
        """Copy the windows (n, window, columns) that end at bars (n,), which `fits` allows."""
        cut: NDArray[np.float32] = self.table[self.newest[bars][:, None] + np.arange(1 - window, 1), :columns]
        return cut

    def directions(self, bars: NDArray[np.int64], horizon: int, ts_known: int) -> NDArray[np.int64] | None:
        """Return the direction of the mid after each of some bars, -1 where it is open, shape (n,).

        UP and DOWN exceed the first tercile of the absolute changes of these very bars, so that about a third
        is FLAT; nothing that is known after ``ts_known`` counts. None where nothing is known at all.
        """
        of = self.changes[horizon]
        place = self.newest[bars]
        known = (place >= 0) & (of.ts_matured[place] <= ts_known)
        if not known.any():
            return None
        change = of.change[place]
        alpha = float(np.quantile(np.abs(change[known]), 1.0 / 3.0, method="lower"))
        directions = np.full(len(bars), -1, dtype=np.int64)
        directions[known] = 1 + (change[known] > alpha) - (change[known] < -alpha)
        return directions

    def digest(self) -> str:
        """Return the SHA-256 of all that windows read."""
        total = sha256(f"{self.levels}".encode())
        for values in (self.table, self.run, self.newest):
            total.update(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).data)
        return total.hexdigest()


def nothing_after(ts_matured: NDArray[np.int64]) -> int:
    """Return the last time at which an outcome of some rows is known; NEVER counts for none."""
    known = ts_matured[ts_matured != NEVER]
    return int(known.max()) if len(known) else -1
