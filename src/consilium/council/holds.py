"""Holds and their meet: what is in force is the tightest of all that anyone holds.

A *restriction* bounds one key. A *grant* raises the base itself before anything bounds it: only AGGRESSIVE
(P3), symbols beyond the base (C3), model weights (C1) and the split of profit (B) are ever granted. A
*waiver* is an operators' loosening by two persons: it sets aside the holds of CRO, CEO, CIO and CFO that were
placed at or before it, never a supervisor's, and never beyond its own value.

| key | value | tightest |
|---|---|---|
| ``mode`` | name | the latest in `MODE_ORDER` |
| ``profile`` | name | the first in `PROFILE_ORDER` |
| a limit or threshold in `LIMIT_KEYS` | number | the least |
| ``symbols`` | names | the intersection |
| ``allocation:MODEL`` | share | the operator's stands, the CIO's take what is left |
| ``split`` | three texts: lock, reinvest, reserve | the newest |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from consilium.council.policy import PROFILES
from consilium.council.shares import spread
from consilium.domain import Hold, InvalidValue, Mode, Policy
from consilium.domain.governance import PRIORITIES

MODE_ORDER: tuple[str, ...] = tuple(mode.value for mode in Mode)
"""From the loosest to the tightest."""
PROFILE_ORDER: tuple[str, ...] = tuple(PROFILES)
"""From the tightest to the loosest."""
LIMIT_KEYS: tuple[str, ...] = (
    "max_leverage", "max_position_usd", "max_exposure", "max_drawdown", "stop_multiplier",
    "ess_caution", "ess_warning", "ess_critical",
)  # fmt: skip
GRANTS: Mapping[str, tuple[str, str]] = {
    "P3": ("ceo", "profile"),
    "C3": ("cio", "symbols"),
    "C1": ("cio", "allocation:"),
    "B": ("cfo", "split"),
}
"""By rule the owner and the key (or its beginning) of what raises the base."""
UNKNOWN_HOLD = "supervisor/S1/mode"
"""The pause while required facts are unknown."""
REDUCE_ONLY_HOLD = "cro/R2/mode"
WAIVER = "O1:waive"
"""Rule of an operators' loosening."""
WAIVED_OWNERS = frozenset(("cro", "ceo", "cio", "cfo"))
CAPABILITIES: Mapping[str, tuple[bool, bool, bool, bool]] = {
    "LIVE": (True, True, True, True),
    "SHADOW": (False, True, True, True),
    "PAUSED": (False, True, True, True),
    "REDUCING": (False, True, True, True),
    "EMERGENCY": (False, False, True, True),
    "FROZEN": (False, False, True, True),
}
"""By mode: entry, strategy exit, protective stop, operator reduces."""

_MODE_RANK = {name: rank for rank, name in enumerate(MODE_ORDER)}
_PROFILE_RANK = {name: rank for rank, name in enumerate(PROFILE_ORDER)}


def is_grant(hold: Hold) -> bool:
    """Whether a hold raises the base instead of bounding it."""
    if hold.rule not in GRANTS:
        return False
    owner, key = GRANTS[hold.rule]
    return hold.owner == owner and hold.key.startswith(key)


def widens(hold: Hold) -> bool:
    """Whether a hold only allows more, so that its end tightens: AGGRESSIVE, symbols beyond the base."""
    return is_grant(hold) and hold.key in ("profile", "symbols")


def is_waiver(hold: Hold) -> bool:
    """Whether a hold is an operators' loosening."""
    return hold.rule == WAIVER and hold.owner == "operator"


def is_freeze(hold: Hold) -> bool:
    """Whether a hold freezes."""
    return hold.key == "mode" and hold.value == Mode.FROZEN.value


def share_of(hold: Hold) -> float:
    """Return the share that an allocation holds."""
    return float(hold.value)  # type: ignore[arg-type]  # `check_hold` let only numbers in


def check_hold(hold: Hold) -> None:
    """Refuse a hold that bounds nothing known, or by a value out of its range.

    Raises
    ------
    InvalidValue
        No such owner or key, or a value that is none of it.
    """
    if hold.owner not in PRIORITIES:
        raise InvalidValue(f"owner must be one of {', '.join(PRIORITIES)}", repr(hold.owner), "choose one")
    value, key = hold.value, hold.key
    if key == "mode":
        good = value in _MODE_RANK
    elif key == "profile":
        good = value in _PROFILE_RANK
    elif key == "symbols":
        good = isinstance(value, tuple) and all(value)
    elif key == "split":
        good = isinstance(value, tuple) and _is_split(value)
    elif key in LIMIT_KEYS:
        good = _is_number(value) and _in_range(key, float(value))  # type: ignore[arg-type]  # a number
    else:
        good = key.startswith("allocation:") and _is_number(value) and 0.0 <= float(value) <= 1.0  # type: ignore[arg-type]
    if not good:
        raise InvalidValue(f"{key} must hold a value of its own kind and range", repr(value), "correct it")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_range(key: str, value: float) -> bool:
    """Whether a limit is positive and finite, and a fraction where it must be one."""
    if key in ("max_leverage", "max_position_usd", "stop_multiplier"):
        return 0.0 < value < float("inf")
    return 0.0 < value <= 1.0


def _is_split(value: Sequence[str]) -> bool:
    try:
        parts = [float(part) for part in value]
    except (TypeError, ValueError):
        return False
    return len(parts) == 3 and all(0.0 <= part <= 1.0 for part in parts) and abs(sum(parts) - 1.0) < 1e-9


def tighter(key: str, first: Any, second: Any) -> Any:
    """Return the tighter of two values of a key.

    Examples
    --------
    >>> tighter("mode", "LIVE", "PAUSED"), tighter("profile", "LOW", "NORMAL"), tighter("max_leverage", 5, 3)
    ('PAUSED', 'LOW', 3)
    >>> tighter("symbols", None, ("B", "A")), tighter("symbols", ("A", "C"), ("B", "A"))
    (('A', 'B'), ('A',))
    """
    if key == "mode":
        return max(first, second, key=_MODE_RANK.__getitem__)
    if key == "profile":
        return min(first, second, key=_PROFILE_RANK.__getitem__)
    if key == "symbols":
        if first is None or second is None:
            either = second if first is None else first
            return None if either is None else tuple(sorted(set(either)))
        return tuple(sorted(set(first) & set(second)))
    return min(first, second)


def looser(key: str, first: Any, second: Any) -> Any:
    """Return the looser of two values of a key; of symbols all that either allows.

    Examples
    --------
    >>> looser("mode", "LIVE", "PAUSED"), looser("symbols", ("A",), ("B", "A")), looser("symbols", None, ())
    ('LIVE', ('A', 'B'), None)
    """
    if key == "symbols":
        return None if first is None or second is None else tuple(sorted(set(first) | set(second)))
    if key == "mode":
        return min(first, second, key=_MODE_RANK.__getitem__)
    if key == "profile":
        return max(first, second, key=_PROFILE_RANK.__getitem__)
    return max(first, second)


def is_tighter(key: str, value: Any, than: Any) -> bool:
    """Whether a value of a key allows less than another, and nothing that the other forbids."""
    value, than = tighter(key, value, value), tighter(key, than, than)
    return bool(value != than and tighter(key, value, than) == value)


def bound(key: str, base: Any, holds: Iterable[Hold]) -> Any:
    """Return what holds of one key, grants and waivers among them, leave of its base.

    With holds h, waivers w and what each waiver covers:
    ``loosest(tightest(base, h), tightest(base, h - covered(w), w) for each w)``.
    """
    return _bound(key, base, list(holds))[0]


def _bound(key: str, base: Any, holds: Sequence[Hold]) -> tuple[Any, list[Hold]]:
    """Return the value in force for a key, and the restrictions that count."""
    bounds = [hold for hold in holds if not is_waiver(hold) and not is_grant(hold)]
    for hold in holds:
        if is_grant(hold):
            base = looser(key, base, hold.value)
    value, counting = _tightest(key, base, bounds), bounds
    for waiver in sorted((hold for hold in holds if is_waiver(hold)), key=lambda hold: hold.hold_id):
        kept = [hold for hold in bounds if hold.owner not in WAIVED_OWNERS or hold.ts_event > waiver.ts_event]
        waived = tighter(key, waiver.value, _tightest(key, base, kept))
        loosened = looser(key, value, waived)
        if loosened != value:
            value, counting = loosened, [*kept, waiver]
    return value, counting


def _tightest(key: str, base: Any, bounds: Iterable[Hold]) -> Any:
    value = tighter(key, base, base)
    for hold in bounds:
        value = tighter(key, value, hold.value)
    return value


def meet(base: Policy, holds: Iterable[Hold], models: Iterable[str] = ()) -> Policy:
    """Return the policy in force: the tightest of all holds and the base limits.

    The order of holds does not matter, nor does saying one twice.

    Parameters
    ----------
    base
        The limits without any hold.
    holds
        In force.
    models
        Names that share what an operator's allocation leaves, where the CIO has said nothing.

    Examples
    --------
    >>> from consilium.domain import Hold, Policy
    >>> frozen = Hold(owner="supervisor", rule="F1", key="mode", value="FROZEN", reason="loss", ts_event=0)
    >>> meet(Policy(), [frozen]).mode, meet(Policy(), [frozen]).entry
    ('FROZEN', False)
    """
    by_key: dict[str, list[Hold]] = {}
    for hold in {hold.hold_id: hold for hold in holds}.values():
        by_key.setdefault(hold.key.partition(":")[0], []).append(hold)
    if not by_key and not base.weights:
        return base if base.symbols is None else replace(base, symbols=tuple(sorted(base.symbols)))
    changed: dict[str, Any] = {
        key: bound(key, getattr(base, key), by_key[key]) for key in LIMIT_KEYS if key in by_key
    }
    changed["symbols"] = bound("symbols", base.symbols, by_key.get("symbols", ()))
    changed |= _mode(base, by_key.get("mode", []))
    changed |= _profile(base, by_key.get("profile", []))
    changed["weights"] = _weights(base, by_key.get("allocation", []), models)
    if "split" in by_key:
        newest = max(by_key["split"], key=lambda hold: (hold.ts_event, hold.hold_id))
        lock, reinvest, reserve = (float(part) for part in newest.value)  # type: ignore[union-attr]  # texts
        changed |= {"profit_lock": lock, "reinvest": reinvest, "reserve_buffer": reserve}
    return replace(base, **changed)


def _mode(base: Policy, holds: Sequence[Hold]) -> dict[str, Any]:
    """Return mode and capabilities: the AND of all modes that count."""
    mode, counting = _bound("mode", base.mode, holds)
    names = {base.mode, mode, *(str(hold.value) for hold in counting)}
    caps = [CAPABILITIES[name] for name in names]
    entry, leave, stop, operator = (all(column) for column in zip(*caps, strict=True))
    return {
        "mode": mode,
        "entry": entry and base.entry,
        "strategy_exit": leave and base.strategy_exit,
        "protective_stop": stop and base.protective_stop,
        "operator_reduces": operator and base.operator_reduces,
        "reduce": base.reduce or Mode.REDUCING.value in names,
        "flatten": base.flatten or Mode.EMERGENCY.value in names,
    }


def _profile(base: Policy, holds: Sequence[Hold]) -> dict[str, Any]:
    """Return the profile in force and its limits, none of them above the base's own."""
    name = bound("profile", base.profile, holds)
    if name == base.profile:
        return {}
    chosen, raised = PROFILES[name], _PROFILE_RANK[name] > _PROFILE_RANK[base.profile]
    limits = ("max_risk_per_trade", "max_daily_risk", "max_positions")
    return {"profile": name} | {
        limit: getattr(chosen, limit) if raised else min(getattr(chosen, limit), getattr(base, limit))
        for limit in limits
    }


def _weights(base: Policy, holds: Sequence[Hold], models: Iterable[str]) -> dict[str, float]:
    """Return the allocations: an operator's stand, the others share the rest as the CIO granted."""
    fixed: dict[str, float] = {}
    granted: dict[str, float] = {}
    for hold in sorted(holds, key=lambda hold: (hold.ts_event, hold.hold_id)):
        side = granted if is_grant(hold) else fixed
        side[hold.key.partition(":")[2]] = share_of(hold)
    if not fixed and not granted:
        return dict(base.weights)
    wanted = granted or dict(base.weights) or dict.fromkeys(sorted(models), 1.0)
    return spread(fixed, wanted)


def looser_in(before: Policy, after: Policy) -> tuple[str, ...]:
    """Name what another policy allows more of; weights and splits are neither looser nor tighter.

    Examples
    --------
    >>> from consilium.domain import Policy
    >>> looser_in(Policy(max_leverage=5.0, profile="LOW"), Policy(max_exposure=0.5))
    ('profile', 'max_leverage')
    """
    keys = ("mode", "profile", *LIMIT_KEYS, "symbols")
    return tuple(key for key in keys if _allows_more(key, getattr(before, key), getattr(after, key)))


def _allows_more(key: str, before: Any, after: Any) -> bool:
    return bool(looser(key, before, after) != looser(key, before, before))
