"""What `collect` and `replay` refuse, each in one line that names the cure."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consilium.app.cli.root import app
from consilium.app.collecting.lock import folder_lock
from recorder_cases import SYMBOL, exchange, feed, recorder

NOWHERE = ("--rest-url", "http://127.0.0.1:1", "--stream-url", "ws://127.0.0.1:1", "--min-free", "1MB")


def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, list(arguments))
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return done.exit_code, line


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--interval", "250ms"), 2, "interval of spot must be one of 1000ms, 100ms"),
        (("--interval", "1000ms", "--market", "usdm"), 2, "one of 100ms, 250ms, 500ms"),
        (("--interval", "1s"), 2, "did you mean '1000ms'?"),
        (("--interval", "zz"), 2, "choose one of the known intervals of spot"),
        (("--market", "nasdaq"), 2, "coinm, spot, usdm"),
        (("--levels", "0"), 2, "[1, 500]"),
        (("--levels", "501"), 2, "[1, 500]"),
        (("--for", "ten"), 2, "--for must be a length of time"),
        (("--for", "0s"), 2, "--for must be a length of time"),
        (("--max-disk", "50"), 2, "--max-disk must be a size"),
        (("--min-free", "0GB"), 2, "--min-free must be a size"),
        (("--max-memory", "1MB"), 2, "--max-memory must hold"),
        (("--rest-url", "http://127.0.0.1:1"), 2, "go together"),
        (("--rest-url", "ftp://a", "--stream-url", "ws://b"), 2, "http://"),
        (("--symbols", "BTCUSDT,BTC/USD"), 2, "'BTC/USD'"),
        (("--symbols", "BTCUSDT,BTCUSDT"), 2, "twice"),
        (("--symbols", ",".join(f"S{i}" for i in range(301))), 2, "at most 300 symbols"),
        (("--folder", "a-file"), 1, "--folder must be writable"),
        (("--json", "."), 1, "the folder"),
    ],
)
def test_collect_refuses_what_cannot_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "a-file").write_text("")
    found, line = refused(tmp_path, monkeypatch, "collect", "--symbols", "BTCUSDT", *arguments)
    assert said in line
    assert found == code
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "recordings or --simulated"),
        (("a.jsonl", "--simulated"), 2, "got both"),
        (("--simulated", "--market", "options"), 2, "coinm, spot, usdm"),
        (("--simulated", "--faults", "drp=1"), 2, "did you mean 'drop'?"),
        (("--simulated", "--faults", "drop=2"), 2, "[0, 1]"),
        (("--simulated", "--faults", "drop=much"), 2, "drop must be a number"),
        (("--simulated", "--speed", "-1"), 2, "--speed must be >= 0"),
        (("--simulated", "--speed", "nan"), 2, "--speed must be >= 0"),
        (("--simulated", "--speed", "0", "--dates", "now"), 2, "--speed > 0"),
        (("--simulated", "--dates", "then"), 2, "now, recorded"),
        (("--simulated", "--symbols", "0"), 2, "[1, 1000]"),
        (("--simulated", "--length", "long"), 2, "--length must be a length of time"),
        (("broken.jsonl",), 1, "nanoseconds"),
        (("empty.jsonl",), 1, "the streams of one symbol; got no stream"),
        (("nowhere.jsonl",), 1, "nowhere.jsonl"),
    ],
)
def test_replay_refuses_what_it_cannot_play(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "broken.jsonl").write_text("no time {}\n")
    (tmp_path / "empty.jsonl").write_text("")
    found, line = refused(tmp_path, monkeypatch, "replay", *arguments)
    assert said in line
    assert found == code


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds status.json; got none"),
        ("{", "must be readable"),
        ("[]", "must be readable"),
        ('{"format": 99}', "must have format 1; got 99"),
    ],
)
def test_a_status_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "status.json").write_text(content)
    found, line = refused(tmp_path, monkeypatch, "collect-status", "--folder", str(tmp_path))
    assert said in line
    assert found == 1


def test_the_status_of_no_folder_is_bad_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, line = refused(tmp_path, monkeypatch, "collect-status", "--folder", "nowhere")
    assert found == 2
    assert "'nowhere'" in line


def test_a_folder_holds_books_of_one_number_of_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorder(tmp_path / "books") as into:
        feed(into, exchange(), 0, 5)
    before = sorted(tmp_path.rglob("*.parquet"))
    arguments = ("--symbols", SYMBOL, "--folder", "books", "--levels", "5", "--for", "1s", *NOWHERE)
    found, line = refused(tmp_path, monkeypatch, "collect", *arguments)
    assert "--levels must be 20" in line
    assert "use --levels 20, or another --folder" in line
    assert found == 2
    assert sorted(tmp_path.rglob("*.parquet")) == before


def test_a_run_that_received_nothing_fails_and_says_what_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["collect", "--symbols", SYMBOL, "--for", "1s", "--quiet", *NOWHERE])
    assert done.exit_code == 1
    assert "refused: 0 connections, " in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: a collection must receive something; got no message in ")
    assert "check --market" in last


@pytest.mark.parametrize(("problem", "code"), [("the disk is full", 1), ("", 0)])
def test_the_status_of_a_collector_that_does_not_write_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(app, ["collect", "--symbols", SYMBOL, "--for", "1s", "--folder", ".", *NOWHERE])
    path = tmp_path / "status.json"
    status = json.loads(path.read_text())
    status |= {"ts": time.time_ns(), "problem": problem, "writing": not problem}
    path.write_text(json.dumps(status))
    with folder_lock(tmp_path):
        done = CliRunner().invoke(app, ["collect-status", "--folder", "."])
    assert done.exit_code == code, done.output
