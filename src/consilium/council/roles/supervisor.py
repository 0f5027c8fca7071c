"""The supervisor: freezes trading, ends a freeze by the rule alone, and overrides what must not stand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from consilium.council.accounts import LONG_RUN
from consilium.council.afterwards import held_by, policy_after
from consilium.council.briefing import unknown_parts
from consilium.council.figures import above, at_least, below, number, percent
from consilium.council.freezing import (
    SEVERITIES,
    ends_at_the_earliest,
    freeze_body,
    reviewers_needed,
    severity_of,
)
from consilium.council.holds import PROFILE_ORDER as LADDER
from consilium.council.levels import ESS_LEVELS, SYSTEM_STATES
from consilium.council.margin import HOLD_ID as CLOSING
from consilium.council.margin import close_all, closing, must_close
from consilium.council.payloads import LIMIT_OF, THRESHOLD_OF, payload_of
from consilium.council.role import Proposal, Ruling, conclude
from consilium.council.timers import HOUR, MINUTE, Timers
from consilium.domain import Briefing, Decision, DecisionKind, Hold, Missing

FREEZE_DRAWDOWN = 0.10
FREEZE_DAILY_LOSS = 0.05
FREEZE_LOSSES = LONG_RUN

CALM_LOSS = 0.001
CALM_DRAWDOWN = 0.05
CALM_FLOORS = 1.5
CALM_FOR = 15 * MINUTE
SHADOW_FOR = 60 * MINUTE
MICRO_FOR = 24 * HOUR

OVERRIDE_DRAWDOWN = 0.05


@dataclass(frozen=True, slots=True)
class Cause:
    """One of the ways in which a row of freezes comes true."""

    rule: str
    name: str
    true: bool
    reason: str
    known: bool = True


def causes(briefing: Briefing, timers: Timers) -> Iterator[Cause]:
    """Yield every cause of a freeze, true or not; F3 is an event and is told by `_losing_close`."""
    of = briefing.portfolio
    for name, figure in (("drawdown", of.drawdown), ("rebased", of.drawdown_rebased)):
        told = "drawdown" if figure == of.drawdown else "drawdown since the rebase"
        yield Cause(
            "F1",
            name,
            above(figure, FREEZE_DRAWDOWN),
            f"{told} {percent(figure)} is above {percent(FREEZE_DRAWDOWN)}",
            not isinstance(figure, Missing),
        )
    loss = of.daily_loss
    yield Cause(
        "F2",
        "daily loss",
        above(loss, FREEZE_DAILY_LOSS),
        f"daily loss {percent(loss)} is above {percent(FREEZE_DAILY_LOSS)}",
        not isinstance(loss, Missing),
    )
    floor = briefing.floor_usd
    poor = f"equity {number(of.equity)} is below the floor {number(floor)}"
    yield Cause("F4", "equity", below(of.equity, floor), poor, not isinstance(of.equity, Missing))
    ess, system = briefing.ess, briefing.system
    yield Cause("F5", "ess", ess == ESS_LEVELS[-1], "the emergency stop is CRITICAL", bool(ess))
    yield Cause("F5", "system", system == SYSTEM_STATES[-1], "the system is in EMERGENCY", bool(system))
    yield _blind(briefing, timers)
    for name in sorted(briefing.faults):
        yield Cause("F6", name, True, f"{name}: {briefing.faults[name]}")


def _blind(briefing: Briefing, timers: Timers) -> Cause:
    """Return F6's cause: a source is lost, or one that speaks leaves out for as long what is required."""
    of, unknown = briefing.portfolio, unknown_parts(briefing)
    long = timers.lasted("unknown", bool(unknown), briefing.lost_after_ns + 1)
    open_ = above(of.positions, 0) or (of.positions is Missing.UNKNOWN and briefing.accounts > 0)
    what = f"nothing known for {number(of.age_s)} s" if of.lost else f"unknown: {', '.join(unknown)}"
    return Cause("F6", "lost", (of.lost or long) and open_, f"{what} with open positions")


class Supervisor:
    """Rows F1 to F6, L1, U1 and V1."""

    name: ClassVar[str] = "supervisor"
    kinds: ClassVar[frozenset[str]] = frozenset(
        {
            DecisionKind.FREEZE.value,
            DecisionKind.OVERRIDE.value,
            DecisionKind.MODE_CHANGE.value,
            DecisionKind.CAPITAL_PROFILE.value,
        }
    )

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        """Freeze where a row sets on; else end the freezes in force where U1 allows it."""
        timers = Timers(memory, briefing.ts_event, briefing.fresh_since)
        listed = [c for c in causes(briefing, timers) if c.rule not in briefing.disabled_rules]
        _forget_faults(timers, listed)
        begun = [cause for cause in listed if _began(timers, cause)]
        begun += _losing_close(briefing, timers)
        true = [cause for cause in listed if cause.true and cause.name != "drawdown"]
        calm = not begun and not true and is_calm(briefing)
        proposals = _freezes(briefing, begun)
        if self._may_end(briefing, timers, calm):
            proposals += _end(briefing)
        elif must_close(briefing) and _critical(briefing) and not any(map(_closes, proposals)):
            proposals.append(close_all(briefing))
        return conclude(proposals, timers)

    def review(self, briefing: Briefing, decisions: Sequence[Decision]) -> Sequence[Proposal]:
        """Override loosenings while drawdown > 5 %, and AGGRESSIVE under a hold of supervisor or CRO (V1)."""
        if "V1" in briefing.disabled_rules:
            return ()
        others = [d for d in decisions if d.officer != self.name and not d.payload.get("expired")]
        return tuple(
            Proposal(
                rule="V1",
                kind=DecisionKind.OVERRIDE.value,
                payload={"overridden_decision_id": decision.decision_id, "reason": why},
                reason=why,
                overrides=decision.decision_id,
            )
            for decision in others
            if (why := objection(briefing, decision))
        )

    def _may_end(self, briefing: Briefing, timers: Timers, calm: bool) -> bool:
        """Return whether U1 holds: calm for 15 minutes, every dwell over, enough persons have reviewed."""
        frozen = freezes_in_force(briefing)
        watched = bool(frozen) and "U1" not in briefing.disabled_rules
        long_calm = timers.held("calm", watched and calm, CALM_FOR)
        if not long_calm or not frozen:
            return False
        if not timers.reached(max(ends_at_the_earliest(hold) for hold in frozen)):
            return False
        return len(set(briefing.reviews.get("freeze", ()))) >= reviewers_needed(frozen)


def _began(timers: Timers, cause: Cause) -> bool:
    """Return whether a cause sets on; one of which nobody knows neither begins nor ends."""
    return timers.began(f"{cause.rule} {cause.name}", cause.true if cause.known else None)


def _forget_faults(timers: Timers, listed: Iterable[Cause]) -> None:
    """Note the end of faults that are not reported any more: the next one is an onset again."""
    named = {cause.name for cause in listed if cause.rule == "F6"}
    known: list[str] = timers.recall("faults", [])
    for name in known:
        if name not in named:
            timers.began(f"F6 {name}", False)
    timers.keep("faults", sorted(named - {"lost"}) or None)


def _losing_close(briefing: Briefing, timers: Timers) -> list[Cause]:
    """Return F3's cause where a losing close makes, or prolongs, a run of five or more.

    It is an event: frozen, nothing closes, so the run stands still and a freeze could never end.
    """
    run, told = briefing.portfolio.consecutive_losses, briefing.portfolio.long_losses
    if isinstance(run, Missing):
        return []
    rose = run > timers.recall("losses", 0)
    timers.keep("losses", int(run) or None)
    if not isinstance(told, Missing):  # also a run that was broken and made again since
        rose |= told > timers.recall("long losses", told)
        timers.keep("long losses", int(told) or None)
    if "F3" in briefing.disabled_rules or not at_least(run, FREEZE_LOSSES) or not rose:
        return []
    return [
        Cause("F3", "losses", True, f"{number(run)} losing closes in a row, {FREEZE_LOSSES} are too many")
    ]


def _freezes(briefing: Briefing, begun: Sequence[Cause]) -> list[Proposal]:
    """Return one freeze for each row that set on."""
    proposals = []
    for rule in SEVERITIES:
        reason = "; ".join(dict.fromkeys(cause.reason for cause in begun if cause.rule == rule))
        if not reason:
            continue
        hold = Hold(
            owner="supervisor",
            rule=rule,
            key="mode",
            value="FROZEN",
            reason=reason,
            ts_event=briefing.ts_event,
        )
        payload = freeze_body(hold)
        near = severity_of(hold) == "CRITICAL" and must_close(briefing)
        holds = (hold, closing(briefing)) if near else (hold,)
        proposals.append(
            Proposal(rule=rule, kind=DecisionKind.FREEZE.value, payload=payload, reason=reason, holds=holds)
        )
    return proposals


def _critical(briefing: Briefing) -> bool:
    """Return whether a critical freeze is in force."""
    return any(severity_of(hold) == "CRITICAL" for hold in freezes_in_force(briefing))


def _closes(proposal: Proposal) -> bool:
    """Return whether a freeze closes positions too (L1)."""
    return len(proposal.holds) > 1


def freezes_in_force(briefing: Briefing) -> list[Hold]:
    """Return the supervisor's holds that freeze, an operator's freeze included."""
    return [h for h in held_by(briefing, "supervisor") if h.key == "mode" and h.value == "FROZEN"]


def is_calm(briefing: Briefing) -> bool:
    """Return whether U1's figures are met now; triggers, dwell and reviews apart."""
    of = briefing.portfolio
    safe = of.positions == 0 or of.unprotected == 0
    steady = not isinstance(of.loss_15m, Missing) and not above(of.loss_15m, CALM_LOSS)
    funded = above(of.equity, CALM_FLOORS * briefing.floor_usd)
    sound = briefing.ess == ESS_LEVELS[0] and briefing.system == SYSTEM_STATES[0]
    fresh = not of.late and not of.lost
    return safe and steady and funded and sound and fresh and below(of.drawdown_rebased, CALM_DRAWDOWN)


def _end(briefing: Briefing) -> list[Proposal]:
    """Return U1's two decisions: SHADOW for an hour, MICRO for a day."""
    frozen = freezes_in_force(briefing)
    ended = tuple(hold.hold_id for hold in frozen) + ((CLOSING,) if CLOSING in briefing.holds else ())
    who = ", ".join(sorted(set(briefing.reviews.get("freeze", ()))))
    reason = f"calm for 15 min and reviewed by {who}: {', '.join(h.rule for h in frozen)} ended"
    now = briefing.ts_event
    shadow, micro = (
        Hold(
            owner="supervisor",
            rule="U1",
            key=key,
            value=value,
            reason=f"{value} for {lasts // MINUTE} min after a freeze",
            ts_event=now,
            expires_at=now + lasts,
        )
        for key, value, lasts in (("mode", "SHADOW", SHADOW_FOR), ("profile", "MICRO", MICRO_FOR))
    )
    after = policy_after(briefing, (shadow, micro), ended)
    return [
        Proposal(
            rule="U1",
            kind=DecisionKind.MODE_CHANGE.value,
            payload=payload_of(DecisionKind.MODE_CHANGE, after) | {"duration_minutes": SHADOW_FOR // MINUTE},
            reason=reason,
            holds=(shadow,),
            releases=ended,
            expires_at=shadow.expires_at,
        ),
        Proposal(
            rule="U1",
            kind=DecisionKind.CAPITAL_PROFILE.value,
            payload=payload_of(DecisionKind.CAPITAL_PROFILE, after),
            reason=micro.reason,
            holds=(micro,),
            expires_at=micro.expires_at,
        ),
    ]


def objection(briefing: Briefing, decision: Decision) -> str:
    """Return why a decision must not stand, empty where it may (V1).

    R2's own release is let through: its row names its bounds and lands in MICRO.
    """
    payload = decision.payload
    if payload.get("profile") == "AGGRESSIVE":
        holders = held_by(briefing, "supervisor", "cro")
        if holders:
            return f"AGGRESSIVE while {holders[0].owner} holds {holders[0].key}"
    drawdown = briefing.portfolio.drawdown
    hidden = decision.officer == "operator" and isinstance(drawdown, Missing)
    if decision.rule == "R2" or not (hidden or above(drawdown, OVERRIDE_DRAWDOWN)):
        return ""
    looser = _looser(briefing, payload)
    told = (
        f"drawdown is {drawdown.value}"
        if isinstance(drawdown, Missing)
        else f"drawdown {percent(drawdown)} is above {percent(OVERRIDE_DRAWDOWN)}"
    )
    return f"looser {looser} while {told}" if looser else ""


def _looser(briefing: Briefing, payload: Mapping[str, object]) -> str:
    """Return what a payload would loosen of the policy in force, empty for nothing."""
    policy = briefing.policy
    profile = payload.get("profile")
    if profile in LADDER and LADDER.index(str(profile)) > LADDER.index(policy.profile):
        return "profile"
    for name, key in (LIMIT_OF | THRESHOLD_OF).items():
        value = payload.get(name)
        if isinstance(value, int | float) and value > getattr(policy, key):
            return name
    symbols = payload.get("active_symbols")
    if policy.symbols is None or not isinstance(symbols, list | tuple):
        return ""
    return "universe" if set(symbols) - set(policy.symbols) else ""
