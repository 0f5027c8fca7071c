"""The chief executive's steps between capital profiles (P1 to P4), and when limits were last tightened."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consilium.council.afterwards import blind, held_by, restricting
from consilium.council.figures import above, above_or_insufficient, at_least, below, known, percent
from consilium.council.holds import LIMIT_KEYS
from consilium.council.holds import PROFILE_ORDER as LADDER
from consilium.council.timers import DAY, HOUR, Timers
from consilium.domain import Briefing, Hold, Missing

MICRO_DRAWDOWN = 0.08
MICRO_MAX_DRAWDOWN = 0.10
MICRO_UNTIL = 0.05
MICRO_DWELL = 24 * HOUR
DOWN_DAYS = 3
DOWN_DRAWDOWN = 0.05
DOWN_WIN_RATE = 0.40
DOWN_EVERY = 24 * HOUR
UP_DAYS = 5
UP_DRAWDOWN = 0.03
UP_WIN_RATE = 0.60
UP_SHARPE = 1.5
UP_EVERY = 72 * HOUR
STEPS = frozenset(("P0", "P1", "P2", "P3", "P4"))
"""Rows that go up and down; advice (A1) bounds beside them and is none of their steps."""
LAST_STEP = 0.75
"""R1's limits as a share of base at its last step back."""
QUIET_FOR = 14 * DAY
QUIET_WATCHED = HOUR
"""Of the quiet days, what must lie after the newest gap: nights may be gaps, a fortnight has some."""
QUIET_DRAWDOWN = 0.03
CEILING = "NORMAL"
"""P4 and releases go no further."""


@dataclass(slots=True)
class Steps:
    """What an evaluation does to the officer's holds on the profile.

    Parameters
    ----------
    own
        The officer's holds on the profile by rule, with what was done already.
    """

    briefing: Briefing
    own: dict[str, Hold]
    done: list[tuple[str, str]] = field(default_factory=list)
    placed: dict[str, Hold] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)

    def place(self, rule: str, profile: str, reason: str) -> None:
        """Place a hold on the profile by a row, in the place of that row's last."""
        hold = Hold(
            owner="ceo",
            rule=rule,
            key="profile",
            value=profile,
            reason=reason,
            ts_event=self.briefing.ts_event,
        )
        self.own[rule] = self.placed[rule] = hold
        if hold.hold_id in self.released:
            self.released.remove(hold.hold_id)

    def release(self, rule: str) -> None:
        """End a row's hold."""
        hold = self.own.pop(rule)
        self.placed.pop(rule, None)
        if hold.hold_id in self.briefing.holds:
            self.released.append(hold.hold_id)

    def tell(self, rule: str, reason: str) -> None:
        """Note which row moved, and why."""
        self.done.append((rule, reason))

    @property
    def lowest(self) -> bool:
        """Whether P1 holds MICRO."""
        return "P1" in self.own and self.own["P1"].value == "MICRO"

    def standing(self) -> str:
        """Return the profile that P2, P3 and P4 step from: the officer's own, P1's MICRO apart."""
        if "P3" in self.own:
            return "AGGRESSIVE"
        values = [str(h.value) for rule, h in self.own.items() if not (rule == "P1" and self.lowest)]
        return min([CEILING, *values], key=LADDER.index)

    def climbing(self) -> list[str]:
        """Return the rows whose holds P3 and P4 lift."""
        return [
            rule for rule in ("P0", "P1", "P4") if rule in self.own and not (rule == "P1" and self.lowest)
        ]


def take_steps(briefing: Briefing, timers: Timers) -> Steps:
    """Carry out P1 to P4."""
    own = {
        h.rule: h
        for h in briefing.holds.values()
        if h.owner == "ceo" and h.key == "profile" and h.rule in STEPS
    }
    steps = Steps(briefing, own)
    lowest = _lowest(briefing)
    down = _down(briefing, timers)
    tightened_at = last_tightened(briefing, timers)
    _grant_ends(steps, timers)
    _step_down(steps, timers, down)
    _to_micro(steps, timers, lowest)
    _back_up(steps, timers)
    quiet = timers.lasted("quiet", not lowest and not any(down.values()), QUIET_FOR)
    quiet = timers.reached(briefing.fresh_since + QUIET_WATCHED) and quiet
    _climb(steps, timers, quiet, tightened_at)
    return steps


def _lowest(briefing: Briefing) -> str:
    """Return why P1 is true, empty where it is not."""
    of = briefing.portfolio
    if "P1" in briefing.disabled_rules:
        return ""
    if above(of.drawdown, MICRO_DRAWDOWN):
        return f"drawdown {percent(of.drawdown)} is above {percent(MICRO_DRAWDOWN)}"
    if above(of.max_drawdown, MICRO_MAX_DRAWDOWN):
        return f"max drawdown of 30 days {percent(of.max_drawdown)} is above {percent(MICRO_MAX_DRAWDOWN)}"
    return ""


def _to_micro(steps: Steps, timers: Timers, lowest: str) -> None:
    """P1: MICRO at once; LOW after a day below 5 % with its own trigger false."""
    briefing, of = steps.briefing, steps.briefing.portfolio
    low = below(of.drawdown, MICRO_UNTIL) and below(of.max_drawdown, MICRO_MAX_DRAWDOWN)
    long_low = timers.held("low", steps.lowest and low, MICRO_DWELL)
    if lowest and not steps.lowest:
        if "P3" in steps.own:
            steps.release("P3")
        steps.place("P1", "MICRO", lowest)
        steps.tell("P1", lowest)
    elif long_low and not blind(briefing) and timers.reached(steps.own["P1"].ts_event + MICRO_DWELL):
        reason = f"drawdown is below {percent(MICRO_UNTIL)} for 24 h: MICRO gives way to LOW"
        steps.place("P1", "LOW", reason)
        steps.tell("P1", reason)
        timers.keep("stepped_at", briefing.ts_event)


def _down(briefing: Briefing, timers: Timers) -> dict[str, bool]:
    """Return which of P2's conditions are true, and note whether one set on."""
    of = briefing.portfolio
    if "P2" in briefing.disabled_rules:
        return {}
    reasons = {
        f"{_days(of.losing_days)} loss days in a row, {DOWN_DAYS} are too many": at_least(
            of.losing_days, DOWN_DAYS
        ),
        f"drawdown {percent(of.drawdown)} is above {percent(DOWN_DRAWDOWN)}": above(
            of.drawdown, DOWN_DRAWDOWN
        ),
        f"win rate {percent(of.win_rate)} is below {percent(DOWN_WIN_RATE)}": below(
            of.win_rate, DOWN_WIN_RATE
        ),
    }
    figures = {"loss days": of.losing_days, "drawdown": of.drawdown, "win rate": of.win_rate}
    began = [
        timers.began(name, known(figures[name], true))
        for name, true in zip(figures, reasons.values(), strict=True)
    ]
    unknown = Missing.UNKNOWN in figures.values()
    pending = any(began) or (timers.recall("pending", False) and (unknown or any(reasons.values())))
    timers.keep("pending", pending or None)
    return reasons


def _days(figure: float | Missing) -> str:
    return "no" if isinstance(figure, Missing) else f"{figure:.0f}"


def _step_down(steps: Steps, timers: Timers, down: Mapping[str, bool]) -> None:
    """P2: one profile down at an onset, steps at least a day apart; one that came sooner waits."""
    if not timers.recall("pending", False) or not any(down.values()):
        return
    now = steps.briefing.ts_event
    if not timers.reached(timers.recall("lowered_at", now - DOWN_EVERY) + DOWN_EVERY):
        return
    timers.keep("pending", None)
    current = steps.standing()
    if current == LADDER[0]:
        return
    reason = "; ".join(text for text, true in down.items() if true)
    target = LADDER[LADDER.index(current) - 1]
    if "P3" in steps.own:
        steps.release("P3")
    if target != CEILING:
        steps.place("P2", target, reason)
    steps.tell("P2", f"{reason}: one profile down from {current}")
    timers.keep("lowered_at", now)
    timers.keep("stepped_at", now)


def _back_up(steps: Steps, timers: Timers) -> None:
    """P2's release: one profile up for each day on which its triggers were false."""
    briefing, of = steps.briefing, steps.briefing.portfolio
    better = (
        below(of.drawdown, DOWN_DRAWDOWN)
        and above_or_insufficient(of.win_rate, DOWN_WIN_RATE)
        and of.losing_days is not Missing.UNKNOWN
        and not at_least(of.losing_days, DOWN_DAYS)
    )
    long_better = timers.held("better", "P2" in steps.own and better, DOWN_EVERY)
    if "P2" not in steps.own or not long_better or blind(briefing):
        return
    if not timers.reached(timers.recall("stepped_at", steps.own["P2"].ts_event) + DOWN_EVERY):
        return
    target = LADDER[LADDER.index(str(steps.own["P2"].value)) + 1]
    reason = f"the reasons of P2 are gone for 24 h: one profile up to {target}"
    if target == CEILING:
        steps.release("P2")
    else:
        steps.place("P2", target, reason)
    steps.tell("P2", reason)
    timers.keep("stepped_at", briefing.ts_event)


def _grant_ends(steps: Steps, timers: Timers) -> None:
    """End AGGRESSIVE at any hold of supervisor or risk officer."""
    barred = held_by(steps.briefing, "supervisor", "cro")
    if "P3" in steps.own and barred:
        steps.release("P3")
        steps.tell("P3", f"AGGRESSIVE ends: {barred[0].owner} holds {barred[0].key}")
        timers.keep("raised_at", steps.briefing.ts_event)


def _climb(steps: Steps, timers: Timers, quiet: bool, tightened_at: int) -> None:
    """P3 and P4: one profile up, 72 hours after any tightening and after the last step up."""
    briefing = steps.briefing
    rule = _strong(steps) or _long_quiet(steps, quiet)
    if not rule or steps.done or steps.lowest or "P2" in steps.own or blind(briefing):
        return
    if not timers.reached(max(tightened_at, timers.recall("raised_at", 0)) + UP_EVERY):
        return
    current = steps.standing()
    target = LADDER[LADDER.index(current) + 1]
    why = "five profit days with good figures" if rule == "P3" else "14 days without a reason to step down"
    reason = f"{why}: one profile up from {current} to {target}"
    for held in steps.climbing():
        steps.release(held)
    if target == "AGGRESSIVE":
        steps.place("P3", target, reason)
    elif target != CEILING:
        steps.place("P4", target, reason)
    steps.tell(rule, reason)
    timers.keep("raised_at", briefing.ts_event)


def _strong(steps: Steps) -> str:
    """Return P3 where it is true: to AGGRESSIVE under no hold, else under none but R1's last step."""
    briefing, of = steps.briefing, steps.briefing.portfolio
    if "P3" in briefing.disabled_rules or "P3" in steps.own:
        return ""
    if not (at_least(of.winning_days, UP_DAYS) and below(of.drawdown, UP_DRAWDOWN)):
        return ""
    if not (above(of.win_rate, UP_WIN_RATE) and above(of.sharpe, UP_SHARPE)):
        return ""
    holds = held_by(briefing, "supervisor", "cro")
    if steps.standing() == CEILING:
        free = not holds and LADDER.index(briefing.base.profile) >= LADDER.index(CEILING)
    else:
        free = all(_last_step(briefing, hold) for hold in holds)
    return "P3" if free else ""


def _last_step(briefing: Briefing, hold: Hold) -> bool:
    """Return whether a hold is R1's at its last step back."""
    if hold.owner != "cro" or hold.rule != "R1" or isinstance(hold.value, str | tuple):
        return False
    return hold.key == "stop_multiplier" or hold.value >= LAST_STEP * getattr(briefing.base, hold.key)


def _long_quiet(steps: Steps, quiet: bool) -> str:
    """Return P4 where it is true: something is left to climb to NORMAL."""
    off = "P4" in steps.briefing.disabled_rules
    low = below(steps.briefing.portfolio.drawdown, QUIET_DRAWDOWN)
    return "P4" if quiet and low and not off and bool(steps.climbing()) else ""


def last_tightened(briefing: Briefing, timers: Timers) -> int:
    """Return when a profile or a limit was last tightened, by anybody: told by the holds seen before."""
    seen: dict[str, float] = timers.recall("seen", {})
    now: dict[str, float] = {}
    for hold in restricting(briefing.holds.values()):
        if hold.owner == "ceo" and hold.rule == "P4":
            continue  # always a step up
        if hold.key == "profile":
            now[hold.hold_id] = float(LADDER.index(str(hold.value)))
        elif hold.key in LIMIT_KEYS and not isinstance(hold.value, str | tuple):
            now[hold.hold_id] = float(hold.value)
    if any(name not in seen or value < seen[name] for name, value in now.items()):
        timers.keep("tightened_at", briefing.ts_event)
    if now != seen:
        timers.keep("seen", now or None)
    at: int = timers.recall("tightened_at", briefing.started_at)
    return at
