"""Folds: refusals, and the shape of the parts."""

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.training.labels import NEVER
from consilium.training.splits import MIN_TIMES, final_split, walk_forward_folds


@pytest.mark.promise("004", "train with walk-forward validation (walk_forward_splits=5)")
def test_five_folds_test_each_time_after_the_first_part_once() -> None:
    time = np.arange(1_000)
    folds = walk_forward_folds(time, time + 1)
    assert len(folds) == 5
    assert [row for fold in folds for row in fold.test] == list(range(400, 1_000))
    assert all(fold.calibration[-1] < fold.test[0] for fold in folds)


def test_parts_have_the_shares_that_were_asked_for() -> None:
    time = np.arange(1_000)
    folds = walk_forward_folds(time, time, folds=3, stop_fraction=0.2, calibration_fraction=0.25)
    assert [len(fold.test) for fold in folds] == [200, 200, 200]
    for fold, before in zip(folds, (400, 600, 800), strict=True):
        assert (len(fold.fit), len(fold.stop), len(fold.calibration)) == (
            before - before // 5 - before // 4,
            before // 5,
            before // 4,
        )


def test_a_label_that_matures_at_the_border_stays_and_one_later_goes() -> None:
    time = np.arange(1_000)
    at, past = (
        walk_forward_folds(time, time + lag, folds=1, stop_fraction=0.2, calibration_fraction=0.2)[0]
        for lag in (1, 2)
    )
    for part in ("fit", "stop", "calibration"):
        assert len(getattr(at, part)) - len(getattr(past, part)) == 1


def test_rows_without_an_outcome_are_tested_and_never_learned_from() -> None:
    time = np.arange(1_200)
    matured = time + 1
    matured[::7] = NEVER
    for fold in walk_forward_folds(time, matured, folds=2):
        for part in (fold.fit, fold.stop, fold.calibration):
            assert not np.any(part % 7 == 0)
        assert np.any(fold.test % 7 == 0)


def test_the_final_split_uses_all_times_and_tests_none() -> None:
    time = np.arange(400)
    final = final_split(time, time + 3)
    assert final.calibration[-1] == 399
    assert len(final.test) == 0
    assert len(final.fit) + len(final.stop) + len(final.calibration) == 400 - 2 * 3


@pytest.mark.parametrize("span", [1, 2, 4, 8])
@pytest.mark.parametrize("n", [330, 331, 333, 450])
def test_a_short_calibration_part_is_widened_until_both_its_halves_can_be_judged(span: int, n: int) -> None:
    time = np.arange(n)
    for fold in walk_forward_folds(time, time + span, folds=2, min_rows=1, judged_times=MIN_TIMES):
        times = fold.calibration
        middle = times[len(times) // 2]
        assert sum((times < middle) & (times + span < middle)) >= MIN_TIMES
        assert sum(times >= middle) >= MIN_TIMES


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"folds": 0}, "folds must be >= 1; got 0"),
        ({"first_fraction": 40.0}, r"first_fraction must lie in \(0, 1\); got 40.0"),
        ({"stop_fraction": 0.0}, "stop_fraction must lie"),
        ({"calibration_fraction": 1.0}, "calibration_fraction must lie"),
        ({"stop_fraction": 0.5, "calibration_fraction": 0.5}, "must be < 1; got 1.0"),
        ({"folds": 500}, "at least 1 time to test"),
        ({"stop_fraction": 0.01}, ">= 30 rows .* got 1 rows of 2 in 'stop': give a longer history"),
    ],
)
def test_impossible_folds_are_refused(arguments: dict[str, float], says: str) -> None:
    time = np.arange(400)
    with pytest.raises(InvalidValue, match=says):
        walk_forward_folds(time, time + 1, **arguments)  # type: ignore[arg-type]


def test_a_horizon_longer_than_a_part_is_refused_with_its_name() -> None:
    time = np.arange(400)
    with pytest.raises(InvalidValue, match=r"got 0 rows of 16 in 'stop'"):
        walk_forward_folds(time, time + 50)


def test_no_rows_and_unsorted_rows_are_refused() -> None:
    none = np.array([], dtype=np.int64)
    with pytest.raises(InvalidValue, match="at least 1 time"):
        walk_forward_folds(none, none)
    with pytest.raises(InvalidValue, match="at least 3 times"):
        final_split(none, none)
    with pytest.raises(InvalidValue, match="order of ts_event"):
        walk_forward_folds(np.array([2, 1]), np.array([3, 3]))
    with pytest.raises(InvalidValue, match="same length"):
        walk_forward_folds(np.array([1, 2]), np.array([3]))


def test_a_short_history_widens_the_calibration_part_until_both_halves_can_be_judged() -> None:
    event = np.arange(300)
    narrow = walk_forward_folds(event, event + 1, folds=2, min_rows=1)[0]
    wide = walk_forward_folds(event, event + 1, folds=2, min_rows=1, judged_times=20)[0]
    assert (len(narrow.calibration), len(wide.calibration)) == (17, 42)
    assert narrow.ts_test == wide.ts_test
    longer = walk_forward_folds(event, event + 4, folds=2, min_rows=1, judged_times=20)[0]
    assert longer.ts_test - longer.ts_calibration == 2 * 20 + 3 * 4
    long_history = np.arange(3_000)
    assert np.array_equal(
        walk_forward_folds(long_history, long_history + 1, folds=2)[0].calibration,
        walk_forward_folds(long_history, long_history + 1, folds=2, judged_times=20)[0].calibration,
    )
