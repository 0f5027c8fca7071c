"""The council's table in the plainest words: slow reference functions that its tests compare against.

Written from the table of rules alone, without a look at the council's code. Everything here is a pure
function of figures; nothing is remembered. Ratios are fractions, times are UTC nanoseconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consilium.domain import Briefing, Figure, Missing, Policy
from council_meet import tightest_mode

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

ESS_LEVELS = ("NOMINAL", "CAUTION", "WARNING", "CRITICAL")
FREEZES = ("F0", "F1", "F2", "F3", "F4", "F5", "F6")
"""F0 is an operator's."""
SEVERITY = {
    "F0": "HIGH",
    "F1": "CRITICAL",
    "F2": "HIGH",
    "F3": "MEDIUM",
    "F4": "CRITICAL",
    "F5": "CRITICAL",
    "F6": "HIGH",
}


def above(figure: Figure, bound: float) -> bool:
    """Return whether a known figure lies strictly above a bound."""
    return not isinstance(figure, Missing) and figure > bound


def below(figure: Figure, bound: float) -> bool:
    """Return whether a known figure lies strictly below a bound."""
    return not isinstance(figure, Missing) and figure < bound


def counted(figure: Figure, bound: int) -> bool:
    """Return whether a known count is at least a bound."""
    return not isinstance(figure, Missing) and figure >= bound


def f1(now: Briefing, before: Briefing | None = None) -> bool:
    """Drawdown > 10 % since the last rebase, or as it is where that is new."""
    was = before is not None and above(before.portfolio.drawdown, 0.10)
    return above(now.portfolio.drawdown_rebased, 0.10) or (not was and above(now.portfolio.drawdown, 0.10))


def f2(now: Briefing) -> bool:
    """Daily loss > 5 %."""
    return above(now.portfolio.daily_loss, 0.05)


def f3(now: Briefing, before: Briefing | None = None) -> bool:
    """A losing close that makes, or keeps, a run of five or more; a run that stands still is none."""
    of = now.portfolio.consecutive_losses
    was = Missing.INSUFFICIENT if before is None else before.portfolio.consecutive_losses
    if before is not None and not isinstance(before.portfolio.long_losses, Missing):
        made_again = above(now.portfolio.long_losses, before.portfolio.long_losses)
    else:
        made_again = False
    return counted(of, 5) and (isinstance(was, Missing) or above(of, was) or made_again)


def f4(now: Briefing, floor: float = 1000.0) -> bool:
    """Equity below the floor of capital."""
    return below(now.portfolio.equity, floor)


def f5(now: Briefing) -> bool:
    """The emergency stop is CRITICAL or the system is in EMERGENCY."""
    return now.ess == "CRITICAL" or now.system == "EMERGENCY"


def unknown(now: Briefing) -> bool:
    """Equity, NAV, positions, exposure, drawdown, health or ess are unknown."""
    of = now.portfolio
    figures = (of.equity, of.nav, of.positions, of.exposure, of.drawdown)
    return Missing.UNKNOWN in figures or not now.system or not now.ess


def f6(now: Briefing, *, blind: bool = False) -> bool:
    """Nothing known for long, or not all, with open positions; or a journal or reconciliation that failed."""
    positions = now.portfolio.positions
    exposed = above(positions, 0) or (positions is Missing.UNKNOWN and now.accounts > 0)
    return bool(now.faults) or ((now.portfolio.lost or blind) and exposed)


def freezes(
    now: Briefing, before: Briefing | None, floor: float = 1000.0, *, blind: bool = False
) -> set[str]:
    """Return the rows of freezes whose trigger is true; blind is who has not known all for too long."""
    truth = (f1(now, before), f2(now), f3(now, before), f4(now, floor), f5(now), f6(now, blind=blind))
    return {rule for rule, true in zip(FREEZES[1:], truth, strict=True) if true}


def may_unfreeze(
    now: Briefing, before: Briefing | None, floor: float = 1000.0, *, blind: bool = False
) -> list[str]:
    """Return what of U1's conditions, dwell and reviews apart, is not fulfilled now."""
    of = now.portfolio
    flat = of.positions == 0
    missing = sorted(freezes(now, before or now, floor, blind=blind))
    if not (flat or of.unprotected == 0):
        missing.append("positions without a stop")
    if not (isinstance(of.loss_15m, float | int) and of.loss_15m <= 0.001):
        missing.append("a loss in 15 minutes")
    if not below(of.drawdown_rebased, 0.05):
        missing.append("drawdown")
    if not above(of.equity, 1.5 * floor):
        missing.append("equity")
    if now.ess != "NOMINAL":
        missing.append("ess")
    if now.system != "HEALTHY":
        missing.append("health")
    if of.late or of.lost:
        missing.append("late data")
    return missing


def reviewers(severities: Iterable[str]) -> int:
    """Return how many persons must have reviewed a freeze."""
    return 2 if set(severities) & {"CRITICAL", "HIGH"} else 1


def m1(now: Briefing) -> bool:
    """The emergency stop is CRITICAL or the system is in EMERGENCY."""
    return f5(now)


def m2(now: Briefing) -> bool:
    """The system is CRITICAL or the emergency stop warns."""
    return now.system == "CRITICAL" or now.ess == "WARNING"


def m3(now: Briefing) -> bool:
    """The system is DEGRADED."""
    return now.system == "DEGRADED"


def p1(now: Briefing) -> bool:
    """Drawdown > 8 %, or the most of 30 days > 10 %."""
    return above(now.portfolio.drawdown, 0.08) or above(now.portfolio.max_drawdown, 0.10)


def p2(now: Briefing) -> bool:
    """Three loss days, drawdown > 5 %, or win rate < 40 %."""
    of = now.portfolio
    return counted(of.losing_days, 3) or above(of.drawdown, 0.05) or below(of.win_rate, 0.40)


def p3(now: Briefing) -> bool:
    """Five profit days, drawdown < 3 %, win rate > 60 % and Sharpe > 1.5."""
    of = now.portfolio
    return (
        counted(of.winning_days, 5)
        and below(of.drawdown, 0.03)
        and above(of.win_rate, 0.60)
        and above(of.sharpe, 1.5)
    )


def r1(now: Briefing) -> bool:
    """What of R1 is a condition rather than an edge: a rise of drawdown > 2 points, exposure > 85 %."""
    return above(now.portfolio.drawdown_rise, 0.02) or above(now.portfolio.exposure, 0.85)


def r1_onset(before: Briefing, now: Briefing) -> bool:
    """Return whether R1 sets on: a condition became true, or the emergency stop went up a level."""
    rise = above(now.portfolio.drawdown_rise, 0.02) and not above(before.portfolio.drawdown_rise, 0.02)
    full = above(now.portfolio.exposure, 0.85) and not above(before.portfolio.exposure, 0.85)
    known = before.ess in ESS_LEVELS and now.ess in ESS_LEVELS
    return rise or full or (known and ESS_LEVELS.index(now.ess) > ESS_LEVELS.index(before.ess))


def r1_limits(onsets: int, base: Policy) -> dict[str, float]:
    """Return R1's limits: base x .5^k with floors, the stop x .75^k, k at most 3."""
    k = min(onsets, 3)
    half = 0.5**k
    return {
        "max_leverage": max(1.0, base.max_leverage * half),
        "max_position_usd": max(500.0, base.max_position_usd * half),
        "max_exposure": max(0.10, base.max_exposure * half),
        "stop_multiplier": base.stop_multiplier * 0.75**k,
    }


def r1_ladder(key: str, base: Policy) -> list[float]:
    """Return every value that R1 may hold a limit at: k onsets, and d steps back of 25 % of base."""
    floor = {"max_leverage": 1.0, "max_position_usd": 500.0, "max_exposure": 0.10}.get(key, 0.0)
    factor = 0.75 if key == "stop_multiplier" else 0.5
    of = float(getattr(base, key))
    return [max(floor, of * min(1.0, factor**k + 0.25 * d)) for k in (1, 2, 3) for d in range(4)]


def r2(now: Briefing) -> bool:
    """Drawdown > 8 %."""
    return above(now.portfolio.drawdown, 0.08)


def r3(now: Briefing) -> bool:
    """Drawdown < 2 %, win rate > 65 % and Sharpe > 2: the figures of R3 without its time and holds."""
    of = now.portfolio
    return below(of.drawdown, 0.02) and above(of.win_rate, 0.65) and above(of.sharpe, 2.0)


def e1(now: Briefing) -> bool:
    """Drawdown > 6 % or the most of 30 days > 8 %, since the last rebase."""
    of = now.portfolio
    return above(of.drawdown_rebased, 0.06) or above(of.max_drawdown_rebased, 0.08)


def e1_thresholds(level: Figure) -> tuple[float, float, float]:
    """Return E1's thresholds at a loss: 2 %, 4 %, min(8 %, max(7 %, loss + .5 points))."""
    loss = 0.0 if isinstance(level, Missing) else level
    return 0.02, 0.04, min(0.08, max(0.07, loss + 0.005))


def c2(now: Briefing) -> bool:
    """Drawdown > 5 % or win rate < 45 %."""
    return above(now.portfolio.drawdown, 0.05) or below(now.portfolio.win_rate, 0.45)


def split(now: Briefing) -> tuple[float, float, float]:
    """Return (lock, reinvest, reserve) of B1 to B4."""
    of = now.portfolio
    if above(of.drawdown, 0.05):
        return 0.60, 0.25, 0.15
    if below(of.reserve, 0.05):
        return 0.20, 0.50, 0.30
    if above(of.reserve, 0.15):
        return 0.25, 0.70, 0.05
    return 0.30, 0.60, 0.10


def ess_level(loss: Figure, policy: Policy) -> str:
    """Return the level of a loss; at exact equality the lower one."""
    if isinstance(loss, Missing):
        return ""
    if loss > policy.ess_critical:
        return "CRITICAL"
    if loss > policy.ess_warning:
        return "WARNING"
    return "CAUTION" if loss > policy.ess_caution else "NOMINAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    """The most that may be in force while triggers are true."""

    mode: str
    profile: str
    leverage: float
    position: float
    exposure: float
    stop: float
    caution: float
    warning: float
    symbols: int | None


def most(
    now: Briefing, before: Briefing | None, floor: float = 1000.0, *, ceo: bool = True, blind: bool = False
) -> Most:
    """Return the loosest policy that figures alone permit; holds from before may be tighter."""
    modes = ["LIVE"]
    modes += ["FROZEN"] * bool(freezes(now, before, floor, blind=blind))
    modes += ["EMERGENCY"] * (ceo and m1(now))
    modes += ["PAUSED"] * ((ceo and m2(now)) or now.portfolio.late or not now.system or not now.ess)
    modes += ["SHADOW"] * (ceo and m3(now))
    once = r1_limits(1, now.base) if r1(now) else r1_limits(0, now.base)
    return Most(
        mode=tightest_mode(modes),
        profile="MICRO" if ceo and p1(now) else "AGGRESSIVE",
        leverage=once["max_leverage"],
        position=once["max_position_usd"],
        exposure=once["max_exposure"],
        stop=once["stop_multiplier"],
        caution=0.02 if e1(now) else now.base.ess_caution,
        warning=0.04 if e1(now) else now.base.ess_warning,
        symbols=3 if c2(now) else None,
    )


def allocation(scores: Sequence[float]) -> list[float]:
    """Return C1's weights: scores above 0 normalised, at least 2 %, at most max(50 %, 1/n), by bisection."""
    n = len(scores)
    positive = [max(score, 0.0) for score in scores]
    if sum(positive) <= 0:
        return [1.0 / n] * n
    low, high = 0.02, max(0.5, 1.0 / n)
    least, most_ = 0.0, 1e12

    def filled(scale: float) -> list[float]:
        return [min(max(scale * score, low), high) for score in positive]

    if n * low >= 1.0:
        return [1.0 / n] * n
    for _ in range(400):
        middle = 0.5 * (least + most_)
        if sum(filled(middle)) < 1.0:
            least = middle
        else:
            most_ = middle
    weights = filled(most_)
    silent = [place for place, score in enumerate(positive) if score == 0.0]
    for place in silent:
        weights[place] += (1.0 - sum(filled(most_))) / len(silent)
    return weights


def shrunk_score(sharpe: float, win_rate: float, days: int) -> float:
    """Return C1's score of a model's shadow book."""
    return sharpe * days / (days + 365) + 2 * (win_rate - 0.5)
