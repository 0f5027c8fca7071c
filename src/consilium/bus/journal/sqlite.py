"""A journal in one file: WAL, synchronous FULL, one writer."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from consilium.bus.journal.chain import Stored
from consilium.domain import DataProblem, OutputProblem, UsageError
from consilium.domain.files import private_file, private_folder

_INSERT = "INSERT INTO journal_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_KNOWN = (
    'SELECT event_id, "offset" FROM journal_events WHERE event_id IN (SELECT value FROM json_each(?)) '
    'UNION ALL SELECT event_id, "offset" FROM journal_archived '
    "WHERE event_id IN (SELECT value FROM json_each(?))"
)


class SqliteBackend:
    """SQLite, by file.

    Parameters
    ----------
    url
        ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.
    patience_s
        How long to wait for another process that writes.
    """

    def __init__(self, url: URL, *, create: bool, read_only: bool, patience_s: float) -> None:
        if not url.database or url.database == ":memory:":
            raise UsageError("an SQLite journal must be a file", repr(str(url)), "say sqlite:///PATH")
        self.path = Path(url.database)
        self.place = str(self.path)
        self.default_archive: Path | None = archive_folder(self.path)
        self._patience_s = patience_s
        self._require_place(create=create and not read_only)
        self._mode = "rwc"
        if read_only:
            # where nothing can be written beside the file, nobody writes to it either
            alone = not os.access(self.path.parent, os.W_OK) and not Path(f"{self.path}-wal").exists()
            self._mode = "ro&immutable=1" if alone else "ro"
        self.engine = self._engine(read_only=read_only)

    def _require_place(self, *, create: bool) -> None:
        if self.path.is_dir():
            raise DataProblem("a journal must be a file", f"the folder {self.path}", "add a file name")
        if self.path.exists():
            return
        if not create:
            raise DataProblem("the journal must exist", f"no file {self.path}", "correct the path")
        try:
            private_folder(self.path.parent)
            private_file(self.path)  # what SQLite puts beside it takes its permissions
        except OSError as error:
            raise OutputProblem(
                "the journal's folder must be writable",
                f"{self.path.parent}: {error.strerror}",
                "choose another folder",
            ) from None

    def _engine(self, *, read_only: bool) -> Engine:
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                f"file:{quote(str(self.path))}?mode={self._mode}",
                uri=True,
                timeout=self._patience_s,
                check_same_thread=False,
                isolation_level=None,
            )

        engine = create_engine(
            "sqlite://", creator=connect, poolclass=QueuePool, pool_size=4, max_overflow=-1
        )

        @event.listens_for(engine, "connect")
        def _tune(connection: Any, _record: object) -> None:
            for pragma in ("synchronous=FULL", "fullfsync=1", "checkpoint_fullfsync=1", "cache_size=-16000"):
                connection.execute(f"PRAGMA {pragma}")
            if not read_only:
                connection.execute("PRAGMA wal_autocheckpoint=4000")

        return engine

    def as_it_lies(self) -> None:
        """Read the file alone where nobody has it open: SQLite would leave files of ours beside it."""
        if not self.path.with_name(f"{self.path.name}-wal").exists():
            self._mode = "ro&immutable=1"

    def prepare(self, connection: Connection) -> None:
        """Take a file that is a database into write-ahead mode.

        Raises
        ------
        DataProblem
            The file system cannot share memory between processes.
        """
        if self._mode != "rwc":
            return
        mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one()
        if mode != "wal":
            raise DataProblem(
                "an SQLite journal must be in WAL mode", f"{mode} at {self.path}", "put it on a local disk"
            )

    def require_writable(self, connection: Connection) -> None:
        """Do nothing: a file that cannot be written is told when it is prepared."""

    def is_empty(self, connection: Connection) -> bool:
        """Tell whether there is no table in the file."""
        return connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar() == 0

    def begin(self, connection: Connection) -> None:
        """Begin with the lock that only one writer has."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def known(self, connection: Connection, ids: Sequence[str]) -> dict[str, int]:
        """Return the offsets of those ids that are kept or archived."""
        wanted = orjson.dumps(ids).decode()
        return {row[0]: row[1] for row in connection.exec_driver_sql(_KNOWN, (wanted, wanted))}

    def insert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        """Add rows to the events."""
        connection.exec_driver_sql(_INSERT, list(rows))

    def mark(self, connection: Connection, consumer: str, event_id: str) -> bool:
        """Add to the inbox; False if it is there."""
        sql = "INSERT OR IGNORE INTO journal_inbox VALUES (?, ?)"
        rows: int = connection.exec_driver_sql(sql, (consumer, event_id)).rowcount
        return rows == 1

    def warnings(self, connection: Connection) -> tuple[str, ...]:
        """Return nothing: what could be unsafe is set on each connection."""
        del connection
        return ()

    def cure(self, error: DBAPIError) -> str:
        """Return what to do about an error of SQLite."""
        code = (getattr(error.orig, "sqlite_errorcode", 0) or 0) & 0xFF
        return {
            sqlite3.SQLITE_BUSY: f"end the program that holds it (waited {self._patience_s:g} s)",
            sqlite3.SQLITE_FULL: "make room on the disk",
            sqlite3.SQLITE_IOERR: "make room on the disk, or check it",
            sqlite3.SQLITE_READONLY: "make the file and its folder writable, or open it to read only",
            sqlite3.SQLITE_CANTOPEN: "check the path and its permissions",
            sqlite3.SQLITE_NOTADB: "name a journal, or a new file",
            sqlite3.SQLITE_CORRUPT: "restore it from a backup",
            sqlite3.SQLITE_CONSTRAINT: "add rows through the journal only",
        }.get(code, "check the file and its permissions")


def archive_folder(path: Path) -> Path:
    """Return where archived segments lie that came with a copy of a journal."""
    return path.with_name(f"{path.name}-archive")
