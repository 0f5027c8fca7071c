"""The servers that tests start are real, keep what they promise, and never outlive the tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from real_servers import RealValkey, sweep

STARTER = """
import sys, time
from pathlib import Path
from real_servers import RealPostgres, RealValkey
server = RealPostgres() if sys.argv[1] == "postgres" else RealValkey(Path(sys.argv[2]))
print(server.start().pid, flush=True)
time.sleep(600)
"""


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("kind", ["valkey", "postgres"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_dies_with_the_process_that_started_it(
    kind: str, how: signal.Signals, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": "/tmp"}  # noqa: S108
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, kind, str(tmp_path / "server")],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert _runs(pid)
        starter.send_signal(how)
    deadline = time.monotonic() + 10.0
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)
    sweep()
    assert list(Path("/tmp").glob(f"consilium-postgres-{starter.pid}-*")) == []  # noqa: S108


def test_a_killed_valkey_with_appendonly_remembers_and_a_wiped_one_does_not(
    start_valkey: Callable[..., RealValkey],
) -> None:
    server = start_valkey()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
        server.kill()
        server.start()
        assert client.get("kept") == b"yes"
        server.wipe()
        assert client.get("kept") is None


def test_a_killed_valkey_without_appendonly_forgets(start_valkey: Callable[..., RealValkey]) -> None:
    server = start_valkey(appendonly=False)
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
        server.kill()
        server.start()
        assert client.get("kept") is None


@pytest.mark.parametrize("turn", [0, 1])
def test_each_test_gets_an_empty_database(fresh_postgres: str, fresh_valkey: str, turn: int) -> None:
    with psycopg.connect(fresh_postgres) as connection:
        connection.execute("CREATE TABLE mine (turn int)")
        connection.execute("INSERT INTO mine VALUES (%s)", (turn,))
    with redis.Redis.from_url(fresh_valkey) as client:
        assert client.dbsize() == 0
        client.set("turn", turn)
