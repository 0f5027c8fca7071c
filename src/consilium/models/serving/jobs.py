"""What the pool keeps of one symbol, and one model's work on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.models.runtime import Timer
from consilium.models.served import ServedModel
from consilium.models.serving.books import AHEAD, Books, beside
from consilium.models.serving.rings import Ring
from consilium.models.serving.scaled import ScaledRows, shared
from consilium.models.serving.split import SplitForecaster

Floats = NDArray[np.float64]


class History:
    """The history of one symbol and, for models in two graphs, the encodings of its rows.

    Parameters
    ----------
    capacity, width
        Rows that are kept, and their columns.
    """

    def __init__(self, capacity: int, width: int) -> None:
        self.lock = Lock()
        self.rows = Ring(capacity, width)
        self.ts_last = -1
        self.codes: dict[str, tuple[ServedModel, Ring, int]] = {}
        self.books: Books | None = None
        self._scaled: dict[str, ScaledRows] = {}

    def forget(self) -> None:
        """Drop all rows, and what was made of them: no window reaches across what comes next."""
        self.rows.clear()
        self.codes, self._scaled = {}, {}

    def scaled_for(self, model: ServedModel, columns: NDArray[np.int64] | None) -> ScaledRows:
        """Return the rows in a model's units, up to the newest."""
        found = self._scaled.get(model.name)
        if found is None or not found.serves(model):
            found = shared(self._scaled.values(), model)
            if found is None:
                found = ScaledRows(model, columns, 1 if model.window == 1 else self.rows.capacity)
            self._scaled[model.name] = found
        found.take(self.rows)
        return found

    def grow(self, capacity: int) -> None:
        """Make room for longer windows and keep the rows that are there."""
        kept = self.rows.newest(len(self.rows)).copy()
        larger = Ring(capacity, self.rows.width)
        for row in kept:
            larger.append(row)
        self.rows = larger
        self.codes, self._scaled = {}, {}

    def books_for(self, models: Iterable[ServedModel]) -> Books | None:
        """Return the books, with room for the windows of some models; None where none reads books."""
        readers = [model for model in models if model.book_columns]
        if not readers:
            return None
        window = max(model.window for model in readers)
        width = max(model.book_columns for model in readers)
        if self.books is None or self.books.window < window or self.books.rows.width < width:
            # What was seen of books cannot be widened, and is soon there again.
            self.books = Books(window, width)
        return self.books


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Probabilities (1, 3), expected log return (1,), and how long they took."""

    probabilities: Floats
    expected_return: Floats
    nanoseconds: int


class Job:
    """One model and one window.

    Parameters
    ----------
    state
        Of the symbol.
    model
        Who is asked.
    window
        Its newest rows, scaled.
    finite
        Whether all numbers of the window are known to be finite.
    """

    def __init__(
        self, state: "History | None", model: ServedModel, window: NDArray[Any], timer: Timer, *, finite: bool
    ) -> None:
        self.model = model
        self._state = state
        self.window = window
        self.finite = finite
        self._timer = timer
        # Taken now: a job that nobody waits for may still run when later rows are there.
        self._count = 0 if state is None else state.rows.count

    def __call__(self) -> Forecast:
        """Forecast and say how long it took."""
        start = self._timer()
        p, expected = self._forecast()
        return as_forecast(p, expected, self._timer() - start)

    def _forecast(self) -> tuple[Floats, Floats]:
        model, window = self.model, self.window
        if isinstance(model.engine, SplitForecaster):
            return model.finish(model.engine.decide(self.codes(model.engine)), 1)
        return model.answer(window if model.window == 1 else window[np.newaxis], finite=self.finite)

    @property
    def follows(self) -> bool:
        """Whether of the window all but the newest row is encoded already."""
        assert self._state is not None  # noqa: S101 - only a job of books has none, and it has its own way
        owner, _, seen = self._state.codes.get(self.model.name, (None, None, 0))
        return owner is self.model and seen == self._count - 1

    def keep(self, code: NDArray[Any]) -> None:
        """Take the encoding of the newest row, where the window `follows`."""
        assert self._state is not None  # noqa: S101
        _, ring, _ = self._state.codes[self.model.name]
        ring.append(code)
        self._state.codes[self.model.name] = (self.model, ring, self._count)

    def codes(self, engine: SplitForecaster) -> NDArray[Any]:
        """Return the encodings of the window (1, T, H): of the newest row computed, of the others kept."""
        assert self._state is not None  # noqa: S101
        model, kept = self.model, self._state.codes
        if self.follows:
            self.keep(engine.encode(self.window[-1:])[0])
        owner, ring, seen = kept.get(model.name, (None, None, 0))
        if owner is not model or ring is None or seen != self._count:
            fresh = engine.encode(self.window)
            ring = Ring(model.window, engine.code_width, fresh.dtype)
            for code in fresh:
                ring.append(code)
            kept[model.name] = (model, ring, self._count)
        return ring.newest(model.window)[np.newaxis]


def as_forecast(probabilities: Floats, expected_return: Floats, nanoseconds: int) -> Forecast:
    """Return what a model says of one row.

    Raises
    ------
    InvalidValue
        It is not three finite probabilities.
    """
    if probabilities.shape != (1, 3) or not np.isfinite(probabilities).all():
        raise InvalidValue(
            "a model must return three finite probabilities", probabilities.tolist(), "train it again"
        )
    return Forecast(probabilities=probabilities, expected_return=expected_return, nanoseconds=nanoseconds)


class BookJob(Job):
    """A model of books: the window of books up to the close, and the features of the bar beside them.

    Parameters
    ----------
    books
        Of the symbol; those of a model in two graphs are encoded.
    features
        Shape (A,), of the bar.
    ts_event
        Its close.
    """

    def __init__(
        self, books: Books, model: ServedModel, features: Floats, ts_event: int, timer: Timer
    ) -> None:
        # Copied now: a job that nobody waits for may still run when later books are there.
        split = isinstance(model.engine, SplitForecaster)
        window = beside(model, books.cut(model.window, ts_event, 1 if split else None), features)
        super().__init__(None, model, window, timer, finite=False)
        self._books = books
        self._encoded: NDArray[np.float32] | None = None
        self._fresh: NDArray[np.float32] | None = None
        self._waiting = 0
        if split:
            if books.newer_than(ts_event) or not 0 < books.waiting(model) <= min(AHEAD, model.window - 1):
                books.encode(model)
            self._waiting = books.waiting(model)
            self._encoded = books.codes(model, ts_event)
        if self._waiting > 1:
            plain = beside(model, books.cut(self._waiting, ts_event)[:-1], None)
            self.window = np.concatenate([plain, window])

    def _forecast(self) -> tuple[Floats, Floats]:
        model, engine = self.model, self.model.engine
        if self._encoded is None or not isinstance(engine, SplitForecaster):
            return model.predict(self.window[np.newaxis])
        fresh = engine.encode(model.scaled(self.window))
        # Of the newest book the features are read as well: that is no encoding for later windows.
        self._fresh = fresh[:-1]
        kept = self._encoded if self._waiting else self._encoded[:-1]
        return model.finish(engine.decide(np.concatenate([kept, fresh])[np.newaxis]), 1)

    def settle(self) -> None:
        """Keep what was encoded, for later windows; while nobody else moves the books."""
        if self._fresh is not None and len(self._fresh):
            self._books.keep(self.model, self._fresh, self._waiting)
