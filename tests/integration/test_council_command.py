"""`consilium council` as an operator types it, against a running service and against its journal alone."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from bus_cases import until
from consilium.app.api.keys import KeyStore
from consilium.app.bootstrap import SystemClock
from consilium.app.cli.root import app
from consilium.app.council.kill_switch import path_of
from consilium.app.live.assembly import assemble
from consilium.app.settings import Settings
from served import ADMIN_KEY, served

RUNNER = CliRunner()
WRITES = 40
"""Of a key in a minute."""


class Desk(NamedTuple):
    http: httpx.Client
    folder: Path
    url: str

    def council(self, *words: str, key: str = ADMIN_KEY, code: int = 0) -> Any:
        done = RUNNER.invoke(app, ["council", *words, "--url", self.url], env={"CONSILIUM_API_KEY": key})
        assert done.exit_code == code, done.output
        return done

    def tell_the_account(self) -> None:
        counts = dict.fromkeys(("open_positions", "consecutive_losses", "winning_days", "losing_days"), 0)
        ratios = dict.fromkeys(
            ("drawdown_pct", "max_drawdown_pct", "realized_pnl_today", "exposure_pct"), 0.0
        )
        payload = {"total_equity": 10_000.0, "win_rate": None, "sharpe_ratio": None} | counts | ratios
        body = {"source": "backend", "sequence": 1, "ts_event": time.time_ns(), "payload": payload}
        headers = {"X-API-Key": ADMIN_KEY}
        answer = self.http.post("/api/events/portfolio.snapshot_updated", headers=headers, json=body)
        assert answer.status_code == 200, answer.text

    def told(self, *words: str) -> Any:
        return json.loads(self.council(*words, "--json", "-").stdout)


@pytest.fixture(scope="module", autouse=True)
def wide() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        yield


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with served(folder, API__WRITES_PER_MINUTE=str(WRITES)) as http:
        yield Desk(http, folder, str(http.base_url))


@pytest.mark.promise("001", "AI-Supervisor: emergency freeze authority, and the audit trail of a decision")
def test_an_operator_freezes_looks_reviews_and_explains(desk: Desk) -> None:
    assert "PAUSED" in desk.council("status").stdout  # nothing is known of an account yet
    frozen = desk.council("freeze", "--reason", "smoke in the room").stdout
    decision_id = frozen.strip().rpartition(" ")[2]
    status = desk.council("status").stdout
    assert "EMERGENCY (FROZEN)" in status
    assert "at the earliest" in status
    assert "supervisor/F0/mode" in desk.council("holds").stdout
    assert "FROZEN" in desk.council("policy").stdout
    # a halt acts first and is written down after
    until(lambda: desk.told("decisions", "--type", "freeze")["decisions"])
    (shown,) = desk.told("decisions", "--type", "freeze")["decisions"]
    assert (shown["decision_id"], shown["reason"]) == (decision_id, "smoke in the room")
    why = desk.council("explain", decision_id).stdout
    for part in ("smoke in the room", "operator, rule F0", "released by"):
        assert part in why
    reviewed = desk.council("review", "--reason", "stops are live").stdout
    assert reviewed.startswith("freeze is reviewed: ")
    assert "freeze: admin" in desk.council("status").stdout
    assert "admin" in desk.council("review", "--reason", "again", code=1).stderr
    alerts = desk.told("alerts")["alerts"]
    frozen_alert = next(one for one in alerts if one["kind"] == "frozen")
    assert "acknowledged" in desk.council("acknowledge", frozen_alert["alert_id"]).stdout


def test_a_loosening_is_approved_by_another_person(desk: Desk) -> None:
    bob, _ = KeyStore(desk.folder, SystemClock()).create("bob", ["read", "override"])
    until(lambda: desk.http.get("/api/federation/status", headers={"X-API-Key": bob}).status_code == 200)
    headers = {"X-API-Key": ADMIN_KEY}
    desk.tell_the_account()  # nothing is loosened while facts are unknown
    for leverage in (3.0, 6.0):
        asked = desk.http.post(
            "/api/federation/risk", headers=headers, json={"max_leverage": leverage, "reason": "x"}
        )
    approval_id = asked.json()["approval_id"]
    assert approval_id in desk.council("approvals").stdout
    assert "admin twice" in desk.council("approve", approval_id, "--reason", "me", code=1).stderr
    assert "approved: " in desk.council("approve", approval_id, "--reason", "agreed", key=bob).stdout
    assert "Nothing waits for anybody." in desk.council("approvals").stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (
            ("explain", "none"),
            2,
            "decision must be one of the journal's; got 'none': see `consilium council decisions`",
        ),
        (("approve", "none", "--reason", "x"), 2, "approval must be one of"),
        (("acknowledge", "none"), 2, "alert must be one of"),
        (("review", "--what", "fredze", "--reason", "x"), 2, "did you mean 'freeze'"),
        (("freeze", "--reason", "two\nlines"), 2, "body.reason"),
        (("decisions", "--limit", "0"), 2, "--limit"),
        (("decisions", "--role", "cto"), 2, "query.role"),
        (("freeze",), 2, "--reason"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_two(
    desk: Desk, words: tuple[str, ...], code: int, told: str
) -> None:
    done = desk.council(*words, code=code)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_key_and_a_service_that_is_not_there_end_with_one(desk: Desk) -> None:
    assert "must hold a key" in desk.council("status", key="another-key-of-some-length", code=1).stderr
    for url in ("http://127.0.0.1:9", "nonsense"):
        done = RUNNER.invoke(app, ["council", "status", "--url", url], env={"CONSILIUM_API_KEY": ADMIN_KEY})
        assert (done.exit_code, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: the service must answer; got ")


def test_a_decision_is_explained_from_the_journal_when_no_service_runs(desk: Desk, tmp_path: Path) -> None:
    desk.council("freeze", "--reason", "before the lights went out")
    (shown,) = desk.told("decisions", "--type", "FREEZE", "--limit", "1")["decisions"]
    journal = tmp_path / "journal.sqlite"
    at = {"CONSILIUM_DATA_DIR": str(desk.folder)}
    done = RUNNER.invoke(app, ["journal", "backup", str(journal), "--quiet"], env=at)
    assert done.exit_code == 0, done.output
    env = {"CONSILIUM_DATA_DIR": str(tmp_path), "CONSILIUM_PORT": "9"}
    done = RUNNER.invoke(app, ["council", "explain", shown["decision_id"]], env=env)
    assert done.exit_code == 0, done.output
    assert "the journal is read" in done.stderr
    assert shown["reason"] in done.stdout
    assert "council.commanded" in done.stdout
    asked = ["council", "explain", "none", "--database", f"sqlite:///{journal}"]
    done = RUNNER.invoke(app, asked, env=env)
    assert done.exit_code == 2
    assert "decision must be one of the journal's" in done.stderr


def test_a_freeze_that_no_service_hears_leaves_a_note_that_the_next_start_acts_on(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    at = {"CONSILIUM_DATA_DIR": str(folder), "CONSILIUM_PORT": "9"}
    asked = ["council", "freeze", "--reason", "nobody answers"]
    refused = RUNNER.invoke(app, asked, env=at)
    assert (refused.exit_code, list(tmp_path.iterdir())) == (1, [])  # no data folder: nobody would read it
    folder.mkdir()
    done = RUNNER.invoke(app, asked, env=at)
    assert done.exit_code == 0
    assert "a note is left: " in done.stderr
    with assemble(Settings(data_dir=folder)) as system:
        until(lambda: "engine" not in system.troubles)
        (held,) = [hold for hold in system.council.holds.values() if hold.value == "FROZEN"]
        assert held.reason == "nobody answers"


@pytest.mark.parametrize("text", [None, "no PEM"])
def test_a_halt_leaves_its_note_whatever_certificates_are_to_be_trusted(
    tmp_path: Path, text: str | None
) -> None:
    trusted = tmp_path / "ca.pem"
    if text is not None:
        trusted.write_text(text)
    (tmp_path / "runs").mkdir()
    at = {
        "CONSILIUM_DATA_DIR": str(tmp_path / "runs"),
        "CONSILIUM_API__TLS_CA": str(trusted),
        "CONSILIUM_PORT": "9",
    }
    asked = ["council", "freeze", "--reason", "smoke", "--url", "https://127.0.0.1:9"]
    assert (
        RUNNER.invoke(app, asked, env=at).exit_code == 1
    )  # a service that was named: no note of this folder
    done = RUNNER.invoke(app, asked[:-2], env=at)
    assert (done.exit_code, "a note is left: " in done.stderr) == (0, True)


@pytest.mark.promise("001", "the kill switch is never rate-limited")
def test_a_halt_is_not_among_the_writes_of_a_minute(desk: Desk) -> None:
    carl, _ = KeyStore(desk.folder, SystemClock()).create("carl", ["read", "override"])
    said = {"X-API-Key": carl}
    until(lambda: desk.http.get("/api/federation/status", headers=said).status_code == 200)
    # a reason is missing: refused, and counted
    codes = [
        desk.http.post("/api/federation/mode", headers=said, json={}).status_code for _ in range(WRITES + 1)
    ]
    assert (codes[0], codes[-1]) == (422, 429)
    done = desk.http.post("/api/federation/freeze", headers=said, json={"reason": "smoke"})
    assert done.status_code == 200, done.text
    assert desk.http.get("/api/trading/status", headers=said).json()["mode"] == "FROZEN"


def test_a_freeze_that_a_service_refuses_leaves_a_note_and_fails(desk: Desk, tmp_path: Path) -> None:
    at = {
        "CONSILIUM_DATA_DIR": str(tmp_path),
        "CONSILIUM_PORT": str(desk.http.base_url.port),
        "CONSILIUM_API_KEY": ADMIN_KEY,
    }
    asked = ["council", "freeze", "--reason", ""]
    stranger = RUNNER.invoke(app, asked, env=at | {"CONSILIUM_API_KEY": "another-key-of-some-length"})
    assert (stranger.exit_code, path_of(tmp_path).exists()) == (1, False)
    done = RUNNER.invoke(app, asked, env=at)
    assert done.exit_code == 2
    assert "a note is left: " in done.stderr
    assert "body.reason: must be one line" in done.stderr
    assert path_of(tmp_path).exists()
