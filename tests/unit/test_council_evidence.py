import numpy as np
import pytest

from consilium.app.council_replay.evidence import SAME, TOO_SHORT, WITHIN_NOISE, paired_difference
from consilium.domain import InvalidValue


def days(seed: int, count: int = 365, drift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(drift, 0.01, count)


def test_a_rule_that_halves_every_day_is_seen_to_lessen_the_drawdown() -> None:
    found = paired_difference(days(1) * 0.5, days(1), seed=1)
    assert found.drawdown.value < 0.0
    assert "less drawdown" in found.word


def test_a_rule_that_only_costs_is_seen_to_cost() -> None:
    found = paired_difference(days(2) - 0.001, days(2), seed=1)
    assert "less return" in found.word
    assert found.net_return.high is not None
    assert found.net_return.high < 0.0


def test_a_single_lucky_day_is_within_noise() -> None:
    other = days(3)
    other[100] += 0.02
    found = paired_difference(other, days(3), seed=1)
    assert found.net_return.value > 0.0
    assert found.word == WITHIN_NOISE


def test_noise_is_called_a_difference_about_as_rarely_as_the_level_says() -> None:
    called = 0
    for seed in range(60):
        noise = np.random.default_rng(1_000 + seed).normal(0.0, 0.005, 250)
        found = paired_difference(days(seed, 250) + noise, days(seed, 250), seed=seed, draws=400)
        called += found.net_return.beyond_luck
    assert called <= 9


def test_equal_accounts_are_the_same_and_short_ones_get_no_interval() -> None:
    assert paired_difference(days(4), days(4), seed=1).word == SAME
    short = paired_difference(days(4, 40), days(5, 40), seed=1)
    assert (short.word, short.drawdown.low) == (TOO_SHORT, None)


def test_the_same_seed_gives_the_same_interval() -> None:
    first, second = (paired_difference(days(6), days(7), seed=3) for _ in range(2))
    assert first == second


def test_accounts_of_different_days_are_refused() -> None:
    with pytest.raises(InvalidValue, match="same days"):
        paired_difference(days(1, 30), days(1, 31), seed=1)
