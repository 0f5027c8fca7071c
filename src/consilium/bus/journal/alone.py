"""One of a name at a time: locks that end with the process that holds them, however it ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from consilium.bus.journal.backend import told
from consilium.bus.journal.opening import backend_of
from consilium.bus.journal.postgres import PostgresBackend
from consilium.domain import ConsiliumError, OutputProblem

PATIENCE_S = 3.0
"""Seconds in which a server notices that a process was killed."""

_SOON_LOST = ("tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3")
"""A machine that is gone must not keep its lock for hours."""


class Held:
    """Locks that are held until it is closed.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> held = Held().file(folder / "market.lock", "a folder takes one at a time")
    >>> Held().file(folder / "market.lock", "a folder takes one at a time", patience_s=0.0)
    Traceback (most recent call last):
    ...
    consilium.domain.errors.OutputProblem: a folder takes one at a time; ...
    >>> held.close()
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._session: _Session | None = None

    def file(self, path: Path, bound: str, *, patience_s: float = 1.0) -> Self:
        """Hold a file of this machine, and write the process's number into it.

        Raises
        ------
        OutputProblem
            Another process holds it, or it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("a+")
        except OSError as error:
            raise OutputProblem(
                "a lock must be writable", f"{path} ({error.strerror})", "choose another folder"
            ) from None
        self._stack.enter_context(lock)
        if not _within(patience_s, lambda: _locked(lock.fileno())):
            lock.seek(0)
            holder = lock.read().strip() or "?"
            self.close()
            raise OutputProblem(bound, f"{path}, held by process {holder}", "end that one first")
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        return self

    def journal(self, url: str, names: Iterable[str], *, patience_s: float = PATIENCE_S) -> Self:
        """Hold names in a journal: files beside it in SQLite, advisory locks of the session in PostgreSQL.

        Raises
        ------
        OutputProblem
            Another process holds one of them.
        """
        backend = backend_of(url, create=True, read_only=False, patience_s=patience_s)
        if not isinstance(backend, PostgresBackend):
            backend.engine.dispose()
            for name in names:
                self.file(Path(f"{backend.place}-{name}.lock"), _bound(name), patience_s=patience_s)
            return self
        self._session = _Session(backend, tuple(names))
        self._stack.callback(self._session.close)
        try:
            self._session.begin(patience_s)
        except BaseException:
            self.close()
            raise
        return self

    def keep(self) -> OutputProblem | None:
        """Look whether all is still held; return why not.

        Locks of a session go when its server restarts. They are taken again as soon as it answers, unless
        another process was there before.
        """
        return None if self._session is None else self._session.keep()

    def close(self) -> None:
        """Let go of them all."""
        self._stack.close()


class _Session:
    """Advisory locks of one session of PostgreSQL."""

    def __init__(self, backend: PostgresBackend, names: Sequence[str]) -> None:
        self._backend = backend
        self._names = names
        self._connection: Connection | None = None

    def begin(self, patience_s: float) -> None:
        """Open a session and take all locks.

        Raises
        ------
        OutputProblem
            The server does not answer, or another process holds one of them.
        """
        with told(self._backend, "locked", writing=True):
            connection = self._backend.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
            for setting in _SOON_LOST:
                connection.execute(text(f"SET {setting}"))
            for name in self._names:
                _take(connection, name, self._backend.place, patience_s)

    def keep(self) -> OutputProblem | None:
        """See `Held.keep`."""
        if self._connection is not None and self._answers(self._connection):
            return None
        self._let_go()
        try:
            self.begin(0.0)
        except _Taken as taken:
            self._let_go()
            return taken
        except ConsiliumError:
            self._let_go()  # the server is away, which the journal tells: they are taken when it is back
        return None

    def _answers(self, connection: Connection) -> bool:
        try:
            connection.execute(text("SELECT 1"))
        except DBAPIError:
            return False
        return True

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Let go of all locks."""
        self._let_go()
        self._backend.engine.dispose()


class _Taken(OutputProblem):
    """Another process holds a lock."""


def _bound(name: str) -> str:
    return f"a journal takes one process for the {name} at a time"


def _take(connection: Connection, name: str, place: str, patience_s: float) -> None:
    key = int.from_bytes(sha256(f"consilium {name}".encode()).digest()[:8], signed=True)
    query = text("SELECT pg_try_advisory_lock(:key)").bindparams(key=key)
    if not _within(patience_s, lambda: bool(connection.execute(query).scalar_one())):
        raise _Taken(_bound(name), f"another one in {place}", "end that one first")


def _within(patience_s: float, attempt: Callable[[], bool]) -> bool:
    until = time.monotonic() + patience_s
    while not attempt():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
