"""The account in one line."""

import pytest

from consilium.ensemble import (
    SEED_002_ALLOCATIONS,
    Gates,
    ModelSetting,
    account,
    action,
    coverage,
    reach_consensus,
)
from ensemble_cases import forecast, signals

STRONG = signals(xgboost="BUY 76", lightgbm="BUY 81", nhits="BUY 79", patchtst="HOLD 68")


@pytest.mark.promise(
    "002",
    "detailed logging: consensus type, each model's action and confidence, and the volatility in one line",
)
def test_the_account_begins_as_the_log_line_of_the_seed() -> None:
    consensus = reach_consensus(STRONG, allocations=SEED_002_ALLOCATIONS, volatility=0.0324)
    line = account(consensus, STRONG, volatility=0.0324)
    seed = "strong | xgb:BUY 76%, lgbm:BUY 81%, nhits:BUY 79%, patchtst:HOLD 68% | vol:3.24%"
    assert line.startswith(seed + " | FINAL:BUY 87% agreement 75% support 80% | gates: ")
    assert "\n" not in line


def test_the_account_carries_every_verdict() -> None:
    consensus = reach_consensus(STRONG, gates=Gates.seed(confidence_threshold=0.9))
    line = account(consensus, STRONG)
    for name, verdict in consensus.gates.items():
        assert f"{name} {verdict}" in line
    assert "confidence below_confidence_threshold: 0.787, needs 0.9" in line
    assert "| vol:unknown |" in line
    assert "FINAL:HOLD" in line


def test_the_account_marks_who_has_no_vote() -> None:
    models = {p.model: ModelSetting() for p in STRONG} | {"patchtst": ModelSetting(min_confidence=0.7)}
    line = account(reach_consensus(STRONG, models=models), STRONG)
    assert "patchtst:HOLD 68% (no vote)" in line
    assert "nhits:BUY 79% |" not in line


@pytest.mark.promise(
    "002", "a model's action is its most probable class (0=SELL, 1=HOLD, 2=BUY) with its confidence"
)
@pytest.mark.promise("004", "probabilities [DOWN, NEUTRAL, UP]: 0=DOWN, 1=NEUTRAL, 2=UP")
@pytest.mark.parametrize(
    ("probabilities", "said"),
    [((0.7, 0.2, 0.1), "SELL 70%"), ((0.2, 0.6, 0.2), "HOLD 60%"), ((0.1, 0.15, 0.75), "BUY 75%")],
)
def test_a_models_word_is_its_most_probable_class(
    probabilities: tuple[float, float, float], said: str
) -> None:
    spoken = [forecast("lightgbm", probabilities)]
    assert f"| lgbm:{said} |" in account(reach_consensus(spoken), spoken)


@pytest.mark.promise("002", "mode tracking: full with all 4 models, partial from 2 on, else none")
@pytest.mark.parametrize(
    ("loaded", "total", "mode"),
    [(4, 4, "full"), (3, 4, "partial"), (2, 4, "partial"), (1, 4, "none"), (0, 4, "none"), (0, 0, "none")],
)
def test_coverage_is_full_partial_or_none(loaded: int, total: int, mode: str) -> None:
    assert coverage(loaded, total) == mode


def test_the_action_is_sell_when_down_and_actionable() -> None:
    down = [forecast(m, (0.8, 0.1, 0.1)) for m in ("a", "b")]
    assert action(reach_consensus(down)) == "SELL"
    assert action(reach_consensus(down[:1])) == "HOLD"
