"""The test of timing: permuted signals, against plain loops, chance and foresight."""

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.training.judge import BarReturns, permutation_test

Floats = NDArray[np.float64]


def spells(rng: np.random.Generator, bars: int) -> Floats:
    """Long or flat, in spells of about ten bars, flat at both ends."""
    s = np.repeat(rng.integers(2, size=bars // 10), 10).astype(np.float64)
    s[:5] = s[-5:] = 0.0
    return s


def turnover(s: Floats) -> float:
    return float(np.abs(np.diff(s, axis=0)).sum() + np.abs(s[[0, -1]]).sum())


@pytest.mark.parametrize("symbols", [None, 3])
def test_permuted_signals_have_the_same_turnover_and_exposure(symbols: int | None) -> None:
    rng = np.random.default_rng(0)
    s = spells(rng, 1_000)
    if symbols:
        s = s[:, None] * np.array([1.0, 0.0, -0.5])
    seen: list[Floats] = []

    def keep(signals: Floats) -> Floats:
        seen.extend(signals)
        return np.zeros(len(signals))

    found = permutation_test(s, keep, block=10, seed=0)
    assert found.way == "blocks"
    assert len(seen) == 1_001
    assert {round(turnover(one), 9) for one in seen} == {round(turnover(s), 9)}
    assert {round(float(one.sum()), 9) for one in seen} == {round(float(s.sum()), 9)}
    assert len({one.tobytes() for one in seen}) > 900


def test_a_book_that_is_never_flat_is_rotated() -> None:
    rng = np.random.default_rng(1)
    s = rng.choice([-1.0, 1.0], size=800)
    around: list[float] = []

    def keep(signals: Floats) -> Floats:
        around.extend(np.abs(np.diff(one, append=one[:1])).sum() for one in signals)
        return np.zeros(len(signals))

    assert permutation_test(s, keep, block=50, seed=0).way == "rotation"
    assert len(set(around)) == 1


def test_signals_that_know_nothing_have_uniform_p_values() -> None:
    p = []
    for world in range(100):
        rng = np.random.default_rng(world)
        account = BarReturns(rng.normal(0.0002, 0.01, size=600), cost=0.001)
        p.append(permutation_test(spells(rng, 600), account, block=10, seed=world).p_value)
    assert np.mean(np.array(p) < 0.05) <= 0.09
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_signals_that_know_the_next_return_are_found_after_costs() -> None:
    rng = np.random.default_rng(0)
    returns = rng.normal(0.0, 0.01, size=1_000)
    knowing = ((returns + rng.normal(0.0, 0.02, size=1_000)) > 0.01).astype(float)
    found = permutation_test(knowing, BarReturns(returns, cost=0.0005), block=20, seed=0)
    assert found.p_value < 0.01
    assert found.net_return > found.high > found.median


def test_no_trade_has_a_p_value_of_one() -> None:
    account = BarReturns(np.random.default_rng(0).normal(size=100), cost=0.0)
    assert permutation_test(np.zeros(100), account, block=5, seed=0).p_value == 1.0
    always = permutation_test(np.ones(100), account, block=5, seed=0)
    assert always.p_value == 1.0


def test_the_account_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    returns, s = rng.normal(size=(40, 3)), rng.integers(-1, 2, size=(2, 40, 3)).astype(np.float64)
    expected = []
    for signals in s:
        money, held = 0.0, np.zeros(3)
        for t in range(40):
            money -= 0.01 * np.abs(signals[t] - held).sum()
            held = signals[t]
            money += float((held * returns[t]).sum())
        expected.append((money - 0.01 * np.abs(held).sum()) / 3)
    assert BarReturns(returns, cost=0.01)(s) == pytest.approx(np.array(expected))


def test_signals_that_do_not_fit_are_refused() -> None:
    account = BarReturns(np.zeros(50), cost=0.0)
    with pytest.raises(InvalidValue, match="permutations must be >= 1,000; got 999"):
        permutation_test(np.ones(50), account, block=5, seed=0, permutations=999)
    with pytest.raises(InvalidValue, match="block must lie in"):
        permutation_test(np.ones(50), account, block=26, seed=0)
    with pytest.raises(InvalidValue, match="signals must be finite"):
        permutation_test(np.full(50, np.nan), account, block=5, seed=0)
    with pytest.raises(InvalidValue, match="one finite value for each row"):
        permutation_test(np.ones(50), lambda s: np.zeros(len(s) + 2), block=5, seed=0)
    with pytest.raises(InvalidValue, match="cost must be finite and >= 0"):
        BarReturns(np.zeros(5), cost=-0.1)
    with pytest.raises(InvalidValue, match="returns must be finite"):
        BarReturns([np.inf], cost=0.1)
