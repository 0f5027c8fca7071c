import pytest

from consilium.council.policy import BASE_POLICY, PROFILES, policy_for
from consilium.domain import Policy, UnknownName


@pytest.mark.promise("001", "capital profile NORMAL: 2 % risk a trade, 5 % daily risk, 5 positions")
@pytest.mark.promise(
    "001",
    "risk limits: leverage 10, position 10,000 USD, drawdown 8 %, exposure 90 %, stop-loss multiplier 1.0",
)
def test_the_base_limits_are_the_seeds() -> None:
    base = BASE_POLICY
    assert (base.profile, base.max_risk_per_trade, base.max_daily_risk) == ("NORMAL", 0.02, 0.05)
    assert (base.max_positions, base.max_leverage, base.max_position_usd) == (5, 10.0, 10_000.0)
    assert (base.max_drawdown, base.max_exposure, base.stop_multiplier) == (0.08, 0.90, 1.0)
    assert base.entry
    assert base.strategy_exit
    assert base.protective_stop
    assert base.operator_reduces


def test_the_vocabularys_default_is_the_base() -> None:
    assert Policy() == BASE_POLICY == policy_for("NORMAL")


@pytest.mark.promise("001", "capital profiles MICRO, LOW, NORMAL, AGGRESSIVE")
def test_profiles_rise_from_micro_to_aggressive() -> None:
    assert [(p.max_risk_per_trade, p.max_daily_risk, p.max_positions) for p in PROFILES.values()] == [
        (0.005, 0.01, 1),
        (0.01, 0.03, 3),
        (0.02, 0.05, 5),
        (0.03, 0.08, 8),
    ]
    assert list(PROFILES) == ["MICRO", "LOW", "NORMAL", "AGGRESSIVE"]


def test_a_profile_leaves_the_base_limits() -> None:
    policy = policy_for("MICRO")
    assert (policy.profile, policy.max_positions) == ("MICRO", 1)
    assert (policy.max_leverage, policy.max_drawdown) == (10.0, 0.08)


def test_an_unknown_profile_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UnknownName, match="did you mean 'AGGRESSIVE'"):
        policy_for("AGRESSIVE")
