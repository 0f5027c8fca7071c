"""The risk officer: limits by onset, reduce-only, and the thresholds of the emergency stop."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from consilium.council.afterwards import blind, held_by, policy_after
from consilium.council.figures import above, below, below_or_insufficient, known, percent
from consilium.council.levels import ESS_LEVELS
from consilium.council.payloads import payload_of
from consilium.council.role import Follower, Proposal, Ruling, conclude
from consilium.council.timers import HOUR, MINUTE, Timers
from consilium.domain import Briefing, DecisionKind, Hold, Policy

RISE = 0.02
EXPOSURE = 0.85
MOST_ONSETS = 3
LIMIT_FACTOR = 0.5
STOP_FACTOR = 0.75
FLOORS = {"max_leverage": 1.0, "max_position_usd": 500.0, "max_exposure": 0.10}
BACK_STEP = 0.25
QUIET_FOR = 24 * HOUR
STEP_EVERY = 24 * HOUR
R1_DWELL = 60 * MINUTE
V1_DRAWDOWN = 0.05
"""Limits go back below it only: above, the supervisor would override it."""

REDUCE_DRAWDOWN = 0.08
REDUCE_UNTIL = 0.06
REDUCE_DWELL = 60 * MINUTE
REDUCE_LEVERAGE = 1.0
FLAT_FOR = 24 * HOUR
MICRO_FOR = 24 * HOUR

BACK_DRAWDOWN = 0.02
BACK_WIN_RATE = 0.65
BACK_SHARPE = 2.0
BACK_FOR = 24 * HOUR

ESS_DRAWDOWN = 0.06
ESS_MAX_DRAWDOWN = 0.08
ESS_CAUTION = 0.02
ESS_WARNING = 0.04
ESS_CRITICAL = 0.07
ESS_CRITICAL_MOST = 0.08
ESS_MARGIN = 0.005
ESS_UNTIL = 0.02
ESS_DWELL = 24 * HOUR

ESS_KEYS = ("ess_caution", "ess_warning", "ess_critical")


class RiskOfficer(Follower):
    """Rows R1, R2, R3 and E1."""

    name: ClassVar[str] = "cro"
    kinds: ClassVar[frozenset[str]] = frozenset(
        {DecisionKind.RISK_ADJUSTMENT.value, DecisionKind.ESS_POLICY.value}
    )

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        """Tighten where a row sets on, step back where one allows it."""
        timers = Timers(memory, briefing.ts_event, briefing.fresh_since)
        moves = [*_reduce(briefing, timers), *_limit(briefing, timers)]
        proposals = [_risk(briefing, moves)] if moves else []
        thresholds = _thresholds(briefing, timers)
        if thresholds:
            proposals.append(thresholds)
        return conclude(proposals, timers)


class Move:
    """A change of the officer's limits by one row."""

    def __init__(
        self, rule: str, reason: str, placed: Sequence[Hold] = (), released: Sequence[str] = ()
    ) -> None:
        self.rule, self.reason = rule, reason
        self.placed, self.released = tuple(placed), tuple(released)


def _hold(
    briefing: Briefing, rule: str, key: str, value: float | str, reason: str, lasts: int | None = None
) -> Hold:
    now = briefing.ts_event
    ends = None if lasts is None else now + lasts
    return Hold(owner="cro", rule=rule, key=key, value=value, reason=reason, ts_event=now, expires_at=ends)


# R1 and R3


def limits_after(base: Policy, onsets: int, steps: int) -> dict[str, float]:
    """Return R1's limits: base x min(1, .5^k + .25 d), not below the floors; the stop by .75^k.

    Parameters
    ----------
    onsets
        k, at most 3.
    steps
        d, how often they went back by 25 % of base since.

    Examples
    --------
    >>> limits_after(Policy(), onsets=2, steps=0)["max_leverage"]
    2.5
    >>> limits_after(Policy(), onsets=3, steps=1)["max_position_usd"]
    3750.0
    """
    k = min(onsets, MOST_ONSETS)
    share = min(1.0, LIMIT_FACTOR**k + BACK_STEP * steps)
    found = {
        key: min(getattr(base, key), max(floor, getattr(base, key) * share)) for key, floor in FLOORS.items()
    }
    stop = min(1.0, STOP_FACTOR**k + BACK_STEP * steps)
    return {**found, "stop_multiplier": base.stop_multiplier * stop}


def _limit(briefing: Briefing, timers: Timers) -> list[Move]:
    """R1: halve the base limits at each onset; step back by R1's own rule or R3."""
    if "R1" in briefing.disabled_rules:
        return []
    standing = {h.key: h for h in held_by(briefing, "cro") if h.rule == "R1"}
    began = _onset(briefing, timers)
    if began:
        onsets = min(MOST_ONSETS, 1 + (timers.recall("onsets", 0) if standing else 0))
        timers.keep("onsets", onsets)
        timers.keep("onset_at", briefing.ts_event)
        return [_tightened(briefing, onsets, "; ".join(began))]
    rule = _way_back(briefing, timers, standing)
    if not rule:
        return []
    onsets = timers.recall("onsets", 1)
    steps = _steps_made(briefing, onsets, standing) + 1
    timers.keep("stepped_at", briefing.ts_event)
    return [_stepped(briefing, onsets, steps, rule, standing)]


def _onset(briefing: Briefing, timers: Timers) -> list[str]:
    """Return what set on, each condition on its own edge; all in one briefing are one onset."""
    of = briefing.portfolio
    began = []
    if timers.began("rise", known(of.drawdown_rise, above(of.drawdown_rise, RISE))):
        began.append(f"drawdown rose {percent(of.drawdown_rise)} in 24 h, {percent(RISE)} is the bound")
    if timers.began("exposure", known(of.exposure, above(of.exposure, EXPOSURE))):
        began.append(f"exposure {percent(of.exposure)} is above {percent(EXPOSURE)}")
    if briefing.ess in ESS_LEVELS:
        before = timers.recall("ess", ESS_LEVELS[0])
        timers.keep("ess", briefing.ess)
        if ESS_LEVELS.index(briefing.ess) > ESS_LEVELS.index(before):
            began.append(f"the emergency stop rose from {before} to {briefing.ess}")
    return began


def _tightened(briefing: Briefing, onsets: int, reason: str) -> Move:
    limits = limits_after(briefing.base, onsets, 0)
    return Move("R1", reason, [_hold(briefing, "R1", key, value, reason) for key, value in limits.items()])


def _way_back(briefing: Briefing, timers: Timers, standing: Mapping[str, Hold]) -> str:
    """Return the row by which limits may go back now, empty for none."""
    of = briefing.portfolio
    strong = (
        below(of.drawdown, BACK_DRAWDOWN)
        and above(of.win_rate, BACK_WIN_RATE)
        and above(of.sharpe, BACK_SHARPE)
    )
    long_strong = timers.held("strong", strong, BACK_FOR)
    gone = below_or_insufficient(of.drawdown_rise, RISE) and below(of.exposure, EXPOSURE)
    if not standing or blind(briefing) or not gone or not below(of.drawdown, V1_DRAWDOWN):
        return ""
    onset_at = timers.recall("onset_at", max(hold.ts_event for hold in standing.values()))
    if not timers.reached(timers.recall("stepped_at", onset_at - STEP_EVERY) + STEP_EVERY):
        return ""
    if timers.reached(onset_at + QUIET_FOR):
        return "R1"
    others = [*held_by(briefing, "supervisor"), *(h for h in held_by(briefing, "cro") if h.rule != "R1")]
    ready = long_strong and not others and "R3" not in briefing.disabled_rules
    return "R3" if ready and timers.reached(onset_at + R1_DWELL) else ""


def _steps_made(briefing: Briefing, onsets: int, standing: Mapping[str, Hold]) -> int:
    """Return how many steps back the holds in force show: one that was refused does not count."""
    for steps in range(4, 0, -1):
        limits = limits_after(briefing.base, onsets, steps)
        if all(key in standing and standing[key].value >= limits[key] for key in standing):  # type: ignore[operator]
            return steps
    return 0


def _stepped(briefing: Briefing, onsets: int, steps: int, rule: str, standing: Mapping[str, Hold]) -> Move:
    limits = limits_after(briefing.base, onsets, steps)
    why = "no onset for 24 h" if rule == "R1" else "drawdown, win rate and Sharpe were good for 24 h"
    reason = f"{why}: limits go back by {percent(BACK_STEP)} of base"
    kept = {key: limits[key] for key in standing if limits[key] < getattr(briefing.base, key)}
    placed = [_hold(briefing, "R1", key, value, reason) for key, value in kept.items()]
    return Move(rule, reason, placed, [standing[key].hold_id for key in standing if key not in kept])


# R2


def _reduce(briefing: Briefing, timers: Timers) -> list[Move]:
    """R2: reduce-only above 8 %, until below 6 % for an hour, or flat for a day and reviewed."""
    of = briefing.portfolio
    standing = [hold for hold in held_by(briefing, "cro") if hold.rule == "R2" and hold.key != "profile"]
    began = timers.began("R2", known(of.drawdown, above(of.drawdown, REDUCE_DRAWDOWN)))
    better = timers.held("better", bool(standing) and below(of.drawdown, REDUCE_UNTIL), REDUCE_DWELL)
    flat = timers.held("flat", bool(standing) and of.positions == 0, FLAT_FOR)
    if "R2" in briefing.disabled_rules:
        return []
    if began and not standing:
        reason = f"drawdown {percent(of.drawdown)} is above {percent(REDUCE_DRAWDOWN)}"
        holds = [
            _hold(briefing, "R2", "mode", "REDUCING", reason),
            _hold(briefing, "R2", "max_leverage", REDUCE_LEVERAGE, reason),
        ]
        return [Move("R2", reason, holds)]
    reviewed = flat and bool(briefing.reviews.get("reduce_only"))
    if not standing or blind(briefing) or not (better or reviewed):
        return []
    if not timers.reached(max(hold.ts_event for hold in standing) + REDUCE_DWELL):
        return []
    why = (
        f"drawdown {percent(of.drawdown)} is below {percent(REDUCE_UNTIL)} for 60 min"
        if better
        else "flat for 24 h and reviewed"
    )
    micro = _hold(briefing, "R2", "profile", "MICRO", "MICRO for 24 h after reduce-only", MICRO_FOR)
    return [Move("R2", f"{why}: reduce-only ends in MICRO", [micro], [h.hold_id for h in standing])]


def _risk(briefing: Briefing, moves: Sequence[Move]) -> Proposal:
    """Return the one decision of all moves; its body tells the limits in force after it."""
    placed = tuple(hold for move in moves for hold in move.placed)
    released = tuple(name for move in moves for name in move.released)
    after = policy_after(briefing, placed, released)
    payload = payload_of(DecisionKind.RISK_ADJUSTMENT, after)
    if any(move.rule == "R2" for move in moves) or "cro/R2/mode" in briefing.holds:
        payload["reduce_only"] = after.reduce
    return Proposal(
        rule=moves[0].rule,
        kind=DecisionKind.RISK_ADJUSTMENT.value,
        payload=payload,
        reason="; ".join(move.reason for move in moves),
        holds=placed,
        releases=released,
    )


# E1


def _thresholds(briefing: Briefing, timers: Timers) -> Proposal | None:
    """E1: tighten the emergency stop's thresholds once, at the trigger."""
    of = briefing.portfolio
    standing = [hold for hold in held_by(briefing, "cro") if hold.rule == "E1"]
    now_high = above(of.drawdown_rebased, ESS_DRAWDOWN)
    true = now_high or above(of.max_drawdown_rebased, ESS_MAX_DRAWDOWN)
    low = below(of.drawdown_rebased, ESS_UNTIL) and below(of.drawdown, V1_DRAWDOWN)
    low = low and below(of.max_drawdown_rebased, ESS_MAX_DRAWDOWN)
    long_low = timers.held("restored", bool(standing) and low, ESS_DWELL)
    if "E1" in briefing.disabled_rules:
        return None
    if true and not standing:
        figure, bound = (
            (of.drawdown_rebased, percent(ESS_DRAWDOWN))
            if now_high
            else (of.max_drawdown_rebased, percent(ESS_MAX_DRAWDOWN))
        )
        told = "drawdown" if now_high else "max drawdown of 30 days"
        reason = f"{told} {percent(figure)} is above {bound}"
        level = of.ess_loss if isinstance(of.ess_loss, int | float) else 0.0
        critical = min(ESS_CRITICAL_MOST, max(ESS_CRITICAL, level + ESS_MARGIN))
        values = dict(zip(ESS_KEYS, (ESS_CAUTION, ESS_WARNING, critical), strict=True))
        return _ess(briefing, reason, [_hold(briefing, "E1", k, v, reason) for k, v in values.items()], ())
    if (
        long_low
        and not blind(briefing)
        and timers.reached(max(hold.ts_event for hold in standing) + ESS_DWELL)
    ):
        reason = f"drawdown is below {percent(ESS_UNTIL)} for 24 h: the emergency stop's thresholds go back"
        return _ess(briefing, reason, (), [hold.hold_id for hold in standing])
    return None


def _ess(briefing: Briefing, reason: str, placed: Sequence[Hold], released: Sequence[str]) -> Proposal:
    return Proposal(
        rule="E1",
        kind=DecisionKind.ESS_POLICY.value,
        payload=payload_of(DecisionKind.ESS_POLICY, policy_after(briefing, placed, released)),
        reason=reason,
        holds=tuple(placed),
        releases=tuple(released),
    )
