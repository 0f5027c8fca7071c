"""The investment officer: weights of models, and the universe of symbols."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from consilium.council.afterwards import blind, held_by, policy_after
from consilium.council.allocation import score, weights_of
from consilium.council.figures import above, above_or_insufficient, at_least, below, percent
from consilium.council.payloads import payload_of
from consilium.council.role import Follower, Proposal, Ruling, conclude
from consilium.council.timers import DAY, HOUR, Timers
from consilium.domain import Briefing, DecisionKind, Hold, Missing

REBALANCE_EVERY = 7 * DAY
REBALANCE_DWELL = HOUR
REBALANCE_CHANGE = 0.05

FEW_DRAWDOWN = 0.05
FEW_WIN_RATE = 0.45
FEW_SYMBOLS = 3
FEW_UNTIL = 0.04
FEW_DWELL = 24 * HOUR

MANY_DRAWDOWN = 0.02
MANY_WIN_RATE = 0.60
MANY_POSITIONS = 8
MANY_SYMBOLS = 8
MANY_DWELL = 24 * HOUR


class InvestmentOfficer(Follower):
    """Rows C1, C2 and C3."""

    name: ClassVar[str] = "cio"
    kinds: ClassVar[frozenset[str]] = frozenset(
        {DecisionKind.STRATEGY_ALLOCATION.value, DecisionKind.SYMBOL_UNIVERSE.value}
    )

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        """Weigh the models weekly or where much has changed, and narrow or widen the universe."""
        timers = Timers(memory, briefing.ts_event, briefing.fresh_since)
        return conclude([*_weigh(briefing, timers), *_universe(briefing, timers)], timers)


# C1


def _weigh(briefing: Briefing, timers: Timers) -> Iterator[Proposal]:
    """C1: new weights each week, or after an hour where one would change by more than 5 points."""
    known = [f for f in briefing.performance.values() if not _insufficient(f.sharpe, f.win_rate)]
    if not known or "C1" in briefing.disabled_rules:
        return
    scores = {name: score(figures) for name, figures in briefing.performance.items()}
    wanted = weights_of(scores)
    given = {hold.key.partition(":")[2]: hold for hold in _grants(briefing, "C1")}
    last: int | None = timers.recall("weighed_at")
    moved = _moved(wanted, given)
    if last is not None:
        due = timers.reached(last + REBALANCE_EVERY)
        if not due and not (moved and timers.reached(last + REBALANCE_DWELL)):
            return
    timers.keep("weighed_at", briefing.ts_event)
    poor = all(value <= 0.0 for value in scores.values())
    reason = moved or "the week is over: weights follow the scores"
    if poor:
        reason = "no model has a score above 0: equal weights"
    yield _allocation(briefing, wanted, given, reason, alert=poor)


def _insufficient(*figures: float | Missing) -> bool:
    return all(isinstance(figure, Missing) for figure in figures)


def _grants(briefing: Briefing, rule: str) -> list[Hold]:
    names = sorted(briefing.holds)
    return [h for name in names if (h := briefing.holds[name]).owner == "cio" and h.rule == rule]


def _moved(wanted: Mapping[str, float], given: Mapping[str, Hold]) -> str:
    """Return which weight would change too much, empty for none."""
    if not given:
        before = dict.fromkeys(wanted, 1.0 / len(wanted))
    else:
        before = {name: float(hold.value) for name, hold in given.items()}  # type: ignore[arg-type]  # shares
    if set(before) != set(wanted):
        return "the pool of models changed"
    changes = {name: abs(wanted[name] - before[name]) for name in sorted(wanted)}
    most = max(changes, key=lambda name: changes[name])
    if not above(changes[most], REBALANCE_CHANGE):
        return ""
    told = f"{percent(before[most])} to {percent(wanted[most])}"
    return f"the weight of {most} would change from {told}, more than 5 points"


def _allocation(
    briefing: Briefing, wanted: Mapping[str, float], given: Mapping[str, Hold], reason: str, *, alert: bool
) -> Proposal:
    holds = tuple(
        Hold(
            owner="cio",
            rule="C1",
            key=f"allocation:{name}",
            value=weight,
            reason=reason,
            ts_event=briefing.ts_event,
        )
        for name, weight in wanted.items()
    )
    gone = tuple(hold.hold_id for name, hold in given.items() if name not in wanted)
    payload = payload_of(DecisionKind.STRATEGY_ALLOCATION, policy_after(briefing, holds, gone))
    if alert:
        payload["alert"] = True
    return Proposal(
        rule="C1",
        kind=DecisionKind.STRATEGY_ALLOCATION.value,
        payload=payload,
        reason=reason,
        holds=holds,
        releases=gone,
    )


# C2 and C3


def ranked(names: Iterable[str], volumes: Mapping[str, float]) -> list[str]:
    """Return symbols by volume, the greatest first, ties by name.

    Examples
    --------
    >>> ranked(["C", "B", "A"], {"A": 1.0, "B": 1.0, "C": 2.0})
    ['C', 'A', 'B']
    """
    return sorted(names, key=lambda name: (-volumes.get(name, 0.0), name))


def _universe(briefing: Briefing, timers: Timers) -> Iterator[Proposal]:
    """Yield at most one change of the universe: C2 goes before C3."""
    few = [hold for hold in held_by(briefing, "cio") if hold.rule == "C2"]
    many = _grants(briefing, "C3")
    why_few = _few(briefing)
    better = timers.held("few gone", bool(few) and _few_gone(briefing), FEW_DWELL)
    why_not = _many_gone(briefing, why_few)
    strong = timers.held("many", not why_not and _is_strong(briefing) and not few, MANY_DWELL)
    lapsed = timers.lasted("many gone", bool(many) and bool(why_not), MANY_DWELL)
    narrow = tuple(ranked(_base(briefing), briefing.volumes)[:FEW_SYMBOLS])
    wide = _wide(briefing)
    if why_few and not few and narrow:
        yield _symbols(briefing, "C2", f"{why_few}: {FEW_SYMBOLS} symbols", narrow, many)
    elif better and not blind(briefing) and timers.reached(few[0].ts_event + FEW_DWELL):
        yield _symbols(briefing, "C2", "drawdown and win rate were better for 24 h: back to base", (), few)
    elif lapsed or (many and why_few):
        yield _symbols(briefing, "C3", f"{why_few or why_not}: back to base", (), many)
    elif strong and not many and wide and not blind(briefing) and "C3" not in briefing.disabled_rules:
        yield _symbols(briefing, "C3", "drawdown and win rate were good for 24 h: more symbols", wide, ())


def _base(briefing: Briefing) -> tuple[str, ...]:
    """Return the configured universe; all that is followed where none is."""
    return tuple(briefing.volumes) if briefing.base.symbols is None else briefing.base.symbols


def _wide(briefing: Briefing) -> tuple[str, ...]:
    """Return base and the greatest of the other symbols, 8 in all; empty where there is nothing to add."""
    base = _base(briefing)
    others = ranked(set(briefing.volumes) - set(base), briefing.volumes)
    added = others[: max(0, MANY_SYMBOLS - len(base))]
    return tuple(sorted((*base, *added))) if added else ()


def _few(briefing: Briefing) -> str:
    """Return why C2 is true, empty where it is not."""
    of = briefing.portfolio
    if "C2" in briefing.disabled_rules:
        return ""
    if above(of.drawdown, FEW_DRAWDOWN):
        return f"drawdown {percent(of.drawdown)} is above {percent(FEW_DRAWDOWN)}"
    if below(of.win_rate, FEW_WIN_RATE):
        return f"win rate {percent(of.win_rate)} is below {percent(FEW_WIN_RATE)}"
    return ""


def _few_gone(briefing: Briefing) -> bool:
    of = briefing.portfolio
    return below(of.drawdown, FEW_UNTIL) and above_or_insufficient(of.win_rate, FEW_WIN_RATE)


def _is_strong(briefing: Briefing) -> bool:
    of = briefing.portfolio
    calm = below(of.drawdown, MANY_DRAWDOWN) and above(of.win_rate, MANY_WIN_RATE)
    return calm and below(of.positions, MANY_POSITIONS)


def _many_gone(briefing: Briefing, why_few: str) -> str:
    """Return why C3 is false beyond its bounds: at exact equality nothing moves."""
    of = briefing.portfolio
    barred = held_by(briefing, "supervisor", "cro")
    reasons = {
        why_few: bool(why_few),
        f"{barred[0].owner} holds {barred[0].key}" if barred else "": bool(barred),
        f"drawdown {percent(of.drawdown)} is not below {percent(MANY_DRAWDOWN)}": isinstance(
            of.drawdown, Missing
        )
        or above(of.drawdown, MANY_DRAWDOWN),
        f"win rate {percent(of.win_rate)} is not above {percent(MANY_WIN_RATE)}": isinstance(
            of.win_rate, Missing
        )
        or below(of.win_rate, MANY_WIN_RATE),
        f"{MANY_POSITIONS} positions are open": isinstance(of.positions, Missing)
        or at_least(of.positions, MANY_POSITIONS),
    }
    return next((reason for reason, true in reasons.items() if true), "")


def _symbols(
    briefing: Briefing, rule: str, reason: str, names: tuple[str, ...], ended: Iterable[Hold]
) -> Proposal:
    """Return a decision on the universe; its body tells what is in force after it."""
    now = briefing.ts_event
    holds: tuple[Hold, ...] = ()
    if names:
        holds = (Hold(owner="cio", rule=rule, key="symbols", value=names, reason=reason, ts_event=now),)
    gone = tuple(hold.hold_id for hold in ended)
    followed = {*briefing.volumes, *_base(briefing), *names}
    payload = payload_of(DecisionKind.SYMBOL_UNIVERSE, policy_after(briefing, holds, gone), followed)
    return Proposal(
        rule=rule,
        kind=DecisionKind.SYMBOL_UNIVERSE.value,
        payload=payload,
        reason=reason,
        holds=holds,
        releases=gone,
    )
