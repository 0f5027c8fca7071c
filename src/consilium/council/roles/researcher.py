"""The researcher: asks for trainings and reports where figures are poor; it never touches a limit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from consilium.council.figures import above, below, number, percent
from consilium.council.role import Follower, Proposal, Ruling, conclude
from consilium.council.timers import DAY, Timers
from consilium.domain import Briefing, DecisionKind

POOR_SHARPE = 1.0
POOR_WIN_RATE = 0.50
OLD_DAYS = 30
DEEP_DRAWDOWN = 0.06
LOSING_WIN_RATE = 0.45
ONE_EVERY = 7 * DAY


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of research: what is done, how long it takes, and what it may bring."""

    description: str
    hours: int
    impact: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "hyperparameter_tuning": Kind("Tune {model} with Optuna, 30 trials", 8, "Improve Sharpe by 0.3-0.5"),
        "feature_engineering": Kind(
            "Permutation and ablation report of the features of {model}", 6, "Raise the win rate above 50 %"
        ),
        "model_retraining": Kind("Train {model} on the newest window", 4, "Bring the model up to date"),
        "risk_analysis": Kind("Stress report of the account", 2, "Name what the drawdown comes from"),
        "backtest_strategy": Kind(
            "Backtest of consensus rules x trust policies", 4, "Find a pair with a win rate above 45 %"
        ),
    }
)


class Researcher(Follower):
    """Row Q1."""

    name: ClassVar[str] = "researcher"
    kinds: ClassVar[frozenset[str]] = frozenset({DecisionKind.RESEARCH_TASK.value})

    def evaluate(self, briefing: Briefing, memory: Mapping[str, Any]) -> Ruling:
        """Ask for each kind of research that figures call for, once in 7 days by kind and model."""
        timers = Timers(memory, briefing.ts_event, briefing.fresh_since)
        if "Q1" in briefing.disabled_rules:
            return conclude((), timers)
        asked: dict[str, int] = dict(timers.recall("asked", {}))
        proposals = []
        for kind, model, reason in _wanted(briefing):
            name = f"{kind}/{model}"
            if timers.reached(asked.get(name, briefing.ts_event - ONE_EVERY) + ONE_EVERY):
                asked[name] = briefing.ts_event
                proposals.append(_task(kind, model, reason))
        over = briefing.ts_event - ONE_EVERY
        timers.keep("asked", {name: ts for name, ts in asked.items() if ts > over} or None)
        return conclude(proposals, timers)


def _wanted(briefing: Briefing) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, model, reason); what concerns the account has no model."""
    for model in sorted(briefing.performance):
        of = briefing.performance[model]
        if below(of.sharpe, POOR_SHARPE):
            yield (
                "hyperparameter_tuning",
                model,
                f"Sharpe {number(of.sharpe)} of {model} is below {number(POOR_SHARPE)}",
            )
        if below(of.win_rate, POOR_WIN_RATE):
            yield (
                "feature_engineering",
                model,
                f"win rate {percent(of.win_rate)} of {model} is below {percent(POOR_WIN_RATE)}",
            )
        if above(of.staleness_days, OLD_DAYS):
            yield (
                "model_retraining",
                model,
                f"{model} is {number(of.staleness_days)} days old, more than {OLD_DAYS}",
            )
    account = briefing.portfolio
    if above(account.drawdown, DEEP_DRAWDOWN):
        yield "risk_analysis", "", f"drawdown {percent(account.drawdown)} is above {percent(DEEP_DRAWDOWN)}"
    if below(account.win_rate, LOSING_WIN_RATE):
        yield (
            "backtest_strategy",
            "",
            f"win rate {percent(account.win_rate)} is below {percent(LOSING_WIN_RATE)}",
        )


def _task(kind: str, model: str, reason: str) -> Proposal:
    of = KINDS[kind]
    return Proposal(
        rule="Q1",
        kind=DecisionKind.RESEARCH_TASK.value,
        payload={
            "task_type": kind,
            "description": f"{of.description.format(model=model)}: {reason}",
            "estimated_duration_hours": of.hours,
            "expected_impact": of.impact,
            "model_name": model,
        },
        reason=reason,
    )
