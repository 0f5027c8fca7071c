"""Evidence that may be looked at any time is right at any time."""

import json
import os
from math import prod

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.domain import InvalidValue, half_brier
from consilium.training.judge import Bettor, LiveComparison, largest_difference

SOAK = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
SEEDS = 2_000 if SOAK else 200
STEPS = 5_000 if SOAK else 600


def differences(mean: float, scale: float, horizon: int, seed: int, steps: int) -> NDArray[np.float64]:
    """Loss differences that overlap for the horizon, inside [-1, 1]."""
    noise = np.random.default_rng(seed).choice([-1.0, 1.0], size=steps + horizon - 1)
    return mean + scale * np.convolve(noise, np.ones(horizon) / horizon, mode="valid")


def confirmed_at(d: NDArray[np.float64], horizon: int, bound: float) -> int | None:
    bettor = Bettor(horizon_bars=horizon)
    for step, value in enumerate(d.tolist()):
        bettor.update(value, bound)
        if bettor.confirmed:
            return step
    return None


@pytest.mark.promise("002", "live promotion at e >= 20: without effect at most one in twenty, at any look")
@pytest.mark.parametrize(("horizon", "scale"), [(1, 0.3), (1, 0.02), (4, 0.3), (12, 0.3)])
def test_without_effect_twenty_is_confirmed_at_most_once_in_twenty(horizon: int, scale: float) -> None:
    found = [
        confirmed_at(differences(0.0, scale, horizon, seed, STEPS), horizon, scale) for seed in range(SEEDS)
    ]
    rate = np.mean([step is not None for step in found])
    assert rate <= 0.05 + 1.64 * np.sqrt(0.05 * 0.95 / SEEDS)


def test_a_forecaster_that_is_worse_is_not_promoted() -> None:
    found = [confirmed_at(differences(0.02, 0.2, 4, seed, 600), 4, 0.22) for seed in range(60)]
    assert found == [None] * 60


@pytest.mark.parametrize(("horizon", "least"), [(1, 0.75), (4, 0.35)])
def test_a_forecaster_that_is_better_is_promoted(horizon: int, least: float) -> None:
    found = [confirmed_at(differences(-0.02, 0.2, horizon, seed, 1_500), horizon, 0.22) for seed in range(60)]
    assert np.mean([step is not None for step in found]) >= least


def test_the_wealth_is_the_mean_of_products_of_stakes_fixed_before() -> None:
    horizon, d = 3, differences(-0.05, 0.2, 3, 0, 60)
    factors: list[list[float]] = [[1.0] for _ in range(horizon)]
    stakes = [0.0] * horizon
    bettor = Bettor(horizon_bars=horizon, memory=50.0)
    for t in range(60):
        factors[t % horizon].append(1.0 - min(stakes[t], 0.75 / 0.3) * d[t])
        seen = d[: t + 1]
        fade = np.exp(-(t - np.arange(t + 1)) / 50.0)
        mean = (fade * seen).sum() / (fade.sum() + 20)
        second = ((fade * seen**2).sum() + 20 * 0.01) / (fade.sum() + 20)
        wealth = float(np.mean([prod(f) for f in factors]))
        stakes.append(max(-mean / second, 0.0))
        bettor.update(float(d[t]), 0.3)
        assert bettor.wealth == pytest.approx(wealth)
        assert wealth < 20.0


def test_no_bet_is_placed_between_reaching_twenty_and_settling_what_is_open() -> None:
    bettor = Bettor(horizon_bars=5)
    reached = confirmed = None
    for t in range(400):
        bettor.update(-0.2)
        if reached is None and bettor.wealth >= 20.0:
            reached = t
        if bettor.confirmed:
            confirmed = t
            break
    assert reached is not None
    assert confirmed == reached + 4


def test_wealth_lost_before_settlement_is_not_confirmed() -> None:
    bettor = Bettor(horizon_bars=5)
    while bettor.wealth < 20.0:
        bettor.update(-0.2)
    for _ in range(4):
        bettor.update(1.0)
    assert bettor.wealth < 20.0
    assert not bettor.confirmed


def test_a_decision_turns_when_the_reverse_is_shown() -> None:
    live = LiveComparison(horizon_bars=2)
    good = [live.update(-0.1).word for _ in range(3_000)]
    assert good[-1] == "promote"
    turned = [live.update(0.1).word for _ in range(3_000)]
    assert turned[-1] == "demote"
    # Three thousand good steps do not take three thousand bad ones to be overcome.
    assert turned.index("demote") < 2_500
    assert "wait" not in good[good.index("promote") :] + turned


def test_a_restart_goes_on_as_if_nothing_had_happened() -> None:
    d = differences(-0.03, 0.2, 3, 1, 400).tolist()
    whole, first = LiveComparison(horizon_bars=3), LiveComparison(horizon_bars=3)
    for value in d[:150]:
        whole.update(value)
        first.update(value)
    second = LiveComparison(horizon_bars=3)
    second.restore(json.loads(json.dumps(first.state())))
    for value in d[150:]:
        assert second.update(value) == whole.update(value)


def test_a_state_of_another_horizon_or_word_is_refused() -> None:
    state = LiveComparison(horizon_bars=3).state()
    with pytest.raises(InvalidValue, match="the state must be of horizon 2; got 3"):
        LiveComparison(horizon_bars=2).restore(state)
    with pytest.raises(InvalidValue, match="word must be promote, demote or wait"):
        LiveComparison(horizon_bars=3).restore({**state, "word": "hired"})


def test_the_bound_is_the_largest_difference_of_the_three_outcomes() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet([1, 1, 1], size=(2, 500))
    each = [half_brier(p, np.full(500, y)) - half_brier(q, np.full(500, y)) for y in range(3)]
    assert largest_difference(p, q) == pytest.approx(np.abs(each).max(axis=0))


def test_forecasts_that_are_the_same_move_nothing() -> None:
    live = LiveComparison(horizon_bars=1)
    for _ in range(100):
        live.update(0.0, 0.0)
    assert live.standing.e_better == live.standing.e_worse == 1.0
    assert live.standing.word == "wait"


def test_a_difference_beyond_its_bound_is_refused_and_changes_nothing() -> None:
    live = LiveComparison(horizon_bars=1)
    for value, bound in ((1.5, 1.0), (-0.3, 0.2), (float("nan"), 1.0)):
        with pytest.raises(InvalidValue, match="a loss difference must lie in"):
            live.update(value, bound)
    assert live.standing.count == 0


def test_evidence_beyond_all_measure_stays_a_number() -> None:
    bettor = Bettor(horizon_bars=1)
    for _ in range(5_000):
        bettor.update(-1.0)
    assert np.isfinite(bettor.wealth)
    assert bettor.count == 5_000


def test_parameters_outside_their_bounds_are_refused() -> None:
    for name, value in (("horizon_bars", 0), ("threshold", 1.0), ("typical", 0.0), ("memory", 0.5)):
        with pytest.raises(InvalidValue, match=f"{name} must"):
            Bettor(**{"horizon_bars": 1, name: value})  # type: ignore[arg-type]
