"""What `collect` and `replay` refuse, each in one line that names the cure."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from consilium.app.cli.root import app


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
