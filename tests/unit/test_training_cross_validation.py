"""Cross-validation over every choice of groups: what a split may see, and what the paths say."""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import HOUR_NS, InvalidValue, half_brier
from consilium.market.simulator import simulate
from consilium.models import make_forecaster
from consilium.training.cpcv import combinatorial_splits, group_borders, path_table
from consilium.training.cross_validation import cross_validate, embargo_of, purged_fold
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.judge import mean_by_timestamp
from consilium.training.labels import LabelSpec
from consilium.training.trainer import forecast, train_on
from failing_model import Failing
from training_panels import momentum_panel

LOGISTIC = partial(make_forecaster, "logistic")
EMBARGO = 20 * HOUR_NS


@pytest.fixture(scope="module")
def planted() -> Dataset:
    panel = simulate(symbols=4, bars=1_500, seed=5, signal_ic=0.2, kind="garch").series
    return build_dataset(panel, "core14", LabelSpec())


@pytest.fixture(scope="module")
def noise() -> Dataset:
    panel = simulate(symbols=4, bars=1_500, seed=6, kind="random_walk").series
    return build_dataset(panel, "core14", LabelSpec())


@pytest.mark.promise("002", "a planted signal is found on every path of the cross-validation")
def test_a_planted_signal_gains_on_every_path(planted: Dataset) -> None:
    found = cross_validate(planted, {"logistic": LOGISTIC}, embargo_ns=EMBARGO, seed=1)
    scores = found.models["logistic"]
    assert (found.splits, found.paths) == (15, 5)
    assert found.skipped == ()
    assert len(scores.differences) == len(scores.log_losses) == 5
    assert max(scores.differences) < 0.0
    assert scores.worst == max(scores.differences)
    assert scores.best == min(scores.differences)
    assert scores.mean == pytest.approx(np.mean(scores.differences))
    assert scores.no_skill <= 2


def test_without_a_signal_no_path_gains_much(noise: Dataset, planted: Dataset) -> None:
    nothing = cross_validate(noise, {"logistic": LOGISTIC}, embargo_ns=EMBARGO, seed=1).models["logistic"]
    something = cross_validate(planted, {"logistic": LOGISTIC}, embargo_ns=EMBARGO, seed=1).models["logistic"]
    assert nothing.mean is not None
    assert something.mean is not None
    assert nothing.mean > -2e-4
    assert something.mean < -10 * 2e-4
    assert nothing.no_skill >= 10


def test_a_model_without_skill_differs_from_climatology_nowhere(noise: Dataset) -> None:
    prior = partial(make_forecaster, "prior")
    scores = cross_validate(noise, {"prior": prior}, embargo_ns=EMBARGO, seed=1).models["prior"]
    assert scores.differences == (0.0,) * 5
    assert scores.no_skill == 15


@pytest.mark.parametrize(("groups", "tested"), [(3, 1), (4, 2)])
def test_the_mean_of_a_path_is_that_of_its_groups(planted: Dataset, groups: int, tested: int) -> None:
    found = cross_validate(
        planted, {"m": LOGISTIC}, groups=groups, tested=tested, embargo_ns=EMBARGO, seed=3, max_fit_rows=None
    )
    splits = list(
        combinatorial_splits(
            planted.ts_event,
            planted.ts_matured,
            groups=groups,
            tested=tested,
            embargo_ns=EMBARGO,
            labelled=planted.labelled,
        )
    )
    losses = []
    for split in splits:
        fold = purged_fold(planted, split)
        # The solver of the logistic model is deterministic: its seed does not matter.
        trained = train_on(planted, fold, LOGISTIC, name="m", seed=0)
        y = planted.y[fold.test]
        difference = half_brier(forecast(planted, fold.test, trained)[0], y) - half_brier(
            trained.means.climatology(len(y)), y
        )
        losses.append(dict(zip(fold.test.tolist(), difference.tolist(), strict=True)))
    borders = group_borders(planted.ts_event, groups)
    assert found.splits == comb(groups, tested)
    for path, mean in zip(path_table(groups, tested), found.models["m"].differences, strict=True):
        rows, values = [], []
        for group, split_index in enumerate(path):
            mine = [r for r in losses[split_index] if borders[group] <= r < borders[group + 1]]
            rows += mine
            values += [losses[split_index][r] for r in mine]
        assert rows == np.flatnonzero(planted.labelled).tolist()
        assert mean == pytest.approx(mean_by_timestamp(values, planted.ts_event[rows])[1].mean())


def test_two_processes_and_two_calls_give_the_same_numbers(planted: Dataset) -> None:
    models = {"logistic": LOGISTIC, "lightgbm": partial(make_forecaster, "lightgbm", rounds=5)}
    steps: list[int] = []

    def progress(done: int, total: int, text: str) -> None:
        assert (total, "split" in text) == (12, True)
        steps.append(done)

    one = cross_validate(planted, models, groups=4, embargo_ns=EMBARGO, seed=2, progress=progress)
    two = cross_validate(planted, models, groups=4, embargo_ns=EMBARGO, seed=2, jobs=2)
    assert one == two
    assert steps == list(range(1, 13))


def _split_forecast(dataset: Dataset, split_of: int, embargo_ns: int) -> NDArray[np.float64]:
    splits = list(
        combinatorial_splits(
            dataset.ts_event,
            dataset.ts_matured,
            embargo_ns=embargo_ns,
            labelled=dataset.labelled,
        )
    )
    fold = purged_fold(dataset, splits[split_of])
    trained = train_on(dataset, fold, LOGISTIC, name="m", seed=0)
    return forecast(dataset, fold.test, trained)[0]


def test_rows_in_the_embargo_and_purged_rows_change_nothing(planted: Dataset) -> None:
    splits = list(
        combinatorial_splits(
            planted.ts_event, planted.ts_matured, embargo_ns=EMBARGO, labelled=planted.labelled
        )
    )
    index = [split.groups for split in splits].index((1, 4))
    split = splits[index]
    unused = np.setdiff1d(np.arange(len(planted)), np.concatenate([split.train, split.test]))
    after = planted.ts_event[split.test[-1]] < planted.ts_event[unused]
    assert (after & planted.labelled[unused]).sum() == 4 * 20
    changed = planted.matrix.copy()
    changed[planted.position[unused]] = 99.0
    y, returns = planted.y.copy(), planted.realised_return.copy()
    y[unused], returns[unused] = 2, 1.0
    other = replace(planted, matrix=changed, y=y, realised_return=returns)
    before = _split_forecast(planted, index, EMBARGO)
    assert np.array_equal(before, _split_forecast(other, index, EMBARGO))
    # The same rows without the embargo are learned from: the comparison above could have failed.
    assert not np.array_equal(_split_forecast(planted, index, 0), _split_forecast(other, index, 0))


def test_the_parts_of_a_split_do_not_overlap_in_time() -> None:
    dataset = build_dataset(momentum_panel(3, 1_500), "core14", LabelSpec(horizon=6))
    for split in combinatorial_splits(
        dataset.ts_event, dataset.ts_matured, embargo_ns=EMBARGO, labelled=dataset.labelled
    ):
        fold = purged_fold(dataset, split)
        parts = [fold.fit, fold.stop, fold.calibration]
        for earlier, later in pairwise(parts):
            assert dataset.ts_matured[earlier].max() < dataset.ts_event[later].min()
        learned = np.concatenate(parts)
        assert set(learned.tolist()) <= set(split.train.tolist())
        assert len(learned) > 0.9 * len(split.train)
        assert set(fold.test.tolist()) == set(split.test[dataset.labelled[split.test]].tolist())


def _nearest_correlation(matured_after: int, horizon: int) -> float:
    """Correlation of a tested outcome (mean 0) with that of the nearest row that may be learned from."""
    rng = np.random.default_rng(4)
    returns = rng.normal(size=6_000 + horizon)
    outcome = np.convolve(returns, np.ones(horizon), mode="valid")[1:]
    time = np.arange(len(outcome), dtype=np.int64)
    pairs = []
    for split in combinatorial_splits(time, time + matured_after, groups=100, tested=1, embargo_ns=0):
        at = np.clip(np.searchsorted(split.train, split.test), 1, len(split.train) - 1)
        left, right = split.train[at - 1], split.train[at]
        nearest = np.where(split.test - left <= right - split.test, left, right)
        pairs.append(np.column_stack([outcome[split.test], outcome[nearest]]))
    tested, nearest = np.concatenate(pairs).T
    return float(np.mean(tested * nearest) / np.mean(tested**2))


@pytest.mark.promise("002", "overlapping outcomes do not leak over the borders of a tested group")
def test_the_outcome_of_the_nearest_training_row_says_nothing_once_purged() -> None:
    horizon = 40
    assert abs(_nearest_correlation(horizon, horizon)) < 0.1
    assert _nearest_correlation(0, horizon) > 0.3


def test_rows_that_may_not_be_learned_from_are_as_if_absent(planted: Dataset) -> None:
    seen = planted.symbol_index != 2
    masked = cross_validate(planted, {"m": LOGISTIC}, groups=4, embargo_ns=EMBARGO, seed=1, learn=seen)
    absent = cross_validate(planted.where(seen), {"m": LOGISTIC}, groups=4, embargo_ns=EMBARGO, seed=1)
    assert masked == absent
    assert masked != cross_validate(planted, {"m": LOGISTIC}, groups=4, embargo_ns=EMBARGO, seed=1)


def test_a_split_without_enough_to_learn_from_is_skipped_and_named(planted: Dataset) -> None:
    found = cross_validate(planted, {"m": LOGISTIC}, embargo_ns=420 * HOUR_NS, seed=1)
    assert (0, 3) in {split.groups for split in found.skipped}
    assert "a split needs >= 86 times to learn from" in found.skipped[0].reason
    assert len(found.models["m"].differences) == 5
    nothing = cross_validate(planted, {"m": LOGISTIC}, tested=5, embargo_ns=10_000 * HOUR_NS, seed=1)
    assert len(nothing.skipped) == 5
    few = cross_validate(
        planted.where(np.arange(len(planted)) < 400), {"m": LOGISTIC}, embargo_ns=EMBARGO, seed=1
    )
    assert few.models["m"].reason == "every split left too little to learn from"
    assert few.models["m"].mean is few.models["m"].worst is few.models["m"].best is None


def test_a_model_that_fails_is_named_and_the_others_go_on(planted: Dataset) -> None:
    found = cross_validate(
        planted, {"failing": Failing, "m": LOGISTIC}, groups=3, tested=1, embargo_ns=EMBARGO, seed=1
    )
    assert found.models["failing"].differences == ()
    assert found.models["failing"].reason == "failed where groups 1 were tested: out of memory"
    assert len(found.models["m"].differences) == 1


def test_the_embargo_covers_the_longest_feature_window(planted: Dataset) -> None:
    assert embargo_of(planted) == 250 * HOUR_NS
    assert embargo_of(replace(planted, horizon_ns=400 * HOUR_NS)) == 400 * HOUR_NS


def test_what_cannot_be_is_refused_by_value(planted: Dataset) -> None:
    with pytest.raises(InvalidValue, match="at least 1 model"):
        cross_validate(planted, {}, embargo_ns=0, seed=1)
    with pytest.raises(InvalidValue, match="jobs must be >= 1; got 0"):
        cross_validate(planted, {"m": LOGISTIC}, embargo_ns=0, seed=1, jobs=0)
    with pytest.raises(InvalidValue, match="learn must have shape"):
        cross_validate(planted, {"m": LOGISTIC}, embargo_ns=0, seed=1, learn=np.ones(3, dtype=np.bool_))
    with pytest.raises(InvalidValue, match="embargo_ns must be >= 0"):
        cross_validate(planted, {"m": LOGISTIC}, embargo_ns=-1, seed=1)
