"""Base limits and capital profiles: what is in force before any officer speaks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from consilium.domain import Policy, UnknownName

BASE_POLICY = Policy()
"""The limits without a council: profile NORMAL and the base limits of the risk officer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapitalProfile:
    """How much may be put at risk.

    Parameters
    ----------
    max_risk_per_trade, max_daily_risk
        Fractions of equity that one trade, and all open positions together, may lose at their stops.
    max_positions
        Open positions at most.
    """

    max_risk_per_trade: float
    max_daily_risk: float
    max_positions: int


PROFILES: Mapping[str, CapitalProfile] = MappingProxyType(
    {
        "MICRO": CapitalProfile(max_risk_per_trade=0.005, max_daily_risk=0.01, max_positions=1),
        "LOW": CapitalProfile(max_risk_per_trade=0.01, max_daily_risk=0.03, max_positions=3),
        "NORMAL": CapitalProfile(
            max_risk_per_trade=BASE_POLICY.max_risk_per_trade,
            max_daily_risk=BASE_POLICY.max_daily_risk,
            max_positions=BASE_POLICY.max_positions,
        ),
        "AGGRESSIVE": CapitalProfile(max_risk_per_trade=0.03, max_daily_risk=0.08, max_positions=8),
    }
)
"""From the tightest to the loosest."""


def policy_for(profile: str) -> Policy:
    """Return the base limits under a capital profile.

    Parameters
    ----------
    profile
        MICRO, LOW, NORMAL or AGGRESSIVE.

    Raises
    ------
    UnknownName
        No such profile; the error lists the known ones.

    Examples
    --------
    >>> policy_for("MICRO").max_positions, policy_for("MICRO").max_leverage
    (1, 10.0)
    """
    if profile not in PROFILES:
        raise UnknownName("profile", profile, PROFILES)
    chosen = PROFILES[profile]
    return replace(
        BASE_POLICY,
        profile=profile,
        max_risk_per_trade=chosen.max_risk_per_trade,
        max_daily_risk=chosen.max_daily_risk,
        max_positions=chosen.max_positions,
    )
