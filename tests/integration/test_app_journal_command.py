"""``consilium journal`` and ``consilium audit``, as a user runs them."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from command_line import fails_in_one_line
from consilium.app.cli.root import app
from consilium.bus.journal import Journal, open_journal
from journal_cases import by_hand, event


def consilium(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command, in this process: what it does is as quick as starting one."""
    done = CliRunner().invoke(app, arguments)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("CONSILIUM_DATABASE_URL", raising=False)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(f"sqlite:///{tmp_path}/runs/journal.sqlite")
    opened.append([event(n, topic=f"a.{n % 2}") for n in range(40)])
    yield opened
    opened.close()


@pytest.mark.promise(
    "004", "`consilium audit verify` walks the journal's chain and names the first broken row"
)
def test_the_audit_names_the_first_broken_row(journal: Journal) -> None:
    done = consilium("audit", "verify", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"rows": 40, "head": journal.head().hash}
    noted = f"40:{journal.head().hash}"
    assert noted in consilium("audit", "verify", "--expect", noted).stdout
    by_hand(journal, "ts_event = 1", 30)
    by_hand(journal, "payload = replace(payload, 'xgboost', 'xgboos7')", 17)
    told = fails_in_one_line(consilium("audit", "verify"), 1)
    assert f"row 17 of the journal (event {event(16).event_id})" in told


def test_the_audit_finds_a_chain_that_was_cut(journal: Journal) -> None:
    noted = f"41:{journal.head().hash}"
    assert "40 rows" in fails_in_one_line(consilium("audit", "verify", "--expect", noted), 1)
    noted = f"39:{journal.head().hash}"
    assert "row 39" in fails_in_one_line(consilium("audit", "verify", "--expect", noted), 1)
    fails_in_one_line(consilium("audit", "verify", "--expect", "39"), 2)


def test_events_are_shown(journal: Journal) -> None:
    done = consilium("journal", "show", "--topic", "a.1", "--after", "4", "--limit", "3")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["6", "8", "10"]
    assert '"model":"xgboost"' in done.stdout
    done = consilium("journal", "show", "--newest", "--limit", "2", "--json", "-")
    shown = json.loads(done.stdout)["events"]
    assert [row["offset"] for row in shown] == [40, 39]
    assert shown[0]["hash"] == journal.head().hash
    assert shown[0]["payload"] == event(39, topic="a.1").payload


def test_events_of_a_trace_are_shown_archived_ones_included(journal: Journal) -> None:
    wanted = ("journal", "show", "--trace", event(6).trace_id)
    assert [line.split()[0] for line in consilium(*wanted).stdout.splitlines()] == ["7"]
    assert consilium("journal", "archive", "--keep", "1d").returncode == 0
    assert journal.append([event(40), replace(event(41), trace_id=event(6).trace_id)]) == (41, 42)
    for order, rows in (((), ["7", "42"]), (("--newest",), ["42", "7"])):
        assert [line.split()[0] for line in consilium(*wanted, *order).stdout.splitlines()] == rows
    assert "No event" in consilium("journal", "show", "--trace", "nobody").stdout


def test_a_journal_and_the_folders_made_for_it_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = open_journal(f"sqlite:///{tmp_path}/data/runs/journal.sqlite")
        made.append([event(0)])
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
        made.close()
    finally:
        os.umask(before)
    folders = {"data": 0o700, "runs": 0o700}
    files = dict.fromkeys(("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"), 0o600)
    assert modes == folders | files


def test_a_backup_is_restored_and_old_rows_are_archived(journal: Journal, tmp_path: Path) -> None:
    assert consilium("journal", "archive", "--before", "1970-01-01").stdout == ""
    done = consilium("journal", "archive", "--keep", "1d")
    assert done.stdout.splitlines() == [
        f"{tmp_path}/runs/journal.sqlite-archive/journal-000000000001-000000000040.jsonl.gz"
    ]
    for command in ("backup", "export"):
        copied = consilium("journal", command, f"kept/{command}")
        assert f"40:{journal.head().hash}" in copied.stdout, copied.stderr
        target = f"sqlite:///{tmp_path}/{command}.sqlite"
        restored = consilium("journal", "restore", f"kept/{command}", "--database", target)
        assert f"40:{journal.head().hash}" in restored.stdout, restored.stderr
        assert consilium("audit", "verify", "--database", target).returncode == 0
    told = fails_in_one_line(consilium("journal", "backup", "kept/backup"), 1)
    assert "new file" in told


def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path) -> None:
    assert "must exist" in fails_in_one_line(consilium("audit", "verify"), 1)
    assert not list(tmp_path.iterdir())
    told = fails_in_one_line(consilium("journal", "show", "--database", "mysql://x"), 2)
    assert "sqlite:///PATH" in told
    fails_in_one_line(consilium("journal", "archive"), 2)
    (tmp_path / "text").write_text("no backup")
    told = fails_in_one_line(consilium("journal", "restore", "text"), 1)
    assert "not a database" in told
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
