"""The models of the pool, ready to forecast: histories, failures, and models that change while they serve."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ArtefactRefused, InvalidValue, Prediction, coverage
from consilium.models.runtime import TIMER, Runtime, Timer, TooSlow
from consilium.models.served import ServedModel
from consilium.models.serving.answers import PoolForecast, answer, not_finite
from consilium.models.serving.batches import Batch, batches
from consilium.models.serving.books import AHEAD, Books
from consilium.models.serving.counters import BUSY, FAILED, NOT_FINITE, SHORT, TOO_SLOW, Counters
from consilium.models.serving.jobs import BookJob, Forecast, History, Job

Floats = NDArray[np.float64]

__all__ = ["ModelPool", "PoolForecast"]

_NO_FEATURES = np.zeros(1)
"""The row of a pool that reads books alone."""


class ModelPool:
    """All models of one pool, each with the columns and the window that it reads.

    Parameters
    ----------
    models
        The models that could be loaded; their names differ.
    missing
        By name, why a model that belongs to the pool could not be loaded; it counts in the coverage.
    feature_names
        Columns of the rows that come in; all that the models read if not given.
    runtime
        Workers that share the models of a decision; the pool closes it. Two without a deadline if not given.
    max_step_ns
        A row that comes later than this after the last one of its symbol empties the history: a window must
        not straddle an outage. None for markets with sessions.
    timer
        Where latencies come from.

    Raises
    ------
    InvalidValue
        Two models of one name, or none at all.
    ArtefactRefused
        A model reads a feature that the rows do not have.
    """

    def __init__(
        self,
        models: Iterable[ServedModel],
        *,
        missing: Mapping[str, str] | None = None,
        feature_names: Sequence[str] | None = None,
        runtime: Runtime | None = None,
        max_step_ns: int | None = None,
        timer: Timer = TIMER,
    ) -> None:
        given = list(models)
        self._missing = dict(missing or {})
        names = [model.name for model in given] + list(self._missing)
        if not names or len(set(names)) < len(names):
            raise InvalidValue("a pool needs models of different names", names, "load each model once")
        read = (name for model in given for name in model.feature_names[model.book_columns :])
        self.feature_names = tuple(dict.fromkeys(read) if feature_names is None else feature_names)
        self.runtime = runtime or Runtime()
        self.max_step_ns = max_step_ns
        self._timer = timer
        self._at = {name: place for place, name in enumerate(self.feature_names)}
        self._changing = Lock()
        self._order = names
        self._columns = {model.name: self._columns_of(model) for model in given}
        self._models = {model.name: model for model in given}
        self._symbols: dict[str, History] = {}
        self._hung: dict[str, Batch] = {}
        self._counters = {name: Counters() for name in names}

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """The models that are served now, by name."""
        return dict(self._models)

    @property
    def missing(self) -> Mapping[str, str]:
        """By name, why a model of the pool is not served."""
        return dict(self._missing)

    @property
    def window(self) -> int:
        """Bars of the longest window."""
        return max((m.window for m in self._models.values() if not m.book_columns), default=1)

    def counters(self) -> dict[str, dict[str, float]]:
        """Return the figures of each model by name; see `Counters`."""
        return {name: counters.summary() for name, counters in self._counters.items()}

    def put(self, model: ServedModel) -> None:
        """Serve a model from the next decision on, in place of the one of its name.

        A decision that is on its way ends with the models that it began with: none is dropped and none mixes
        two versions. Histories stay.

        Raises
        ------
        ArtefactRefused
            It reads a feature that the rows do not have; what was served goes on.
        """
        with self._changing:
            columns = self._columns_of(model)
            if model.name not in self._order:
                self._order = [*self._order, model.name]
                self._counters = {**self._counters, model.name: Counters()}
            self._missing = {name: why for name, why in self._missing.items() if name != model.name}
            # Readers take one mapping and keep it: a new one each time never changes under them.
            self._columns = {**self._columns, model.name: columns}
            self._models = {**self._models, model.name: model}

    def remove(self, name: str, why: str) -> None:
        """Serve a model no longer; it stays in the pool as a missing one."""
        with self._changing:
            self._models = {kept: model for kept, model in self._models.items() if kept != name}
            if name in self._order:
                self._missing = {**self._missing, name: why}

    def warm(self, symbol: str, rows: Floats, ts_events: Sequence[int]) -> None:
        """Fill the history of a symbol with rows (n, F), oldest first, without a forecast."""
        for row, ts_event in zip(np.asarray(rows, dtype=np.float64), ts_events, strict=True):
            state = self._state(symbol)
            with state.lock:
                self._require_next(symbol, state, row, int(ts_event))
                self._append(state, row, int(ts_event))

    def see(
        self, symbol: str, rows: Floats, ts_events: Sequence[int], *, resynchronised: bool = False
    ) -> None:
        """Take the newest books of a symbol, each encoded once by every model that encodes books.

        Parameters
        ----------
        symbol
            Its name.
        rows
            Shape (k, W), as `consilium.market.book.rows` makes them, oldest first.
        ts_events
            UTC nanoseconds at the exchange, k of them, ascending.
        resynchronised
            Whether books before these are missing: no window reaches across the gap.

        Raises
        ------
        InvalidValue
            Another number of columns, a number that is not finite, or a time before the last one.
        """
        state = self._state(symbol)
        with state.lock:
            models = list(self._models.values())
            books = state.books_for(models)
            if books is None:
                return
            if resynchronised:
                books.clear()
            books.append(symbol, np.asarray(rows, dtype=np.float64), ts_events)
            for model in models:
                if model.book_columns:
                    self._encode(books, model)

    def _encode(self, books: Books, model: ServedModel) -> None:
        try:
            books.encode(model, but=AHEAD)
        except Exception:  # noqa: BLE001 - a model that fails is counted when it is asked, and stops no other
            books.forget(model.name)

    def decide(self, symbol: str, row: Floats, *, ts_event: int) -> PoolForecast:
        """Take the newest row of a symbol and ask every model that can speak.

        Parameters
        ----------
        symbol
            Its name.
        row
            Shape (F,), the values of `feature_names`; NaN where one is not known.
        ts_event
            UTC nanoseconds of the bar's close, later than that of the last row.

        Raises
        ------
        InvalidValue
            Another number of columns, or a row that is not newer than the last one.
        """
        return self.decide_many({symbol: row}, ts_event=ts_event)[symbol]

    def decide_many(self, rows: Mapping[str, Floats], *, ts_event: int) -> dict[str, PoolForecast]:
        """Take the newest rows of several symbols, and ask every model that can speak once for all.

        What it says of a symbol is what `decide` says, to the bit for trees and for int8 graphs (which read
        one row at a time), else to the last digits of float32. What fails for one symbol is left out there
        alone. A deadline is that of all together.

        Parameters
        ----------
        rows
            By symbol, as in `decide`.
        ts_event
            UTC nanoseconds of the close, later than that of the last row of each.

        Raises
        ------
        InvalidValue
            As in `decide`, for any of them; then none is taken.
        """
        given = {symbol: np.asarray(row, dtype=np.float64) for symbol, row in rows.items()}
        # In one order, so that two callers with the same symbols never wait for each other.
        states = {symbol: self._state(symbol) for symbol in sorted(given)}
        with ExitStack() as held:
            for symbol, state in states.items():
                held.enter_context(state.lock)
                self._require_next(symbol, state, given[symbol], int(ts_event))
            for symbol, state in states.items():
                self._append(state, given[symbol], int(ts_event))
            with self._changing:
                models, columns, order, missing = self._models, self._columns, self._order, self._missing
            left_out = {symbol: dict(missing) for symbol in given}
            asked: dict[str, Batch] = {}
            for name in self._slowest_first(models):
                jobs = {
                    symbol: job
                    for symbol, state in states.items()
                    if (job := self._job(state, models[name], columns[name], left_out[symbol])) is not None
                }
                for part, batch in enumerate(batches(jobs, self._timer)):
                    asked[f"{name} {part}"] = batch
            results = self.runtime.run(asked)
            for key, result in results.items():
                if not isinstance(result, Exception):
                    asked[key].settle()
        spoken: dict[str, dict[str, Prediction]] = {symbol: {} for symbol in given}
        for key, result in results.items():
            self._hear(asked[key], result, int(ts_event), spoken, left_out)
        return {
            symbol: PoolForecast(
                predictions=tuple(said[name] for name in order if name in said),
                versions={name: models[name].version for name in order if name in said},
                left_out={name: left_out[symbol][name] for name in order if name in left_out[symbol]},
                coverage=coverage(len(said), len(order)),
            )
            for symbol, said in spoken.items()
        }

    def _hear(
        self,
        batch: Batch,
        result: list[Forecast | Exception] | Exception,
        ts_event: int,
        spoken: dict[str, dict[str, Prediction]],
        left_out: dict[str, dict[str, str]],
    ) -> None:
        model = batch.model
        each = [result] * len(batch.symbols) if isinstance(result, Exception) else result
        for symbol, found in zip(batch.symbols, each, strict=True):
            said = found if isinstance(found, Exception) else answer(model, symbol, ts_event, found)
            if isinstance(said, Exception):
                left_out[symbol][model.name] = self._told(batch, said)
            elif not isinstance(found, Exception):
                spoken[symbol][model.name] = said
                self._counters[model.name].served(found.nanoseconds)

    def close(self) -> None:
        """End the workers."""
        self.runtime.close()

    def _state(self, symbol: str) -> History:
        state = self._symbols.get(symbol)
        if state is None:
            with self._changing:
                state = self._symbols.setdefault(
                    symbol, History(self.window, max(1, len(self.feature_names)))
                )
        return state

    def _require_next(self, symbol: str, state: History, row: Floats, ts_event: int) -> None:
        if row.shape != (len(self.feature_names),):
            raise InvalidValue(
                f"a row must have {len(self.feature_names)} features", row.shape, "give all of feature_names"
            )
        if ts_event <= state.ts_last:
            raise InvalidValue(
                f"rows of {symbol} must come in the order of time, after {state.ts_last}",
                ts_event,
                "leave out rows that were seen",
            )

    def _append(self, state: History, row: Floats, ts_event: int) -> None:
        if self.max_step_ns is not None and 0 <= state.ts_last < ts_event - self.max_step_ns:
            state.forget()
        if state.rows.capacity < self.window:
            state.grow(self.window)
        state.rows.append(row if row.size else _NO_FEATURES)
        state.ts_last = ts_event

    def _slowest_first(self, models: Mapping[str, ServedModel]) -> list[str]:
        """Order models so that two workers end at nearly the same time."""
        return sorted(models, key=lambda name: (-self._counters[name].median_ms(), self._order.index(name)))

    def _job(
        self,
        state: History,
        model: ServedModel,
        columns: NDArray[np.int64] | None,
        left_out: dict[str, str],
    ) -> Job | None:
        """Return what computes a model's forecast, or None and why it cannot speak."""
        name, counters = model.name, self._counters[model.name]
        if model.book_columns:
            return self._book_job(state, model, columns, left_out)
        have, hung = len(state.rows), self._hung.get(model.name)
        if have < model.window:
            counters.failed(SHORT)
            left_out[name] = (
                f"needs {model.window} bars of history and has {have}: {model.window - have} missing"
            )
            return None
        if hung is not None and hung.model is model and not hung.done:
            counters.failed(BUSY)
            left_out[name] = "is still busy with an earlier row"
            return None
        rows = state.scaled_for(model, columns)
        if not rows.readable(model.window):
            counters.failed(NOT_FINITE)
            bad = model.unreadable(rows.raw(state.rows, model.window))
            left_out[name] = not_finite(bad, model.feature_names)
            return None
        finite = rows.finite(model.window)
        return Job(state, model, rows.newest(model.window), self._timer, finite=finite)

    def _book_job(
        self,
        state: History,
        model: ServedModel,
        columns: NDArray[np.int64] | None,
        left_out: dict[str, str],
    ) -> Job | None:
        """Return what computes the forecast of a model of books, or None and why it cannot speak."""
        name, counters, hung = model.name, self._counters[model.name], self._hung.get(model.name)
        books = state.books_for(self._models.values())
        why = "needs books and has seen none" if books is None else books.missing(model.window, state.ts_last)
        if why or books is None:
            counters.failed(SHORT)
            left_out[name] = why
            return None
        if hung is not None and hung.model is model and not hung.done:
            counters.failed(BUSY)
            left_out[name] = "is still busy with an earlier row"
            return None
        features = state.rows.newest(1)[0]
        if columns is not None:
            features = features[columns]
        if not np.isfinite(features).all():
            counters.failed(NOT_FINITE)
            names = model.feature_names[model.book_columns :]
            left_out[name] = not_finite(~np.isfinite(features)[np.newaxis], names)
            return None
        try:
            return BookJob(books, model, features, state.ts_last, self._timer)
        except Exception as error:  # noqa: BLE001 - whatever an engine raises must not stop the other models
            counters.failed(FAILED)
            left_out[name] = " ".join(str(error).split()) or type(error).__name__
            return None

    def _told(self, job: Batch, error: Exception) -> str:
        counters = self._counters[job.model.name]
        if isinstance(error, TooSlow):
            counters.failed(TOO_SLOW)
            if job.begun:
                self._hung[job.model.name] = job
            return f"was not done after {(self.runtime.deadline_ns or 0) / 1e6:g} ms"
        counters.failed(FAILED)
        return " ".join(str(error).split()) or type(error).__name__

    def _columns_of(self, model: ServedModel) -> NDArray[np.int64] | None:
        names = model.feature_names[model.book_columns :]
        for name in names:
            if name not in self._at:
                raise ArtefactRefused(
                    f"{model.name} must read features that the rows have", name, "train it on those features"
                )
        if names == self.feature_names:
            return None
        return np.array([self._at[name] for name in names], dtype=np.int64)
