"""Combinatorial purged cross-validation of forecasters: several histories of tests instead of one.

::

    groups       |   1   |   2   |   3   |   4   |   5   |   6   |
    one split    | fit   |*tested|eee fit|stop   |calib *|tested |     * purged, e embargo
    its parts    fit | stop | calibration: the training rows in the order of time, purged at both borders

Letters: N groups, k of them tested together, C(N, k) splits, C(N - 1, k - 1) paths.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue, half_brier, log_loss
from consilium.domain.time import SECOND_NS
from consilium.market.features import BOOK50, warm_up, warm_up_seconds
from consilium.training.cpcv import (
    CombinatorialSplit,
    combinatorial_splits,
    group_borders,
    path_count,
    path_table,
)
from consilium.training.dataset import Dataset
from consilium.training.judge.timestamps import mean_by_timestamp
from consilium.training.splits import MIN_TIMES, Fold, final_split
from consilium.training.teaching import Teaching
from consilium.training.trainer import Factory, derive_seed, forecast, train_on
from consilium.training.workers import spread

FloatArray = NDArray[np.float64]
Progress = Callable[[int, int, str], None]

MAX_FIT_ROWS = 20_000
"""Rows of a fit: fifteen times as many models are trained as there are folds, and none of them serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathScores:
    """One model on every path; lower is better.

    Parameters
    ----------
    differences
        Half-Brier less that of climatology by path, means of timestamp means; empty if the model failed.
    log_losses
        Log-loss by path, nats.
    no_skill
        Splits in which the model emitted climatology.
    reason
        Why there are no scores; None if there are.
    """

    differences: tuple[float, ...]
    log_losses: tuple[float, ...]
    no_skill: int
    reason: str | None = None

    @property
    def mean(self) -> float | None:
        """Mean over the paths; None without scores."""
        return float(np.mean(self.differences)) if self.differences else None

    @property
    def worst(self) -> float | None:
        """The largest difference of a path; None without scores."""
        return max(self.differences, default=None)

    @property
    def best(self) -> float | None:
        """The smallest difference of a path; None without scores."""
        return min(self.differences, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedSplit:
    """A split whose tested groups, numbered from 0, leave too little to learn from."""

    groups: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidated:
    """What every model did on every path.

    Parameters
    ----------
    groups, tested
        N and k.
    splits, paths
        C(N, k) and C(N - 1, k - 1).
    embargo_ns
        Time left out after each tested block, nanoseconds.
    max_fit_rows
        Most rows of a fit; None where all were used.
    models
        Scores by model.
    skipped
        Splits without a model; the paths then lack the groups that these would have forecast.
    """

    groups: int
    tested: int
    splits: int
    paths: int
    embargo_ns: int
    max_fit_rows: int | None
    models: Mapping[str, PathScores]
    skipped: tuple[SkippedSplit, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cell:
    """One model on one split: losses of the labelled tested rows, in their order."""

    model: str
    split: int
    difference: FloatArray
    log_loss: FloatArray
    skilled: bool
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    model: str
    split: int
    factory: Factory
    fold: Fold
    seed: int


def embargo_of(dataset: Dataset) -> int:
    """Return the larger of the horizon and the longest feature window, nanoseconds.

    The longest window is the bars that a feature needs before it is given, 1,000 for candle62; features of
    books need seconds, 30 at most.
    """
    of_book = [name for name in dataset.feature_names if name in BOOK50]
    seconds = warm_up_seconds(of_book) if of_book else 0
    bars = warm_up(dataset.feature_names)
    return max(dataset.horizon_ns, bars * dataset.interval_ns, seconds * SECOND_NS)


def cross_validate(
    dataset: Dataset,
    factories: Mapping[str, Factory],
    *,
    groups: int = 6,
    tested: int = 2,
    embargo_ns: int,
    seed: int,
    jobs: int = 1,
    learn: NDArray[np.bool_] | None = None,
    max_fit_rows: int | None = MAX_FIT_ROWS,
    progress: Progress | None = None,
    teaching: Teaching | None = None,
) -> CrossValidated:
    """Train every model on every split and score it on the tested groups, joined to paths.

    The training rows of a split, purged and embargoed, are cut by time into fit, early stop and calibration
    as in a walk-forward, with the same purge at both borders; a model without skill on its calibration part
    emits climatology, the class shares of the split's fit part. The groups that a path joins were forecast by
    different splits; every forecast is used in exactly one path. The same arguments give the same numbers for
    any ``jobs``.

    Parameters
    ----------
    dataset
        Development rows only: the forecasts of a tested group know what came after it.
    factories
        By name, a function that makes the unfitted forecaster.
    groups, tested
        N >= 2, and k in [1, N - 1].
    embargo_ns
        Time after a tested block in which nothing is learned, >= 0; see `embargo_of`.
    seed
        Seed of the run.
    jobs
        Worker processes, >= 1; each runs one thread.
    learn
        Shape (n,), rows that take part; others are neither learned from nor scored. All by default.
    max_fit_rows
        Most rows of a fit, evenly strided over time; None for all.
    progress
        Called as ``progress(done, total, text)`` after each model and split, in this process.
    teaching
        As in `train_on`.

    Returns
    -------
    CrossValidated; a split that leaves too few times to train on is skipped and named.

    Raises
    ------
    InvalidValue
        No models, a parameter outside its bound, a mask of another length, fewer times than groups.

    References
    ----------
    Lopez de Prado (2018), ch. 12.
    """
    _check(dataset, factories, jobs, learn)
    rows = dataset if learn is None else dataset.where(learn)
    cut = {"groups": groups, "tested": tested, "embargo_ns": embargo_ns}
    splits = list(combinatorial_splits(rows.ts_event, rows.ts_matured, labelled=rows.labelled, **cut))
    folds, skipped = _folds(rows, splits)
    tasks = [
        _Task(name, index, factory, fold, derive_seed(seed, name, "cross-validation", *splits[index].groups))
        for index, fold in folds.items()
        for name, factory in factories.items()
    ]
    cells: dict[tuple[str, int], _Cell] = {}
    calls = [partial(_run, rows, task, max_fit_rows, teaching) for task in tasks]
    for done, cell in enumerate(spread(calls, jobs), start=1):
        cells[cell.model, cell.split] = cell
        if progress is not None:
            progress(done, len(tasks), f"{cell.model}, split {cell.split + 1} of {len(splits)}")
    paths = _Paths(rows, splits, path_table(groups, tested), group_borders(rows.ts_event, groups))
    return CrossValidated(
        **cut,
        splits=len(splits),
        paths=path_count(groups, tested),
        max_fit_rows=max_fit_rows,
        models={name: paths.score([cells[name, index] for index in folds]) for name in factories},
        skipped=skipped,
    )


def _check(
    dataset: Dataset, factories: Mapping[str, Factory], jobs: int, learn: NDArray[np.bool_] | None
) -> None:
    if not factories:
        raise InvalidValue("cross_validate needs at least 1 model", 0, "name one")
    if jobs < 1:
        raise InvalidValue("jobs must be >= 1", jobs, "use the number of cores")
    if learn is not None and learn.shape != (len(dataset),):
        raise InvalidValue(
            f"learn must have shape ({len(dataset)},)", learn.shape, "give one value for each row"
        )


def purged_fold(dataset: Dataset, split: CombinatorialSplit) -> Fold:
    """Cut the training rows of a split by time into fit | early stop | calibration, purged at both borders.

    Gaps that tested groups and embargoes leave stay gaps; the test holds the labelled rows of the tested
    groups, in the order of time.

    Raises
    ------
    InvalidValue
        Too few times to learn from and to judge skill on.
    """
    # Half of the times at least go to fit and stop, so both halves of calibration find room in the other.
    needed = 2 * (2 * MIN_TIMES + 3 * max(1, dataset.horizon_ns // dataset.interval_ns))
    times = len(np.unique(dataset.ts_event[split.train]))
    if times < needed:
        raise InvalidValue(f"a split needs >= {needed} times to learn from", times, "give a longer history")
    learned = np.zeros(len(dataset), dtype=np.bool_)
    learned[split.train] = True
    fold = final_split(dataset.ts_event, dataset.ts_matured, labelled=learned, judged_times=MIN_TIMES)
    return replace(fold, test=split.test[dataset.labelled[split.test]])


def _folds(
    dataset: Dataset, splits: list[CombinatorialSplit]
) -> tuple[dict[int, Fold], tuple[SkippedSplit, ...]]:
    folds: dict[int, Fold] = {}
    skipped = []
    for index, split in enumerate(splits):
        try:
            folds[index] = purged_fold(dataset, split)
        except InvalidValue as error:
            skipped.append(SkippedSplit(groups=split.groups, reason=str(error)))
    return folds, tuple(skipped)


def _run(dataset: Dataset, task: _Task, max_fit_rows: int | None, teaching: Teaching | None) -> _Cell:
    try:
        trained = train_on(
            dataset,
            task.fold,
            task.factory,
            name=task.model,
            seed=task.seed,
            max_fit_rows=max_fit_rows,
            teaching=teaching,
        )
        p, _ = forecast(dataset, task.fold.test, trained)
    except Exception as error:  # noqa: BLE001 - whatever a plug-in raises must not stop the other models
        text = " ".join(str(error).split()) or type(error).__name__
        nothing = np.empty(0)
        return _Cell(
            model=task.model,
            split=task.split,
            difference=nothing,
            log_loss=nothing,
            skilled=False,
            error=text,
        )
    y = dataset.y[task.fold.test]
    return _Cell(
        model=task.model,
        split=task.split,
        difference=half_brier(p, y) - half_brier(trained.means.climatology(len(y)), y),
        log_loss=log_loss(p, y),
        skilled=trained.skilled,
    )


class _Paths:
    """Joins the groups that different splits forecast."""

    def __init__(
        self,
        dataset: Dataset,
        splits: list[CombinatorialSplit],
        table: NDArray[np.int64],
        borders: NDArray[np.int64],
    ) -> None:
        self.table, self.borders, self.splits = table, borders, splits
        self.ts_event = dataset.ts_event
        self.rows = [split.test[dataset.labelled[split.test]] for split in splits]

    def score(self, cells: list[_Cell]) -> PathScores:
        """Return a model's mean losses on each path."""
        failed = next((cell for cell in cells if cell.error is not None), None)
        no_skill = sum(not cell.skilled for cell in cells)
        if failed is not None or not cells:
            reason = "every split left too little to learn from"
            if failed is not None:
                tested = " and ".join(str(group + 1) for group in self.splits[failed.split].groups)
                reason = f"failed where groups {tested} were tested: {failed.error}"
            return PathScores(differences=(), log_losses=(), no_skill=no_skill, reason=reason)
        by_split = {cell.split: cell for cell in cells}
        means = [mean for path in self.table if (mean := self._means(path, by_split)) is not None]
        return PathScores(
            differences=tuple(float(mean[0]) for mean in means),
            log_losses=tuple(float(mean[1]) for mean in means),
            no_skill=no_skill,
        )

    def _means(self, path: NDArray[np.int64], cells: Mapping[int, _Cell]) -> FloatArray | None:
        """Mean difference and log-loss over the timestamps of a path; None if nothing forecast it."""
        losses, times = [], []
        for group, split in enumerate(path.tolist()):
            if split not in cells:
                continue
            rows = self.rows[split]
            mine = (rows >= self.borders[group]) & (rows < self.borders[group + 1])
            losses.append(np.column_stack([cells[split].difference, cells[split].log_loss])[mine])
            times.append(self.ts_event[rows[mine]])
        joined = np.concatenate(times) if times else np.empty(0, dtype=np.int64)
        if len(joined) == 0:
            return None
        mean: FloatArray = mean_by_timestamp(np.concatenate(losses), joined)[1].mean(axis=0)
        return mean
