"""What one model reads of a dataset: features of bars, or windows of books with features beside them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem
from consilium.market.book.rows import row_names
from consilium.market.book.tensor import CHANNELS
from consilium.models.layers.windows import JoinedWindows, Windows
from consilium.training.columns import columns_hash
from consilium.training.dataset import Dataset
from consilium.training.scaler import WINSOR, Scaler
from consilium.training.snapshots import Snapshots

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

_ROWS_AT_ONCE = 65_536


class Reader(Protocol):
    """What is asked of a forecaster; ``book_levels`` and ``reads_features`` need not be there."""

    @property
    def window(self) -> int:
        """Rows that one forecast reads."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What one model reads of a dataset.

    A model of bars reads the features of its window. A model of books, which says so by ``book_levels`` > 0,
    reads the window of snapshots that ends at the close of the bar, and beside each snapshot the features of
    that bar, unless its ``reads_features`` is False. It forecasts only where book and features are known.

    Parameters
    ----------
    dataset
        Rows.
    window
        Bars, or snapshots, that one forecast reads.
    levels
        Levels a side that it reads of a book; 0 for a model of bars.
    features
        Whether it reads the features.
    """

    dataset: Dataset
    window: int
    levels: int = 0
    features: bool = True

    @classmethod
    def of(cls, dataset: Dataset, model: Reader) -> "Reading":
        """Return what a forecaster or a trained model reads.

        Raises
        ------
        DataProblem
            A model of books, and no books.
        """
        levels = int(getattr(model, "book_levels", 0))
        held = dataset.snapshots
        if levels and (held is None or held.levels < levels):
            raise DataProblem(
                f"a model of books needs books of {levels} levels",
                "none" if held is None else f"{held.levels} levels",
                "give recorded books with --books",
            )
        return cls(
            dataset=dataset,
            window=model.window,
            levels=levels,
            features=bool(getattr(model, "reads_features", True)),
        )

    @property
    def held(self) -> Snapshots:
        """The books that it reads."""
        held = self.dataset.snapshots
        assert held is not None  # noqa: S101 - `of` refuses a dataset without
        return held

    @property
    def columns(self) -> int:
        """Columns of a snapshot that are read."""
        return self.levels * len(CHANNELS)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, those of a snapshot first."""
        if not self.levels:
            return self.dataset.feature_names
        return row_names(self.levels) + (self.dataset.feature_names if self.features else ())

    @property
    def hash(self) -> str:
        """What identifies them."""
        return columns_hash(self.names)

    @property
    def told_window(self) -> str:
        """What one forecast reads, in words."""
        return f"{self.window} {'books' if self.levels else 'bars of features'}"

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's inputs."""
        return 8 * self.window * len(self.names)

    def eligible(self) -> NDArray[np.bool_]:
        """Rows that the model can forecast, shape (N,)."""
        if not self.levels:
            return self.dataset.eligible(self.window)
        position = self.dataset.position
        fits = self.held.fits(position, self.window)
        if self.features and self.dataset.maskable.any():
            masked = np.any(np.isnan(self.dataset.matrix[:, self.dataset.maskable]), axis=1)
            fits &= ~masked[position]
        return fits

    def inputs(self, rows: Rows) -> Floats:
        """Copy the unscaled inputs of rows: (n, F) for a window of one bar, else (n, window, F)."""
        if not self.levels:
            return self.dataset.inputs(rows, self.window)
        bars = self.dataset.position[rows]
        books = self.held.windows(bars, self.window, self.columns).astype(np.float64)
        if not self.features:
            return books
        beside = np.broadcast_to(
            self.dataset.matrix[bars][:, None], (*books.shape[:2], self.dataset.matrix.shape[1])
        )
        return np.concatenate([books, beside], axis=-1)

    def fit_scaler(self, rows: Rows, winsor: float | None = WINSOR) -> Scaler:
        """Learn the scale of every column on rows of a fit part."""
        if not self.levels:
            return Scaler.fit(self.dataset.inputs(rows), winsor=winsor, maskable=self.dataset.maskable)
        kept = rows[self.eligible()[rows]]
        bars = self.dataset.position[kept]
        newest = self.held.windows(bars, 1, self.columns)[:, 0].astype(np.float64)
        if self.features:
            newest = np.concatenate([newest, self.dataset.matrix[bars]], axis=1)
        return Scaler.fit(newest, winsor=winsor)

    def windows(self, scaler: Scaler) -> "Table":
        """Scale everything once, from which scaled windows are cut batch by batch."""
        return Table.of(self, scaler)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Scaled columns of a reading: one row a bar, or a snapshot, and the features of each bar beside it."""

    reading: Reading
    rows: NDArray[np.float32]
    beside: NDArray[np.float32] | None

    @classmethod
    def of(cls, reading: Reading, scaler: Scaler) -> "Table":
        """Scale in single precision; the numbers are those of windows scaled one by one."""
        dataset = reading.dataset
        if not reading.levels:
            return cls(reading=reading, rows=_scaled(dataset.matrix, scaler), beside=None)
        books, features = scaler.parts(reading.columns)
        snapshots = reading.held.table[:, : reading.columns]
        beside = _scaled(dataset.matrix, features) if reading.features else None
        return cls(reading=reading, rows=_scaled(snapshots, books), beside=beside)

    @property
    def columns(self) -> int:
        """Columns of a window."""
        return sum(int(part.shape[1]) for part in (self.rows, self.beside) if part is not None)

    def of_rows(self, rows: Rows) -> Windows:
        """Return the windows of some rows, which are cut when they are read."""
        bars = self.reading.dataset.position[rows]
        if not self.reading.levels:
            return Windows(table=self.rows, last=bars, steps=self.reading.window)
        last = self.reading.held.newest[bars]
        if self.beside is None:
            return Windows(table=self.rows, last=last, steps=self.reading.window)
        return JoinedWindows(
            table=self.rows, last=last, steps=self.reading.window, beside=self.beside, place=bars
        )


def _scaled(values: NDArray[np.floating], scaler: Scaler) -> NDArray[np.float32]:
    blocks = [
        scaler.transform(values[start : start + _ROWS_AT_ONCE].astype(np.float64)).astype(np.float32)
        for start in range(0, len(values), _ROWS_AT_ONCE)
    ]
    return np.concatenate(blocks)
