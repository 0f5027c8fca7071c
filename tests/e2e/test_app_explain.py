"""`consilium explain` on a real run, and on every wrong question."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from command_line import SMALL, consilium, fails_in_one_line
from consilium.app.cli.root import app
from consilium.domain import HOUR_NS, to_iso


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished backtest, and one that failed after it had begun."""
    folder = tmp_path_factory.mktemp("explained")
    arguments = ("--features", "core14", "--folds", "2", "--models", "lightgbm", "--quiet")
    done = consilium("backtest", "--data", SMALL, *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    short = consilium("backtest", "--data", "simulate:symbols=1,bars=160", *arguments, cwd=folder)
    assert short.returncode == 1
    assert len(run_ids(folder)) == 2
    return folder


def run_ids(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "runs" / "runs.db") as table:
        found = table.execute("SELECT run_id FROM runs ORDER BY number").fetchall()
    table.close()
    return [run_id for (run_id,) in found]


def stored(folder: Path, symbol: str = "SIM01") -> list[dict[str, Any]]:
    frame = pl.read_parquet(folder / "runs" / run_ids(folder)[0] / "consensus.parquet")
    return frame.filter(pl.col("symbol") == symbol).to_dicts()


@pytest.mark.parametrize("named", ["last", "whole"])
def test_a_bar_of_a_run_is_told_with_voices_gates_pivots_and_outcome(run: Path, named: str) -> None:
    row = stored(run)[100]
    run_id = run_ids(run)[0]
    at = to_iso(row["ts_event"]).removesuffix(":00Z")
    which = run_id if named == "whole" else named
    done = consilium("explain", "--run", which, "--symbol", "SIM01", "--at", at, "--json", "e.json", cwd=run)
    assert done.returncode == 0, done.stderr
    assert f"run {run_id} (backtest of {SMALL})" in done.stdout
    assert "exactly that bar" in done.stdout
    assert "  lgbm: " in done.stdout
    assert "trust 100.0%" in done.stdout
    assert "  gate edge: " in done.stdout
    assert "FINAL:" in done.stdout
    assert "What came: " in done.stdout
    assert " with lgbm " in done.stdout or "no change of a single vote" in done.stdout
    told = json.loads((run / "e.json").read_text())
    assert told["lines"] == done.stdout.splitlines()[1:]
    assert (told["run"], told["exact"], told["consensus"]["ts_event"]) == (run_id, True, row["ts_event"])
    assert told["consensus"]["probabilities"] == [row[name] for name in ("down", "flat", "up")]
    (voice,) = told["voices"]
    assert voice["probabilities"] == [row[f"lightgbm:{name}"] for name in ("down", "flat", "up")]
    assert told["outcome"]["realised_return"] == row["realised_return"]


def test_between_two_bars_the_earlier_one_is_told_and_named(run: Path) -> None:
    row = stored(run)[100]
    done = consilium(
        "explain", "--run", "000001", "--symbol", "SIM01", "--at", str(row["ts_event"] + HOUR_NS // 2),
        "--json", "-", cwd=run,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["exact"], told["consensus"]["ts_event"]) == (False, row["ts_event"])
    assert f"the latest at or before {to_iso(row['ts_event'] + HOUR_NS // 2)}" in done.stderr


def test_where_the_outcome_is_not_known_it_says_so(run: Path) -> None:
    row = stored(run)[-1]
    done = consilium("explain", "--run", "1", "--symbol", "SIM01", "--at", str(row["ts_event"]), cwd=run)
    assert done.returncode == 0, done.stderr
    assert "not known in the data" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        ({"--run": "9"}, "run must be one of 000001-", 2),
        ({"--run": "000001x"}, "did you mean '00000", 2),
        ({"--run": "00000"}, "--run must name one run; got '00000' for 000001-", 2),
        ({"--run": ""}, "run must be one of", 2),
        ({"--run": "2"}, "run consilium backtest to its end", 1),
        ({"--symbol": "SIM1"}, "did you mean 'SIM01'?", 2),
        ({"--at": "yesterday"}, "--at must be an ISO time from 1970 on, or nanoseconds; got 'yesterday'", 2),
        ({"--at": "2024-02-31"}, "--at must be an ISO time", 2),
        ({"--at": "9" * 30}, "--at must be an ISO time", 2),
        ({"--at": "1960-01-01"}, "--at must be an ISO time", 2),
        ({"--at": "1999-01-01"}, "--at must lie in 2024-", 2),
        ({"--at": "2199-01-01"}, "--at must lie in 2024-", 2),
        ({"--json": "/proc/e.json"}, "must be writable", 1),
    ],
)
def test_a_wrong_question_is_one_line(
    run: Path, arguments: dict[str, str], told: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: what the command says and how it ends does not need one of its own each time."""
    monkeypatch.chdir(run)
    asked = {"--run": "1", "--symbol": "SIM01", "--at": to_iso(stored(run)[5]["ts_event"])} | arguments
    done = CliRunner().invoke(app, ["explain", *(word for pair in asked.items() for word in pair)])
    assert (done.exit_code, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert told in line


def test_without_any_run_it_says_which_command_makes_one(tmp_path: Path) -> None:
    done = consilium("explain", "--run", "last", "--symbol", "A", "--at", "2024-01-01", cwd=tmp_path)
    assert "run consilium backtest" in fails_in_one_line(done, 2)
    assert list(tmp_path.iterdir()) == []


def test_stored_consensuses_that_are_cut_in_half_are_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "runs", tmp_path / "runs")
    path = tmp_path / "runs" / run_ids(run)[0] / "consensus.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = consilium("explain", "--run", "1", "--symbol", "SIM01", "--at", "2024-01-30", cwd=tmp_path)
    assert "must be a whole file" in fails_in_one_line(done, 1)
