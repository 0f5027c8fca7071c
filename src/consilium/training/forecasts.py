"""What a walk-forward leaves: the forecasts of every test row, fold by fold."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

Rows = NDArray[np.int64]

PSEUDO_CALLS = 50
"""Calls of typical size that are added to the measured ones, so that a handful does not set a mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFailure:
    """A model that could not be trained in a fold; it is left out of the forecasts."""

    model: str
    fold: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSummary:
    """One fold in figures.

    Parameters
    ----------
    index
        0 for the earliest.
    start, stop
        The fold's places in ``Forecasts.rows``: ``rows[start:stop]``.
    ts_start, ts_stop, ts_calibration, ts_test, ts_end
        First times of the parts, and the end of the test; UTC nanoseconds.
    fit_rows, stop_rows, calibration_rows, test_rows
        Rows after the purge.
    prior
        Class shares (down, flat, up) of the fit part.
    mean_down, mean_flat, mean_up
        E[r | class] of the fit part.
    typical_move
        Mean |r| of the calibration part.
    models
        Figures by model: ``skilled`` (0 or 1), ``slope`` (1 / T), rows, ``judged_loss`` against
        ``judged_climatology``, ``test_log_loss``, ``test_half_brier`` and ``test_accuracy`` over labelled
        test rows beside ``climatology_log_loss`` and ``climatology_half_brier``, as means of timestamp
        means; ``gained`` and ``lost``, the sums of |r| over ``right`` and ``wrong`` calls.
    """

    index: int
    start: int
    stop: int
    ts_start: int
    ts_stop: int
    ts_calibration: int
    ts_test: int
    ts_end: int
    fit_rows: int
    stop_rows: int
    calibration_rows: int
    test_rows: int
    prior: tuple[float, float, float]
    mean_down: float
    mean_flat: float
    mean_up: float
    typical_move: float
    models: Mapping[str, Mapping[str, float]]

    def mean_calls(self, models: Collection[str]) -> tuple[float, float]:
        """Return W and L: mean |r| before cost of the right and of the wrong calls on the calibration part.

        A call is a calibrated forecast whose largest probability is UP or DOWN; it is right if r has its
        sign. Models without skill emit no calls. 50 calls of the typical move are added to each, so that a
        few calls, or none, leave both near it.

        Parameters
        ----------
        models
            The members of the ensemble that is to act; others must not move its thresholds.
        """
        acting = [self.models[name] for name in models if self.models[name]["skilled"]]

        def mean(total: str, count: str) -> float:
            moved = sum(figures[total] for figures in acting) + PSEUDO_CALLS * self.typical_move
            return moved / (sum(figures[count] for figures in acting) + PSEUDO_CALLS)

        return mean("gained", "right"), mean("lost", "wrong")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecasts:
    """Forecasts of all models for every row after the first training part.

    Parameters
    ----------
    rows
        Shape (N,), rows of the dataset, ascending.
    probabilities
        By model, shape (N, 3), columns (down, flat, up).
    expected_return
        By model, shape (N,), log return by the class means of the fold.
    skilled
        By model, shape (N,): False where climatology was emitted.
    climatology
        Shape (N, 3), class shares of the fold's fit part.
    folds
        One summary for each fold.
    failures
        Models that failed, with the fold and the error; they have no forecasts.
    """

    rows: Rows
    probabilities: Mapping[str, NDArray[np.float64]]
    expected_return: Mapping[str, NDArray[np.float64]]
    skilled: Mapping[str, NDArray[np.bool_]]
    climatology: NDArray[np.float64]
    folds: tuple[FoldSummary, ...]
    failures: tuple[ModelFailure, ...]

    def renumbered(self, rows: Rows) -> "Forecasts":
        """Return the same forecasts as rows of a larger dataset.

        Parameters
        ----------
        rows
            Shape (n,): for each row of the dataset that was forecast, its row in the larger one, ascending.
        """
        return replace(self, rows=rows[self.rows])

    def followed_by(self, later: "Forecasts") -> "Forecasts":
        """Join two walk-forwards over one dataset, the second of later rows; models in both are kept.

        Raises
        ------
        InvalidValue
            Rows of the second do not all lie behind those of the first, or no model is in both.
        """
        if len(self.rows) and len(later.rows) and self.rows[-1] >= later.rows[0]:
            raise InvalidValue(
                "joined forecasts must follow one another", "rows that overlap", "give the later ones second"
            )
        names = [name for name in self.probabilities if name in later.probabilities]
        if not names:
            raise InvalidValue("joined forecasts need a model in common", "none", "train the same models")
        shift, folds = len(self.rows), len(self.folds)
        moved = tuple(
            replace(fold, index=fold.index + folds, start=fold.start + shift, stop=fold.stop + shift)
            for fold in later.folds
        )

        def both(
            first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]]
        ) -> dict[str, NDArray[Any]]:
            return {name: np.concatenate([first[name], second[name]]) for name in names}

        return Forecasts(
            rows=np.concatenate([self.rows, later.rows]),
            probabilities=both(self.probabilities, later.probabilities),
            expected_return=both(self.expected_return, later.expected_return),
            skilled=both(self.skilled, later.skilled),
            climatology=np.concatenate([self.climatology, later.climatology]),
            folds=(*self.folds, *moved),
            failures=(*self.failures, *(replace(f, fold=f.fold + folds) for f in later.failures)),
        )

    def since_fold(self, index: int) -> "Forecasts":
        """Return the folds from one on, numbered from 0.

        Raises
        ------
        InvalidValue
            No such fold.
        """
        if not 0 <= index < len(self.folds):
            raise InvalidValue(f"fold must lie in [0, {len(self.folds)})", index, "count from 0")
        start = self.folds[index].start

        def cut(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {name: column[start:] for name, column in columns.items()}

        return Forecasts(
            rows=self.rows[start:],
            probabilities=cut(self.probabilities),
            expected_return=cut(self.expected_return),
            skilled=cut(self.skilled),
            climatology=self.climatology[start:],
            folds=tuple(
                replace(fold, index=fold.index - index, start=fold.start - start, stop=fold.stop - start)
                for fold in self.folds[index:]
            ),
            failures=tuple(
                replace(failure, fold=failure.fold - index)
                for failure in self.failures
                if failure.fold >= index
            ),
        )
