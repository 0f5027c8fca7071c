"""Development first, then the lock-box: the forecasts that a judgement rests on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import factories, teaching_of
from consilium.app.judge.split import Split
from consilium.app.stages import ProgressCall, silent
from consilium.domain import ConsiliumError, DataProblem, half_brier, log_loss
from consilium.domain.wording import counted
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge import mean_by_timestamp
from consilium.training.walkforward import cut_folds, walk_forward

FEWEST_FOLDS = 5
LOCKBOX_FOLDS = 4
"""How often the models are trained again inside the lock-box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Developed:
    """What development taught.

    Parameters
    ----------
    forecasts
        Of the development's test parts, rows of the development dataset.
    best_single
        The model with the lowest half-Brier there: the comparator of the lock-box.
    figures
        By model of the pool and baseline, over the labelled test rows.
    """

    forecasts: Forecasts
    best_single: str
    figures: Mapping[str, Mapping[str, float | int]]


def develop(request: BacktestRequest, dataset: Dataset, progress: ProgressCall = silent) -> Developed:
    """Train walk-forward inside the development part and choose the best single model.

    Parameters
    ----------
    dataset
        Rows of the development part only.

    Raises
    ------
    ConsiliumError
        No model of the pool could be trained.
    DataProblem
        Outcomes that are all alike.
    InvalidValue
        A history that is too short for the folds.
    """
    forecasts = _walk(request, dataset, "train in development", progress, folds=folds_of(request))
    figures = _figures(dataset, forecasts)
    members = [name for name in request.models if name in figures]
    best = min(members, key=lambda name: (figures[name]["half_brier"], members.index(name)))
    return Developed(forecasts=forecasts, best_single=best, figures=figures)


def folds_of(request: BacktestRequest) -> int:
    """Return the folds of the development part: those of the settings, five at least."""
    return max(FEWEST_FOLDS, request.settings.training.folds)


def cut_all(request: BacktestRequest, dataset: Dataset) -> None:
    """Make sure that development and lock-box can be cut into their folds; nothing is trained or read.

    Raises
    ------
    DataProblem, InvalidValue
        A history that is too short for them.
    """
    split = Split.of(dataset)
    first_fraction = request.settings.training.first_fraction
    cut_folds(split.development(), folds=folds_of(request), first_fraction=first_fraction)
    cut_folds(
        split.dataset,
        folds=LOCKBOX_FOLDS,
        first_fraction=first_fraction,
        learn=split.seen,
        ts_first_test=split.ts_lockbox,
    )


def open_lockbox(request: BacktestRequest, split: Split, progress: ProgressCall = silent) -> Forecasts:
    """Forecast the lock-box walk-forward: all earlier rows of seen symbols may be learned from.

    Who takes part was decided in development: a model that fails in a fold here emits climatology there.

    Raises
    ------
    ConsiliumError
        No model of the pool could be trained.
    DataProblem
        Outcomes that are all alike.
    """
    return _walk(
        request,
        split.dataset,
        "train in the lock-box",
        progress,
        folds=LOCKBOX_FOLDS,
        learn=split.seen,
        ts_first_test=split.ts_lockbox,
        keep_failed=True,
    )


def _walk(
    request: BacktestRequest,
    dataset: Dataset,
    stage: str,
    progress: ProgressCall,
    *,
    folds: int,
    learn: NDArray[np.bool_] | None = None,
    ts_first_test: int | None = None,
    keep_failed: bool = False,
) -> Forecasts:
    training = request.settings.training
    forecasts = walk_forward(
        dataset,
        factories((*request.models, *request.baselines), dataset.feature_names, training),
        folds=folds,
        first_fraction=training.first_fraction,
        seed=training.seed,
        jobs=training.jobs,
        teaching=teaching_of(training),
        progress=lambda done, total, text: progress(stage, done, total, text),
        learn=learn,
        ts_first_test=ts_first_test,
        keep_failed=keep_failed,
    )
    if not any(_trained(forecasts, name) for name in request.models):
        first = next(f for f in forecasts.failures if f.model in request.models)
        raise ConsiliumError(
            "at least one model of the pool must train", f"{first.model}: {first.error}", "mend it"
        )
    known = dataset.y[forecasts.rows][dataset.labelled[forecasts.rows]]
    if len(np.unique(known)) < 2:
        raise DataProblem(
            "each part needs outcomes of two directions at least",
            f"{counted(len(known), 'outcome')}, all alike" if len(known) else "no outcome",
            "give a longer history of prices that move",
        )
    return forecasts


def _trained(forecasts: Forecasts, name: str) -> bool:
    """Tell whether a model took part in at least one fold."""
    return name in forecasts.probabilities and any("failed" not in f.models[name] for f in forecasts.folds)


def _figures(dataset: Dataset, forecasts: Forecasts) -> dict[str, dict[str, float | int]]:
    places = np.flatnonzero(dataset.labelled[forecasts.rows])
    rows = forecasts.rows[places]
    y, ts = dataset.y[rows], dataset.ts_event[rows]

    def mean(loss: NDArray[np.float64]) -> float:
        return float(mean_by_timestamp(loss, ts)[1].mean())

    climatology = mean(half_brier(forecasts.climatology[places], y))
    return {
        name: {
            "half_brier": mean(half_brier(p[places], y)),
            "climatology": climatology,
            "log_loss": mean(log_loss(p[places], y)),
            "no_skill_folds": sum(not fold.models[name]["skilled"] for fold in forecasts.folds),
            "folds": len(forecasts.folds),
        }
        for name, p in forecasts.probabilities.items()
    }
