"""The best forecast of a simulated book: calibrated, and even where nothing can be known."""

from functools import cache

import numpy as np
import pytest

from consilium.domain import InvalidValue
from consilium.market.simulator import simulate_book
from consilium.market.simulator.books import SimulatedBook
from consilium.market.simulator.foresight import chances
from consilium.market.simulator.habits import BookHabits
from consilium.market.simulator.streams import Ints

HORIZON, THRESHOLD = 10, 6e-5


@cache
def played(strength: float) -> tuple[SimulatedBook, Ints, Ints]:
    """Return a market, rows of it, and what came of them."""
    habits = BookHabits(flow_memory=60.0, move_rate=0.4)
    market = simulate_book(snapshots=24_000, seed=11, strength=strength, habits=habits)
    rows = np.arange(200, 23_900, 12, dtype=np.int64)
    ahead = np.mean([market.half_ticks[rows + i] for i in range(1, HORIZON + 1)], axis=0)
    change = ahead / market.half_ticks[rows] - 1.0
    return market, rows, 1 + (change > THRESHOLD) - (change < -THRESHOLD)


def test_outcomes_come_as_often_as_they_are_forecast() -> None:
    market, rows, y = played(1.0)
    p = chances(market, rows, HORIZON, THRESHOLD, draws=200)
    assert np.allclose(p.sum(axis=1), 1.0)
    for direction in range(3):
        happened = y == direction
        for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 1.0)):
            inside = (p[:, direction] >= low) & (p[:, direction] < high)
            if inside.sum() > 150:
                # outcomes of neighbouring rows overlap little: the bound is three and a half errors
                error = 3.5 * np.sqrt(0.25 / inside.sum())
                assert abs(happened[inside].mean() - p[inside, direction].mean()) < error


def test_it_is_better_than_one_who_sees_less_of_the_flow() -> None:
    market, rows, y = played(1.0)

    def loss(flow_error: float) -> float:
        seen = None if flow_error == 0.0 else np.sqrt(1.0 - flow_error**2) * market.signal[rows]
        noise = np.random.default_rng(0).standard_normal(len(rows))
        if seen is not None:
            seen = np.sqrt(1 - flow_error**2) * (seen + flow_error * noise)
        p = chances(market, rows, HORIZON, THRESHOLD, flow=seen, flow_error=flow_error, draws=200)
        return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-3)).mean())

    assert loss(0.0) < loss(0.7) < -np.log(1 / 3)


def test_without_strength_up_and_down_are_equally_likely() -> None:
    market, rows, _ = played(0.0)
    p = chances(market, rows[:300], HORIZON, THRESHOLD, draws=500)
    assert np.abs(p[:, 2] - p[:, 0]).max() < 0.15
    assert abs((p[:, 2] - p[:, 0]).mean()) < 0.01


def test_senseless_questions_are_refused() -> None:
    market, rows, _ = played(0.0)
    with pytest.raises(InvalidValue, match="horizon and draws must be >= 1"):
        chances(market, rows, 0, THRESHOLD)
    with pytest.raises(InvalidValue, match="threshold"):
        chances(market, rows, 10, -1.0)
