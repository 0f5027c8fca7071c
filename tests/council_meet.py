"""What is in force, in the plainest words: capabilities, profiles, and the meet of holds, key by key.

Written from the table of rules alone, without a look at the council's code.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from consilium.domain import Hold, Policy

RANKS = {"supervisor": 1, "cro": 2, "ceo": 3, "cio": 4, "cfo": 5, "researcher": 6}
TIGHTNESS = ("LIVE", "SHADOW", "PAUSED", "REDUCING", "EMERGENCY", "FROZEN")
CAPABILITIES = {
    "LIVE": (True, True, True, True),
    "SHADOW": (False, True, True, True),
    "PAUSED": (False, True, True, True),
    "REDUCING": (False, True, True, True),
    "EMERGENCY": (False, False, True, True),
    "FROZEN": (False, False, True, True),
}
PROFILES = {
    "MICRO": (0.005, 0.01, 1),
    "LOW": (0.01, 0.03, 3),
    "NORMAL": (0.02, 0.05, 5),
    "AGGRESSIVE": (0.03, 0.08, 8),
}
PROFILE_ORDER = tuple(PROFILES)
LIMITS = (
    "max_leverage",
    "max_position_usd",
    "max_exposure",
    "max_drawdown",
    "stop_multiplier",
    "ess_caution",
    "ess_warning",
    "ess_critical",
)
PARTS = {
    "mode": (
        *("mode", "entry", "strategy_exit", "protective_stop", "operator_reduces", "reduce", "flatten"),
    ),
    "profile": ("profile", "max_risk_per_trade", "max_daily_risk", "max_positions"),
}


def tightest_mode(modes: Iterable[str]) -> str:
    """Return the tightest of modes; LIVE where there is none."""
    return max(modes, key=TIGHTNESS.index, default="LIVE")


def capabilities(modes: Iterable[str]) -> tuple[bool, bool, bool, bool]:
    """Return (entry, strategy exit, protective stop, operator reduces): what all modes allow."""
    rows = [CAPABILITIES[mode] for mode in modes] or [CAPABILITIES["LIVE"]]
    return tuple(all(column) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def tightest_profile(profiles: Iterable[str]) -> str:
    """Return the tightest of profiles."""
    return min(profiles, key=PROFILE_ORDER.index)


def meet(base: Policy, holds: Iterable[Hold]) -> dict[str, object]:
    """Return what is in force, key by key: the loosest of what each waiver, or none, leaves.

    Grants (P3, C3) raise the base; a waiver of two operators sets aside what the CRO, the CEO, the CIO and
    the CFO held when it was given, and has a bound of its own.
    """
    listed = list(holds)
    grants = [h for h in listed if h.rule in ("P3", "C3")]
    waivers = [h for h in listed if h.rule == "O1:waive"]
    bounds = [h for h in listed if h not in grants and h not in waivers]
    raised = granted(base, grants)
    result = _tightest(raised, bounds)
    for waiver in waivers:
        kept = [
            h
            for h in bounds
            if h.key == waiver.key and (h.owner in ("supervisor", "operator") or h.ts_event > waiver.ts_event)
        ]
        loosened = _tightest(raised, [*kept, waiver])
        if waiver.key == "symbols" and result["symbols"] is not None:
            result["symbols"] = result["symbols"] | loosened["symbols"]
        elif _allows_more(waiver.key, loosened[waiver.key], result[waiver.key]):
            result |= {name: loosened[name] for name in PARTS.get(waiver.key, (waiver.key,))}
    return result


def granted(base: Policy, grants: Iterable[Hold]) -> Policy:
    """Return the base with what was granted by right: AGGRESSIVE, and symbols beyond it."""
    for hold in grants:
        if hold.key == "profile":
            base = replace(base, profile=str(hold.value))
        elif base.symbols is not None:
            base = replace(base, symbols=tuple({*base.symbols, *hold.value}))  # type: ignore[misc]
    return base


def _allows_more(key: str, value: Any, than: Any) -> bool:
    if key == "mode":
        return TIGHTNESS.index(value) < TIGHTNESS.index(than)
    if key == "profile":
        return PROFILE_ORDER.index(value) > PROFILE_ORDER.index(than)
    if key == "symbols":
        return than is not None and (value is None or value > than)
    return bool(value > than)


def _tightest(base: Policy, listed: Sequence[Hold]) -> dict[str, Any]:
    modes = [str(h.value) for h in listed if h.key == "mode"]
    profile = tightest_profile([base.profile, *(str(h.value) for h in listed if h.key == "profile")])
    entry, strategy_exit, protective_stop, operator_reduces = capabilities(modes)
    risk, daily, positions = PROFILES[profile]
    result: dict[str, Any] = {
        "mode": tightest_mode(modes),
        "profile": profile,
        "max_risk_per_trade": risk,
        "max_daily_risk": daily,
        "max_positions": positions,
        "entry": entry,
        "strategy_exit": strategy_exit,
        "protective_stop": protective_stop,
        "operator_reduces": operator_reduces,
        "reduce": "REDUCING" in modes,
        "flatten": "EMERGENCY" in modes,
    }
    for name in LIMITS:
        bounds = [float(h.value) for h in listed if h.key == name]  # type: ignore[arg-type]
        result[name] = min([getattr(base, name), *bounds])
    allowed = None if base.symbols is None else set(base.symbols)
    for hold in listed:
        if hold.key == "symbols":
            named = set(hold.value)  # type: ignore[arg-type]
            allowed = named if allowed is None else allowed & named
    result["symbols"] = allowed
    return result


def no_looser(policy: Policy, than: Policy) -> list[str]:
    """Return the keys in which a policy allows more than another."""
    found = [name for name in LIMITS if getattr(policy, name) > getattr(than, name)]
    if PROFILE_ORDER.index(policy.profile) > PROFILE_ORDER.index(than.profile):
        found.append("profile")
    if than.symbols is not None and (policy.symbols is None or not set(policy.symbols) <= set(than.symbols)):
        found.append("symbols")
    return found
