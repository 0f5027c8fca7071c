"""Opening a journal: which database, is it ours, is it of this version."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError

from consilium.bus.journal.backend import Backend, told
from consilium.bus.journal.port import Journal
from consilium.bus.journal.postgres import PostgresBackend
from consilium.bus.journal.schema import REVISION, VERSION_TABLE
from consilium.bus.journal.sqlite import SqliteBackend
from consilium.bus.journal.store import SqlJournal
from consilium.domain import DataProblem, UsageError

REVISIONS = ("0001",)
"""Of this version and all before it."""


def open_journal(
    url: str,
    *,
    create: bool = True,
    read_only: bool = False,
    untouched: bool = False,
    patience_s: float = 5.0,
) -> Journal:
    """Open a journal, make it if it is not there, and bring its tables up to this version.

    Parameters
    ----------
    url
        ``sqlite:///PATH`` or ``postgresql://user:password@host:port/database``.
    create
        Whether to make one that is not there.
    read_only
        Nothing is written, the tables are not brought up.
    untouched
        To read only, and for a moment: SQLite leaves no files beside one that nobody has open.
    patience_s
        Seconds to wait for another process that writes, and for a server to answer.

    Raises
    ------
    DataProblem
        It cannot be read, is another program's, or was written by a newer version.
    OutputProblem
        It must be made or brought up, and cannot.
    UsageError
        The URL names no database that can keep a journal.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from consilium.domain import Event
    >>> journal = open_journal(f"sqlite:///{mkdtemp()}/journal.sqlite")
    >>> event = Event(event_id="e1", topic="a.b", stream="s", ts_event=5, ts_recorded=6, payload={"x": 1})
    >>> journal.append([event]), journal.append([event])
    ((1,), (1,))
    >>> journal.read()[0].event.payload, journal.verify().rows
    ({'x': 1}, 1)
    >>> journal.close()
    """
    read_only = read_only or untouched
    backend = backend_of(url, create=create, read_only=read_only, patience_s=patience_s)
    if untouched and isinstance(backend, SqliteBackend):
        backend.as_it_lies()
    try:
        with told(backend, "read" if read_only else "opened", writing=not read_only):
            with backend.engine.connect() as connection:
                version = _version(connection)
                _require_ours(backend, version, empty=version is None and backend.is_empty(connection))
                if not read_only:
                    backend.require_writable(connection)
                connection.rollback()
                backend.prepare(connection)
            if version != REVISION:
                _bring_up(backend, version, allowed=not read_only and (create or version is not None))
            with backend.engine.connect() as connection:
                warnings = backend.warnings(connection)
    except BaseException:
        backend.engine.dispose()
        raise
    return SqlJournal(backend, read_only=read_only, warnings=warnings)


@dataclass(frozen=True, slots=True)
class Found:
    """A journal as it lies there: where without a password, its version (None: not made yet), warnings."""

    place: str
    version: str | None
    warnings: tuple[str, ...]


def inspect_journal(url: str, *, patience_s: float = 5.0) -> Found:
    """Look whether `open_journal` would take what is there, and change nothing.

    Raises
    ------
    DataProblem
        It cannot be read, is another program's, or was written by a newer version.
    OutputProblem
        It answers, and takes no rows.
    UsageError
        The URL names no database that can keep a journal.
    """
    try:
        backend = backend_of(url, create=False, read_only=True, patience_s=patience_s)
    except DataProblem:
        path = Path(make_url(url).database or "")
        if path.exists():
            raise
        return Found(str(path), None, ())
    if isinstance(backend, SqliteBackend):
        backend.as_it_lies()
    try:
        with told(backend, "read"), backend.engine.connect() as connection:
            backend.prepare(connection)
            version = _version(connection)
            _require_ours(backend, version, empty=version is None and backend.is_empty(connection))
            backend.require_writable(connection)
            return Found(backend.place, version, backend.warnings(connection))
    finally:
        backend.engine.dispose()


def backend_of(url: str, *, create: bool, read_only: bool, patience_s: float) -> Backend:
    """Return the database that a URL names, not opened yet."""
    known = "sqlite:///PATH or postgresql://user:password@host:port/database"
    try:
        parsed: URL = make_url(url)
        name = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        # the text is not shown: it may hold a password
        raise UsageError("the URL of a journal must be readable", "another text", f"say {known}") from None
    if name == "sqlite":
        return SqliteBackend(parsed, create=create, read_only=read_only, patience_s=patience_s)
    if name in {"postgresql", "postgres"}:
        return PostgresBackend(parsed, read_only=read_only, patience_s=patience_s)
    raise UsageError("a journal must be in SQLite or PostgreSQL", name, f"say {known}")


def _version(connection: Connection) -> str | None:
    """Return the revision of the tables: empty if they were taken away, None if there never were any."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT max(version_num) FROM {VERSION_TABLE}"))  # noqa: S608 - a constant
    return found.scalar() or ""


def _require_ours(backend: Backend, version: str | None, *, empty: bool) -> None:
    if version is None and not empty:
        raise DataProblem(
            "the database must be a journal or empty",
            f"tables of another program in {backend.place}",
            "name another database",
        )
    if version and version not in REVISIONS:
        raise DataProblem(
            f"the journal {backend.place} must be of version {REVISION} or older",
            f"version {version}",
            "use the program that wrote it, or a newer one",
        )


def _bring_up(backend: Backend, version: str | None, *, allowed: bool) -> None:
    if not allowed:
        raise DataProblem(
            f"the journal {backend.place} must have its tables",
            f"those of version {version}" if version else "none",
            "open it once to write",
        )
    from consilium.bus.journal.migrations import upgrade

    with backend.engine.connect() as connection:
        backend.begin(connection)
        if _version(connection) != REVISION:  # another process may have done it meanwhile
            upgrade(connection)
        connection.commit()
