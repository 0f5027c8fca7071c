"""The whole path on markets whose truth is known: nothing where nothing is, a signal where one is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.run import run
from consilium.app.settings import Settings


def report(data: str, folder: Path, seed: int = 7, features: str = "core14") -> dict[str, Any]:
    settings = Settings.model_validate({"data_dir": folder, "training": {"seed": seed, "folds": 3}})
    request = BacktestRequest.checked(settings=settings, data=data, features=features)
    return run(replace(request, baselines=("prior", "logistic")))


def against_climatology(found: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = next(r for r in found["judgement"]["comparisons"] if r["against"] == "climatology")
    return row


@pytest.mark.parametrize("kind", ["random_walk", "garch"])
def test_on_a_market_without_signal_the_pipeline_stays_at_chance(kind: str, tmp_path: Path) -> None:
    found = report(f"simulate:symbols=4,bars=2500,kind={kind}", tmp_path)
    assert found["judgement"]["word"] != "better"
    ic = found["consensus"]["ic"]
    assert ic["value"] is None or ic["low"] < 0.0 < ic["high"]
    assert abs(found["consensus"]["mcc"]["value"]) < 0.05


def test_a_planted_signal_is_found(tmp_path: Path) -> None:
    found = report("simulate:symbols=6,bars=3000,kind=garch,signal_ic=0.2", tmp_path)
    assert against_climatology(found)["word"] == "better", found["verdict"]
    assert "better than climatology" in found["verdict"]
    assert found["consensus"]["ic"]["low"] > 0.05


def test_costs_eat_a_signal_that_is_real_but_small(tmp_path: Path) -> None:
    """Found is not the same as paying: the books of both models lose what they trade too often."""
    found = report("simulate:symbols=6,bars=3000,kind=garch,signal_ic=0.2", tmp_path)
    assert all(
        m["paper_book"]["net_return"] < 0.0 for m in found["models"].values() if m["paper_book"]["trades"]
    )
    assert found["judgement"]["trading_word"] == "does not pay"


@pytest.mark.long
def test_random_walks_are_called_better_no_more_often_than_chance_allows(tmp_path: Path) -> None:
    """Rejecting at 5 % two-sided calls 2.5 % better: of 20, three or more have a chance of 1.3 %.

    200 worlds of each kind go through the judge, which shares this path: benchmarks/judge_power.py.
    """
    better = 0
    for seed in range(20):
        found = report(f"simulate:symbols=4,bars=1500,kind=random_walk,seed={seed}", tmp_path, seed=seed)
        better += against_climatology(found)["word"] == "better"
    assert better <= 2
