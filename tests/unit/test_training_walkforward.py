"""Walk-forward: what each model may see, what it says, and what is said of it."""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import DataProblem, Forecaster, InvalidValue
from consilium.models import make_forecaster
from consilium.training.calibration import class_prior
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.forecasts import Forecasts
from consilium.training.labels import LabelSpec
from consilium.training.splits import walk_forward_folds
from consilium.training.trainer import Factory, derive_seed, prepare, thin
from consilium.training.walkforward import train_final, walk_forward
from training_panels import momentum_panel

FOLDS = 3


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Log returns of which the last one tells something about the next."""
    return build_dataset(momentum_panel(3, 1_600, persistence=0.4), "core14", LabelSpec())


@pytest.fixture(scope="module")
def noise() -> Dataset:
    return build_dataset(momentum_panel(3, 1_600), "core14", LabelSpec())


LOGISTIC = partial(make_forecaster, "logistic")
MODELS = {"logistic": LOGISTIC, "persistence": partial(make_forecaster, "persistence")}


@pytest.fixture(scope="module")
def forecasts(dataset: Dataset) -> Forecasts:
    return walk_forward(dataset, MODELS, folds=FOLDS, seed=1)


class _Probe:
    """A forecaster that remembers what it was given; it says the prior of its training rows."""

    name = "probe"
    window = 1
    n_features_in_ = 14
    classes_ = np.arange(3)
    seen: list[dict[str, Any]] = []  # noqa: RUF012 - shared on purpose: the test reads what all copies saw

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - the port has it
        return {"seed": self.seed}

    def fit(
        self,
        X: NDArray[np.float64],
        y: NDArray[np.int64],
        *,
        sample_weight: NDArray[np.float64] | None = None,  # noqa: ARG002 - the port has it
        validation: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None,
    ) -> Self:
        self.prior = class_prior(y)
        type(self).seen.append({"X": X, "y": y, "validation": validation, "seed": self.seed})
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.asarray(self.predict_proba(X).argmax(axis=1), dtype=np.int64)

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.tile(self.prior, (len(X), 1))

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path) -> Self:
        raise NotImplementedError


class _Windowed(_Probe):
    """Reads eight bars; says UP after a rise of the last one, so that it has something to say."""

    name = "windowed"
    window = 8

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        assert X.shape[1:] == (8, 14)
        lean = 0.15 * np.tanh(X[:, -1, 0])
        return np.column_stack([1 / 3 - lean, np.full(len(X), 1 / 3), 1 / 3 + lean])


class _Failing(_Probe):
    name = "failing"

    def fit(self, *_: Any, **__: Any) -> Self:
        raise RuntimeError("the solver\n  did not converge")


class _FailingLate(_Failing):
    """Fails only once the history is long."""

    def fit(self, X: Any, y: Any, **_: Any) -> Self:
        if len(X) > 2_000:
            raise RuntimeError("out of memory")
        self.prior = class_prior(y)
        return self


class _Poisoned(_Probe):
    name = "poisoned"

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full((len(X), 3), np.nan)


class _Interrupted(_Probe):
    def fit(self, *_: Any, **__: Any) -> Self:
        raise KeyboardInterrupt


def test_every_row_after_the_first_part_is_forecast_once(dataset: Dataset, forecasts: Forecasts) -> None:
    first = forecasts.folds[0].ts_test
    assert np.array_equal(forecasts.rows, np.flatnonzero(dataset.ts_event >= first))
    n = len(forecasts.rows)
    for model in MODELS:
        assert forecasts.probabilities[model].shape == (n, 3)
        assert forecasts.expected_return[model].shape == forecasts.skilled[model].shape == (n,)
        assert np.allclose(forecasts.probabilities[model].sum(axis=1), 1.0, atol=1e-12)
    spans = [(fold.start, fold.stop) for fold in forecasts.folds]
    assert spans[0][0] == 0
    assert spans[-1][1] == n
    assert all(left[1] == right[0] for left, right in pairwise(spans))


def test_a_planted_signal_is_found_out_of_sample(forecasts: Forecasts) -> None:
    for fold in forecasts.folds:
        for model in MODELS:
            figures = fold.models[model]
            assert figures["skilled"] == 1.0
            assert figures["test_log_loss"] < figures["climatology_log_loss"] - 0.005
            assert figures["test_half_brier"] < figures["climatology_half_brier"]
    assert all(np.all(forecasts.skilled[model]) for model in MODELS)


def test_noise_costs_next_to_nothing_against_climatology(noise: Dataset) -> None:
    found = walk_forward(noise, MODELS, folds=FOLDS, seed=1)
    for fold in found.folds:
        for figures in fold.models.values():
            assert figures["test_log_loss"] < figures["climatology_log_loss"] + 0.005


def test_climatology_and_class_means_are_those_of_the_fit_part(
    dataset: Dataset, forecasts: Forecasts
) -> None:
    cuts = walk_forward_folds(dataset.ts_event, dataset.ts_matured, folds=FOLDS)
    for cut, fold in zip(cuts, forecasts.folds, strict=True):
        y, r = dataset.y[cut.fit], dataset.realised_return[cut.fit]
        assert fold.prior == pytest.approx(class_prior(y))
        assert (fold.mean_down, fold.mean_flat, fold.mean_up) == pytest.approx(
            tuple(r[y == k].mean() for k in range(3))
        )
        assert fold.mean_down < 0 < fold.mean_up
        gain, loss = fold.mean_calls(list(fold.models))
        assert gain > 0 < loss
        assert fold.mean_calls([]) == (fold.typical_move, fold.typical_move)
        here = slice(fold.start, fold.stop)
        assert np.all(forecasts.climatology[here] == np.asarray(fold.prior))
        p = forecasts.probabilities["logistic"][here]
        expected = p @ [fold.mean_down, fold.mean_flat, fold.mean_up]
        assert np.allclose(forecasts.expected_return["logistic"][here], expected, atol=1e-15)
        assert (fold.fit_rows, fold.test_rows) == (len(cut.fit), len(cut.test))


def test_a_model_without_skill_emits_climatology(noise: Dataset) -> None:
    found = walk_forward(noise, {"probe": _Probe}, folds=FOLDS, seed=1)
    silent = ~found.skilled["probe"]
    assert np.any(silent)
    assert np.array_equal(found.probabilities["probe"][silent], found.climatology[silent])


def test_the_same_arguments_give_the_same_bits(dataset: Dataset, forecasts: Forecasts) -> None:
    again = walk_forward(dataset, MODELS, folds=FOLDS, seed=1)
    for model in MODELS:
        assert again.probabilities[model].tobytes() == forecasts.probabilities[model].tobytes()
        assert again.expected_return[model].tobytes() == forecasts.expected_return[model].tobytes()
    assert again.folds == forecasts.folds


def test_other_models_change_nothing_for_a_model(dataset: Dataset, forecasts: Forecasts) -> None:
    alone = walk_forward(dataset, {"logistic": LOGISTIC}, folds=FOLDS, seed=1)
    assert np.array_equal(alone.probabilities["logistic"], forecasts.probabilities["logistic"])


def test_what_comes_later_changes_no_earlier_forecast(dataset: Dataset, forecasts: Forecasts) -> None:
    last = forecasts.folds[-1]
    future = dataset.ts_event >= last.ts_test
    rng = np.random.default_rng(5)
    matrix = dataset.matrix.copy()
    matrix[dataset.position[future]] = rng.normal(size=(int(future.sum()), 14))
    y = np.where(future & dataset.labelled, rng.integers(0, 3, len(dataset)), dataset.y)
    returns = np.where(future, rng.normal(size=len(dataset)), dataset.realised_return)
    changed = replace(dataset, matrix=matrix, y=y, realised_return=returns)
    found = walk_forward(changed, MODELS, folds=FOLDS, seed=1)
    for model in MODELS:
        before, after = (one.probabilities[model] for one in (forecasts, found))
        assert np.array_equal(before[: last.start], after[: last.start])
        assert not np.array_equal(before[last.start :], after[last.start :])


def test_a_model_learns_scaled_features_of_the_fit_part_alone(dataset: Dataset) -> None:
    _Probe.seen.clear()
    walk_forward(dataset, {"probe": _Probe}, folds=FOLDS, seed=1)
    cuts = walk_forward_folds(dataset.ts_event, dataset.ts_matured, folds=FOLDS)
    assert len(_Probe.seen) == FOLDS
    for cut, seen in zip(cuts, _Probe.seen, strict=True):
        X = dataset.inputs(cut.fit)
        expected = np.clip((X - X.mean(axis=0)) / X.std(axis=0), -8, 8)
        assert np.allclose(seen["X"], expected, atol=1e-9)
        assert np.array_equal(seen["y"], dataset.y[cut.fit])
        assert len(seen["validation"][0]) == len(cut.stop)
        assert np.array_equal(seen["validation"][1], dataset.y[cut.stop])


def test_a_model_that_asks_for_names_gets_features_in_their_own_units(dataset: Dataset) -> None:
    made = train_final(dataset, partial(make_forecaster, "persistence"), name="persistence", seed=1)
    assert made.scaler is None
    assert made.forecaster.get_params()["feature_names"] == dataset.feature_names


def test_each_model_and_fold_has_a_seed_of_its_own(dataset: Dataset) -> None:
    _Probe.seen.clear()
    walk_forward(dataset, {"a": _Probe, "b": partial(_Probe, seed=99)}, folds=FOLDS, seed=1)
    seeds = [seen["seed"] for seen in _Probe.seen]
    assert len(set(seeds)) == 2 * FOLDS
    assert seeds[0] == derive_seed(1, "a", 0)
    assert 99 not in seeds


def test_a_model_with_a_window_reads_whole_windows_and_is_silent_before_the_first(dataset: Dataset) -> None:
    # The newcomer's first bars lie inside the first test part.
    panel = momentum_panel(3, 1_600, persistence=0.4)
    panel["S2"] = panel["S2"].slice(700, None)
    late = build_dataset(panel, "core14", LabelSpec())
    _Probe.seen.clear()
    found = walk_forward(late, {"windowed": _Windowed}, folds=FOLDS, seed=1)
    assert all(seen["X"].shape[1:] == (8, 14) for seen in _Probe.seen)
    short = ~late.eligible(8)[found.rows]
    assert np.any(short)
    assert not np.any(found.skilled["windowed"][short])
    assert np.array_equal(found.probabilities["windowed"][short], found.climatology[short])
    assert np.any(found.skilled["windowed"][~short])


def test_max_fit_rows_thins_evenly_over_time(dataset: Dataset) -> None:
    _Probe.seen.clear()
    made = train_final(dataset, _Probe, name="probe", seed=1, max_fit_rows=100)
    assert len(_Probe.seen[0]["y"]) == 100
    assert made.figures["fit_rows"] == 100.0
    rows = thin(np.arange(1_000), 100)
    assert (rows[0], rows[-1]) == (0, 999)
    assert set(np.diff(rows)) <= {10, 11}


@pytest.mark.promise("002", "training goes on with the next model when one fails")
def test_a_failing_model_is_reported_and_stops_no_other(dataset: Dataset, forecasts: Forecasts) -> None:
    models: dict[str, Factory] = {"failing": _Failing, "logistic": LOGISTIC, "poisoned": _Poisoned}
    found = walk_forward(dataset, models, folds=FOLDS, seed=1)
    assert list(found.probabilities) == ["logistic"]
    assert np.array_equal(found.probabilities["logistic"], forecasts.probabilities["logistic"])
    assert [(f.model, f.fold) for f in found.failures] == [
        (model, fold) for fold in range(FOLDS) for model in ("failing", "poisoned")
    ]
    assert found.failures[0].error == "the solver did not converge"
    assert "finite probabilities" in found.failures[1].error


def test_a_model_that_fails_in_one_fold_has_no_forecasts_with_holes(dataset: Dataset) -> None:
    found = walk_forward(dataset, {"late": _FailingLate, "logistic": LOGISTIC}, folds=FOLDS, seed=1)
    assert list(found.probabilities) == ["logistic"]
    assert 0 < len(found.failures) < FOLDS


def test_when_all_models_fail_the_first_error_is_told(dataset: Dataset) -> None:
    with pytest.raises(DataProblem, match="failing in fold 1: the solver did not converge"):
        walk_forward(dataset, {"failing": _Failing}, folds=FOLDS, seed=1)


def test_an_interrupt_passes_through(dataset: Dataset) -> None:
    with pytest.raises(KeyboardInterrupt):
        walk_forward(dataset, {"interrupted": _Interrupted}, folds=FOLDS, seed=1)


def test_progress_is_told_after_each_model_and_fold(dataset: Dataset) -> None:
    told: list[tuple[int, int, str]] = []
    walk_forward(dataset, {"probe": _Probe}, folds=2, seed=1, progress=lambda *step: told.append(step))
    assert told == [(1, 2, "probe, fold 1 of 2"), (2, 2, "probe, fold 2 of 2")]


def test_impossible_requests_are_refused(dataset: Dataset) -> None:
    with pytest.raises(InvalidValue, match="at least 1 model"):
        walk_forward(dataset, {}, seed=1)
    with pytest.raises(InvalidValue, match="jobs must be >= 1; got 0"):
        walk_forward(dataset, MODELS, seed=1, jobs=0)
    with pytest.raises(InvalidValue, match="each part of a fold"):
        walk_forward(dataset.where(dataset.ts_event < dataset.ts_event[100]), MODELS, seed=1, folds=2)


def test_the_final_model_learns_to_the_end_and_predicts_from_raw_features(dataset: Dataset) -> None:
    made = train_final(dataset, LOGISTIC, name="logistic", seed=1)
    assert made.skilled
    rows = np.arange(len(dataset) - 50, len(dataset))
    p, expected = made.predict(dataset.inputs(rows))
    assert p.shape == (50, 3)
    assert np.allclose(p.sum(axis=1), 1.0)
    assert np.allclose(expected, p @ [made.means.down, made.means.flat, made.means.up])
    with pytest.raises(InvalidValue, match=r"logistic reads X of shape \(n, 14\); got \(50, 13\)"):
        made.predict(dataset.inputs(rows)[:, 1:])


def test_a_forecaster_without_seed_or_names_is_used_as_it_is_made(dataset: Dataset) -> None:
    made: Forecaster = make_forecaster("logistic")
    assert prepare(lambda: made, dataset, 5) is made
