"""`consilium serve` as a user meets it: what is wrong at a start, the key, the end."""

import socket
import stat
from pathlib import Path

import pytest

from command_line import consilium, fails_in_one_line
from consilium.bus.journal import open_journal
from live_process import KEY, free_port, serving

OWN = {"CONSILIUM_API_KEY": KEY}


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = consilium("serve", "--port", port, cwd=tmp_path, **OWN)
    assert f"port: must be free; got 127.0.0.1:{port} " in fails_in_one_line(done, 1)


@pytest.mark.promise("004", "configuration is checked at start with all errors at once")
def test_all_that_is_wrong_at_a_start_is_told_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = consilium(
            "serve", "--port", port, "--feed", "replay:nowhere.parquet", cwd=tmp_path,
            CONSILIUM_DATABASE_URL="mysql://here", CONSILIUM_ENSEMBLE__RULE="loudest",
            CONSILIUM_API_KEY="short",
        )  # fmt: skip
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.startswith("error: ") for line in lines] == [True] * 5
    for said in ("must be free", "nowhere.parquet", "mysql", "loudest", "at least 16 characters"):
        assert sum(said in line for line in lines) == 1
    done = consilium("serve", cwd=tmp_path, CONSILIUM_PORT="99999", CONSILIUM_LIVE__SPEED="-1")
    assert done.returncode == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["port", "live.speed"]


def test_a_database_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").mkdir()
    done = consilium(
        "serve", "--port", str(free_port()), cwd=tmp_path,
        CONSILIUM_DATABASE_URL=f"sqlite:///{tmp_path / 'journal.sqlite'}", **OWN,
    )  # fmt: skip
    assert "a journal must be a file" in fails_in_one_line(done, 1)
    done = consilium(
        "serve", "--port", str(free_port()), cwd=tmp_path,
        CONSILIUM_DATABASE_URL="postgresql://nobody:secret@127.0.0.1:1/none", **OWN,
    )  # fmt: skip
    assert "secret" not in fails_in_one_line(done, 1)


def test_a_journal_of_a_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    import sqlite3

    open_journal(f"sqlite:///{tmp_path / 'journal.sqlite'}").close()
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        connection.execute("UPDATE journal_version SET version_num = '9999'")
    connection.close()
    done = consilium("serve", "--data-dir", ".", "--port", str(free_port()), cwd=tmp_path, **OWN)
    fails_in_one_line(done, 1)


def test_an_admin_key_is_made_once_and_kept_from_the_log(tmp_path: Path) -> None:
    with serving(tmp_path, CONSILIUM_API_KEY="") as service:
        service.wait_until_ready()
        key = (tmp_path / "admin.key").read_text().strip()
        assert stat.S_IMODE((tmp_path / "admin.key").stat().st_mode) == 0o600
        import httpx

        answer = httpx.get(f"{service.url}/api/market/status", headers={"X-API-Key": key}, timeout=10.0)
        assert answer.status_code == 200
        assert service.stop() == 0
        said = service.errors()
    assert key not in said
    assert "listening on http://127.0.0.1:" in said
    assert "the admin key is in " in said
