from typing import Any

import pytest

from consilium.domain import Missing, ModelFigures
from council_desk import DAY, MINUTE, Desk, off

SECOND = 10**9


def asked(desk: Desk, after: int = 0, **facts: Any) -> list[tuple[object, object]]:
    return [(p.payload["task_type"], p.payload["model_name"]) for p in desk.see(after, **facts)]


def model(**figures: Any) -> dict[str, ModelFigures]:
    return {"xgboost": ModelFigures(**{"sharpe": 1.5, "win_rate": 0.55, "staleness_days": 5, **figures})}


@pytest.mark.promise(
    "001", "research by Sharpe < 1, win rate < 50 %, age > 30 days, drawdown, win rate < 45 %"
)
@pytest.mark.parametrize(
    ("facts", "task"),
    [
        ({"performance": model(sharpe=0.99)}, ("hyperparameter_tuning", "xgboost")),
        ({"performance": model(win_rate=0.499)}, ("feature_engineering", "xgboost")),
        ({"performance": model(staleness_days=30.1)}, ("model_retraining", "xgboost")),
        ({"dd": 0.0601}, ("risk_analysis", "")),
        ({"win_rate": 0.449}, ("backtest_strategy", "")),
    ],
    ids=str,
)
def test_poor_figures_ask_for_research_once_in_seven_days(
    facts: dict[str, Any], task: tuple[str, str]
) -> None:
    desk = Desk("researcher")
    assert asked(desk) == []
    assert asked(desk, MINUTE, **facts) == [task]
    assert asked(desk, 7 * DAY - SECOND) == []
    assert asked(desk, SECOND) == [task]


@pytest.mark.parametrize(
    "facts",
    [
        {"performance": model(sharpe=1.0)},
        {"performance": model(win_rate=0.50)},
        {"performance": model(staleness_days=30)},
        {"performance": {"xgboost": ModelFigures()}},
        {"dd": 0.06},
        {"win_rate": 0.45},
        {"dd": Missing.UNKNOWN, "win_rate": Missing.INSUFFICIENT},
        {"dd": 0.2, **off("Q1")},
    ],
    ids=str,
)
def test_nothing_is_asked_for_at_the_bounds(facts: dict[str, Any]) -> None:
    assert asked(Desk("researcher"), **facts) == []


def test_a_task_has_the_seeds_words_and_no_hold() -> None:
    (proposal,) = Desk("researcher").see(performance=model(sharpe=0.8))
    assert proposal.kind == "RESEARCH_TASK"
    assert proposal.payload == {
        "task_type": "hyperparameter_tuning",
        "description": "Tune xgboost with Optuna, 30 trials: Sharpe 0.8 of xgboost is below 1",
        "estimated_duration_hours": 8,
        "expected_impact": "Improve Sharpe by 0.3-0.5",
        "model_name": "xgboost",
    }
    assert not proposal.holds
    assert not proposal.releases


def test_tasks_are_counted_by_kind_and_model() -> None:
    desk = Desk("researcher")
    poor = ModelFigures(sharpe=0.5, win_rate=0.4, staleness_days=40)
    assert len(asked(desk, performance={"a": poor})) == 3
    assert asked(desk, MINUTE, performance={"a": poor, "b": ModelFigures(sharpe=0.5)}) == [
        ("hyperparameter_tuning", "b")
    ]
