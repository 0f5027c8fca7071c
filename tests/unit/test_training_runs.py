"""The run table: each run is counted, whatever became of it."""

import sqlite3
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from consilium.domain import InvalidValue, OutputProblem, digest
from consilium.training.runs import RunTable


class _Clock:
    """Ticks a second at each look."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        self.now += 1_000_000_000
        return self.now


@pytest.fixture
def table(tmp_path: Path) -> RunTable:
    return RunTable(tmp_path / "runs" / "runs.sqlite", _Clock())


def test_a_finished_run_keeps_what_was_asked_and_what_came_out(table: RunTable) -> None:
    config = {"rule": "smart_vote", "folds": 5}
    with table.start("backtest", config, seed=7, data_digest="d", code_version="0.1.0") as run:
        run.record({"sharpe": 0.5})
        run.record({"trades": np.int64(3), "psr": float("nan")})
    (row,) = table.rows()
    assert row.status == "ok"
    assert row.run_id == run.run_id == f"000001-{row.config_hash[:8]}"
    assert row.config == config
    assert row.config_hash == digest({"folds": 5, "rule": "smart_vote"})
    assert (row.seed, row.data_digest, row.code_version) == (7, "d", "0.1.0")
    assert row.figures == {"sharpe": 0.5, "trades": 3, "psr": None}
    assert (row.ts_started, row.ts_ended, row.error) == (1_000_000_000, 2_000_000_000, "")


def test_a_failed_run_keeps_its_error_and_figures(table: RunTable) -> None:
    def fail() -> None:
        with table.start("train", {}) as run:
            run.record({"folds_done": 2})
            raise ValueError("bad\n  data")

    with pytest.raises(ValueError, match="bad"):
        fail()
    (row,) = table.rows()
    assert (row.status, row.error, row.figures) == ("failed", "bad data", {"folds_done": 2})


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_is_aborted_and_counted(table: RunTable, stop: type[BaseException]) -> None:
    with pytest.raises(stop), table.start("train", {}):
        raise stop
    assert [(row.status, row.error) for row in table.rows()] == [("aborted", stop.__name__)]
    assert table.trials() == 1


def test_a_run_that_never_ended_is_counted_as_running(table: RunTable) -> None:
    table.start("train", {})
    again = RunTable(table.path, _Clock())
    assert again.trials() == 1
    assert again.rows()[0].status == "running"
    assert again.rows()[0].ts_ended is None


def test_trials_are_counted_by_kind_and_in_all(table: RunTable) -> None:
    for kind in ("train", "backtest", "backtest"):
        with table.start(kind, {}):
            pass
    assert (table.trials(), table.trials("backtest"), table.trials("none")) == (3, 2, 0)
    assert [row.kind for row in table.rows("backtest")] == ["backtest", "backtest"]


def test_a_run_ends_once(table: RunTable) -> None:
    with table.start("train", {}) as run:
        pass
    table.end(run.run_id, "failed", "too late")
    assert table.rows()[0].status == "ok"


def test_a_name_with_quotes_is_only_a_name(table: RunTable) -> None:
    with table.start("x'); DROP TABLE runs; --", {"k'": '"'}):
        pass
    assert table.rows("x'); DROP TABLE runs; --")[0].config == {"k'": '"'}


def test_rows_cannot_be_changed(table: RunTable) -> None:
    table.start("train", {})
    with pytest.raises(FrozenInstanceError):
        table.rows()[0].status = "ok"  # type: ignore[misc]


def test_the_file_is_in_wal_mode(table: RunTable) -> None:
    connection = sqlite3.connect(table.path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize("place", ["file/runs.sqlite", "/proc/consilium/runs.sqlite"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OutputProblem, match=r"the run table must be a writable SQLite file; got .*runs\.sqlite"
    ):
        RunTable(tmp_path / place, _Clock())


def test_a_file_that_is_no_table_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    path.write_text("my notes, long enough to be taken for a header of something else " * 20)
    before = path.read_bytes()
    with pytest.raises(OutputProblem, match="not a database"):
        RunTable(path, _Clock())
    assert path.read_bytes() == before


def test_what_is_no_json_is_refused_before_anything_is_written(table: RunTable) -> None:
    with pytest.raises(InvalidValue, match="must be plain JSON"):
        table.start("train", {"model": object()})
    with pytest.raises(InvalidValue, match="kind must not be empty"):
        table.start("", {})
    assert table.trials() == 0
    with pytest.raises(InvalidValue, match="status must be one of"):
        table.end("1", "done", "")
