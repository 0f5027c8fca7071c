"""The judge on worlds whose truth is known, from raw bars to fills."""

from typing import Any

import pytest

from consilium.app.backtest.request import BacktestRequest
from consilium.app.judge.controls import (
    PLANTED,
    World,
    controls_section,
    garch,
    last_benchmark,
    planted,
    random_walk,
    run_control,
    run_controls,
    shifted,
)
from consilium.app.judge.power import LARGER, WORLDS, rates
from consilium.app.settings import Settings, Training
from consilium.market.simulator import simulate

SEEDS = 20
"""Here in short: `make soak` runs benchmarks/judge_power.py, 200 of each kind, and its record is tested."""

TREES = BacktestRequest.checked(settings=Settings(), data="simulate", models=["xgboost", "lightgbm"])
QUICK = BacktestRequest(settings=Settings(), models=("logistic",), baselines=(), gates="seed")


def test_a_strong_signal_is_found_and_told_apart_from_its_mirror_image() -> None:
    found = run_control(QUICK, planted(0.3, 5), "core14")
    against = found.examination.primary.verdict.comparisons["climatology"]
    assert against.word == "better"
    assert found.mirrored.word == "better"
    assert found.account["trades"] >= 0


@pytest.mark.parametrize("world", [random_walk(3), garch(3)], ids=lambda world: world.name)
def test_a_world_without_signal_is_not_called_better(world: World) -> None:
    found = run_control(QUICK, world, "core14")
    assert found.word != "better"
    assert found.mirrored.word == "not distinguishable"


def test_shifting_the_labels_by_a_day_takes_the_signal_away() -> None:
    panel = planted(0.3, 5).panel
    found = run_control(QUICK, shifted(panel), "core14")
    assert found.word != "better"
    assert found.mirrored.word == "not distinguishable"


def test_a_report_holds_one_seed_of_each_control_and_the_last_benchmark() -> None:
    panel = simulate(symbols=5, bars=1_200, seed=2).series
    request = BacktestRequest(
        settings=Settings(training=Training(jobs=2)), models=("logistic",), baselines=(), gates="seed"
    )
    section: dict[str, Any] = controls_section(run_controls(request, panel, "core14"))
    assert [one["name"] for one in section["negative"]] == [
        "random walk",
        "labels shifted by a day in blocks",
        "GARCH without signal",
    ]
    assert [one["ic"] for one in section["positive"]] == [0.03, 0.06]
    assert {row["ic"] for row in section["power"]["rows"]} == {0.0, 0.03, 0.06}
    assert "3 worlds without signal went the same way from raw bars to fills" in section["text"]


def test_a_control_that_cannot_be_run_says_why() -> None:
    panel = simulate(symbols=2, bars=200, seed=2).series
    section = controls_section(run_controls(QUICK, panel, "core14"))
    lost = section["negative"][1]
    assert lost["word"] is None
    assert "longer history" in lost["text"]
    assert "Not run: labels shifted by a day in blocks" in section["text"]


def test_an_alarm_is_told_in_plain_words() -> None:
    alarm = {"name": "random walk", "ic": 0.0, "word": "better", "text": "", "comparisons": []}
    assert "random walk was called better" in controls_section([alarm])["text"]


def test_the_recorded_benchmark_kept_its_word() -> None:
    """Every report prints this: 200 small worlds of each kind, and nothing called better too often."""
    record = last_benchmark()
    names = [row["name"] for row in record["rows"]]
    assert names[: len(WORLDS)] == list(WORLDS)
    assert {f"planted signal, IC {ic:g}, larger" for ic in PLANTED} <= set(names) <= {*WORLDS, *LARGER}
    for row in record["rows"]:
        assert row["verdict"]["runs"] >= (200 if row["name"] in WORLDS else 40)
        if row["ic"] == 0.0:
            assert row["verdict"]["hits"] <= 0.075 * row["verdict"]["runs"]
    rejected, runs = (
        sum(row["rejected"][key] for row in record["rows"] if row["ic"] == 0.0) for key in ("hits", "runs")
    )
    assert 0.03 <= rejected / runs <= 0.075


@pytest.mark.long
def test_on_seeds_without_signal_the_test_rejects_as_often_as_it_says() -> None:
    """Of 40 comparisons whose truth is nothing, more than six fall at 5 % by chance once in 300 runs."""
    seen = {
        kind: rates(TREES, kind, range(SEEDS), jobs=2) for kind in ("random walk", "GARCH without signal")
    }
    assert all(found["verdict"].hits <= 2 for found in seen.values())
    assert sum(found["rejected"].hits for found in seen.values()) <= 6
