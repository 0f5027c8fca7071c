"""Walk-forward: every model forecasts each test part having seen only what was known before it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem, InvalidValue, half_brier, log_loss
from consilium.training.calibration import timestamp_weights
from consilium.training.class_means import ClassMeans, class_means
from consilium.training.dataset import Dataset
from consilium.training.forecasts import FoldSummary, Forecasts, ModelFailure
from consilium.training.scaler import WINSOR
from consilium.training.splits import CALIBRATION_FRACTION, MIN_TIMES, STOP_FRACTION, Fold, walk_forward_folds
from consilium.training.teaching import Teaching
from consilium.training.trained import TrainedModel
from consilium.training.trainer import (
    Factory,
    derive_seed,
    forecast,
    train_final,
    train_on,
)
from consilium.training.workers import spread

__all__ = ["cut_folds", "train_final", "walk_forward"]

Rows = NDArray[np.int64]
Progress = Callable[[int, int, str], None]


class NothingTrained(DataProblem):
    """No model could be trained in every fold.

    Parameters
    ----------
    failures
        All of them, at least one.
    """

    def __init__(self, failures: Sequence[ModelFailure]) -> None:
        self.failures = tuple(failures)
        first = failures[0]
        super().__init__(
            "at least 1 model must train in every fold",
            f"{first.model} in fold {first.fold + 1}: {first.error}",
            "see the error of the model",
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cell:
    """What one model did in one fold."""

    model: str
    fold: int
    probabilities: NDArray[np.float64]
    spoke: NDArray[np.bool_]
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """One model on one fold; it may run in another process."""

    dataset: Dataset
    fold: Fold
    factory: Factory
    name: str
    index: int
    seed: int
    max_fit_rows: int | None
    winsor: float | None
    teaching: Teaching

    def run(self) -> _Cell | ModelFailure:
        dataset, test = self.dataset, self.fold.test
        try:
            trained = train_on(
                dataset,
                self.fold,
                self.factory,
                name=self.name,
                seed=self.seed,
                max_fit_rows=self.max_fit_rows,
                winsor=self.winsor,
                teaching=self.teaching,
                part=f"fold {self.index + 1}",
            )
            probabilities, spoke = forecast(dataset, test, trained)
            figures = _figures(dataset, test, probabilities, trained)
        except Exception as error:  # noqa: BLE001 - whatever a plug-in raises must not stop the other models
            text = " ".join(str(error).split()) or type(error).__name__
            return ModelFailure(model=self.name, fold=self.index, error=text)
        return _Cell(
            model=self.name, fold=self.index, probabilities=probabilities, spoke=spoke, figures=figures
        )


def walk_forward(
    dataset: Dataset,
    models: Mapping[str, Factory],
    *,
    folds: int = 5,
    first_fraction: float = 0.4,
    seed: int,
    progress: Progress | None = None,
    jobs: int = 1,
    stop_fraction: float = STOP_FRACTION,
    calibration_fraction: float = CALIBRATION_FRACTION,
    max_fit_rows: int | None = None,
    winsor: float | None = WINSOR,
    learn: NDArray[np.bool_] | None = None,
    ts_first_test: int | None = None,
    keep_failed: bool = False,
    teaching: Teaching | None = None,
) -> Forecasts:
    """Train every model in every fold and forecast the test parts.

    Per fold and model: the scaler learns on fit; the model fits on fit with early stopping on stop;
    temperature and bias are fitted, and skill is judged, on calibration; then it forecasts test. Randomness
    comes from (seed, model, fold): the same arguments give the same bits, for any number of jobs.

    Parameters
    ----------
    dataset
        Rows of all symbols in the order of time.
    models
        By name, a function that makes the unfitted forecaster. A ``seed`` or ``random_state`` parameter is
        overwritten by the derived seed.
    folds, first_fraction, stop_fraction, calibration_fraction, ts_first_test
        As in `walk_forward_folds`.
    seed
        Seed of the run.
    progress
        Called as ``progress(done, total, text)`` after each model and fold, in this process.
    jobs
        Worker processes, >= 1; each runs one thread.
    max_fit_rows, winsor
        As in `train_on`.
    learn
        Shape (N,), rows that may be learned from if they have an outcome; None for all. Test rows are
        forecast whether they may be learned from or not, so that symbols never seen can be judged.
    keep_failed
        Whether a model that fails in some fold emits climatology there, as one without skill does, and stays;
        else it is left out of all folds, which lets a later fold decide who took part in an earlier one.
    teaching
        As in `train_on`; with several jobs nobody is told of epochs, for they pass in other processes.

    Returns
    -------
    Forecasts

    Raises
    ------
    InvalidValue
        No models, jobs < 1, or a part of a fold is empty or too small.
    NothingTrained
        No model could be trained in every fold.
    """
    if not models:
        raise InvalidValue("walk_forward needs at least 1 model", 0, "name one")
    if jobs < 1:
        raise InvalidValue("jobs must be >= 1", jobs, "use the number of cores")
    cuts = cut_folds(
        dataset,
        folds=folds,
        first_fraction=first_fraction,
        stop_fraction=stop_fraction,
        calibration_fraction=calibration_fraction,
        learn=learn,
        ts_first_test=ts_first_test,
    )
    teaching = teaching or Teaching()
    teaching.require()
    how = teaching if jobs == 1 else replace(teaching, tell=None)
    tasks = [
        _Task(dataset, fold, factory, name, index, derive_seed(seed, name, index), max_fit_rows, winsor, how)
        for index, fold in enumerate(cuts)
        for name, factory in models.items()
    ]
    cells, failures = _carried_out(tasks, jobs, progress or _unheard)
    failed = set() if keep_failed else {failure.model for failure in failures}
    staying = [name for name in models if name not in failed] if cells else []
    if not staying:
        raise NothingTrained(failures)
    return _merge(dataset, cuts, _without_gaps(dataset, cuts, staying, cells), failures)


def cut_folds(
    dataset: Dataset,
    *,
    folds: int = 5,
    first_fraction: float = 0.4,
    stop_fraction: float = STOP_FRACTION,
    calibration_fraction: float = CALIBRATION_FRACTION,
    learn: NDArray[np.bool_] | None = None,
    ts_first_test: int | None = None,
) -> tuple[Fold, ...]:
    """Cut a dataset into the folds of `walk_forward`; nothing is trained.

    Parameters and errors are those of `walk_forward` and `walk_forward_folds`.
    """
    return walk_forward_folds(
        dataset.ts_event,
        dataset.ts_matured,
        labelled=dataset.labelled if learn is None else dataset.labelled & learn,
        folds=folds,
        first_fraction=first_fraction,
        stop_fraction=stop_fraction,
        calibration_fraction=calibration_fraction,
        judged_times=MIN_TIMES,
        ts_first_test=ts_first_test,
    )


def _unheard(done: int, total: int, text: str) -> None:
    """Tell nobody."""


def _carried_out(
    tasks: Sequence[_Task], jobs: int, progress: Progress
) -> tuple[dict[tuple[str, int], _Cell], tuple[ModelFailure, ...]]:
    """Return the cells by model and fold, and what failed in the order of the tasks."""
    cells: dict[tuple[str, int], _Cell] = {}
    failures: dict[tuple[str, int], ModelFailure] = {}
    folds = 1 + max(task.index for task in tasks)
    for done, result in enumerate(spread([task.run for task in tasks], jobs), start=1):
        if isinstance(result, ModelFailure):
            failures[result.model, result.fold] = result
        else:
            cells[result.model, result.fold] = result
        progress(done, len(tasks), f"{result.model}, fold {result.fold + 1} of {folds}")
    places = ((task.name, task.index) for task in tasks)
    return cells, tuple(failures[place] for place in places if place in failures)


def _without_gaps(
    dataset: Dataset,
    cuts: Sequence[Fold],
    names: Sequence[str],
    cells: Mapping[tuple[str, int], _Cell],
) -> dict[str, list[_Cell]]:
    """Return the cells of the models that stay, fold by fold; climatology where one failed."""
    return {
        name: [
            cells.get((name, index)) or _silent_cell(dataset, fold, name, index)
            for index, fold in enumerate(cuts)
        ]
        for name in names
    }


def _silent_cell(dataset: Dataset, fold: Fold, name: str, index: int) -> _Cell:
    means = class_means(dataset.y[fold.fit], dataset.realised_return[fold.fit])
    return _Cell(
        model=name,
        fold=index,
        probabilities=means.climatology(len(fold.test)),
        spoke=np.zeros(len(fold.test), dtype=np.bool_),
        figures={"skilled": 0.0, "failed": 1.0},
    )


def _figures(
    dataset: Dataset, rows: Rows, probabilities: NDArray[np.float64], trained: TrainedModel
) -> dict[str, float]:
    figures = {**trained.figures, "skilled": float(trained.skilled)}
    known = dataset.labelled[rows]
    if not np.any(known):
        return figures
    y, p = dataset.y[rows[known]], probabilities[known]
    prior = trained.means.climatology(len(y))
    weights = timestamp_weights(dataset.ts_event[rows[known]])
    return figures | {
        "test_log_loss": float(weights @ log_loss(p, y)),
        "test_half_brier": float(weights @ half_brier(p, y)),
        "test_accuracy": float(weights @ (p.argmax(axis=1) == y)),
        "climatology_log_loss": float(weights @ log_loss(prior, y)),
        "climatology_half_brier": float(weights @ half_brier(prior, y)),
    }


def _merge(
    dataset: Dataset,
    cuts: tuple[Fold, ...],
    parts: Mapping[str, list[_Cell]],
    failures: tuple[ModelFailure, ...],
) -> Forecasts:
    """Lay the folds one after the other."""
    starts = np.cumsum([0, *(len(fold.test) for fold in cuts)])
    means = [class_means(dataset.y[fold.fit], dataset.realised_return[fold.fit]) for fold in cuts]
    expected = {
        name: np.concatenate([means[c.fold].expected_return(c.probabilities) for c in cells])
        for name, cells in parts.items()
    }
    summaries = [
        _summary(dataset, fold, means[index], index, int(starts[index]), [c[index] for c in parts.values()])
        for index, fold in enumerate(cuts)
    ]
    return Forecasts(
        rows=np.concatenate([fold.test for fold in cuts]),
        probabilities={name: np.concatenate([c.probabilities for c in parts[name]]) for name in parts},
        expected_return=expected,
        skilled={name: np.concatenate([c.spoke for c in parts[name]]) for name in parts},
        climatology=np.concatenate(
            [mean.climatology(len(fold.test)) for mean, fold in zip(means, cuts, strict=True)]
        ),
        folds=tuple(summaries),
        failures=failures,
    )


def _summary(
    dataset: Dataset, fold: Fold, means: ClassMeans, index: int, start: int, cells: Sequence[_Cell]
) -> FoldSummary:
    return FoldSummary(
        index=index,
        start=start,
        stop=start + len(fold.test),
        ts_start=int(dataset.ts_event[fold.fit[0]]),
        ts_stop=fold.ts_stop,
        ts_calibration=fold.ts_calibration,
        ts_test=fold.ts_test,
        ts_end=fold.ts_end,
        fit_rows=len(fold.fit),
        stop_rows=len(fold.stop),
        calibration_rows=len(fold.calibration),
        test_rows=len(fold.test),
        prior=means.prior,
        mean_down=means.down,
        mean_flat=means.flat,
        mean_up=means.up,
        typical_move=float(np.abs(dataset.realised_return[fold.calibration]).mean()),
        models={cell.model: cell.figures for cell in cells},
    )
