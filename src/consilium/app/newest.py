"""The newest bar of each symbol, forecast by the stored models and pooled by the ensemble."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.app.bootstrap import make_bus, make_ensemble, trip_cost
from consilium.app.deploy import Pool
from consilium.app.observe import Observed
from consilium.app.settings import Settings
from consilium.domain import Consensus, ConsiliumError, DataProblem, FeatureWindow, Prediction, to_iso
from consilium.domain.time import length_text
from consilium.ensemble import Gates, account, action, make_gates
from consilium.market.book.rows import BookRows
from consilium.market.candles import CandleSeries
from consilium.market.features import BookColumns, compute_features, compute_matrix, of_books, warm_up
from consilium.models import DEFAULT_POOL, make_forecaster
from consilium.training.labels import LabelSpec
from consilium.training.latest import NoBook, window_of_books
from consilium.training.trained import TrainedModel
from consilium.training.volatility import daily_volatility

FALLBACK = "fallback"
FALLBACK_FEATURES = ("rsi_14", "ema_10_gap", "ema_50_gap")


class ShortHistory(DataProblem):
    """A symbol whose newest bars have no complete features for a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """What was said of the newest bars.

    Parameters
    ----------
    rows
        One plain JSON row a symbol.
    left_out
        By symbol, why nothing could be said of it.
    """

    rows: list[dict[str, Any]]
    left_out: Mapping[str, str]


def predict(
    settings: Settings, observed: Observed, pool: Pool, *, rule: str, trust: str, gates: str
) -> Newest:
    """Forecast the newest finished bar of each symbol and reach consensus.

    Without a model the RSI/EMA fallback speaks (coverage none; it acts on paper only). A symbol with too
    short a history is left out and told.

    Raises
    ------
    ConsiliumError
        Models of different labels, bars of another length than they were trained on, or no symbol with a
        history that is long enough.
    """
    _same_question(pool)
    _require_books(pool, observed)
    if any(artefact.model.book_levels for artefact in pool.artefacts.values()):
        observed = observed.with_snapshots()
    names = tuple(pool.artefacts) or DEFAULT_POOL
    ensemble = make_ensemble(settings, names, rule=rule, trust=trust, gates=_gates(settings, pool, gates))
    spoken: list[Consensus] = []

    def keep(consensus: Consensus) -> tuple[()]:
        spoken.append(consensus)
        return ()

    bus = make_bus(ensemble, keep)
    no_skill = [name for name, artefact in pool.artefacts.items() if not artefact.model.skilled]
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for symbol, series in observed.panel.items():
        try:
            predictions, silent = _predictions(
                settings, series, pool, observed.books.get(symbol), observed.snapshots.get(symbol)
            )
        except ShortHistory as error:
            left_out[symbol] = str(error)
            first = error
            continue
        volatility = _publish(series, predictions, bus.publish)
        for consensus in ensemble.flush():
            bus.publish(consensus)
        if bus.dead_letters:
            raise ConsiliumError("no handler may fail", bus.dead_letters[0].error, "report it")
        row = _row(symbol, predictions, spoken.pop(), volatility, pool.coverage, no_skill)
        rows.append(row | {"masked": _masked(pool, observed, symbol), "abstained": silent})
    if not rows:
        raise first
    return Newest(rows=rows, left_out=left_out)


def _require_books(pool: Pool, observed: Observed) -> None:
    """Refuse to forecast without books what was learned with them: each row would be one never seen."""
    learned = [
        name
        for name, artefact in pool.artefacts.items()
        if artefact.model.book_levels
        or (
            (scaler := artefact.model.scaler) is not None
            and scaler.maskable is not None
            and scaler.has_seen()
        )
    ]
    if learned and observed.recordings is None:
        raise DataProblem("models that learned from books need books", ", ".join(learned), "add --books")


def _masked(pool: Pool, observed: Observed, symbol: str) -> bool:
    """Tell whether models read books and the newest bar has none."""
    if not of_books(pool.feature_names).any():
        return False
    books = observed.books.get(symbol)
    return books is None or not books.known[-1]


def _publish(
    series: CandleSeries, predictions: Sequence[Prediction], publish: Callable[[Any], None]
) -> float | None:
    """Publish the symbol's volatility, where it is known, and the predictions; return the volatility."""
    volatility = _volatility(series)
    if volatility is not None:
        publish(
            FeatureWindow(
                symbol=series.symbol,
                ts_event=int(series.ts_close[-1]),
                features=np.empty((0, 0)),
                volatility=volatility,
            )
        )
    for prediction in predictions:
        publish(prediction)
    return volatility


def _same_question(pool: Pool) -> None:
    labels = {name: artefact.model.label_id for name, artefact in pool.artefacts.items()}
    if len(set(labels.values())) > 1:
        raise ConsiliumError(
            "models that vote together must share one label",
            ", ".join(f"{name}: {label}" for name, label in labels.items()),
            "train them with one horizon and bar, or name some with --models",
        )


def _gates(settings: Settings, pool: Pool, preset: str) -> Gates:
    if preset != "edge" or not pool.artefacts:
        return make_gates(preset)
    means = [artefact.model.means for artefact in pool.artefacts.values()]
    calls = [artefact.metrics for artefact in pool.artefacts.values() if artefact.metrics.get("mean_gain")]
    figures = {
        "mean_up": float(np.mean([m.up for m in means])),
        "mean_down": float(np.mean([m.down for m in means])),
    }
    if calls:
        figures |= {key: float(np.mean([c[key] for c in calls])) for key in ("mean_gain", "mean_loss")}
    return make_gates("edge", round_trip_cost=trip_cost(settings), **figures)


def _volatility(series: CandleSeries) -> float | None:
    volatility = float(daily_volatility(series.close, series.bars_per_day)[-1])
    return volatility if np.isfinite(volatility) else None


def _predictions(
    settings: Settings,
    series: CandleSeries,
    pool: Pool,
    books: BookColumns | None,
    rows: BookRows | None,
) -> tuple[list[Prediction], dict[str, str]]:
    """Return what the models say, and by model that abstains, why."""
    if not pool.artefacts:
        return [_fallback(settings, series)], {}
    computed: dict[tuple[str, ...], np.ndarray[Any, np.dtype[np.float64]]] = {}
    predictions, silent = [], {}
    for name, artefact in pool.artefacts.items():
        model = artefact.model
        if series.interval_ns != model.interval_ns:
            raise ConsiliumError(
                f"{name} forecasts bars of {length_text(model.interval_ns)}",
                f"{series.symbol} with bars of {length_text(series.interval_ns)}",
                "give candles of the interval that it was trained on",
            )
        names = model.bar_features
        if names and names not in computed:
            computed[names] = compute_matrix(series, names, books)
        try:
            newest = _read_by(model, series, computed.get(names, np.empty((len(series), 0))), rows)
        except (NoBook, ShortHistory) as error:
            silent[name] = str(error)
            nothing = error
            continue
        probabilities, expected = artefact.predict(newest)
        predictions.append(
            Prediction(
                model=name,
                symbol=series.symbol,
                ts_event=int(series.ts_close[-1]),
                horizon_ns=model.spec.span_ns(model.interval_ns),
                label_id=model.label_id,
                probabilities=_classes(probabilities[0]),
                expected_return=float(expected[0]),
            )
        )
    if not predictions:
        raise ShortHistory(nothing.bound, nothing.value, nothing.cure)
    return predictions, silent


def _read_by(
    model: TrainedModel,
    series: CandleSeries,
    features: np.ndarray[Any, np.dtype[np.float64]],
    rows: BookRows | None,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what a model reads of the newest bar."""
    if not model.book_levels:
        return _newest(series, model.feature_names, features, model.window)
    known = _newest(series, model.bar_features, features, 1)[0] if model.bar_features else features[-1]
    return window_of_books(model, series, rows, known)


def _newest(
    series: CandleSeries,
    names: Sequence[str],
    features: np.ndarray[Any, np.dtype[np.float64]],
    window: int,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the features of the newest ``window`` bars; only those of books may be unknown."""
    needed = warm_up(names) + window - 1
    if len(series) < needed:
        read = f"{len(names)} features{f' of {window} bars' if window > 1 else ''}"
        raise ShortHistory(
            f"a forecast from {read} needs {needed:,} bars",
            f"{len(series):,} of {series.symbol}",
            f"give {needed - len(series):,} more",
        )
    maskable = of_books(names)
    rows = features[-window:]
    known = np.isfinite(rows).all(axis=0) | (maskable & ~maskable.all())
    if not known.all():
        raise ShortHistory(
            f"the features of the newest {window} bars must be known",
            f"{', '.join(np.array(names)[~known][:3])} of {series.symbol} are not",
            "mend the candles there, or give more after them",
        )
    return rows if window == 1 else rows[np.newaxis]


def _fallback(settings: Settings, series: CandleSeries) -> Prediction:
    horizon = settings.training.horizon
    rows = _newest(series, FALLBACK_FEATURES, compute_features(series, FALLBACK_FEATURES), 1)
    probabilities = make_forecaster(FALLBACK, feature_names=FALLBACK_FEATURES).predict_proba(rows)[0]
    return Prediction(
        model=FALLBACK,
        symbol=series.symbol,
        ts_event=int(series.ts_close[-1]),
        horizon_ns=horizon * series.interval_ns,
        label_id=LabelSpec(horizon=horizon).label_id(series.interval_ns),
        probabilities=_classes(probabilities),
    )


def _classes(row: NDArray[np.float64]) -> tuple[float, float, float]:
    down, flat, up = (float(p) for p in row)
    return down, flat, up


def _row(
    symbol: str,
    predictions: Sequence[Prediction],
    consensus: Consensus,
    volatility: float | None,
    loaded: str,
    no_skill: Sequence[str],
) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "ts_event": consensus.ts_event,
        "time": to_iso(consensus.ts_event),
        "horizon_ns": consensus.horizon_ns,
        "coverage": loaded,
        "predictions": {
            p.model: {
                "direction": p.direction.name,
                "probabilities": list(p.probabilities),
                "confidence": p.confidence,
                "expected_return": p.expected_return,
            }
            for p in predictions
        },
        "no_skill": list(no_skill),
        "action": action(consensus),
        "direction": consensus.direction.name,
        "probabilities": list(consensus.probabilities),
        "confidence": consensus.confidence,
        "score": consensus.score,
        "level": consensus.level,
        "agreement": consensus.agreement,
        "support": consensus.support,
        "weights": dict(consensus.weights),
        "gates": dict(consensus.gates),
        "actionable": consensus.actionable,
        "reason": consensus.reason,
        "account": account(consensus, predictions, volatility=volatility),
    }
