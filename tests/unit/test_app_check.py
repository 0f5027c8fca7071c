"""Whether a service can start: every fault is found at once, and nothing is changed."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consilium.app.check.finding import Finding
from consilium.app.check.given import read_settings
from consilium.app.check.run import check_settings, inspect_settings
from consilium.app.cli.root import app
from consilium.app.settings import load_settings
from consilium.bus.journal.opening import open_journal
from consilium.domain import Event
from real_servers import RealValkey, free_port
from tls_cases import write_certificate


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CONSILIUM_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONSILIUM_PORT", "0")


def _faults() -> dict[str, Finding]:
    settings, findings = read_settings()
    return {found.setting: found for found in findings + check_settings(settings)}


def test_a_fresh_folder_is_fit_and_stays_empty(tmp_path: Path) -> None:
    assert _faults() == {}
    assert list(tmp_path.iterdir()) == []


def test_all_faults_are_told_at_once_of_file_environment_and_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "consilium.toml").write_text("[trainig]\nfolds = 2\n[api]\nbody_bytes = 1\nbody = 2\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONSILIUM_DATA_DIR", str(tmp_path / "file" / "data"))
    monkeypatch.setenv("CONSILIUM_ENSEMBLE__RULE", "smart_vot")
    monkeypatch.setenv("CONSILIUM_LIVE__SPEED", "-1")
    monkeypatch.setenv("CONSILIUM_LOGS__LEVEL", "info")
    monkeypatch.setenv("CONSILIUM_API_KEY", "short")
    monkeypatch.setenv("CONSILIUM_API__TLS_KEY", "k.pem")
    monkeypatch.setenv("CONSILIUM_REDIS_URL", "http://secret-user:secret-password@x")
    faults = _faults()
    levels = {name: found.level for name, found in faults.items()}
    assert levels == {
        "trainig": "wrong",
        "logs": "wrong",
        "api.body": "wrong",
        "api.body_bytes": "wrong",
        "live.speed": "wrong",
        "ensemble": "wrong",
        "data_dir": "failed",
        "database_url": "failed",
        "api_key": "wrong",
        "redis_url": "wrong",
        "api.tls_certificate": "wrong",
    }
    assert not any("\n" in found.text or "secret-" in found.text for found in faults.values())
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 2
    for name, found in faults.items():
        assert name in done.output
        assert found.text in done.output
    assert "a service cannot start; faults: 11, warnings: 0" in done.output


def test_settings_without_fault_are_those_that_a_run_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "consilium.toml").write_text(
        "[training]\nfolds = 7\nparameters = {nhits = {learning_rate = 0.1}}\n[live]\nsymbols = ['A', 'B']\n"
    )
    monkeypatch.setenv("CONSILIUM_TRAINING__HORIZON", "3")
    monkeypatch.setenv("CONSILIUM_API_KEY", "k" * 20)
    settings, findings = read_settings()
    assert findings == []
    assert settings == load_settings()
    assert (settings.training.folds, settings.training.horizon) == (7, 3)


def test_a_file_that_is_no_toml_does_not_hide_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "consilium.toml").write_text("[training\n")
    monkeypatch.setenv("CONSILIUM_ENGINE", "{broken")
    monkeypatch.setenv("CONSILIUM_API__TLS_KEY", "k.pem")
    assert {"consilium.toml", "CONSILIUM_*"} <= set(_faults())


def test_a_secret_of_the_wrong_kind_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "consilium.toml").write_text(
        'redis_url = ["redis://x"]\ndatabase_url = ["a-password"]\napi_key = ["an-admin-key"]\n'
    )
    faults = _faults()
    assert set(faults) == {"redis_url", "database_url", "api_key"}
    told = " ".join(found.text for found in faults.values())
    assert "a-password" not in told
    assert "an-admin-key" not in told


def test_a_port_in_use_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        monkeypatch.setenv("CONSILIUM_PORT", str(port))
        (fault,) = _faults().values()
        assert (fault.setting, fault.level) == ("port", "failed")
        assert fault.text == (
            f"must be free; got 127.0.0.1:{port} (Address already in use): stop who holds it, or set "
            "CONSILIUM_HOST and CONSILIUM_PORT"
        )
        assert CliRunner().invoke(app, ["check"]).exit_code == 1
        assert CliRunner().invoke(app, ["check", "--beside"]).exit_code == 0
    assert _faults() == {}


def test_an_address_that_others_reach_without_tls_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIUM_HOST", "0.0.0.0")  # noqa: S104 - that it is open is the point
    (fault,) = _faults().values()
    assert (fault.setting, fault.level) == ("host", "warning")


def test_a_database_that_is_away_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIUM_DATABASE_URL", f"postgresql://owner:s3cr3t@127.0.0.1:{free_port()}/x")
    monkeypatch.setenv("CONSILIUM_REDIS_URL", f"redis://:s3cr3t@127.0.0.1:{free_port()}/0")
    faults = _faults()
    assert {name: found.level for name, found in faults.items()} == {
        "database_url": "failed",
        "redis_url": "warning",
    }
    assert "s3cr3t" not in str(faults)
    assert "check that the server runs" in faults["database_url"].text


def test_an_empty_postgres_and_one_of_another_program_are_told_apart(
    fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setenv("CONSILIUM_DATABASE_URL", fresh_postgres)
    assert [f for f in _faults().values() if f.fatal] == []
    with psycopg.connect(fresh_postgres, autocommit=True) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)
        connection.execute("CREATE TABLE other (x int)")
    assert "tables of another program" in _faults()["database_url"].text


def test_a_redis_that_forgets_is_a_warning(
    start_valkey: Callable[..., RealValkey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSILIUM_REDIS_URL", start_valkey().url)
    assert _faults() == {}
    monkeypatch.setenv("CONSILIUM_REDIS_URL", start_valkey(appendonly=False).url)
    (fault,) = _faults().values()
    assert fault.level == "warning"
    assert "appendonly no" in fault.text


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs" / "journal.sqlite"
    journal = open_journal(f"sqlite:///{path}")
    journal.append([Event(event_id="1", topic="a.b", stream="s", ts_event=1, ts_recorded=1, payload={})])
    journal.close()
    there = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert _faults() == {}
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == there == ["journal.sqlite"]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE journal_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    assert "version 9999" in _faults()["database_url"].text
    assert path.read_bytes() == before


def test_a_damaged_file_of_keys_and_a_damaged_model_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    (folder / "models" / "xgboost").mkdir(parents=True)
    (folder / "models" / "xgboost" / "registry.json").write_text("{")
    (folder / "keys.json").write_text("{")
    faults = _faults()
    assert {name: found.level for name, found in faults.items()} == {
        "api_key": "failed",
        "models.xgboost": "warning",
    }


def test_a_disk_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from consilium.app.check import folders

    # no disk can be filled here: only what it says it has left is replaced
    monkeypatch.setattr(folders, "free_bytes", lambda _: 10 << 20)
    assert _faults()["disk"].level == "failed"
    monkeypatch.setattr(folders, "free_bytes", lambda _: 500 << 20)
    assert _faults()["disk"].level == "warning"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody may write")
def test_a_folder_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIUM_DATA_DIR", "/proc/consilium")
    monkeypatch.setenv("CONSILIUM_LOG__FILE", "/proc/consilium.log")
    levels = {name: found.level for name, found in _faults().items()}
    assert levels == {"data_dir": "failed", "database_url": "failed", "log.file": "failed"}


def test_a_certificate_and_its_key_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = write_certificate(tmp_path)
    monkeypatch.setenv("CONSILIUM_API__TLS_CERTIFICATE", str(certificate))
    monkeypatch.setenv("CONSILIUM_API__TLS_KEY", str(key))
    assert _faults() == {}
    told = {f.setting: f.text for f in inspect_settings(read_settings()[0])}
    assert told["api.tls"] == f"{certificate}, TLS 1.2 or newer"
    key.chmod(0o644)
    assert _faults()["api.tls_key"].level == "warning"


@pytest.mark.parametrize(
    ("days", "password", "foreign", "level", "told"),
    [
        (-1, "", False, "warning", "certificate has expired"),
        (30, "secret-of-key", False, "failed", "without a password"),
        (30, "", True, "failed", "KEY_VALUES_MISMATCH"),
    ],
)
def test_tls_files_that_cannot_serve_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    password: str,
    foreign: bool,
    level: str,
    told: str,
) -> None:
    certificate, key = write_certificate(tmp_path / "own", days=days, password=password)
    if foreign:
        _, key = write_certificate(tmp_path / "foreign")
    monkeypatch.setenv("CONSILIUM_API__TLS_CERTIFICATE", str(certificate))
    monkeypatch.setenv("CONSILIUM_API__TLS_KEY", str(key))
    (fault,) = _faults().values()
    assert fault.level == level
    assert told in fault.text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file or directory"),
        ("", "ca.pem"),
        ("no certificate\n", "ca.pem"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ca.pem"),
        ("folder", "ca.pem"),
    ],
)
def test_authorities_that_cannot_be_read_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, told: str
) -> None:
    path = tmp_path / "ca.pem"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    monkeypatch.setenv("CONSILIUM_API__TLS_CA", str(path))
    (fault,) = _faults().values()
    assert (fault.setting, fault.level) == ("api.tls_ca", "failed")
    assert fault.text.startswith(f"api.tls_ca must be a file of PEM certificates; got {path} (")
    assert told in fault.text
    assert "\n" not in fault.text
    done = CliRunner().invoke(app, ["serve"])
    assert done.exit_code == 1
    assert f"error: api.tls_ca: {fault.text}" in done.output


def test_authorities_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = write_certificate(tmp_path / "one")
    two, _ = write_certificate(tmp_path / "two")
    path = tmp_path / "ca.pem"
    path.write_text(one.read_text() + two.read_text())
    monkeypatch.setenv("CONSILIUM_API__TLS_CA", str(path))
    assert _faults() == {}
    told = {f.setting: f.text for f in inspect_settings(read_settings()[0])}
    assert told["api.tls_ca"] == (
        f"{path}, certificates that our own commands trust: 2; this service speaks plain HTTP"
    )


def test_the_table_as_json(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["check", "--json", str(tmp_path / "found.json")])
    assert done.exit_code == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["exit_code"] == 0
    assert {row["level"] for row in found["findings"]} == {"ok"}
