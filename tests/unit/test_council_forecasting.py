import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.app.council.forecasting import DrawdownForecaster
from consilium.council.advice import Advice, holds_of
from consilium.council.holds import is_grant, is_waiver
from consilium.domain import Policy
from consilium.domain.time import HOUR_NS


def told(hours: int, seed: int, *, storms: bool) -> DrawdownForecaster:
    """An account whose losses come in storms that the market announces, or at no time in particular."""
    rng = np.random.default_rng(seed)
    forecaster = DrawdownForecaster(horizon=24, interval_ns=HOUR_NS)
    nav, peak, storm = 1.0, 1.0, False
    for hour in range(hours):
        storm = rng.random() < (0.995 if storm else 0.003) if storms else False
        size = 0.006 if storm else 0.0008
        moved = rng.normal(0.0, size)
        nav *= 1.0 + (moved if storms else rng.normal(0.0, 0.0035))
        peak = max(peak, nav)
        forecaster.update(hour * HOUR_NS, nav=nav, drawdown=1 - nav / peak, exposure=0.5, market=moved)
    return forecaster


def test_storms_that_announce_themselves_are_forecast_better_than_the_past_rate_and_the_fixed_rule() -> None:
    found = told(9_000, 1, storms=True).score()
    assert found.earned
    assert found.learned is not None
    assert found.rate is not None
    assert found.learned < 0.9 * found.rate


def test_where_nothing_can_be_forecast_nothing_is_earned() -> None:
    for seed in range(4):
        assert not told(3_000, seed, storms=False).score().earned


def test_no_forecast_depends_on_what_comes_later() -> None:
    rng = np.random.default_rng(3)
    moves = rng.normal(0.0, 0.004, 1_500)
    said = []
    for tail in (1.0, -5.0):
        forecaster, nav = DrawdownForecaster(horizon=24, interval_ns=HOUR_NS), 1.0
        mine = []
        for hour, move in enumerate(moves):
            nav *= 1.0 + (move if hour < 1_200 else tail * move)
            mine.append(
                forecaster.update(hour, nav=nav, drawdown=0.0, exposure=0.5, market=float(move)).probability
            )
        said.append(mine)
    assert said[0][:1_200] == said[1][:1_200]
    assert said[0] != said[1]


@pytest.mark.promise("001", "phase 2: machine learning in the CEO, which can only tighten")
@given(
    probability=st.floats(0.0, 1.0),
    depth=st.floats(0.0, 1.0),
    earned=st.booleans(),
    horizon=st.integers(1, 10**15),
    profile=st.sampled_from(["MICRO", "LOW", "NORMAL", "AGGRESSIVE"]),
)
def test_advice_can_only_tighten(
    probability: float, depth: float, earned: bool, horizon: int, profile: str
) -> None:
    base = Policy(profile=profile)
    advice = Advice(
        source="x", ts_event=5, horizon_ns=horizon, depth=depth, probability=probability, earned=earned
    )
    holds = holds_of(advice, base)
    assert not holds or earned
    for hold in holds:
        assert (hold.owner, hold.rule) in (("ceo", "A1"), ("cro", "A2"))
        assert not is_grant(hold)
        assert not is_waiver(hold)
        assert hold.expires_at == 5 + horizon
