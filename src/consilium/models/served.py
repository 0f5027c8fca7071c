"""A model as the pool holds it: between a raw window and an honest probability."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Engine(Protocol):
    """What computes raw probabilities: an ONNX graph, or the forecaster itself."""

    def predict_proba(self, X: Floats, /) -> Floats:
        """Return probabilities (n, 3) of scaled rows (n, F) or windows (n, window, F)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedModel:
    """A model of one version, ready to forecast.

    Parameters
    ----------
    name, version
        Under which it votes, and which of its versions it is.
    kind
        ``fp32``, ``int8``, ``native``, or ``climatology`` for a model without skill.
    window, feature_names
        What it reads, oldest bar first.
    interval_ns, horizon_ns, label_id
        What it forecasts.
    engine
        Gives raw probabilities of scaled rows; None for a model without skill, which is not asked.
    scale
        From raw to scaled features, or None where the model reads features in their own units.
    finish
        From raw probabilities, or None and a number of rows, to calibrated ones and expected log returns.
    maskable
        Shape (F,), columns in which NaN says that the bar had no such value (those of books); None for none.
    digest
        Of its file, so that a forecast can be traced to it.
    book_columns
        How many of the leading columns are of a snapshot: above 0 it reads a window of books, beside each
        the features of the newest bar, and ``window`` counts books.
    note
        What its loader wants told, such as why int8 is not used; empty for nothing.
    scaling
        Names what `scale` does to which features, so that models of the same text share scaled rows; empty
        for one of its own.
    """

    name: str
    version: str
    kind: str
    window: int
    feature_names: tuple[str, ...]
    interval_ns: int
    horizon_ns: int
    label_id: str
    engine: Engine | None
    scale: Callable[[Floats], Floats] | None
    finish: Callable[[Floats | None, int], tuple[Floats, Floats]]
    maskable: NDArray[np.bool_] | None = None
    digest: str = ""
    book_columns: int = 0
    note: str = ""
    scaling: str = ""

    def unreadable(self, window: Floats) -> NDArray[np.bool_]:
        """Tell which numbers of a window (T, F) the model cannot read; NaN in a maskable column it can."""
        bad: NDArray[np.bool_] = ~np.isfinite(window)
        if self.maskable is not None and bad.any():
            bad &= ~(self.maskable & np.isnan(window))
        return bad

    def scaled(self, X: Floats) -> Floats:
        """Return rows in the model's units."""
        return X if self.scale is None else self.scale(X)

    def predict(self, X: Floats) -> tuple[Floats, Floats]:
        """Forecast from raw features (n, F) or (n, window, F): probabilities (n, 3), expected return (n,)."""
        return self.answer(X if self.engine is None else self.scaled(X))

    def answer(self, scaled: NDArray[Any], *, finite: bool = False) -> tuple[Floats, Floats]:
        """Forecast as `predict`, from scaled rows; of those that are known to be finite nothing is asked."""
        engine: Any = self.engine
        raw: Floats | None = None
        if engine is not None:
            ask = getattr(engine, "ask", engine.predict_proba) if finite else engine.predict_proba
            raw = ask(scaled)
        return self.finish(raw, len(scaled))
