"""Rows of one symbol as a model reads them: each is looked at and scaled once, not in every window."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.models.served import ServedModel
from consilium.models.serving.graph import GraphForecaster
from consilium.models.serving.rings import Ring

NEVER = -1


class ScaledRows:
    """The newest rows in a model's units, and whether all of a window could be read.

    Parameters
    ----------
    model
        Who reads them; others of the same ``scaling`` may too.
    columns
        Which columns of the incoming rows it reads; None for all, in their order.
    capacity
        Rows of the longest window.
    """

    def __init__(self, model: ServedModel, columns: NDArray[np.int64] | None, capacity: int) -> None:
        self.model = model
        self._columns = columns
        self._capacity = capacity
        self._kind = kind_of(model)
        self._rows: Ring | None = None
        self._count = 0
        self._unreadable = self._wild = NEVER

    def serves(self, model: ServedModel) -> bool:
        """Whether a model reads just these rows."""
        same = bool(model.scaling) and model.scaling == self.model.scaling
        return model is self.model or (
            same and kind_of(model) is self._kind and (model.window == 1) == (self.model.window == 1)
        )

    def take(self, rows: Ring) -> None:
        """Take what is new of the incoming rows."""
        new = min(rows.count - self._count, len(rows), self._capacity)
        if new <= 0:
            return
        block, first = self.raw(rows, new), rows.count - new
        self._count = rows.count
        bad = self.model.unreadable(block)
        if bad.any():
            self._unreadable = first + int(np.flatnonzero(bad.any(axis=1))[-1])
        if self.model.engine is None:
            return  # it is not asked: only whether it could be counts
        scaled = self.model.scaled(block)
        finite = np.isfinite(scaled)
        if not finite.all():
            self._wild = first + int(np.flatnonzero(~finite.all(axis=1))[-1])
        if self._rows is None:
            self._rows = Ring(self._capacity, scaled.shape[1], self._kind)
        with np.errstate(over="ignore"):  # what is beyond float32 is infinite there
            cast = scaled.astype(self._kind, copy=False)
        for row in cast:
            self._rows.append(row)

    def raw(self, rows: Ring, window: int) -> NDArray[np.float64]:
        """Return the newest of the incoming rows, in the columns and the units that come in."""
        newest = rows.newest(window)
        return newest if self._columns is None else newest[:, self._columns]

    def readable(self, window: int) -> bool:
        """Whether the model can read all numbers of the newest rows."""
        return self._unreadable < self._count - window

    def finite(self, window: int) -> bool:
        """Whether all numbers of the newest rows are finite once they are scaled."""
        return self._wild < self._count - window

    def newest(self, window: int) -> NDArray[Any]:
        """Return the newest rows, scaled, as a view that later ones may change; none for one not asked."""
        return _NONE if self._rows is None else self._rows.newest(window)


_NONE = np.empty((1, 0))


def kind_of(model: ServedModel) -> Any:
    """Return the type of the numbers that a model's engine reads."""
    engine = model.engine
    return np.float32 if isinstance(engine, GraphForecaster) and engine.single else np.float64


def shared(known: Iterable[ScaledRows], model: ServedModel) -> ScaledRows | None:
    """Return rows that a model reads too."""
    return next((rows for rows in known if rows.serves(model)), None)
