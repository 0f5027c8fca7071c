"""Walk-forward: every model forecasts each test part having seen only what was known before it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import joblib
import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem, InvalidValue, half_brier, log_loss
from consilium.training.calibration import timestamp_weights
from consilium.training.dataset import Dataset
from consilium.training.forecasts import FoldSummary, Forecasts, ModelFailure
from consilium.training.scaler import WINSOR
from consilium.training.splits import CALIBRATION_FRACTION, MIN_TIMES, STOP_FRACTION, Fold, walk_forward_folds
from consilium.training.trainer import (
    Factory,
    TrainedModel,
    class_means,
    derive_seed,
    forecast,
    raw_forecasts,
    train_final,
    train_on,
)

__all__ = ["train_final", "walk_forward"]

Rows = NDArray[np.int64]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cell:
    """What one model did in one fold."""

    model: str
    fold: int
    probabilities: NDArray[np.float64]
    spoke: NDArray[np.bool_]
    figures: Mapping[str, float]


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

    Returns
    -------
    Forecasts

    Raises
    ------
    InvalidValue
        No models, jobs < 1, or a part of a fold is empty or too small.
    DataProblem
        No model could be trained in every fold.
    """
    if not models:
        raise InvalidValue("walk_forward needs at least 1 model", 0, "name one")
    if jobs < 1:
        raise InvalidValue("jobs must be >= 1", jobs, "use the number of cores")
    cuts = walk_forward_folds(
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
    tasks = [
        joblib.delayed(_run_cell)(
            dataset, fold, factory, name, index, derive_seed(seed, name, index), max_fit_rows, winsor
        )
        for index, fold in enumerate(cuts)
        for name, factory in models.items()
    ]
    cells: dict[tuple[str, int], _Cell] = {}
    failures: list[ModelFailure] = []
    for done, result in enumerate(_results(tasks, jobs), start=1):
        if isinstance(result, ModelFailure):
            failures.append(result)
        else:
            cells[result.model, result.fold] = result
        if progress is not None:
            progress(done, len(tasks), f"{result.model}, fold {result.fold + 1} of {len(cuts)}")
    failures.sort(key=lambda failure: (failure.fold, list(models).index(failure.model)))
    failed = set() if keep_failed else {failure.model for failure in failures}
    names = [name for name in models if name not in failed] if cells else []
    if not names:
        raise DataProblem(
            "at least 1 model must train in every fold", _first_line(failures), "see the error of the model"
        )
    for name in names:
        for index, fold in enumerate(cuts):
            if (name, index) not in cells:
                cells[name, index] = _silent_cell(dataset, fold, name, index)
    return _merge(dataset, cuts, names, cells, tuple(failures))


def _silent_cell(dataset: Dataset, fold: Fold, name: str, index: int) -> _Cell:
    means = class_means(dataset.y[fold.fit], dataset.realised_return[fold.fit])
    return _Cell(
        model=name,
        fold=index,
        probabilities=means.climatology(len(fold.test)),
        spoke=np.zeros(len(fold.test), dtype=np.bool_),
        figures={"skilled": 0.0, "failed": 1.0},
    )


def _first_line(failures: list[ModelFailure]) -> str:
    return f"{failures[0].model} in fold {failures[0].fold + 1}: {failures[0].error}"


def _results(tasks: list[object], jobs: int) -> Iterator[_Cell | ModelFailure]:
    if jobs == 1:
        for function, arguments, named in tasks:  # type: ignore[misc]
            yield function(*arguments, **named)  # type: ignore[has-type]
        return
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)


def _run_cell(
    dataset: Dataset,
    fold: Fold,
    factory: Factory,
    name: str,
    index: int,
    seed: int,
    max_fit_rows: int | None,
    winsor: float | None,
) -> _Cell | ModelFailure:
    try:
        trained = train_on(
            dataset, fold, factory, name=name, seed=seed, max_fit_rows=max_fit_rows, winsor=winsor
        )
        probabilities, spoke = forecast(dataset, fold.test, trained)
        figures = _figures(dataset, fold.test, probabilities, trained) | _calls(dataset, fold, trained)
    except Exception as error:  # noqa: BLE001 - whatever a plug-in raises must not stop the other models
        text = " ".join(str(error).split()) or type(error).__name__
        return ModelFailure(model=name, fold=index, error=text)
    return _Cell(
        model=name,
        fold=index,
        probabilities=probabilities,
        spoke=spoke,
        figures=figures,
    )


def _calls(dataset: Dataset, fold: Fold, trained: TrainedModel) -> dict[str, float]:
    rows = fold.calibration[dataset.eligible(trained.window)[fold.calibration]]
    raw = raw_forecasts(dataset, rows, trained.forecaster, trained.scaler)
    direction = trained.calibration.calibrator.apply(raw).argmax(axis=1) - 1
    signed = (direction * dataset.realised_return[rows])[direction != 0]
    right = signed > 0
    return {
        "right": float(right.sum()),
        "wrong": float((~right).sum()),
        "gained": float(signed[right].sum()),
        "lost": float(-signed[~right].sum()),
    }


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
    names: list[str],
    cells: Mapping[tuple[str, int], _Cell],
    failures: tuple[ModelFailure, ...],
) -> Forecasts:
    starts = np.cumsum([0, *(len(fold.test) for fold in cuts)])
    means = [class_means(dataset.y[fold.fit], dataset.realised_return[fold.fit]) for fold in cuts]
    summaries = []
    for index, fold in enumerate(cuts):
        here = [cells[name, index] for name in names]
        summaries.append(
            FoldSummary(
                index=index,
                start=int(starts[index]),
                stop=int(starts[index + 1]),
                ts_start=int(dataset.ts_event[fold.fit[0]]),
                ts_stop=fold.ts_stop,
                ts_calibration=fold.ts_calibration,
                ts_test=fold.ts_test,
                ts_end=fold.ts_end,
                fit_rows=len(fold.fit),
                stop_rows=len(fold.stop),
                calibration_rows=len(fold.calibration),
                test_rows=len(fold.test),
                prior=means[index].prior,
                mean_down=means[index].down,
                mean_flat=means[index].flat,
                mean_up=means[index].up,
                typical_move=float(np.abs(dataset.realised_return[fold.calibration]).mean()),
                models={cell.model: cell.figures for cell in here},
            )
        )
    parts = {name: [cells[name, index] for index in range(len(cuts))] for name in names}
    return Forecasts(
        rows=np.concatenate([fold.test for fold in cuts]),
        probabilities={m: np.concatenate([c.probabilities for c in parts[m]]) for m in names},
        expected_return={
            m: np.concatenate([means[c.fold].expected_return(c.probabilities) for c in parts[m]])
            for m in names
        },
        skilled={m: np.concatenate([c.spoke for c in parts[m]]) for m in names},
        climatology=np.concatenate(
            [means[index].climatology(len(fold.test)) for index, fold in enumerate(cuts)]
        ),
        folds=tuple(summaries),
        failures=failures,
    )
