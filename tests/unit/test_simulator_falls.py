import re

import numpy as np
import pytest

from consilium.app.simulated import simulated_candles
from consilium.domain import ConsiliumError
from consilium.market.simulator import simulate_falls
from consilium.market.simulator.falls import FALLS, STAGE, WARM_UP, shortest


def gaps_of(**settings: object) -> np.ndarray:
    series = simulate_falls(**settings)["SIM00"]  # type: ignore[arg-type]
    return np.asarray(series.open[1:] / series.close[:-1] - 1.0)


def test_every_fall_stands_in_its_own_week_and_nowhere_else() -> None:
    gaps = gaps_of(bars=shortest() + 2 * STAGE, seed=3)
    at = np.flatnonzero(gaps < -0.001)
    assert gaps[at] == pytest.approx([-fall for fall in FALLS])
    assert ((at + 1 - WARM_UP) // STAGE).tolist() == list(range(len(FALLS)))


def test_after_the_falls_what_was_lost_can_be_earned_back() -> None:
    gaps = gaps_of(bars=shortest((0.03,)) + 3 * STAGE, seed=3, falls=(0.03,))
    later = gaps[shortest((0.03,)) :]
    assert later.min() > -1e-9
    assert np.prod(1.0 + later) - 1.0 > 0.03


def test_the_other_symbols_stay_quiet() -> None:
    panel = simulate_falls(symbols=3, bars=shortest(), seed=1)
    for name in ("SIM01", "SIM02"):
        assert np.abs(np.log(panel[name].close / panel[name].close[0])).max() < 0.01
    assert panel["SIM00"].close.min() < 0.9 * panel["SIM00"].close[0]


def test_the_same_seed_gives_the_same_market() -> None:
    first, second = (simulate_falls(bars=shortest(), seed=5)["SIM00"] for _ in range(2))
    assert (first.close == second.close).all()


def test_a_line_of_settings_names_the_falls() -> None:
    series = simulated_candles("simulate:kind=drawdown,falls=0.03/0.02,bars=1500", 7)["SIM00"]
    gaps = series.open[1:] / series.close[:-1] - 1.0
    assert sorted(gaps.round(6))[:2] == [-0.03, -0.02]
    assert len(series) == 1500


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("simulate:kind=drawdown,falls=much", "falls=0.03/0.02"),
        ("simulate:kind=drawdown,falls=1.5", "a fall must lie in [0, 1]"),
        ("simulate:kind=drawdown,bars=900", f"bars >= {shortest()}"),
        ("simulate:kind=drawdown,signal_ic=0.1", "falls"),
        ("simulate:kind=drawdwn", "did you mean 'drawdown'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(line: str, told: str) -> None:
    with pytest.raises(ConsiliumError, match=re.escape(told)):
        simulated_candles(line, 7)
