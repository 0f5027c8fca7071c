"""Payloads of decisions, by the seed's names, from the policy that they leave."""

from collections.abc import Iterable, Mapping
from typing import Any

from consilium.domain import DecisionKind, Policy

WIRE_MODES: Mapping[str, str] = {
    "LIVE": "LIVE",
    "SHADOW": "SHADOW",
    "PAUSED": "PAUSED",
    "REDUCING": "PAUSED",
    "EMERGENCY": "EMERGENCY",
    "FROZEN": "EMERGENCY",
}
"""Name on the wire by mode."""
LIMIT_OF: dict[str, str] = {
    "max_leverage": "max_leverage",
    "max_position_size_usd": "max_position_usd",
    "max_drawdown_pct": "max_drawdown",
    "max_exposure_pct": "max_exposure",
    "stop_loss_multiplier": "stop_multiplier",
}
"""Key of a hold by the name of a limit on the wire."""
THRESHOLD_OF: dict[str, str] = {
    f"{name}_threshold_pct": f"ess_{name}" for name in ("caution", "warning", "critical")
}
"""The same of the emergency stop's thresholds."""


def kind_of(key: str) -> str:
    """Return the kind of decision that places holds of a key.

    Examples
    --------
    >>> kind_of("mode"), kind_of("allocation:xgboost"), kind_of("ess_caution"), kind_of("max_exposure")
    ('MODE_CHANGE', 'STRATEGY_ALLOCATION', 'ESS_POLICY', 'RISK_ADJUSTMENT')
    """
    first = key.partition(":")[0]
    named = {
        "mode": DecisionKind.MODE_CHANGE,
        "profile": DecisionKind.CAPITAL_PROFILE,
        "symbols": DecisionKind.SYMBOL_UNIVERSE,
        "allocation": DecisionKind.STRATEGY_ALLOCATION,
        "split": DecisionKind.CASHFLOW,
    }
    if first.startswith("ess_"):
        return DecisionKind.ESS_POLICY.value
    return named.get(first, DecisionKind.RISK_ADJUSTMENT).value


def payload_of(kind: str, policy: Policy, symbols: Iterable[str] = ()) -> dict[str, Any]:
    """Return what is in force of a kind.

    Parameters
    ----------
    symbols
        All that could be traded, to tell which are excluded.

    Examples
    --------
    >>> payload_of("CASHFLOW", Policy())
    {'profit_lock_pct': 0.3, 'reinvest_pct': 0.6, 'reserve_buffer_pct': 0.1}
    """
    if kind == DecisionKind.MODE_CHANGE:
        return {"mode": WIRE_MODES[policy.mode], "duration_minutes": None}
    if kind == DecisionKind.CAPITAL_PROFILE:
        return {
            "profile": policy.profile,
            "max_risk_per_trade_pct": policy.max_risk_per_trade,
            "max_daily_risk_pct": policy.max_daily_risk,
            "max_positions": policy.max_positions,
        }
    if kind == DecisionKind.ESS_POLICY:
        return {wire: getattr(policy, key) for wire, key in THRESHOLD_OF.items()}
    if kind == DecisionKind.STRATEGY_ALLOCATION:
        return {
            "model_weights": dict(policy.weights),
            "active_strategies": [name for name, weight in policy.weights.items() if weight > 0],
        }
    if kind == DecisionKind.SYMBOL_UNIVERSE:
        known = sorted(symbols)
        active = known if policy.symbols is None else list(policy.symbols)
        return {
            "active_symbols": active,
            "excluded_symbols": [name for name in known if name not in active],
        }
    if kind == DecisionKind.CASHFLOW:
        return {
            "profit_lock_pct": policy.profit_lock,
            "reinvest_pct": policy.reinvest,
            "reserve_buffer_pct": policy.reserve_buffer,
        }
    return {wire: getattr(policy, key) for wire, key in LIMIT_OF.items()}
