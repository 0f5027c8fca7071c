"""Models for service: trained on all data and stored; loaded again to forecast the newest bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from consilium import __version__
from consilium.app.bootstrap import SystemClock, factories, make_bus, make_ensemble, trip_cost
from consilium.app.observe import Observed
from consilium.app.settings import Settings
from consilium.app.stages import ProgressCall, silent
from consilium.domain import (
    ArtefactRefused,
    Consensus,
    ConsiliumError,
    FeatureWindow,
    Prediction,
    to_iso,
)
from consilium.ensemble import Gates, account, action, coverage, make_gates
from consilium.market.candles import CandleSeries
from consilium.market.features import compute_features
from consilium.models import FORECASTERS, make_forecaster
from consilium.training.artefacts import Artefact, load_artefact, save_artefact
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.runs import RunTable
from consilium.training.volatility import daily_volatility
from consilium.training.walkforward import Forecasts, train_final, walk_forward

FALLBACK = "fallback"
FALLBACK_FEATURES = ("rsi_14", "ema_10_gap", "ema_50_gap")
WEIGHTED = (
    "test_log_loss",
    "climatology_log_loss",
    "test_half_brier",
    "climatology_half_brier",
    "test_accuracy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training left behind.

    Parameters
    ----------
    models
        By model: figures over all test parts, folds without skill, and the folder of the artefact.
    failures
        By model, why it failed.
    """

    models: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, str]

    @property
    def summary(self) -> str:
        """FULL, PARTIAL or FAILED."""
        if not self.failures:
            return "FULL"
        return "PARTIAL" if self.models else "FAILED"


def train(
    settings: Settings,
    observed: Observed,
    models: Sequence[str],
    *,
    features: str,
    horizon: int,
    folder: Path,
    progress: ProgressCall = silent,
) -> TrainingResult:
    """Judge each model walk-forward, then train it on all rows and store it.

    A failing model does not stop the others; an artefact is replaced only when the new one is whole.

    Raises
    ------
    ConsiliumError
        Data too short for the folds, or no model could be trained.
    """
    chosen = factories(models, ())
    dataset = build_dataset(observed.panel, features, LabelSpec(horizon=horizon))
    chosen = factories(models, dataset.feature_names)
    training = settings.training
    config = {
        "models": list(models),
        "features": features,
        "horizon": horizon,
        "universe": list(dataset.symbols),
        "training": training.model_dump(mode="json"),
    }
    clock = SystemClock()
    table = RunTable(settings.data_dir / "runs.db", clock)
    with table.start(
        "train", config, seed=training.seed, data_digest=observed.digest(), code_version=__version__
    ) as row:
        forecasts = walk_forward(
            dataset,
            chosen,
            folds=training.folds,
            first_fraction=training.first_fraction,
            seed=training.seed,
            jobs=training.jobs,
            progress=lambda done, total, text: progress("train walk-forward", done, total, text),
        )
        failures = {f.model: f.error for f in forecasts.failures}
        stored: dict[str, Mapping[str, Any]] = {}
        for done, name in enumerate(forecasts.probabilities):
            progress("train for service", done, len(forecasts.probabilities), name)
            figures = walk_forward_figures(forecasts, name) | last_calls(forecasts)
            try:
                final = train_final(dataset, chosen[name], name=name, seed=training.seed)
            except Exception as error:  # noqa: BLE001 - whatever a plug-in raises must not stop the other models
                failures[name] = " ".join(str(error).split()) or type(error).__name__
                continue
            place = save_artefact(
                folder / name, final, ts_created=clock.now_ns(), code_version=__version__, metrics=figures
            )
            stored[name] = {**figures, "skilled_now": final.skilled, "folder": str(place)}
        progress("train for service", len(stored), len(stored))
        row.record({"models": stored, "failures": failures})
    return TrainingResult(models=stored, failures=failures)


def walk_forward_figures(forecasts: Forecasts, name: str) -> dict[str, Any]:
    """Return a model's figures over all test parts, weighted by their rows."""
    rows = np.array([fold.test_rows for fold in forecasts.folds], dtype=np.float64)
    figures: dict[str, Any] = {}
    for key in WEIGHTED:
        values = np.array([fold.models[name].get(key, np.nan) for fold in forecasts.folds])
        known = np.isfinite(values)
        figures[key] = float(np.average(values[known], weights=rows[known])) if known.any() else None
    figures["no_skill_folds"] = sum(not fold.models[name]["skilled"] for fold in forecasts.folds)
    figures["folds"] = len(forecasts.folds)
    return figures


def last_calls(forecasts: Forecasts) -> dict[str, float]:
    """Return the mean gain and loss of the pool's calls in the newest fold, for the edge gates."""
    gain, loss = forecasts.folds[-1].mean_calls(tuple(forecasts.probabilities))
    return {"mean_gain": gain, "mean_loss": loss}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The artefacts that could be loaded, and why the others could not."""

    artefacts: Mapping[str, Artefact]
    refused: Mapping[str, str]

    @property
    def coverage(self) -> str:
        """How many of the models that were there could be loaded: full, partial or none."""
        return coverage(len(self.artefacts), len(self.artefacts) + len(self.refused))


def load_pool(folder: Path, models: Sequence[str] | None = None) -> Pool:
    """Load the models of a folder, one sub-folder each.

    Parameters
    ----------
    folder
        What `train` wrote; a missing folder is an empty pool.
    models
        Which to load; None means all that are there.

    Raises
    ------
    ArtefactRefused
        Models were asked for or found, and every one is refused.
    """
    found = (
        sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        if folder.is_dir()
        else []
    )
    artefacts: dict[str, Artefact] = {}
    refused: dict[str, str] = {}
    first: ArtefactRefused | None = None
    for name in models or found:
        try:
            artefacts[name] = load_artefact(folder / name)
        except ArtefactRefused as error:
            first = first or error
            refused[name] = str(error)
    if first is not None and not artefacts:
        raise first
    return Pool(artefacts=artefacts, refused=refused)


def predict(
    settings: Settings, observed: Observed, pool: Pool, *, rule: str, trust: str, gates: str
) -> list[dict[str, Any]]:
    """Forecast the newest finished bar of each symbol and reach consensus.

    Without a model the RSI/EMA fallback speaks (coverage none; it acts on paper only).

    Raises
    ------
    ConsiliumError
        Models of different labels, bars of another length than they were trained on, or too short a history.
    """
    _same_question(pool)
    names = tuple(pool.artefacts) or tuple(FORECASTERS)
    ensemble = make_ensemble(settings, names, rule=rule, trust=trust, gates=_gates(settings, pool, gates))
    spoken: list[Consensus] = []

    def keep(consensus: Consensus) -> tuple[()]:
        spoken.append(consensus)
        return ()

    bus = make_bus(ensemble, keep)
    result = []
    for symbol, series in observed.panel.items():
        spoken.clear()
        window = _window(series)
        predictions = _predictions(settings, series, pool)
        for message in (window, *predictions):
            bus.publish(message)
        for consensus in ensemble.flush():
            bus.publish(consensus)
        if bus.dead_letters:
            raise ConsiliumError("no handler may fail", bus.dead_letters[0].error, "report it")
        (consensus,) = spoken
        result.append(_row(symbol, predictions, consensus, window.volatility, pool.coverage))
    return result


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


def _window(series: CandleSeries) -> FeatureWindow:
    volatility = float(daily_volatility(series.close, series.bars_per_day)[-1])
    return FeatureWindow(
        symbol=series.symbol,
        ts_event=int(series.ts_close[-1]),
        features=np.empty((0, 0)),
        volatility=volatility if np.isfinite(volatility) else 0.0,
    )


def _predictions(settings: Settings, series: CandleSeries, pool: Pool) -> list[Prediction]:
    if not pool.artefacts:
        return [_fallback(settings, series)]
    computed: dict[tuple[str, ...], np.ndarray[Any, np.dtype[np.float64]]] = {}
    predictions = []
    for name, artefact in pool.artefacts.items():
        model = artefact.model
        if series.interval_ns != model.interval_ns:
            raise ConsiliumError(
                f"{name} forecasts bars of {model.interval_ns // 60_000_000_000} minutes",
                f"{series.symbol} with bars of {series.interval_ns // 60_000_000_000} minutes",
                "give candles of the interval that it was trained on",
            )
        if model.feature_names not in computed:
            computed[model.feature_names] = compute_features(series, model.feature_names)
        newest = _newest(series, computed[model.feature_names], model.window)
        probabilities, expected = artefact.predict(newest)
        predictions.append(
            Prediction(
                model=name,
                symbol=series.symbol,
                ts_event=int(series.ts_close[-1]),
                horizon_ns=model.spec.horizon * model.interval_ns,
                label_id=model.label_id,
                probabilities=tuple(float(p) for p in probabilities[0]),  # type: ignore[arg-type]
                expected_return=float(expected[0]),
            )
        )
    return predictions


def _newest(
    series: CandleSeries, features: np.ndarray[Any, np.dtype[np.float64]], window: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    rows = features[-window:]
    if len(rows) < window or not np.isfinite(rows).all():
        raise ConsiliumError(
            f"the features of the newest bar need a history longer than {len(series)} bars",
            f"{len(series)} bars of {series.symbol}",
            "give more bars, or train with --features core14",
        )
    return rows if window == 1 else rows[np.newaxis]


def _fallback(settings: Settings, series: CandleSeries) -> Prediction:
    horizon = settings.training.horizon
    rows = _newest(series, compute_features(series, FALLBACK_FEATURES), 1)
    probabilities = make_forecaster(FALLBACK, feature_names=FALLBACK_FEATURES).predict_proba(rows)[0]
    return Prediction(
        model=FALLBACK,
        symbol=series.symbol,
        ts_event=int(series.ts_close[-1]),
        horizon_ns=horizon * series.interval_ns,
        label_id=LabelSpec(horizon=horizon).label_id(series.interval_ns),
        probabilities=tuple(float(p) for p in probabilities),  # type: ignore[arg-type]
    )


def _row(
    symbol: str, predictions: Sequence[Prediction], consensus: Consensus, volatility: float, loaded: str
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
