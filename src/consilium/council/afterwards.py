"""What is in force after a ruling: decisions tell it, so that who follows them alone never loosens."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from consilium.council.policy import PROFILES
from consilium.domain import Briefing, Hold, Mode

MODES = tuple(mode.value for mode in Mode)
"""From the loosest to the tightest."""
LADDER = tuple(PROFILES)
"""Profiles from the tightest to the loosest."""
WIRE_MODES: Mapping[str, str] = MappingProxyType(
    {
        "LIVE": "LIVE",
        "SHADOW": "SHADOW",
        "PAUSED": "PAUSED",
        "REDUCING": "PAUSED",
        "EMERGENCY": "EMERGENCY",
        "FROZEN": "EMERGENCY",
    }
)
"""Names of modes in payloads."""
LIMIT_KEYS = ("max_leverage", "max_position_usd", "max_exposure", "max_drawdown", "stop_multiplier")
ESS_KEYS = ("ess_caution", "ess_warning", "ess_critical")
WAIVER = "O1:waive"
GRANTS = ("P3", "C1", "C3", "B")
"""Rules whose holds give more, rather than bound."""


def restricting(holds: Iterable[Hold]) -> list[Hold]:
    """Return the holds that bound: no grants, and no operator's waiver."""
    return [hold for hold in holds if hold.rule not in GRANTS and hold.rule != WAIVER]


def held_by(briefing: Briefing, *owners: str) -> list[Hold]:
    """Return the holds of officers that bound, in the order of their names."""
    found = [briefing.holds[name] for name in sorted(briefing.holds)]
    return [hold for hold in restricting(found) if hold.owner in owners]


def blind(briefing: Briefing) -> bool:
    """Return whether required data are late or unknown: nothing is loosened then."""
    late = briefing.portfolio.late or not briefing.system or not briefing.ess
    return late or "supervisor/S1/mode" in briefing.holds


def remaining(
    briefing: Briefing, placed: Collection[Hold] = (), released: Collection[str] = ()
) -> dict[str, Hold]:
    """Return the holds that stand after a ruling, by id."""
    kept = {name: hold for name, hold in briefing.holds.items() if name not in released}
    return kept | {hold.hold_id: hold for hold in placed}


def mode_of(holds: Iterable[Hold]) -> str:
    """Return the tightest mode of holds; LIVE where none bounds it."""
    modes = [str(hold.value) for hold in restricting(holds) if hold.key == "mode"]
    return max(modes, key=MODES.index, default="LIVE")


def profile_of(base: str, holds: Collection[Hold]) -> str:
    """Return the tightest profile of holds and base, the base raised by a grant."""
    granted = [str(h.value) for h in holds if h.rule == "P3" and h.key == "profile"]
    bounds = [str(hold.value) for hold in restricting(holds) if hold.key == "profile"]
    return min([*(granted or [base]), *bounds], key=LADDER.index)


def limit_of(base: float, key: str, holds: Iterable[Hold]) -> float:
    """Return the least of a limit's holds and its base."""
    bounds = [hold.value for hold in restricting(holds) if hold.key == key]
    return min([base, *(float(b) for b in bounds if isinstance(b, int | float))])


def mode_payload(holds: Collection[Hold], minutes: int | None = None) -> dict[str, object]:
    """Return the body of a MODE_CHANGE after which these holds stand."""
    return {"mode": WIRE_MODES[mode_of(holds)], "duration_minutes": minutes}


def profile_payload(base: str, holds: Collection[Hold]) -> dict[str, object]:
    """Return the body of a CAPITAL_PROFILE after which these holds stand."""
    name = profile_of(base, holds)
    chosen = PROFILES[name]
    return {
        "profile": name,
        "max_risk_per_trade_pct": chosen.max_risk_per_trade,
        "max_daily_risk_pct": chosen.max_daily_risk,
        "max_positions": chosen.max_positions,
    }


def symbols_of(briefing: Briefing, holds: Iterable[Hold]) -> list[str]:
    """Return the symbols that holds leave of the base and what was granted beyond it."""
    listed = list(holds)
    base = briefing.volumes if briefing.base.symbols is None else briefing.base.symbols
    active = set(base).union(*(h.value for h in listed if h.rule == "C3" and isinstance(h.value, tuple)))
    for hold in restricting(listed):
        if hold.key == "symbols" and isinstance(hold.value, tuple):
            active &= set(hold.value)
    return sorted(active)


def weights_in(holds: Iterable[Hold]) -> dict[str, float]:
    """Return the weights of models that were granted."""
    granted = {h.key.partition(":")[2]: h.value for h in holds if h.rule == "C1"}
    return {name: float(granted[name]) for name in sorted(granted)}  # type: ignore[arg-type]  # shares
