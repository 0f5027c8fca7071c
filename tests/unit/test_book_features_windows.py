"""Windows in time and what trades say one after the other, beside brute force."""

import numpy as np
import pytest

from consilium.market.features.book.tape import MedianSize, VolumeBuckets
from consilium.market.features.book.windows import MovingWindow, window_sums


@pytest.mark.parametrize("length", [1, 7, 50, 1_000])
@pytest.mark.parametrize("widest", [1, 4, 200])
def test_sums_over_windows_are_those_of_brute_force(length: int, widest: int) -> None:
    rng = np.random.default_rng(length * widest)
    ts = 3 + np.cumsum(rng.integers(0, widest + 1, 300))
    values = rng.normal(size=(300, 2))
    end = np.arange(300) + 1
    sums, counts = window_sums(ts, values, ts, end, length)
    window = MovingWindow(length, 2, 1)
    for i, t in enumerate(ts.tolist()):
        inside = (ts[: i + 1] > t - length) & (ts[: i + 1] <= t)
        np.testing.assert_allclose(sums[i], values[: i + 1][inside].sum(axis=0), rtol=1e-12, atol=1e-12)
        assert counts[i] == inside.sum()
        window.push(t, np.array([*values[i], float(i)]))
        np.testing.assert_array_equal(window.at(t), sums[i])
        assert window.count == counts[i]
        past = np.flatnonzero(ts[: i + 1] <= t - length)
        assert window.before == [float(past[-1]) if len(past) else 0.0]


def test_sums_may_be_asked_for_at_times_without_rows() -> None:
    ts, values = np.array([10, 11, 30]), np.array([[1.0], [2.0], [4.0]])
    at, end = np.array([5, 12, 25, 31, 99]), np.array([0, 2, 2, 3, 3])
    sums, counts = window_sums(ts, values, at, end, 10)
    assert sums[:, 0].tolist() == [0.0, 3.0, 0.0, 4.0, 0.0]
    assert counts.tolist() == [0.0, 2.0, 0.0, 1.0, 0.0]
    window, done = MovingWindow(10, 1), 0
    for t, stop, expected in zip(at.tolist(), end.tolist(), sums[:, 0].tolist(), strict=True):
        for i in range(done, stop):
            window.push(int(ts[i]), values[i])
        done = stop
        assert window.at(t).tolist() == [expected]


def test_no_rows_give_no_sums() -> None:
    sums, counts = window_sums(
        np.array([], dtype=np.int64), np.empty((0, 3)), np.array([4]), np.array([0]), 10
    )
    assert sums.tolist() == [[0.0, 0.0, 0.0]]
    assert counts.tolist() == [0.0]


def test_nothing_remains_of_a_huge_value_that_has_left() -> None:
    ts = np.arange(100)
    values = np.full((100, 1), 0.1)
    values[3] = 1e18
    sums, _ = window_sums(ts, values, ts, ts + 1, 10)
    assert sums[13:, 0].max() <= 1.0 + 1e-12


def test_a_constant_that_is_taken_from_itself_sums_to_nothing() -> None:
    ts = np.cumsum(np.random.default_rng(1).integers(0, 9, 200))
    sums, _ = window_sums(ts, np.zeros((200, 1)), ts, np.arange(200) + 1, 30)
    assert not sums.any()


@pytest.mark.parametrize("length", [1, 20, 400])
def test_the_median_size_is_that_of_the_window(length: int) -> None:
    rng = np.random.default_rng(length)
    ts, sizes = np.cumsum(rng.integers(0, 5, 300)), rng.choice([0.1, 0.2, 0.5, 3.0], 300)
    median = MedianSize(length)
    for i, t in enumerate(ts.tolist()):
        median.add(t, float(sizes[i]))
        inside = sizes[: i + 1][ts[: i + 1] > t - length]
        assert median.at(t) == np.median(inside)


def _lean(trades: list[tuple[float, float]], volume: float = 100.0) -> float:
    buckets = VolumeBuckets()
    buckets.start()
    for size, side in trades:
        buckets.add(size, side, volume)
    return buckets.value


def test_trades_of_one_side_lean_fully_and_trades_that_alternate_not_at_all() -> None:
    assert _lean([(1.0, 1.0)] * 300) == 1.0
    assert _lean([(1.0, 1.0), (1.0, -1.0)] * 300) == 0.0


def test_a_bucket_that_is_not_full_does_not_count() -> None:
    assert _lean([(1.0, 1.0), (1.0, -1.0), (1.9, 1.0)]) == 0.0
    assert _lean([(1.0, 1.0), (1.0, -1.0), (2.0, 1.0)]) == 0.5


def test_a_huge_trade_fills_all_buckets_at_once() -> None:
    assert _lean([(1.0, 1.0), (1.0, -1.0)] * 60 + [(1e12, -1.0)]) == 1.0


def test_only_the_last_fifty_buckets_count() -> None:
    assert _lean([(2.0, 1.0)] * 200 + [(1.0, 1.0), (1.0, -1.0)] * 25) == 0.5
    assert _lean([(2.0, 1.0)] * 200 + [(1.0, 1.0), (1.0, -1.0)] * 50) == 0.0


def test_without_volume_before_it_a_trade_is_a_bucket() -> None:
    assert _lean([(3.0, 1.0)], volume=0.0) == 1.0


def test_no_trades_lean_nowhere() -> None:
    assert _lean([]) == 0.0
