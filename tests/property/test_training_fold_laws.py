"""Laws of the folds over random times, symbols and horizons."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.training.labels import NEVER
from consilium.training.splits import Fold, final_split, walk_forward_folds


@st.composite
def _rows(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times of up to five symbols of different lengths, with holes; outcomes come late or never."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    horizon = draw(st.integers(1, 12))
    events, matured = [], []
    for _ in range(draw(st.integers(1, 5))):
        n = draw(st.integers(30, 250))
        start = draw(st.integers(0, 120))
        times = start + np.sort(rng.choice(2 * n, n, replace=False))
        known = times + rng.integers(1, horizon + 1, n)
        known[n - horizon :] = NEVER
        events.append(times)
        matured.append(known)
    event = np.concatenate(events)
    order = np.argsort(event, kind="stable")
    return event[order].astype(np.int64), np.concatenate(matured)[order].astype(np.int64)


def _assert_purged(event: NDArray[np.int64], matured: NDArray[np.int64], fold: Fold, last: int) -> None:
    parts = [fold.fit, fold.stop, fold.calibration]
    for part, begin in zip(parts, (fold.ts_stop, fold.ts_calibration, last), strict=True):
        assert len(part) >= 1
        assert np.all(event[part] < begin)
        assert np.all(matured[part] < begin)
    assert event[fold.fit].max() < fold.ts_stop <= event[fold.stop].min()
    assert event[fold.stop].max() < fold.ts_calibration <= event[fold.calibration].min()
    together = np.concatenate([*parts, fold.test])
    assert len(np.unique(together)) == len(together)
    assert all(np.all(np.diff(part) > 0) for part in (*parts, fold.test))


@given(_rows(), st.integers(1, 6), st.floats(0.2, 0.8))
def test_folds_are_ordered_disjoint_purged_and_test_each_later_row_once(
    rows: tuple[NDArray[np.int64], NDArray[np.int64]], folds: int, first: float
) -> None:
    event, matured = rows
    try:
        cuts = walk_forward_folds(event, matured, folds=folds, first_fraction=first, min_rows=1)
    except InvalidValue:
        return
    assert len(cuts) == folds
    for fold in cuts:
        _assert_purged(event, matured, fold, fold.ts_test)
        assert event[fold.test].min() == fold.ts_test
        assert event[fold.test].max() < fold.ts_end
    tested = np.concatenate([fold.test for fold in cuts])
    assert np.array_equal(tested, np.flatnonzero(event >= cuts[0].ts_test))
    times = np.unique(event)
    assert np.searchsorted(times, cuts[0].ts_test) == np.ceil(first * len(times))


@given(_rows())
def test_no_row_that_could_be_learned_from_is_lost_but_by_the_purge(
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    event, matured = rows
    try:
        fold = final_split(event, matured, min_rows=1)
    except InvalidValue:
        assume(False)
    used = np.concatenate([fold.fit, fold.stop, fold.calibration])
    left = np.setdiff1d(np.flatnonzero(matured < NEVER), used)
    borders = np.where(event[left] < fold.ts_stop, fold.ts_stop, fold.ts_calibration)
    assert np.all(event[left] < fold.ts_calibration)
    assert np.all(matured[left] >= borders)


@given(_rows())
def test_folds_do_not_depend_on_what_comes_after_their_test(
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    event, matured = rows
    try:
        fold = walk_forward_folds(event, matured, folds=2, min_rows=1)[0]
    except InvalidValue:
        return
    later = event >= fold.ts_end
    changed = np.where(later & (matured < NEVER), matured + 999, matured)
    again = walk_forward_folds(event, changed, folds=2, min_rows=1)[0]
    for part in ("fit", "stop", "calibration", "test"):
        assert np.array_equal(getattr(fold, part), getattr(again, part))
