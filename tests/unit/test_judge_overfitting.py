"""The probability of overfitting: against plain loops, noise and planted truth."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata

from consilium.domain import InvalidValue
from consilium.training.judge import overfitting_probability

Floats = NDArray[np.float64]


def plain_overfitting(x: Floats, blocks: int) -> float:
    """Compute the probability by plain loops, as the paper tells it."""
    parts = np.array_split(np.arange(len(x)), blocks)
    below = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[k] for k in chosen])
        outside = np.concatenate([parts[k] for k in range(blocks) if k not in chosen])
        first = x[inside].mean(axis=0) / x[inside].std(axis=0)
        then = x[outside].mean(axis=0) / x[outside].std(axis=0)
        relative = rankdata(then)[int(np.argmax(first))] / (x.shape[1] + 1)
        below.append(np.log(relative / (1 - relative)) <= 0)
    return float(np.mean(below))


@pytest.mark.parametrize(("blocks", "shape"), [(4, (50, 10)), (6, (83, 13)), (8, (64, 11))])
def test_the_probability_of_overfitting_is_that_of_plain_loops(blocks: int, shape: tuple[int, int]) -> None:
    x = np.random.default_rng(blocks).normal(size=shape)
    assert overfitting_probability(x, blocks=blocks).probability == plain_overfitting(x, blocks)


def test_noise_overfits_about_every_second_time() -> None:
    found = [
        overfitting_probability(np.random.default_rng(s).normal(size=(320, 20)), blocks=8).probability
        for s in range(60)
    ]
    assert np.mean([p for p in found if p is not None]) == pytest.approx(0.5, abs=0.08)


def test_one_true_strategy_does_not_overfit() -> None:
    x = np.random.default_rng(0).normal(size=(640, 20))
    x[:, 7] += 0.3
    found = overfitting_probability(x)
    assert found.probability == 0.0
    assert found.loss == 0.0
    assert found.splits == 12_870


def test_a_strategy_tuned_to_each_half_overfits_always() -> None:
    # What wins in one half loses in the other: sixteen blocks, each strategy good in eight of them.
    blocks = np.array(
        [[1.0 if k in chosen else -1.0 for k in range(8)] for chosen in combinations(range(8), 4)]
    )
    x = np.repeat(blocks.T, 20, axis=0) + 0.1 * np.random.default_rng(0).normal(size=(160, 70))
    assert overfitting_probability(x, blocks=8).probability == 1.0


def test_fewer_than_ten_different_trials_are_not_applicable() -> None:
    x = np.random.default_rng(0).normal(size=(320, 9))
    for few in (x, np.column_stack([x, x])):
        found = overfitting_probability(few)
        assert found.probability is None
        assert found.reason == "not applicable: 9 trials, 10 are needed"


@pytest.mark.parametrize("rounding", [0.0, 1e-15])
def test_copies_of_a_strategy_change_no_probability_of_overfitting(rounding: float) -> None:
    x = np.random.default_rng(1).normal(size=(96, 12))
    x[:, 0] += 0.15
    plain = overfitting_probability(x, blocks=8)
    copies = np.repeat(x[:, [0]], 70, axis=1) + rounding * np.arange(70)
    assert overfitting_probability(np.column_stack([x, copies]), blocks=8) == plain


def test_strategies_that_never_trade_have_a_sharpe_of_zero() -> None:
    x = np.random.default_rng(0).normal(-0.5, 1.0, size=(320, 12))
    x[:, 0] = 0.0
    found = overfitting_probability(x)
    assert found.probability == 0.0
    assert found.loss == 0.0


def test_returns_that_cannot_be_split_are_refused() -> None:
    x = np.random.default_rng(0).normal(size=(31, 12))
    with pytest.raises(InvalidValue, match="16 blocks need >= 32 times; got 31"):
        overfitting_probability(x)
    with pytest.raises(InvalidValue, match="blocks must be even"):
        overfitting_probability(x, blocks=5)
    with pytest.raises(InvalidValue, match="strategy_returns must be finite"):
        overfitting_probability(x * np.nan)
