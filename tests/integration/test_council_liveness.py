"""I14: from every state that is reached there is a way back, by ordinary events and permitted reviews."""

import os
from itertools import product

import pytest

from consilium.council.rules import CouncilRules
from council_years import HOURS_A_YEAR, Year, run_year

SHARPES, VOLATILITIES = (1.0, 2.0, 3.0), (0.2, 0.3, 0.4)
SOAK = os.environ.get("CONSILIUM_TEST_PROFILE") == "soak"
RUNS = 60 if SOAK else 1
MARKETS = [*product(SHARPES, VOLATILITIES)] if SOAK else [(1.0, 0.4), (3.0, 0.2)]
LONGEST_OUT = 15 * 24
"""Hours out of LIVE at most: a freeze, its review, and the days that reduce-only needs."""


def back_in_live(year: Year) -> None:
    assert max(year.out_of_live, default=0) < LONGEST_OUT, f"out of LIVE for {max(year.out_of_live)} hours"
    assert year.mode_hours["LIVE"] > 0.9 * year.hours
    assert not year.refused, "a review that was due was refused"


@pytest.mark.promise("001", "liveness: no run stays out of LIVE for ever, and NORMAL is reached again")
@pytest.mark.long
@pytest.mark.parametrize(("sharpe", "volatility"), MARKETS)
def test_a_year_comes_back_to_live_and_normal_from_wherever_it_was(sharpe: float, volatility: float) -> None:
    reached = 0
    for seed in range(RUNS):
        year = run_year(sharpe=sharpe, volatility=volatility, seed=seed)
        back_in_live(year)
        assert max(year.flips.values()) <= 1, f"seed {seed}: {year.flips}"
        reached += year.profile_hours["NORMAL"] > 0
    assert reached == RUNS


def test_a_quarter_comes_back_to_live_and_reaches_normal() -> None:
    for sharpe, volatility, seed in ((2.0, 0.3, 2), (3.0, 0.4, 3)):
        year = run_year(sharpe=sharpe, volatility=volatility, seed=seed, hours=HOURS_A_YEAR // 4)
        back_in_live(year)
        assert year.profile_hours["NORMAL"] > 0
        assert max(year.flips.values()) <= 1


def test_a_wild_year_is_stopped_and_still_comes_back() -> None:
    """Five times the volatility: freezes come, are reviewed, and none of them is the end."""
    rules = CouncilRules(start_profile="NORMAL")
    year = run_year(sharpe=0.0, volatility=1.5, seed=5, hours=2_000, rules=rules)
    frozen = [rule for rule in year.fired if rule.startswith("F")]
    assert frozen
    assert year.mode_hours["FROZEN"] > 0
    assert max(year.out_of_live) < LONGEST_OUT
    assert year.mode_hours["LIVE"] > 0.5 * year.hours
