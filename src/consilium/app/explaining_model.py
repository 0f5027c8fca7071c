"""Why a stored model says what it says of one bar: contributions of its features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.explaining import time_of
from consilium.app.observe import Observed
from consilium.app.stored_models import served_folder
from consilium.domain import DataProblem, Direction, UnknownName, canonical_model, plain, to_iso
from consilium.market.candles import CandleSeries
from consilium.market.features import compute_matrix, of_books
from consilium.models.explain import Attribution, explain_prediction
from consilium.training.artefacts import load_artefact
from consilium.training.latest import window_of_books
from consilium.training.registry import ModelRegistry
from consilium.training.trained import TrainedModel, read_by

TOP = 12
"""Features that are told; the JSON has all."""


BOOKS_THERE = "books_there"
"""The column that the scaler adds where books may be masked: 1 if they were there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToldForecast:
    """One explained forecast.

    Parameters
    ----------
    model
        The trained model.
    symbol, ts_event
        Which bar.
    probabilities
        As it is served: calibrated, or climatology without skill.
    raw
        The model's own, before calibration; what the contributions explain.
    values
        Newest value of each feature, in its own units.
    attribution
        The contributions.
    """

    model: TrainedModel
    symbol: str
    ts_event: int
    probabilities: tuple[float, ...]
    raw: tuple[float, ...]
    values: tuple[float, ...]
    attribution: Attribution

    def ranked(self) -> list[tuple[str, float, float]]:
        """Return (feature, its newest value, its contribution), the strongest first."""
        by = self.attribution.by_feature()
        order = np.argsort(-np.abs(by), kind="stable")
        names = (*self.model.feature_names, BOOKS_THERE)
        return [(names[i], self.values[i], float(by[i])) for i in order]

    def lines(self) -> list[str]:
        """Tell it line by line."""
        a = self.attribution
        p = ", ".join(f"{d.name} {v:.1%}" for d, v in zip(Direction, self.probabilities, strict=True))
        told = [
            f"{self.model.name} on {self.symbol} at {to_iso(self.ts_event)}: {p}",
            f"{a.method} of the margin of {a.direction.name}: {a.margin:+.4f} = base {a.base:+.4f} "
            f"{a.margin - a.base:+.4f}, of which {abs(a.gap):.1e} is not told",
        ]
        if not self.model.skilled:
            told.append("no_skill: climatology is served; what follows is the model's own margin")
        for name, value, part in self.ranked()[:TOP]:
            told.append(f"  {part:+.4f}  {name} = {value:.6g}")
        rest = sum(part for _, _, part in self.ranked()[TOP:])
        if len(self.values) > TOP:
            told.append(f"  {rest:+.4f}  the other {len(self.values) - TOP} features together")
        return told

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        a = self.attribution
        result: dict[str, Any] = plain(
            {
                "schema": "consilium.attribution/1",
                "model": self.model.name,
                "symbol": self.symbol,
                "ts_event": self.ts_event,
                "time": to_iso(self.ts_event),
                "skilled": bool(self.model.skilled),
                "probabilities": self.probabilities,
                "raw_probabilities": self.raw,
                "method": a.method,
                "direction": a.direction.name,
                "margin": a.margin,
                "base": a.base,
                "gap": a.gap,
                "features": [
                    {"feature": name, "value": value, "contribution": part}
                    for name, value, part in self.ranked()
                ],
                "contributions": a.contributions.tolist(),
            }
        )
        return result


def tell_model(
    folder: Path, name: str, observed: Observed, symbol: str | None, at: str | None
) -> ToldForecast:
    """Explain the served version of a model on one bar.

    Parameters
    ----------
    folder
        The registry.
    name
        The model.
    observed
        Candles, and books where the model reads them.
    symbol
        Which one; the only one if not given.
    at
        Close of the bar, as in `time_of`; the newest if not given. Between two bars the earlier one counts.

    Raises
    ------
    ConsiliumError
        No such model, symbol or bar, or too short a history.
    """
    artefact = load_artefact(served_folder(ModelRegistry(folder), canonical_model(name)))
    model = artefact.model
    chosen = symbol or next(iter(observed.panel))
    if chosen not in observed.panel or (symbol is None and len(observed.panel) > 1):
        raise UnknownName("symbol", symbol or "", observed.panel)
    series = observed.panel[chosen]
    bar = len(series) - 1
    if at is not None:
        bar = int(np.searchsorted(series.ts_close, time_of(at), side="right")) - 1
    seen = series.slice(0, max(bar, 0) + 1)
    X = _read(model, seen, observed, complete=bar >= 0)
    window = X if model.window == 1 else X[0]
    scaled = read_by(model.scaler, X)
    books_there = float(np.isfinite(window[-1]).all())
    return ToldForecast(
        model=model,
        symbol=chosen,
        ts_event=int(series.ts_close[bar]),
        probabilities=tuple(float(v) for v in model.predict(X)[0][0]),
        raw=tuple(float(v) for v in model.forecaster.predict_proba(scaled)[0]),
        values=tuple(float(v) for v in window[-1]) + (books_there,) * (scaled.shape[-1] - window.shape[-1]),
        attribution=explain_prediction(model.forecaster, scaled[0]),
    )


def _read(
    model: TrainedModel, seen: CandleSeries, observed: Observed, *, complete: bool
) -> NDArray[np.float64]:
    """Return what a model reads of the last bar of a series, unscaled; refuse what is not complete."""
    names, of = model.bar_features, observed.books.get(seen.symbol)
    matrix = compute_matrix(seen, names, of) if names else np.empty((len(seen), 0))
    if model.book_levels and complete:
        rows = observed.with_snapshots().snapshots.get(seen.symbol)
        return window_of_books(model, seen, rows, matrix[-1])
    finite = np.asarray(np.isfinite(matrix[:, ~of_books(names)]).all(axis=1))
    if not complete or len(matrix) < model.window or not finite[-model.window :].all():
        raise DataProblem(
            f"{model.name} needs {model.window} bars of complete features",
            f"{int(finite.sum()) if complete else 0} of {seen.symbol} at that time",
            "give more bars or a later time",
        )
    window = matrix[-model.window :]
    return window if model.window == 1 else window[np.newaxis]
