"""From what was heard to one briefing: figures combined by the worse, levels, and how old it all is."""

from collections.abc import Mapping
from hashlib import sha256
from operator import attrgetter

from consilium.council.claims import capped, combined_models, is_trusted
from consilium.council.facts import Facts
from consilium.council.identity import ID_DIGITS
from consilium.council.levels import ESS_LEVELS, SYSTEM_STATES
from consilium.domain import AccountFigures, Briefing, Hold, Missing, ModelFigures, Policy
from consilium.domain.governance import Figure
from consilium.domain.time import SECOND_NS

REQUIRED = ("equity", "nav", "positions", "exposure", "drawdown")
"""Figures without which nobody trades."""
_LESS_IS_WORSE = frozenset(("equity", "nav", "win_rate", "sharpe", "winning_days", "reserve", "profit"))
_SUMMED = frozenset(("long_losses",))
_KEPT_WHEN_SILENT = ("positions", "unprotected")
_FACTS = attrgetter(*(name for name in AccountFigures.__dataclass_fields__ if name != "age_s"))
_POLICY = attrgetter(*Policy.__dataclass_fields__)


def account_figures(facts: Facts, now: int, started_at: int, *, frozen: bool = False) -> AccountFigures:
    """Combine all accounts by the worse value of each figure.

    Where every account is late nothing is known but the positions that were open last. While anything is
    frozen the fall of a retired account counts on: who retires it ends no freeze; a rebase may.
    """
    ages = list(facts.ages(now, started_at))
    worst: dict[str, Figure] = {}
    if facts.accounts:
        known = any(age <= late for age, late, _ in ages[: len(facts.accounts)])
        for source, account in facts.accounts.items():
            trusted = is_trusted(source, facts.trusted)
            for name, told in account.figures(now).items():
                value = told if trusted else capped(name, told)
                if value is not None and (known or name in _KEPT_WHEN_SILENT):
                    worst[name] = _worse(name, worst.get(name), value)
        if any(a.report.positions and a.report.unprotected is None for a in facts.accounts.values()):
            worst["unprotected"] = Missing.UNKNOWN
        for account in facts.resting.values() if known and frozen else ():
            fallen = account.figures(now)["drawdown_rebased"]
            if fallen is not None:
                worst["drawdown_rebased"] = _worse("drawdown_rebased", worst["drawdown_rebased"], fallen)
    return AccountFigures(
        **worst,
        age_s=max(0, *(age for age, _, _ in ages)) / SECOND_NS,
        late=any(age > late for age, late, _ in ages),
        lost=any(age > lost for age, _, lost in ages),
    )


def _worse(name: str, first: Figure | None, second: float) -> float:
    if not isinstance(first, int | float):
        return second
    if name in _SUMMED:
        return first + second
    return min(first, second) if name in _LESS_IS_WORSE else max(first, second)


def system_health(facts: Facts) -> str:
    """Return the worst status of all sources; empty if none, or one is unknown and none is CRITICAL."""
    return _worst([report.system_status for report in facts.health.values()], SYSTEM_STATES)


def _worst(said: list[str], order: tuple[str, ...]) -> str:
    ranks = [order.index(word) if word in order else -1 for word in said]
    if not ranks or (min(ranks) < 0 and max(ranks) < order.index("CRITICAL")):
        return ""
    return order[max(ranks)]


def ess_level(facts: Facts, loss: Figure, policy: Policy, before: str) -> str:
    """Return the level by the loss, or the worse one that a source claims; empty if the loss is unknown.

    At a threshold itself the level stays on the side where it was.
    """
    claims = [word for report in facts.health.values() if (word := report.ess_state) in ESS_LEVELS]
    if isinstance(loss, Missing):
        claimed = _worst(claims, ESS_LEVELS)
        return claimed if claimed != "NOMINAL" else ""
    level = 0
    reached = ESS_LEVELS.index(before) if before in ESS_LEVELS else 0
    for rank, bound in enumerate((policy.ess_caution, policy.ess_warning, policy.ess_critical), start=1):
        if loss > bound or (loss == bound and reached >= rank):
            level = rank
    return _worst([ESS_LEVELS[level], *claims], ESS_LEVELS)


def model_figures(facts: Facts) -> dict[str, ModelFigures]:
    """Combine what the sources say of each model by the worse value."""
    if facts.performance is not None:
        return facts.performance
    figures = combined_models(facts.models.values(), facts.trusted)
    facts.performance = figures
    return figures


def faults_of(facts: Facts) -> dict[str, str]:
    """Return what demands a freeze by itself, of all sources."""
    faults: dict[str, str] = {}
    for source in sorted(facts.health):
        for name, reason in sorted(facts.health[source].faults.items()):
            faults.setdefault(name, reason)
    return faults


def unknown_parts(briefing: Briefing) -> tuple[str, ...]:
    """Name the required facts that are unknown; none of them, and nobody late, is fresh."""
    portfolio = briefing.portfolio
    parts = [name for name in REQUIRED if getattr(portfolio, name) is Missing.UNKNOWN]
    if not briefing.system:
        parts.append("health")
    if not briefing.ess:
        parts.append("ess")
    if portfolio.late:
        parts.append("late")
    return tuple(parts)


def snapshot_id_of(
    portfolio: AccountFigures,
    system: str,
    ess: str,
    performance: Mapping[str, ModelFigures],
    policy: Policy,
    holds: Mapping[str, Hold],
    rest: object,
) -> str:
    """Hash facts: equal facts have equal ids, however old they are."""
    models = [(name, f.sharpe, f.win_rate, f.days, f.staleness_days) for name, f in performance.items()]
    bounds = [(name, holds[name].value) for name in sorted(holds)]
    facts = (_FACTS(portfolio), system, ess, models, _POLICY(policy), bounds, rest)
    return sha256(repr(facts).encode()).hexdigest()[:ID_DIGITS]
