"""Laws of the judge's tests and of combinatorial splits that hold for all data."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.training.cpcv import combinatorial_splits, path_count, path_table
from consilium.training.judge import (
    LiveComparison,
    coverage_against_accuracy,
    diebold_mariano,
    effective_models,
    fixed_b_p_value,
    holm,
    mean_by_timestamp,
)
from consilium.training.labels import NEVER


@given(st.integers(0, 2**32 - 1), st.integers(5, 200), st.integers(1, 4))
def test_swapping_the_forecasters_turns_the_statistic_round(seed: int, length: int, horizon: int) -> None:
    ours, other = np.random.default_rng(seed).uniform(size=(2, length))
    there = diebold_mariano(ours, other, np.arange(length), horizon)
    back = diebold_mariano(other, ours, np.arange(length), horizon)
    assert there.statistic is not None
    assert back.statistic is not None
    assert there.statistic == pytest.approx(-back.statistic)
    assert there.rejects == back.rejects
    assert there.p_value == pytest.approx(back.p_value)
    assert there.p_better is not None
    assert back.p_better is not None
    assert there.p_better + back.p_better == pytest.approx(1.0)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_the_unit_of_the_loss_does_not_matter(seed: int, unit: float) -> None:
    ours, other = np.random.default_rng(seed).uniform(size=(2, 120))
    plain = diebold_mariano(ours, other, np.arange(120), 2)
    scaled = diebold_mariano(unit * ours, unit * other, np.arange(120), 2)
    assert plain.statistic == pytest.approx(scaled.statistic, rel=1e-6)


@given(st.floats(-40, 40), st.floats(1e-3, 1.0), st.integers(2, 300))
def test_a_p_value_is_a_probability_and_symmetric(statistic: float, b: float, length: int) -> None:
    p = fixed_b_p_value(statistic, b, length)
    assert 0.0 <= p <= 1.0
    assert p == fixed_b_p_value(-statistic, b, length)
    assert p >= fixed_b_p_value(1.1 * abs(statistic) + 0.01, b, length) - 1e-12


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    assert list(adjusted) == list(p_values)
    for a in p_values:
        assert p_values[a] <= adjusted[a] <= min(1.0, len(p_values) * p_values[a])
        for b in p_values:
            assert adjusted[a] <= adjusted[b] or p_values[a] > p_values[b]


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 8))
def test_the_mean_by_timestamp_is_that_of_each_group(seed: int, rows: int, times: int) -> None:
    rng = np.random.default_rng(seed)
    values, ts = rng.normal(size=(rows, 2)), rng.integers(times, size=rows)
    distinct, means = mean_by_timestamp(values, ts)
    assert distinct.tolist() == sorted(set(ts.tolist()))
    for t, mean in zip(distinct, means, strict=True):
        assert mean == pytest.approx(values[ts == t].mean(axis=0))


@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.sampled_from([1, 3, 50]))
def test_the_order_of_rows_changes_no_coverage_curve(seed: int, rows: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.integers(levels + 1, size=rows) / levels
    right, order = rng.integers(2, size=rows), rng.permutation(rows)
    first = coverage_against_accuracy(confidence, right)
    again = coverage_against_accuracy(confidence[order], right[order])
    assert first.accuracy == pytest.approx(again.accuracy)
    assert first.accuracy[-1] == pytest.approx(right.mean())


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_the_effective_number_lies_between_one_and_all(seed: int, models: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, models)) @ rng.normal(size=(models, models))
    found = effective_models(x)
    assert found.effective is not None
    assert 1.0 - 1e-9 <= found.effective <= models + 1e-9
    assert effective_models(3.0 * x + 1.0).effective == pytest.approx(found.effective)


@given(st.lists(st.floats(-1, 1), max_size=120), st.integers(1, 5))
def test_the_two_bettors_mirror_each_other(differences: list[float], horizon: int) -> None:
    live, mirrored = LiveComparison(horizon_bars=horizon), LiveComparison(horizon_bars=horizon)
    turned = {"promote": "demote", "demote": "promote", "wait": "wait"}
    for value in differences:
        there, back = live.update(value), mirrored.update(-value)
        assert there.word == turned[back.word]
        assert there.e_better == pytest.approx(back.e_worse)
        assert there.e_better >= 0.0


Panel = tuple[NDArray[np.int64], NDArray[np.int64]]


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """Rows of a few symbols whose outcomes take unlike times, some unknown."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    times = np.cumsum(rng.integers(1, 4, size=draw(st.integers(6, 40))))
    ts = np.repeat(times, rng.integers(1, 4, size=len(times)))
    matured = ts + rng.integers(0, draw(st.integers(1, 9)), size=len(ts))
    return ts, np.where(rng.random(len(ts)) < 0.1, NEVER, matured)


@given(panels(), st.integers(2, 6), st.data())
def test_no_training_row_shares_time_with_a_tested_row(
    panel: Panel, groups: int, data: st.DataObject
) -> None:
    ts, matured = panel
    tested = data.draw(st.integers(1, groups - 1))
    embargo = data.draw(st.integers(0, 12))
    splits = list(combinatorial_splits(ts, matured, groups=groups, tested=tested, embargo_ns=embargo))
    assert [s.groups for s in splits] == list(combinations(range(groups), tested))
    for split in splits:
        assert (matured[split.train] < NEVER).all()
        assert not set(split.train.tolist()) & set(split.test.tolist())
        assert not set(ts[split.train].tolist()) & set(ts[split.test].tolist())
        ends = np.where(matured < NEVER, matured, ts)
        for row in split.train:
            before, after = split.test[ts[split.test] < ts[row]], split.test[ts[split.test] > ts[row]]
            assert not len(after) or ends[row] <= ts[after].min()
            assert not len(before) or (ends[before].max() <= ts[row] and ts[before].max() + embargo < ts[row])


@given(panels(), st.integers(2, 6), st.data())
def test_every_row_is_tested_equally_often(panel: Panel, groups: int, data: st.DataObject) -> None:
    ts, matured = panel
    tested = data.draw(st.integers(1, groups - 1))
    splits = combinatorial_splits(ts, matured, groups=groups, tested=tested, embargo_ns=0)
    counts = np.bincount(np.concatenate([s.test for s in splits]), minlength=len(ts))
    assert (counts == comb(groups - 1, tested - 1)).all()


@given(st.integers(2, 9), st.data())
def test_the_paths_use_each_forecast_once(groups: int, data: st.DataObject) -> None:
    tested = data.draw(st.integers(1, groups - 1))
    table = path_table(groups, tested)
    chosen = list(combinations(range(groups), tested))
    assert len(table) == path_count(groups, tested) == comb(groups, tested) * tested // groups
    used = [(int(split), group) for path in table for group, split in enumerate(path)]
    assert sorted(used) == sorted((k, group) for k, c in enumerate(chosen) for group in c)


def test_a_row_far_from_the_test_is_kept() -> None:
    time = np.arange(100)
    for split in combinatorial_splits(time, time + 3, groups=5, tested=2, embargo_ns=7):
        expected = []
        for row in range(100):
            inside = row // 20 in split.groups
            before = any(row < 20 * g < row + 3 for g in split.groups)
            after = any(20 * g + 19 < row <= 20 * g + 19 + 7 for g in split.groups)
            if not (inside or before or after):
                expected.append(row)
        assert split.train.tolist() == expected


def test_splits_that_cannot_be_are_refused() -> None:
    time = np.arange(10)
    with pytest.raises(InvalidValue, match="groups must be >= 2; got 1"):
        path_count(1, 1)
    with pytest.raises(InvalidValue, match=r"tested must lie in \[1, 3\]; got 4"):
        next(combinatorial_splits(time, time, groups=4, tested=4, embargo_ns=0))
    with pytest.raises(InvalidValue, match="12 groups need >= 12 times; got 10"):
        next(combinatorial_splits(time, time, groups=12, tested=2, embargo_ns=0))
    with pytest.raises(InvalidValue, match="embargo_ns must be >= 0"):
        next(combinatorial_splits(time, time, groups=4, tested=2, embargo_ns=-1))
    with pytest.raises(InvalidValue, match="order of ts_event"):
        next(combinatorial_splits(time[::-1], time, groups=4, tested=2, embargo_ns=0))
    with pytest.raises(InvalidValue, match="one shape"):
        next(combinatorial_splits(time, time[1:], groups=4, tested=2, embargo_ns=0))
