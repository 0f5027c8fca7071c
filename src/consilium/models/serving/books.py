"""The newest books of one symbol in the pool, each encoded once by every model that encodes books."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.models.served import ServedModel
from consilium.models.serving.rings import Ring
from consilium.models.serving.split import SplitForecaster

Floats = NDArray[np.float64]

OLDEST_NS = 1_000_000_000
"""An older book says nothing of the close."""

AHEAD = 2
"""Newest books that wait to be encoded: by the decision about them if it comes, which workers share."""

SPARE = 2
"""Windows that are kept: books may be seen before the bar closes that a decision is about."""


class Books:
    """Rows of books of one symbol, their times, and by model what it made of each.

    Parameters
    ----------
    capacity
        Books of the longest window.
    width
        Columns of a row.
    """

    def __init__(self, capacity: int, width: int) -> None:
        self.window = capacity
        self.rows = Ring(SPARE * capacity, width)
        self._times = Ring(SPARE * capacity, 1, np.int64)
        self._codes: dict[str, tuple[ServedModel, Ring, int]] = {}
        self.encoded = 0
        """Rows that were encoded, for all models together."""

    def clear(self) -> None:
        """Forget all: a window must not reach across a gap."""
        self.rows.clear()
        self._times.clear()
        self._codes = {}

    def append(self, symbol: str, rows: Floats, ts_events: Iterable[int]) -> None:
        """Take rows (k, W), oldest first.

        Raises
        ------
        InvalidValue
            Another number of columns, a number that is not finite, or a time before the last one.
        """
        if rows.ndim != 2 or rows.shape[1] != self.rows.width or not np.isfinite(rows).all():
            raise InvalidValue(
                f"rows of books must be finite and have {self.rows.width} columns",
                rows.shape,
                "make them by BookRows or RowStream",
            )
        for row, ts_event in zip(rows, ts_events, strict=True):
            if len(self._times) and ts_event < self._times.newest(1)[0, 0]:
                raise InvalidValue(
                    f"books of {symbol} must come in the order of time", ts_event, "leave out late ones"
                )
            self.rows.append(row)
            self._times.append(np.array([ts_event]))

    def newer_than(self, ts_event: int) -> int:
        """Return how many of the newest books came after a time."""
        times = self._times.newest(len(self._times))[:, 0]
        return len(times) - int(np.searchsorted(times, ts_event, side="right"))

    def missing(self, window: int, ts_event: int) -> str:
        """Say why a window that ends at a time cannot be read; empty where it can."""
        skip = self.newer_than(ts_event)
        have = len(self.rows) - skip
        if have < window:
            return f"needs {window} books of one session and has {have}: {window - have} missing"
        age = ts_event - int(self._times.newest(skip + 1)[0, 0])
        if age > OLDEST_NS:
            return f"needs a book at most 1 s old, and the newest is {age / 1e9:.1f} s old"
        return ""

    def cut(self, window: int, ts_event: int, last: int | None = None) -> Floats:
        """Copy the newest books up to a time, shape (window, W), or only the last ones of the window."""
        cut: Floats = _cut(self.rows, window if last is None else last, self.newer_than(ts_event))
        return cut

    def waiting(self, model: ServedModel) -> int:
        """Return how many of the newest rows a model has not encoded yet."""
        owner, _, upto = self._codes.get(model.name, (None, None, 0))
        new = self.rows.count - upto
        return len(self.rows) if owner is not model or new > len(self.rows) else new

    def encode(self, model: ServedModel, but: int = 0) -> None:
        """Encode the rows that wait, but the newest few; nothing of a model that encodes none."""
        engine, new = model.engine, self.waiting(model)
        if not isinstance(engine, SplitForecaster) or new <= but:
            return
        rows = self.rows.newest(new)[: new - but]
        self.keep(model, engine.encode(model.scaled(beside(model, rows, None))), new)

    def keep(self, model: ServedModel, codes: NDArray[np.float32], waiting: int) -> None:
        """Take the encodings of the oldest of so many rows that were waiting."""
        if self.waiting(model) != waiting:
            return
        owner, ring, _ = self._codes.get(model.name, (None, None, 0))
        if owner is not model or ring is None or waiting == len(self.rows):
            ring = Ring(self.rows.capacity, codes.shape[1], np.float32)
        for code in codes:
            ring.append(code)
        self.encoded += len(codes)
        self._codes[model.name] = (model, ring, self.rows.count - waiting + len(codes))

    def codes(self, model: ServedModel, ts_event: int) -> NDArray[np.float32]:
        """Copy the encodings of a model's window that ends at a time, shape (T, H); those there are.

        The newest that are `waiting` are not there; of a window that ends before them all must be encoded.
        """
        ring = self._codes[model.name][1]
        rows = model.window - self.waiting(model)
        codes: NDArray[np.float32] = _cut(ring, rows, self.newer_than(ts_event))
        return codes

    def forget(self, name: str) -> None:
        """Drop the encodings of a model: they are made anew when it is asked."""
        self._codes.pop(name, None)


def beside(model: ServedModel, books: Floats, features: Floats | None) -> Floats:
    """Return rows (k, F) as a model reads them: its columns of each book, and the same features beside each.

    Parameters
    ----------
    model
        Of books.
    books
        Shape (k, W).
    features
        Shape (A,), of the newest bar; None for rows of which only the book is read.
    """
    width = len(model.feature_names) - model.book_columns
    values = np.zeros(width) if features is None else features
    return np.concatenate(
        [books[:, : model.book_columns], np.broadcast_to(values, (len(books), width))], axis=1
    )


def _cut(ring: Ring, window: int, skip: int) -> NDArray[Any]:
    return ring.newest(window + skip)[:window].copy()
