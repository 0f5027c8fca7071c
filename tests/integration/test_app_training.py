"""Training all models in one go, a failing one among them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consilium.app.deploy import TrainingResult, load_pool, train
from consilium.app.newest import Newest, predict
from consilium.app.observe import observe
from consilium.app.settings import Settings
from consilium.domain import DataProblem
from consilium.market.simulator import simulate
from consilium.market.sources import write_candles
from consilium.models import FORECASTERS
from consilium.training.dataset import build_dataset
from consilium.training.labels import LabelSpec
from consilium.training.runs import RunTable


class _Clock:
    def now_ns(self) -> int:
        return 0


@pytest.mark.promise("002", "training summary: PARTIAL SUCCESS, 2/3 models trained, degraded mode")
def test_a_model_that_fails_is_told_and_the_others_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORECASTERS, "failing", "failing_model:Failing")
    write_candles(tmp_path / "candles.parquet", simulate(symbols=2, bars=1000, seed=3).series)
    settings = Settings.model_validate({"data_dir": tmp_path, "training": {"folds": 1}})
    stages: list[tuple[str, int, int, str]] = []

    def progress(stage: str, done: int, total: int, text: str = "") -> None:
        stages.append((stage, done, total, text))

    result = train(
        settings,
        observe(str(tmp_path / "candles.parquet"), None),
        ["xgboost", "failing", "lightgbm"],
        features="core14",
        horizon=1,
        folder=tmp_path / "models",
        progress=progress,
    )
    assert result.summary == "PARTIAL"
    assert set(result.models) == {"xgboost", "lightgbm"}
    assert result.failures == {"failing": "out of memory"}
    assert set(load_pool(tmp_path / "models").artefacts) == {"xgboost", "lightgbm"}
    assert [stage for stage in stages if stage[0] == "train for service"] == [
        ("train for service", 0, 2, "xgboost"),
        ("train for service", 1, 2, "lightgbm"),
        ("train for service", 2, 2, ""),
    ]
    (row,) = RunTable(tmp_path / "runs.db", _Clock()).rows()
    assert (row.status, row.figures["failures"]) == ("ok", {"failing": "out of memory"})


@pytest.mark.promise("002", "training summary: ALL MODELS TRAINED (FULL), PARTIAL SUCCESS or FAILED")
@pytest.mark.parametrize(
    ("trained", "failed", "summary"),
    [(("a", "b"), (), "FULL"), (("a", "b"), ("c",), "PARTIAL"), ((), ("a", "b"), "FAILED")],
)
def test_the_summary_counts_who_was_trained(
    trained: tuple[str, ...], failed: tuple[str, ...], summary: str
) -> None:
    figures: dict[str, Any] = {}
    result = TrainingResult(
        models=dict.fromkeys(trained, figures), failures=dict.fromkeys(failed, "out of memory")
    )
    assert result.summary == summary


def test_no_checkpoint_is_promised_where_a_loss_ran_away_before_there_was_one(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write_candles(tmp_path / "candles.parquet", simulate(symbols=1, bars=1200, seed=3).series)
    away = {"learning_rate": 1e30, "hidden_size": 8, "window": 12, "epochs": 1}
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "training": {"folds": 1, "stride": 4, "parameters": {"nhits": away}}}
    )
    observed = observe(str(tmp_path / "candles.parquet"), None)
    result = train(settings, observed, ["nhits"], features="core14", horizon=1, folder=tmp_path / "models")
    assert result.summary == "FAILED"
    assert "try learning_rate 1e+29" in result.failures["nhits"]
    assert result.checkpoints is None
    assert not (tmp_path / "checkpoints").exists()


def test_a_stored_model_forecasts_the_newest_bar_as_it_would_a_row_of_training(tmp_path: Path) -> None:
    panel = simulate(symbols=2, bars=1000, seed=3).series
    write_candles(tmp_path / "candles.parquet", panel)
    settings = Settings.model_validate({"data_dir": tmp_path, "training": {"folds": 1}})
    observed = observe(str(tmp_path / "candles.parquet"), None)
    train(settings, observed, ["lightgbm"], features="core14", horizon=2, folder=tmp_path / "models")
    pool = load_pool(tmp_path / "models")
    said = predict(settings, observed, pool, rule="smart_vote", trust="uniform", gates="edge")
    dataset = build_dataset(observed.panel, "core14", LabelSpec(horizon=2))
    for told in said.rows:
        series = observed.panel[told["symbol"]]
        assert told["ts_event"] == series.ts_close[-1]
        assert told["horizon_ns"] == 2 * series.interval_ns
        of_symbol = dataset.symbol_index == dataset.symbols.index(told["symbol"])
        (row,) = np.flatnonzero(of_symbol & (dataset.ts_event == series.ts_close[-1]))
        expected, _ = pool.artefacts["lightgbm"].predict(dataset.inputs(np.array([row])))
        assert told["predictions"]["lightgbm"]["probabilities"] == expected[0].tolist()
    # No outcome is heard here: every policy trusts as at its beginning, and the account says so.
    earned = predict(settings, observed, pool, rule="smart_vote", trust="fixed_share", gates="edge")
    assert earned.rows == said.rows
    for found in earned.rows:
        assert found["gates"]["p_direction"] == "not evaluated: pooled p, 0 of 200 outcomes"
        assert "p_direction not evaluated" in found["account"]


def test_a_history_that_is_too_short_for_a_window_silences_that_model_and_names_the_bars(
    tmp_path: Path,
) -> None:
    panel = simulate(symbols=1, bars=1100, seed=3).series
    write_candles(tmp_path / "candles.parquet", panel)
    parameters = {"minirocket": {"window": 16, "num_features": 168}, "lightgbm": {"rounds": 5}}
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "training": {"folds": 1, "parameters": parameters}}
    )
    observed = observe(str(tmp_path / "candles.parquet"), None)
    made = train(
        settings,
        observed,
        ["lightgbm", "minirocket"],
        features="core14",
        horizon=1,
        folder=tmp_path / "models",
    )
    assert made.summary == "FULL"
    pool = load_pool(tmp_path / "models")
    ((symbol, series),) = panel.items()

    def said(bars: int) -> Newest:
        few = replace(observed, panel={symbol: series.slice(1100 - bars, 1100)})
        return predict(settings, few, pool, rule="smart_vote", trust="uniform", gates="edge")

    (row,) = said(265).rows
    assert set(row["predictions"]) == {"lightgbm", "minirocket"}
    (row,) = said(255).rows
    assert set(row["predictions"]) == {"lightgbm"}
    told = f"a forecast from 14 features of 16 bars needs 265 bars; got 255 of {symbol}: give 10 more"
    assert row["abstained"] == {"minirocket": told}
    with pytest.raises(
        DataProblem, match=r"needs 250 bars; got 200 .*: give 50 more|needs 265 .* give 65 more"
    ):
        said(200)


def test_a_training_says_how_many_bars_its_folds_take(tmp_path: Path) -> None:
    write_candles(tmp_path / "candles.parquet", simulate(symbols=1, bars=401, seed=3).series)
    settings = Settings.model_validate({"data_dir": tmp_path, "training": {"folds": 2}})
    observed = observe(str(tmp_path / "candles.parquet"), None)
    with pytest.raises(
        DataProblem, match=r"a training in 2 folds with core14 .* needs [\d,]+ bars of the symbol; got 400"
    ):
        train(settings, observed, ["lightgbm"], features="core14", horizon=1, folder=tmp_path / "models")
    assert not (tmp_path / "runs.db").exists()
