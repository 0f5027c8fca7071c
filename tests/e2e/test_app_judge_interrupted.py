"""A judgement that is stopped by a real signal says what it has opened, and the run table counts it."""

import signal
import sqlite3
import time
from pathlib import Path

import pytest

from command_line import started
from consilium.app.bootstrap import SystemClock
from consilium.app.cli.report import ReportInterrupted
from consilium.app.openings import told as told_of
from consilium.domain import HOUR_NS
from consilium.training.runs import RunTable, market_of

DATA = "simulate:symbols=2,bars=1200"
JUDGE = ("judge", "--data", DATA, "--models", "lightgbm", "--features", "core14", "--controls", "off")


def stopped_in(
    stage: str, number: signal.Signals, folder: Path, *more: str, wait: float = 0.3
) -> tuple[int, str]:
    """Run the command until a stage begins, send the signal, and return the exit code and what it said."""
    process = started(*JUDGE, *more, cwd=folder)
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line)
        if line.startswith(stage):
            break
    time.sleep(wait)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, "".join(told) + err


def runs(folder: Path) -> list[tuple[str, int]]:
    """Return the status of every run, and how many spans of outcomes it has opened."""
    with sqlite3.connect(folder / "runs" / "runs.db") as table:
        found = table.execute(
            "SELECT status, (SELECT COUNT(*) FROM openings o WHERE o.run_id = r.run_id) FROM runs r"
        ).fetchall()
    return [(str(status), int(opened)) for status, opened in found]


@pytest.mark.parametrize(
    ("number", "jobs"), [(signal.SIGINT, "1"), (signal.SIGTERM, "1"), (signal.SIGTERM, "2")]
)
def test_stopped_after_the_lockbox_was_opened_it_says_so_and_the_opening_counts(
    number: signal.Signals, jobs: str, tmp_path: Path
) -> None:
    code, told = stopped_in("train in the lock-box", number, tmp_path, "--jobs", jobs)
    (line,) = (line for line in told.splitlines() if line.startswith("error: "))
    assert code == 1
    assert "the lock-box of these data" in line
    assert "is open now, this opening counts" in line
    assert runs(tmp_path) == [("aborted", 2)]
    table = RunTable(tmp_path / "runs" / "runs.db", SystemClock())
    (row,) = table.rows("judge")
    assert row.run_id in line
    earlier = table.start("judge", {}).open_slice(
        market=market_of(DATA, row.seed),
        interval_ns=HOUR_NS,
        first=table.read_by(row.run_id)[1][0],
        last=table.read_by(row.run_id)[1][1],
        symbols=["SIM00"],
    )
    assert f"read before once: judge {row.run_id}" in told_of(earlier, "")


def test_stopped_in_development_it_says_nothing_of_a_lockbox(tmp_path: Path) -> None:
    code, told = stopped_in("train in development", signal.SIGINT, tmp_path)
    assert code == 1
    assert "interrupted: nothing half-written was left" in told
    assert "lock-box" not in told
    assert runs(tmp_path) == [("aborted", 1)]


def test_stopped_while_the_report_is_written_it_says_that_the_run_is_whole(tmp_path: Path) -> None:
    quick = ("--models", "lightgbm", "--features", "core14", "--folds", "1", "--json", "-")
    table = RunTable(tmp_path / "runs" / "runs.db", SystemClock())
    with started("backtest", "--data", DATA, *quick, cwd=tmp_path) as process:
        # Nobody reads the pipe: a report longer than it holds keeps the command writing until the signal.
        while process.poll() is None and [row.status for row in table.rows()] != ["ok"]:
            time.sleep(0.2)
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "was whole: its verdict is in the run table, run the command again for the report" in err
    assert runs(tmp_path) == [("ok", 1)]


def test_of_a_judgement_it_says_also_that_the_lockbox_is_open() -> None:
    told = str(ReportInterrupted({"schema": "consilium.judge/1", "run": {"id": "000007-1f3a9c2e"}}))
    assert "the lock-box of these data is open now and this opening counts" in told
