import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.app.council.forecasting import DrawdownForecaster
from consilium.council.advice import Advice, holds_of
from consilium.council.holds import is_grant, is_waiver
from consilium.council.rules import CouncilRules
from consilium.council.service import CouncilService
from consilium.domain import AccountReported, Decision, HealthReported, Policy
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
    found = told(6_000, 2, storms=True).score()
    assert found.earned
    assert found.learned is not None
    assert found.rate is not None
    assert found.learned < 0.9 * found.rate


def test_where_nothing_can_be_forecast_nothing_is_earned() -> None:
    for seed in range(2):
        assert not told(2_000, seed, storms=False).score().earned


def test_no_forecast_depends_on_what_comes_later() -> None:
    rng = np.random.default_rng(3)
    moves = rng.normal(0.0, 0.004, 1_000)
    said = []
    for tail in (1.0, -5.0):
        forecaster, nav = DrawdownForecaster(horizon=24, interval_ns=HOUR_NS), 1.0
        mine = []
        for hour, move in enumerate(moves):
            nav *= 1.0 + (move if hour < 800 else tail * move)
            mine.append(
                forecaster.update(hour, nav=nav, drawdown=0.0, exposure=0.5, market=float(move)).probability
            )
        said.append(mine)
    assert said[0][:800] == said[1][:800]
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


def test_a_forecaster_that_is_restored_goes_on_as_if_nothing_had_happened() -> None:
    whole = told(1_200, 1, storms=True)
    other = DrawdownForecaster(horizon=24, interval_ns=HOUR_NS)
    other.restore(json.loads(json.dumps(whole.state())))
    assert other.state() == whole.state()
    for hour in range(1_200, 1_500):
        figures = {"nav": 1.0 - hour / 1e5, "drawdown": 0.01, "exposure": 0.5, "market": -1e-3}
        assert other.update(hour, **figures) == whole.update(hour, **figures)
    assert other.score() == whole.score()


def council(**rules: Any) -> CouncilService:
    made = CouncilService(rules=CouncilRules(start_profile="NORMAL", **rules), started_at=HOUR_NS)
    hear(made, 1)
    return made


def hear(made: CouncilService, hour: int, *more: Advice) -> list[Any]:
    ts = hour * HOUR_NS
    health = HealthReported(source="system", sequence=hour, ts_event=ts, system_status="HEALTHY")
    account = AccountReported(
        source="account:paper", sequence=hour, ts_event=ts, interval_ns=HOUR_NS, equity=1e4, nav=1.0,
        exposure=0.0, leverage=0.0, margin_ratio=0.0, positions=0, unprotected=0, consecutive_losses=0,
    )  # fmt: skip
    return made.handle_all([health, account, *more])


def advice(hour: int, probability: float, *, earned: bool = True) -> Advice:
    return Advice(
        source="logistic",
        ts_event=hour * HOUR_NS,
        horizon_ns=24 * HOUR_NS,
        depth=0.02,
        probability=probability,
        earned=earned,
    )


def test_earned_advice_tightens_by_decisions_of_ceo_and_cro_and_ends_with_its_horizon() -> None:
    made = council()
    before = made.policy
    said = hear(made, 2, advice(2, 0.6))
    ruled = {(d.officer, d.rule, d.kind) for d in said if isinstance(d, Decision)}
    assert {("ceo", "A1", "CAPITAL_PROFILE"), ("cro", "A2", "RISK_ADJUSTMENT")} <= ruled
    assert (made.policy.profile, made.policy.max_exposure) == ("LOW", 0.45)
    assert not [d for d in hear(made, 3, advice(3, 0.6)) if isinstance(d, Decision)], "told once"
    for hour in range(4, 28):
        hear(made, hour)
    assert made.policy == before


def test_advice_that_is_not_earned_or_left_out_does_nothing() -> None:
    made = council()
    before = made.policy
    hear(made, 2, advice(2, 0.99, earned=False))
    assert made.policy == before
    made = council(disabled_rules=frozenset(["A1", "A2"]))
    hear(made, 2, advice(2, 0.99))
    assert made.policy == before


def test_calm_advice_releases_nothing_that_another_holds() -> None:
    made = council()
    made.handle(
        AccountReported(
            source="account:paper", sequence=2, ts_event=2 * HOUR_NS, interval_ns=HOUR_NS, equity=9_100.0,
            nav=0.91, exposure=0.0, leverage=0.0, margin_ratio=0.0, positions=0, unprotected=0,
        )
    )  # fmt: skip
    held = set(made.holds)
    assert held
    made.handle(advice(2, 0.0))
    assert set(made.holds) == held
