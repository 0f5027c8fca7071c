"""Laws of the judge that hold for all forecasts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from consilium.training.judge import Figure, compare_half_brier, forecast_figures, stationary_counts

Rows = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


@st.composite
def forecasts(draw: st.DrawFn) -> Rows:
    """Rows of several symbols on 100 to 130 timestamps; coarse probabilities, so that there are ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ts = np.repeat(np.arange(draw(st.integers(100, 130))), draw(st.integers(1, 3)))
    levels = draw(st.sampled_from([1, 3, 100]))
    p = rng.integers(1, levels + 1, size=(len(ts), 3)).astype(np.float64)
    return p / p.sum(axis=1, keepdims=True), rng.integers(3, size=len(ts)), rng.normal(size=len(ts)), ts


def same(a: Figure, b: Figure) -> bool:
    pairs = [(a.value, b.value), (a.low, b.low), (a.high, b.high)]
    equal = all(x is y is None or x == pytest.approx(y, abs=1e-9) for x, y in pairs)
    return equal and (a.n, a.reason) == (b.n, b.reason)


@given(forecasts(), st.integers(0, 1_000))
def test_the_order_of_rows_changes_no_figure(rows: Rows, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(rows[1]))
    shuffled = [part[order] for part in rows]
    first = forecast_figures(*rows, horizon_bars=1, seed=seed, draws=30)
    second = forecast_figures(*shuffled, horizon_bars=1, seed=seed, draws=30)
    for name in first:
        assert same(first[name], second[name]), name


@given(forecasts())
def test_every_figure_lies_in_its_range(rows: Rows) -> None:
    ranges = {"log_loss": (0, 35), "brier": (0, 2), "mcc": (-1, 1), "ic": (-1, 1)}
    for name, figure in forecast_figures(*rows, horizon_bars=1, seed=0, draws=30).items():
        least, most = ranges.get(name, (0, 1))
        for value in (figure.value, figure.low, figure.high):
            assert value is None or least - 1e-12 <= value <= most + 1e-12, name
        if figure.low is not None and figure.high is not None:
            assert figure.low <= figure.high


@given(forecasts(), st.integers(0, 1_000))
def test_swapping_the_two_changes_the_sign_and_nothing_else(rows: Rows, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours, other = rng.uniform(size=(2, len(rows[3])))
    there = compare_half_brier(ours, other, rows[3], 1, seed, draws=50)
    back = compare_half_brier(other, ours, rows[3], 1, seed, draws=50)
    assert there.mean_difference == pytest.approx(-(back.mean_difference or 0.0))
    assert there.low == pytest.approx(-(back.high or 0.0))
    assert there.high == pytest.approx(-(back.low or 0.0))
    opposite = {"better": "worse", "worse": "better", "not distinguishable": "not distinguishable"}
    assert there.word == opposite[back.word]


@given(forecasts(), st.floats(-2, 2), st.integers(0, 100))
def test_a_constant_added_to_both_losses_changes_nothing(rows: Rows, shift: float, seed: int) -> None:
    ours, other = np.random.default_rng(seed).uniform(size=(2, len(rows[3])))
    plain = compare_half_brier(ours, other, rows[3], 1, seed, draws=30)
    moved = compare_half_brier(ours + shift, other + shift, rows[3], 1, seed, draws=30)
    assert moved.low == pytest.approx(plain.low, abs=1e-9)
    assert moved.word == plain.word


@given(st.integers(1, 60), st.floats(1, 80), st.integers(1, 5), st.integers(0, 99))
def test_a_resample_has_as_many_timestamps_as_the_sample(
    length: int, block: float, draws: int, seed: int
) -> None:
    counts = np.vstack(list(stationary_counts(length, block, draws=draws, seed=seed)))
    assert counts.shape == (draws, length)
    assert (counts.sum(axis=1) == length).all()
