"""Figures of two forecasters side by side."""

import os

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.training.judge import (
    IDENTICAL,
    PAIRED,
    TOO_FEW,
    FigureDifference,
    figure_differences,
    forecast_figures,
    icir,
)
from consilium.training.judge.paired import ALIKE

FloatArray = NDArray[np.float64]
PRIOR = np.array([0.33, 0.34, 0.33])
SLOPE = np.array([-1.0, 0.0, 1.0])


class World:
    """Six symbols with a common factor; `knows` is right about which way, `guesses` is as sure and is not."""

    def __init__(self, seed: int, timestamps: int = 600, strength: float = 0.08) -> None:
        rng = np.random.default_rng(seed)
        n = 6 * timestamps
        self.ts = np.repeat(np.arange(timestamps), 6)
        tilt, other, third = rng.normal(0.0, strength, (3, n)).clip(-0.3, 0.3)
        self.knows, self.guesses, self.dreams = (PRIOR + x[:, None] * SLOPE for x in (tilt, other, third))
        factor = 0.5 * rng.normal(size=timestamps)[self.ts] + 0.87 * rng.normal(size=n)
        rank = np.argsort(np.argsort(factor)) / n
        self.y = (rank[:, None] > self.knows.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        self.returns = 0.01 * (self.y - 1) * rng.uniform(0.5, 1.5, n) + 0.001 * rng.normal(size=n)


@pytest.fixture(scope="module")
def world() -> World:
    return World(1)


def compare(w: World, ours: FloatArray, other: FloatArray, horizon: int = 1) -> dict[str, FigureDifference]:
    return figure_differences(ours, other, w.y, w.returns, w.ts, horizon_bars=horizon, seed=1, draws=400)


def test_the_figures_are_those_of_each_alone(world: World) -> None:
    found = compare(world, world.knows, world.guesses)
    assert tuple(found) == PAIRED
    for p, side in ((world.knows, "ours"), (world.guesses, "other")):
        alone = forecast_figures(p, world.y, world.returns, world.ts, horizon_bars=1, seed=1, draws=2)
        alone |= icir(p[:, 2] - p[:, 0], world.returns, world.ts, horizon_bars=1, seed=1, draws=2)
        for name in PAIRED:
            assert getattr(found[name], side) == pytest.approx(alone[name].value)
    for name in PAIRED:
        d = found[name]
        assert d.ours is not None
        assert d.other is not None
        assert d.difference == pytest.approx(d.ours - d.other)


def test_who_knows_more_is_found_better_by_what_it_knows(world: World) -> None:
    found = compare(world, world.knows, world.guesses)
    for name in ("mcc", "macro_f1", "ic", "icir"):
        low, p_value = found[name].low, found[name].p_value
        assert low is not None
        assert low > 0.0, name
        assert p_value is not None
        assert p_value < 0.01, name
    gap = found["ece"].difference
    assert gap is not None
    assert gap < 0.0


def test_swapping_the_two_changes_the_signs_and_nothing_else(world: World) -> None:
    one, two = compare(world, world.knows, world.guesses), compare(world, world.guesses, world.knows)
    for name in PAIRED:
        assert [one[name].difference, one[name].low] == pytest.approx(
            [-float(x) for x in (two[name].difference, two[name].high) if x is not None]
        )
        assert one[name].p_value == two[name].p_value


def test_the_order_of_rows_does_not_matter(world: World) -> None:
    order = np.random.default_rng(0).permutation(len(world.y))
    one = compare(world, world.knows, world.guesses)
    two = figure_differences(
        world.knows[order],
        world.guesses[order],
        world.y[order],
        world.returns[order],
        world.ts[order],
        horizon_bars=1,
        seed=1,
        draws=400,
    )
    for name in PAIRED:
        assert one[name].p_value == two[name].p_value
        assert one[name].high == pytest.approx(two[name].high)


def test_two_equal_forecasts_differ_by_nothing_and_have_no_test(world: World) -> None:
    for d in compare(world, world.knows, world.knows.copy()).values():
        assert (d.difference, d.low, d.p_value, d.reason) == (0.0, None, None, IDENTICAL)


def test_a_constant_forecast_has_an_mcc_of_0_and_no_ic(world: World) -> None:
    flat = np.tile([0.3, 0.4, 0.3], (len(world.y), 1))
    found = compare(world, world.knows, flat)
    assert found["mcc"].other == 0.0
    assert found["mcc"].p_value is not None
    assert found["mcc"].p_value < 0.01
    assert (found["ic"].p_value, found["ic"].reason) == (None, "other: constant forecast")
    assert found["ic"].ours is not None
    assert found["icir"].reason == "fewer than 2 timestamps with 5 symbols that differ"


def test_few_outcomes_give_the_words_and_no_number(world: World) -> None:
    for d in compare(world, world.knows, world.guesses, horizon=7).values():
        assert (d.low, d.high, d.p_value, d.reason) == (None, None, None, TOO_FEW)
        assert d.difference is not None
    nothing = figure_differences(
        np.empty((0, 3)), np.empty((0, 3)), [], [], [], horizon_bars=1, seed=1, draws=10
    )
    assert {d.reason for d in nothing.values()} == {"no outcomes"}


def test_where_a_handful_of_calls_differ_no_p_value_is_given(world: World) -> None:
    flat = np.tile([0.3, 0.4, 0.3], (len(world.y), 1)) + (world.knows - PRIOR) / 10.0
    other = flat.copy()
    other[::300] = [0.2, 0.3, 0.5]
    found = compare(world, flat, other)
    assert found["mcc"].reason == found["macro_f1"].reason == ALIKE
    assert found["mcc"].p_value is None
    assert found["ic"].p_value is not None


def test_rows_that_do_not_fit_are_refused(world: World) -> None:
    with pytest.raises(InvalidValue, match="must have 3600 rows"):
        figure_differences(
            world.knows, world.guesses[1:], world.y, world.returns, world.ts, horizon_bars=1, seed=1
        )
    with pytest.raises(InvalidValue, match="realised_return must be finite"):
        figure_differences(
            world.knows, world.guesses, world.y, world.returns * np.nan, world.ts, horizon_bars=1, seed=1
        )
    with pytest.raises(InvalidValue, match="horizon_bars must be >= 1; got 0"):
        compare(world, world.knows, world.guesses, horizon=0)


@pytest.mark.long
def test_equally_good_forecasters_are_seldom_told_apart() -> None:
    worlds = 1_000 if os.environ.get("CONSILIUM_TEST_PROFILE") == "soak" else 200
    rejected = dict.fromkeys(PAIRED, 0)
    for seed in range(worlds):
        w = World(seed, timestamps=400)
        for name, d in compare(w, w.guesses, w.dreams).items():
            rejected[name] += d.p_value is not None and d.p_value <= 0.05
    for name, count in rejected.items():
        assert count <= 0.075 * worlds + 2.0 * (0.05 * worlds) ** 0.5, (name, count)
    assert rejected["ic"] > 0
