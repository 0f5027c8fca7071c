"""The whole protocol in one run: what it registers, opens, counts, and says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import SystemClock
from consilium.app.judge.run import SCHEMA, judge
from consilium.app.settings import Settings, Training
from consilium.domain import DAY_NS, DataProblem
from consilium.market.simulator import simulate
from consilium.training.runs import RunTable, market_of

PLANTED = "simulate:symbols=10,bars=1300,signal_ic=0.4,kind=garch"
SMALL = "simulate:symbols=2,bars=900"


def request(folder: Path, **changes: Any) -> BacktestRequest:
    chosen: dict[str, Any] = {
        "settings": Settings(data_dir=folder, training=Training(seed=4)),
        "data": PLANTED,
        "models": ("logistic", "persistence"),
        "baselines": ("prior",),
        "features": "core14",
        "gates": "seed",
    }
    return BacktestRequest(**(chosen | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("judged")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return judge(request(folder), controls=False)


def test_a_planted_signal_is_better_than_climatology_also_on_symbols_never_seen(
    report: dict[str, Any],
) -> None:
    against = {row["against"]: row for row in report["primary"]["comparisons"]}
    assert against["climatology"]["word"] == "better"
    assert report["unseen"]["comparison"]["word"] == "better"
    assert report["unseen"]["symbols"] == report["data"]["unseen"] == report["config"]["unseen"]
    assert report["mirror"]["word"] == "better"
    assert "On the 2 symbols that no model has seen it is better than climatology" in report["verdict"]


def test_the_report_is_plain_json_with_every_section(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report, allow_nan=False))["judgement"] == report["judgement"]
    assert report["schema"] == SCHEMA
    sections = {"split", "development", "primary", "secondary", "months", "table", "ablations", "diversity"}
    assert sections | {"economics", "controls", "past", "judgement", "config", "run"} <= set(report)
    assert len(report["table"]["rows"]) == 48
    assert len(report["split"]["lockbox"]["folds"]) == 4
    assert len(report["split"]["development"]["folds"]) == 5
    assert report["development"]["cross_validation"]["paths"] == 5


def test_the_comparator_is_the_one_that_development_chose(report: dict[str, Any]) -> None:
    development = report["development"]
    members = {name: development["models"][name]["half_brier"] for name in ("logistic", "persistence")}
    assert development["best_single"] == min(members, key=lambda name: members[name])
    named = [row["against"] for row in report["primary"]["comparisons"]]
    assert any(development["best_single"] in name for name in named)


def test_the_primary_forecast_is_its_own_row_of_the_table(report: dict[str, Any]) -> None:
    primary = [row for row in report["table"]["rows"] if row["primary"]]
    assert [(row["rule"], row["trust"]) for row in primary] == [("smart_vote", "fixed_share")]
    assert primary[0]["log_loss"] == pytest.approx(report["consensus"]["log_loss"]["value"], abs=2e-3)


def test_a_report_without_controls_says_so(report: dict[str, Any]) -> None:
    assert report["controls"] is None
    assert any("controls were left out" in note for note in report["notes"])


def test_the_run_is_registered_with_its_trial_returns_and_its_verdict(
    folder: Path, report: dict[str, Any]
) -> None:
    table = RunTable(folder / "runs.db", SystemClock())
    row = next(row for row in table.rows("judge") if row.run_id == report["run"]["id"])
    assert row.config_hash == report["config_hash"]
    assert row.figures["verdict"] == report["judgement"]["word"]
    assert row.figures["best_single"] == report["development"]["best_single"]


def test_a_lockbox_that_was_opened_before_is_counted_and_said(tmp_path: Path) -> None:
    asked = request(tmp_path, models=("prior",), baselines=(), data=SMALL)
    first, again = judge(asked, controls=False), judge(asked, controls=False)
    lockbox = again["split"]["lockbox"]
    assert first["split"]["lockbox"]["openings"] == 0
    assert lockbox["openings"] == 1
    assert "1 of them with this very registration" in lockbox["text"]
    assert again["past"] == [
        {
            "run": first["run"]["id"],
            "ended": again["past"][0]["ended"],
            "data": SMALL,
            "origin": "simulated",
            "config_hash": first["config_hash"],
            "word": first["judgement"]["word"],
            "trading_word": first["judgement"]["trading_word"],
        }
    ]
    assert again["primary"] == first["primary"]
    other = Settings(data_dir=tmp_path, training=Training(seed=5))
    found = judge(replace(asked, settings=other), controls=False)
    assert found["split"]["lockbox"]["openings"] == 0, "another simulated market"


def test_outcomes_that_a_development_part_has_used_are_opened_too(tmp_path: Path) -> None:
    judge(request(tmp_path, models=("prior",), data=SMALL), controls=False)
    table = RunTable(tmp_path / "runs.db", SystemClock())
    with table.start("judge", {}) as row:
        first, *_ = simulate(symbols=2, bars=900, seed=4).series.values()
        market = market_of(SMALL, 4)
        early = row.open_slice(
            market=market,
            interval_ns=first.interval_ns,
            first=int(first.ts_close[10]),
            last=int(first.ts_close[20]),
            symbols=(first.symbol,),
        )
    assert len(early) == 1


def test_levels_and_reasons_are_those_of_the_lockbox_alone(report: dict[str, Any]) -> None:
    rows = report["split"]["lockbox"]["rows"]
    assert sum(report["consensus"]["levels"].values()) == rows
    for gates in report["consensus"]["gates"].values():
        assert gates["actionable"] + sum(gates["reasons"].values()) == rows


def test_variants_that_traded_are_kept_as_trials(folder: Path, report: dict[str, Any]) -> None:
    table = RunTable(folder / "runs.db", SystemClock())
    traded = any(row["trading"]["seed"]["trades"] for row in report["table"]["rows"])
    assert traded
    with table.start("judge", {}) as row:
        series = next(
            iter(simulate(symbols=10, bars=1_300, seed=4, signal_ic=0.4, kind="garch").series.values())
        )
        market = market_of(PLANTED, 4)
        row.open_slice(
            market=market,
            interval_ns=series.interval_ns,
            first=int(series.ts_close[0]),
            last=int(series.ts_close[-1]),
            symbols=(series.symbol,),
        )
        day = np.arange(series.ts_close[900] // DAY_NS, series.ts_close[-1] // DAY_NS)
        found = table.returns_of_overlapping(row.run_id, day, market=market, symbols=(series.symbol,))
    kept = {name.partition("/")[2].split()[0] for name in found.names}
    assert {"account", "variants"} <= kept or found.elsewhere >= 2


def test_one_model_only_leaves_two_comparators_that_are_the_forecast_itself(tmp_path: Path) -> None:
    found = judge(
        request(tmp_path, models=("logistic",), data="simulate:symbols=4,bars=1400,signal_ic=0.5"),
        controls=False,
    )
    assert [row["excluded"] for row in found["primary"]["comparisons"]] == [False, True, True]
    assert "that comparison says nothing" in found["verdict"]
    assert found["diversity"]["models"] == 1


def test_models_without_skill_are_not_distinguishable_and_have_no_statistic(tmp_path: Path) -> None:
    found = judge(
        request(
            tmp_path, models=("prior",), baselines=(), data="simulate:symbols=2,bars=1300,kind=random_walk"
        ),
        controls=False,
    )
    assert found["judgement"]["word"] == "not distinguishable"
    assert "the difference is exactly 0 and has no statistic" in found["verdict"]
    assert found["economics"]["permutation"]["p_value"] in (1.0, None)


def test_too_few_outcomes_are_said_in_words_and_not_in_a_number(tmp_path: Path) -> None:
    asked = request(tmp_path, data="simulate:symbols=2,bars=1300,signal_ic=0.4", horizon=8)
    found = judge(asked, controls=False)
    assert "too few independent outcomes" in found["verdict"]
    assert all(row["p_value"] is None for row in found["primary"]["comparisons"])


def test_a_history_too_short_for_the_folds_leaves_the_lockbox_closed(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="longer history"):
        judge(request(tmp_path, data="simulate:symbols=2,bars=420"), controls=False)
    table = RunTable(tmp_path / "runs.db", SystemClock())
    (row,) = table.rows("judge")
    assert (row.status, table.read_by(row.run_id)) == ("failed", ())
    found = judge(request(tmp_path, data="simulate:symbols=2,bars=1000"), controls=False)
    assert found["split"]["lockbox"]["openings"] == 0
