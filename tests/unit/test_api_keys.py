"""Keys: what is kept of them, who may read it, and what the commands do."""

import errno
import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from command_line import consilium, fails_in_one_line
from consilium.app.api.keys import KeyStore
from consilium.app.bootstrap import SystemClock
from consilium.domain import ConsiliumError, InvalidValue, OutputProblem, UnknownName, UsageError


def store(folder: Path, admin_key: str | None = None) -> KeyStore:
    return KeyStore(folder, SystemClock(), admin_key)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_has_256_random_bits_and_only_its_digest_is_kept(tmp_path: Path) -> None:
    keys = store(tmp_path)
    made = [keys.create("ann", ["read"])[0] for _ in range(50)]
    assert len(set(made)) == 50
    assert all(len(key.removeprefix("csl_")) == 43 for key in made)  # 32 bytes in base64url
    kept = (tmp_path / "keys.json").read_text()
    assert not any(key in kept or key.removeprefix("csl_") in kept for key in made)
    assert not any(key in repr(keys.find(key)) for key in made)


def test_files_of_keys_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys = store(tmp_path)
        path = keys.ensure_admin()
    finally:
        os.umask(before)
    assert path is not None
    assert mode(path) == mode(tmp_path / "keys.json") == 0o600
    assert keys.find(path.read_text().strip()) is not None
    assert keys.ensure_admin() is None


def test_the_admin_key_of_the_environment_is_written_nowhere(tmp_path: Path) -> None:
    keys = store(tmp_path, "an-admin-key-of-some-length")
    found = keys.find("an-admin-key-of-some-length")
    assert found is not None
    assert (found.person, found.may("vote")) == ("admin", True)
    assert keys.ensure_admin() is None
    assert not any("an-admin-key" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_an_admin_key_that_could_be_guessed_is_refused_without_being_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 16 characters") as caught:
        store(tmp_path, "hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_change_by_another_process_is_seen(tmp_path: Path) -> None:
    serving, command = store(tmp_path), store(tmp_path)
    key, record = command.create("ann", ["read"])
    time.sleep(0.6)
    assert serving.find(key) is not None
    command.revoke(record.key_id)
    time.sleep(0.6)
    assert serving.find(key) is None


def test_a_damaged_file_lets_nobody_in_and_is_not_overwritten(tmp_path: Path) -> None:
    keys = store(tmp_path)
    key, _ = keys.create("ann", ["read"])
    (tmp_path / "keys.json").write_text("{")
    damaged = store(tmp_path)
    assert damaged.find(key) is None
    assert "keys.json must be a whole file" in damaged.trouble()
    with pytest.raises(OutputProblem, match="restore it from a backup"):
        damaged.create("bob", ["read"])
    assert (tmp_path / "keys.json").read_text() == "{"


def test_keys_stay_good_while_their_file_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving, command = store(tmp_path), store(tmp_path)
    key, record = command.create("ann", ["read"])
    time.sleep(0.6)
    assert serving.find(key) is not None
    command_key, _ = command.create("bob", ["read"])
    time.sleep(0.6)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", _too_many_files)
        assert serving.find(key) is not None
        assert serving.find(command_key) is None
        assert "keys.json must be readable; got Too many open files" in serving.trouble()
    time.sleep(0.6)
    assert serving.find(command_key) is not None
    assert serving.trouble() == ""
    command.revoke(record.key_id)
    time.sleep(0.6)
    assert serving.find(key) is None


def _too_many_files(path: Path) -> bytes:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_keys_made_at_once_are_all_kept(tmp_path: Path) -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.append(store(tmp_path).create("ann", ["read"])[0]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = store(tmp_path)
    assert all(keys.find(key) for key in made)
    assert len(keys.records()) == 8


@pytest.mark.parametrize(
    ("person", "scopes", "error"),
    [
        ("ann", ["reed"], UnknownName),
        ("ann", [], InvalidValue),
        ("", ["read"], InvalidValue),
        ("a\nb", ["read"], InvalidValue),
        ("a" * 65, ["read"], InvalidValue),
    ],
)
def test_a_key_needs_a_person_and_scopes_that_there_are(
    tmp_path: Path, person: str, scopes: list[str], error: type[ConsiliumError]
) -> None:
    with pytest.raises(error):
        store(tmp_path).create(person, scopes)
    assert not (tmp_path / "keys.json").exists()


def test_the_commands_make_list_and_revoke_keys(tmp_path: Path) -> None:
    made = consilium("keys", "create", "ann", "--scopes", "read,publish", "--unlimited", cwd=tmp_path)
    key = made.stdout.strip()
    assert key.startswith("csl_")
    assert key not in made.stderr
    listed = consilium("keys", "list", "--json", "-", cwd=tmp_path)
    (row,) = json.loads(listed.stdout)
    assert (row["person"], row["scopes"], row["limited"]) == ("ann", ["read", "publish"], False)
    assert key not in listed.stdout
    assert consilium("keys", "revoke", row["key_id"], cwd=tmp_path).returncode == 0
    told = fails_in_one_line(consilium("keys", "revoke", row["key_id"], cwd=tmp_path), 2)
    assert "key must be one of" in told
