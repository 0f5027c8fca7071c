"""A service as its operator has it: backup and restore, secrets, TLS, checked at its start."""

import json
import re
import shutil
import socket
import ssl
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from command_line import consilium
from consilium.app.backup.manifest import read_backup
from consilium.app.cli.root import app
from consilium.app.live.assembly import assemble
from consilium.app.live.pipeline import Pipeline
from consilium.app.settings import Live, Settings
from consilium.bus.journal import open_journal
from consilium.bus.journal.restore import restore as restore_journal
from consilium.domain import digest
from real_servers import free_port
from served import ADMIN, ADMIN_KEY, served
from tls_cases import write_certificate

FEED = ("--feed", "simulate:symbols=2,bars=120", "--speed", "20")
STEPS = 60


def _run(*arguments: str, **settings: Path | str) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it said."""
    given = {f"CONSILIUM_{name}": str(value) for name, value in settings.items()}
    done = CliRunner().invoke(app, list(arguments), env=given)
    return done.exit_code, done.output


def _fails(code: int, *arguments: str, **settings: Path | str) -> str:
    found, told = _run(*arguments, **settings)
    assert found == code, told
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    return line


def _head(told: str) -> str:
    found: list[str] = re.findall(r"head (\d+:[0-9a-f]{64})", told)
    return found[0]


def _until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _steps(folder: Path) -> int:
    journal = open_journal(f"sqlite:///{folder / 'journal.sqlite'}", create=False, read_only=True)
    try:
        return len(journal.read(0, 10_000, topics=["market.step_done"]))
    finally:
        journal.close()


def _state(folder: Path) -> tuple[str, list[tuple[str, Any]]]:
    """Return the digest of the last snapshot, and all that was concluded."""
    journal = open_journal(f"sqlite:///{folder / 'journal.sqlite'}", create=False, read_only=True)
    try:
        kept = journal.load_snapshot(Pipeline.snapshot)
        assert kept is not None
        rows = journal.read(0, 10_000)
        return digest(kept[1]), [(row.event.event_id, row.event.payload) for row in rows]
    finally:
        journal.close()


def test_a_backup_of_a_running_service_goes_on_elsewhere_to_the_same_state(tmp_path: Path) -> None:
    first, second, kept = tmp_path / "first", tmp_path / "second", tmp_path / "kept"
    _, key = _run("keys", "create", "ann", "--scopes", "read", DATA_DIR=first)
    key = key.split()[-1]
    with served(first, *FEED) as client:
        command = {"strategy": "trust_weighted"}
        client.post("/api/ensemble/strategy", headers=ADMIN, json=command).raise_for_status()
        _until(lambda: _steps(first) >= 5)
        code, taken = _run(
            "backup", str(kept), DATA_DIR=first, REDIS_URL="redis://:hidden-word@x", API_KEY=ADMIN_KEY
        )
        assert code == 0, taken
        at_backup = _steps(first)
        _until(lambda: _steps(first) == STEPS)
    code, done = _run("restore", str(kept), DATA_DIR=second)
    assert code == 0, done
    assert 5 <= _steps(second) <= at_backup < STEPS
    assert _head(done) == _head(taken)
    code, verified = _run("audit", "verify", "--expect", _head(taken), DATA_DIR=second)
    assert code == 0, verified
    with served(second, *FEED[:2], "--speed", "0") as client:
        assert client.get("/api/ensemble/status", headers={"X-API-Key": key}).status_code == 200
        _until(lambda: _steps(second) == STEPS)
    assert _state(second) == _state(first)
    text = b"".join(path.read_bytes() for path in kept.rglob("*") if path.is_file())
    for secret in (key, ADMIN_KEY, "hidden-word"):
        assert secret.encode() not in text
    assert oct(kept.stat().st_mode)[-3:] == "700"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a service that had worked, with a model's file beside."""
    folder = tmp_path_factory.mktemp("kept")
    live = Live(feed="simulate:symbols=1,bars=40", speed=0.0)
    with assemble(Settings(data_dir=folder / "data", live=live)):
        _until(lambda: _steps(folder / "data") == 20)
    version = folder / "data" / "models" / "xgboost" / "versions" / "000001"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")
    code, told = _run("backup", str(folder / "kept"), DATA_DIR=folder / "data")
    assert code == 0, told
    return folder / "kept"


def _damage_journal(folder: Path) -> None:
    path = folder / "journal.sqlite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _foreign(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"kind": "another program\'s"}')


def _newer(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))


def _rewritten(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"rows": ', '"rows": 1'))


def _outside(folder: Path) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["files"]["../outside"] = next(iter(content["files"].values()))
    del content["digest"]
    path.write_text(json.dumps({**content, "digest": digest(content)}))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of the journal": (_damage_journal, "another content of journal.sqlite"),
    "a missing file": (lambda folder: next((folder / "data").rglob("*.csv")).unlink(), "no file data/live"),
    "a file too many": (lambda folder: (folder / "data" / "more").touch(), "another one, data/more"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "must have a manifest"),
    "a foreign manifest": (_foreign, "must be a backup of ours"),
    "a newer format": (_newer, "must be of format 1; got 2"),
    "a rewritten manifest": (_rewritten, "another content of"),
    "a file outside": (_outside, "must lie in its folder; got ../outside"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_backup_that_is_damaged_or_foreign_is_refused_before_anything_is_written(
    damage: str, kept: Path, tmp_path: Path
) -> None:
    shutil.copytree(kept, tmp_path / "copy")
    spoil, told = DAMAGES[damage]
    read_backup(tmp_path / "copy")
    spoil(tmp_path / "copy")
    assert told in _fails(1, "restore", str(tmp_path / "copy"), DATA_DIR=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_or_a_journal_that_holds_something_is_not_restored_into(
    kept: Path, tmp_path: Path, fresh_postgres: str
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "note").touch()
    assert "which holds something" in _fails(1, "restore", str(kept), DATA_DIR=new)
    assert [path.name for path in new.iterdir()] == ["note"]
    (new / "note").unlink()
    restore_journal(kept / "journal.sqlite", fresh_postgres)
    told = _fails(1, "restore", str(kept), DATA_DIR=new, DATABASE_URL=fresh_postgres)
    assert "events in that of CONSILIUM_DATABASE_URL" in told
    assert list(new.iterdir()) == []
    code, told = _run("restore", str(kept), DATA_DIR=new)
    assert code == 0, told
    assert (new / "models" / "xgboost" / "versions" / "000001" / "manifest.json").exists()
    assert not list(new.glob(".restore*"))


def test_a_backup_goes_from_sqlite_to_postgres_and_back(
    kept: Path, tmp_path: Path, fresh_postgres: str
) -> None:
    new = tmp_path / "new"
    code, there = _run("restore", str(kept), DATA_DIR=new, DATABASE_URL=fresh_postgres)
    assert code == 0, there
    assert not (new / "journal.sqlite").exists()
    code, taken = _run("backup", str(tmp_path / "again"), DATA_DIR=new, DATABASE_URL=fresh_postgres)
    assert code == 0, taken
    code, back = _run("restore", str(tmp_path / "again"), DATA_DIR=tmp_path / "back")
    assert code == 0, back
    assert _head(there) == _head(taken) == _head(back)


def test_a_backup_needs_a_journal_and_a_new_folder(kept: Path, tmp_path: Path) -> None:
    assert "must go to a new folder" in _fails(1, "backup", str(kept), DATA_DIR=tmp_path)
    assert "the journal must exist" in _fails(1, "backup", str(tmp_path / "b"), DATA_DIR=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_secret_that_was_used_is_in_log_journal_or_any_other_file(tmp_path: Path) -> None:
    password, wrong = "a-password-of-redis", "csl_" + "w" * 43
    folder = tmp_path / "data"
    _, told = _run("keys", "create", "ann", "--scopes", "publish,read", DATA_DIR=folder)
    key = told.split()[-1]
    url = f"redis://user:{password}@127.0.0.1:{free_port()}/0"
    with served(folder, *FEED, LOG__LEVEL="debug", LOG__FORMAT="json", REDIS_URL=url) as client:
        for used in (key, ADMIN_KEY, wrong):
            mine = {"X-API-Key": used, "X-Request-Id": "trace-of-a-test"}
            client.get("/api/ensemble/status", headers=mine)
            client.get(f"/api/ensemble/status?api_key={used}", headers=mine)
            client.post("/api/ensemble/strategy", headers=mine, json={"strategy": used})
            client.post("/api/ensemble/strategy", headers=mine, content=f'{{"strategy": "{used}')
            client.post("/api/ensemble/strategy", headers=mine, json={"strategy": "trust_weighted"})
            client.get("/health", headers={"Authorization": f"Bearer {used}"})
            client.get("/metrics", headers=mine)
        time.sleep(1.0)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"serve.log", "journal.sqlite", "keys.json"} <= {path.name for path in files}
    for path in files:
        for secret in (key, ADMIN_KEY, wrong, password):
            assert secret.encode() not in path.read_bytes(), path.name
    log = (folder / "serve.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [line for line in lines if "does not answer" in line["event"]]
    _require_one_trace(folder, lines)


def _require_one_trace(folder: Path, lines: list[dict[str, Any]]) -> None:
    """A command of the API carries the request's id through log and journal; a step carries its own."""
    traced = {line["event"].split()[0]: line["trace_id"] for line in lines if "trace_id" in line}
    assert traced["ensemble.rule_changed"] == "trace-of-a-test"
    assert traced["step"].startswith("step-")
    journal = open_journal(f"sqlite:///{folder / 'journal.sqlite'}", create=False, read_only=True)
    try:
        events = [row.event for row in journal.read(0, 10_000)]
    finally:
        journal.close()
    assert {e.trace_id for e in events if e.topic == "ensemble.rule_changed"} == {"trace-of-a-test"}
    assert traced["step"] in {e.trace_id for e in events if e.topic == "market.step_done"}


def test_the_service_speaks_tls_and_nothing_older_than_its_twelfth_year(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path / "tls")
    with served(tmp_path / "data", API__TLS_CERTIFICATE=str(certificate), API__TLS_KEY=str(key)) as client:
        assert client.base_url.scheme == "https"
        answer = client.get("/health")
        assert answer.status_code == 200
        assert "strict-transport-security" in answer.headers
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(f"{client.base_url}/livez", trust_env=False)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{client.base_url.port}/livez", trust_env=False)
        versions = {}
        for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            versions[version.name] = _speaks(int(client.base_url.port or 0), version)
        assert versions == {"TLSv1_1": False, "TLSv1_2": True, "TLSv1_3": True}


def _speaks(port: int, version: ssl.TLSVersion) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old version is what is tried
        context.minimum_version = context.maximum_version = version
    try:
        with socket.create_connection(("127.0.0.1", port), 5.0) as plain, context.wrap_socket(plain):
            return True
    except (ssl.SSLError, ConnectionResetError):
        return False


def test_serve_tells_all_faults_at_once_and_makes_nothing(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        done = consilium(
            "serve",
            cwd=tmp_path,
            CONSILIUM_PORT=str(holder.getsockname()[1]),
            CONSILIUM_ENSEMBLE__RULE="smart_vot",
            CONSILIUM_API__TLS_KEY="k.pem",
            CONSILIUM_LIVE__SPEED="-1",
            CONSILIUM_DATABASE_URL=f"postgresql://owner:a-password@127.0.0.1:{free_port()}/x",
        )
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    told = {line.removeprefix("error: ").partition(":")[0] for line in errors}
    assert told == {"live.speed", "port", "ensemble", "api.tls_certificate", "database_url"}
    assert "a-password" not in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
