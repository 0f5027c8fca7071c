import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from command_line import SMALL, consilium, fails_in_one_line, started
from consilium.market.simulator import simulate
from consilium.market.sources import write_candles

BACKTEST = ("backtest", "--data", SMALL, "--features", "core14", "--folds", "2", "--quiet")


@pytest.mark.promise("002", "comprehensive error handling")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rule", "smart_vot"), "did you mean 'smart_vote'?"),
        (("--models", "xgbost"), "did you mean 'xgboost'?"),
        (("--models", "xgboost,xgboost"), "each name may stand once"),
        (("--models", "xgboost,xgb"), "each model may stand once"),
        (("--models", ","), "at least one name"),
        (("--trust", "unifrom"), "did you mean 'uniform'?"),
        (("--gates", "edg"), "did you mean 'edge'?"),
        (("--features", "candle6"), "did you mean 'candle62'?"),
        (("--bar", "1s"), "builds bars from trades"),
        (("--books", "absent"), "--books must be a file or a folder"),
        (("--limits", "maybe"), "limits must be on or off"),
        (("--meta", "maybe"), "meta must be on or off"),
        (("--conformal", "1"), "--conformal: input should be less than 1"),
        (("--conformal", "some"), "--conformal: input should be a valid number"),
        (("--html", "-"), "--html needs a file"),
        (("--horizon", "0"), "horizon must be >= 1"),
        (("--folds", "0"), "folds"),
        (("--preset", "smal"), "did you mean 'small'?"),
        (("--symbols", "SIM99"), "symbol must be one of"),
    ],
)
def test_bad_usage_exits_two_with_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    line = fails_in_one_line(consilium(*BACKTEST, *arguments, cwd=tmp_path), 2)
    assert told in line


def test_an_unknown_option_exits_two(tmp_path: Path) -> None:
    assert consilium(*BACKTEST, "--wrong", cwd=tmp_path).returncode == 2


def frame(bars: int = 1200, seed: int = 1) -> pl.DataFrame:
    series = simulate(symbols=["AAA", "BBB"], bars=bars, seed=seed, kind="garch").series
    parts = [
        pl.DataFrame(
            {
                "symbol": symbol,
                "date": s.ts_open // 1_000_000,
                "open": s.open,
                "high": s.high,
                "low": s.low,
                "close": s.close,
                "volume": s.volume,
            }
        )
        for symbol, s in series.items()
    ]
    return pl.concat(parts)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_rows(path: Path) -> None:
    frame().clear().write_parquet(path)


def cut_in_half(path: Path) -> None:
    frame().write_parquet(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def all_nan(path: Path) -> None:
    frame().with_columns(pl.lit(np.nan).alias("close")).write_parquet(path)


def no_close(path: Path) -> None:
    frame().drop("close").write_parquet(path)


@pytest.mark.parametrize("spoil", [empty, no_rows, cut_in_half, all_nan, no_close])
def test_data_that_cannot_be_used_exit_one_with_one_line(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "candles.parquet"
    spoil(path)
    fails_in_one_line(consilium("backtest", "--data", "candles.parquet", "--quiet", cwd=tmp_path), 1)


def test_one_broken_symbol_of_many_is_told_and_left_out(tmp_path: Path) -> None:
    spoilt = frame().with_columns(
        pl.when((pl.col("symbol") == "AAA") & (pl.int_range(pl.len()) == 100))
        .then(np.nan)
        .otherwise(pl.col("close"))
        .alias("close")
    )
    spoilt.write_parquet(tmp_path / "candles.parquet")
    checked = consilium("data", "check", "candles.parquet", cwd=tmp_path)
    assert checked.returncode == 1
    assert "AAA: impossible at row 101" in checked.stdout
    assert checked.stderr == ""
    run = consilium(
        "backtest", "--data", "candles.parquet", "--features", "core14", "--folds", "1",
        "--models", "lightgbm",
        "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "AAA: impossible" in run.stdout
    mended = consilium(
        "data", "check", "candles.parquet", "--repair", "--out", "mended.parquet", cwd=tmp_path
    )
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert consilium("data", "check", "mended.parquet", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_an_output_that_cannot_be_written_fails_before_the_work(option: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    line = fails_in_one_line(consilium(*BACKTEST, option, "/proc/report", cwd=tmp_path), 1)
    assert "must be writable" in line
    assert time.monotonic() - begun < 30
    assert not (tmp_path / "runs").exists()


def test_an_output_that_is_no_regular_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    line = fails_in_one_line(consilium(*BACKTEST, "--json", "pipe", cwd=tmp_path), 1)
    assert "regular file" in line
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "target.json").write_text("old")
    (tmp_path / "link.json").symlink_to("target.json")
    done = consilium("data", "check", "sample", "--json", "link.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "link.json").is_symlink()
    assert "usable" in (tmp_path / "target.json").read_text()


def test_one_file_for_both_outputs_is_refused(tmp_path: Path) -> None:
    done = consilium(*BACKTEST, "--json", "r", "--html", "r", cwd=tmp_path)
    assert "a file each" in fails_in_one_line(done, 2)


def test_prices_that_stand_still_cannot_be_judged(tmp_path: Path) -> None:
    still = frame().with_columns(*(pl.lit(100.0).alias(name) for name in ("open", "high", "low", "close")))
    still.write_parquet(tmp_path / "still.parquet")
    done = consilium(
        "backtest", "--data", "still.parquet", "--features", "core14", "--folds", "1", "--quiet", cwd=tmp_path
    )
    assert "prices that move" in fails_in_one_line(done, 1)


def test_a_history_too_short_says_what_to_do(tmp_path: Path) -> None:
    line = fails_in_one_line(
        consilium("backtest", "--data", "simulate:symbols=1,bars=120", "--quiet", cwd=tmp_path), 1
    )
    assert "history" in line


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = consilium(
        "train", "--data", SMALL, "--features", "core14", "--folds", "1", "--json", "t.json", "--quiet",
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "FULL: 2 of 2 models trained" in done.stdout
    return folder


@pytest.mark.promise("002", "unified training: a single command trains all models")
@pytest.mark.promise("004", "train all models and compare results by validation accuracy and loss")
def test_one_command_trains_all_models_and_tells_what_each_is_worth(trained: Path) -> None:
    told = json.loads((trained / "t.json").read_text())
    assert (told["summary"], told["failures"]) == ("FULL", {})
    assert set(told["models"]) == {"xgboost", "lightgbm"}
    for found in told["models"].values():
        assert 0.0 < found["test_accuracy"] < 1.0
        assert 0.9 < found["test_log_loss"] < 1.3
        versions = Path(trained, found["folder"]) / "versions"
        assert [path.name for path in versions.glob("*/manifest.json")] == ["manifest.json"]


@pytest.mark.promise("002", "the prediction of a symbol holds action, confidence and model_info")
@pytest.mark.promise("002", "get_model_status: which models are loaded")
def test_what_was_trained_predicts(trained: Path) -> None:
    done = consilium("predict", "--data", SMALL, "--json", "p.json", cwd=trained)
    assert done.returncode == 0, done.stderr
    assert "xgb:" in done.stdout
    assert "lgbm:" in done.stdout
    told = json.loads((trained / "p.json").read_text())
    assert (told["coverage"], told["refused"]) == ("full", {})
    assert [row["symbol"] for row in told["symbols"]] == ["SIM00", "SIM01", "SIM02"]
    for row in told["symbols"]:
        assert set(row["predictions"]) == {"xgboost", "lightgbm"}
        assert row["action"] == (
            "HOLD" if not row["actionable"] else {"UP": "BUY", "DOWN": "SELL"}[row["direction"]]
        )
        assert 0.0 <= row["confidence"] <= 1.0
        assert f"FINAL:{row['action']} " in row["account"]
        assert row["account"] in done.stdout


def damaged(trained: Path, folder: Path, name: str, part: str = "model") -> Path:
    shutil.copytree(trained / "runs", folder / "runs")
    model = folder / "runs" / "models" / name / "versions" / "000001" / part
    largest = max(model.iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    return folder


@pytest.mark.parametrize("part", ["model", "serving"])
def test_a_model_file_cut_in_half_is_left_out_and_told(trained: Path, tmp_path: Path, part: str) -> None:
    folder = damaged(trained, tmp_path, "xgboost", part)
    done = consilium("predict", "--data", SMALL, "--json", "p.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "warning: xgboost is left out" in done.stderr
    assert "lgbm:" in done.stdout
    assert "xgb:" not in done.stdout
    assert json.loads((folder / "p.json").read_text())["refused"].keys() == {"xgboost"}


def test_a_model_under_another_name_is_left_out(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "runs", tmp_path / "runs")
    models = tmp_path / "runs" / "models"
    shutil.rmtree(models / "xgboost")
    shutil.copytree(models / "lightgbm", models / "xgboost")
    done = consilium("predict", "--data", SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "must hold the model xgboost; got lightgbm" in done.stderr
    assert "xgb:" not in done.stdout


def test_a_cut_model_asked_for_alone_is_one_clear_line(trained: Path, tmp_path: Path) -> None:
    folder = damaged(trained, tmp_path, "xgboost")
    fails_in_one_line(consilium("predict", "--data", SMALL, "--models", "xgboost", cwd=folder), 1)


def test_bars_of_another_length_than_the_model_learned_are_refused(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "runs", tmp_path / "runs")
    quarters = simulate(symbols=1, bars=700, seed=3, interval_ns=900 * 10**9).series
    write_candles(tmp_path / "quarters.parquet", quarters)
    line = fails_in_one_line(consilium("predict", "--data", "quarters.parquet", cwd=tmp_path), 1)
    assert "1 h" in line


@pytest.mark.promise("002", "mode none: fallback only")
def test_without_a_model_the_fallback_speaks_under_coverage_none(tmp_path: Path) -> None:
    done = consilium("predict", "--data", SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "none | fallback:" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_is_one_line_and_leaves_no_model(
    number: signal.Signals, tmp_path: Path
) -> None:
    process = started("train", "--data", "simulate:symbols=8,bars=6000", "--folds", "5", cwd=tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train walk-forward"):
            break
    time.sleep(1.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "interrupted" in err
    assert "Traceback" not in out + err
    assert not list((tmp_path / "runs" / "models").glob("*"))
    with sqlite3.connect(tmp_path / "runs" / "runs.db") as table:
        assert table.execute("SELECT status FROM runs").fetchall() == [("aborted",)]


def test_a_misspelt_setting_is_one_line_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "consilium.toml").write_text("[ensemble]\ntrsut = 'uniform'\n")
    line = fails_in_one_line(consilium(*BACKTEST, cwd=tmp_path), 2)
    assert "did you mean 'ensemble.trust'?" in line


def test_an_option_that_the_trust_policy_does_not_take_is_one_line_before_the_work(tmp_path: Path) -> None:
    done = consilium(*BACKTEST, cwd=tmp_path, CONSILIUM_ENSEMBLE__TRUST_OPTIONS__ALPHA="7")
    assert "alpha must lie in [0, 1)" in fails_in_one_line(done, 2)
    assert not (tmp_path / "runs").exists()


def test_a_setting_out_of_bounds_is_one_line(tmp_path: Path) -> None:
    done = consilium(*BACKTEST, cwd=tmp_path, CONSILIUM_COSTS__TAKER_FEE="-1")
    assert "costs.taker_fee" in fails_in_one_line(done, 2)
