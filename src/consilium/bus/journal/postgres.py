"""A journal in PostgreSQL: several processes may append, one at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from consilium.bus.journal.chain import Stored
from consilium.domain import OutputProblem, UsageError

_LOCK = 0x436F6E73696C6975
"""Of the advisory lock on the head: the first eight letters of our name."""
_TYPES = ("int8", "text", "text", "text", "int8", "int8", "int8", "text", "text", "text", "bytea")
_KNOWN = (
    'SELECT event_id, "offset" FROM journal_events WHERE event_id = ANY(%(ids)s) '
    'UNION ALL SELECT event_id, "offset" FROM journal_archived WHERE event_id = ANY(%(ids)s)'
)
_WRITES = {
    "journal_events": ("INSERT", "DELETE"),
    "journal_inbox": ("INSERT", "DELETE"),
    "journal_snapshots": ("INSERT", "DELETE"),
    "journal_segments": ("INSERT",),
    "journal_archived": ("INSERT",),
}
"""What is done with each table beside reading it; rows of events and marks go when they are archived."""
_MISSING = (
    "SELECT given.name, given.privilege FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) "
    "AS given(name, privilege) WHERE to_regclass(given.name) IS NOT NULL "
    "AND NOT has_table_privilege(to_regclass(given.name), given.privilege)"
)


class PostgresBackend:
    """PostgreSQL, by psycopg 3.

    Parameters
    ----------
    url
        ``postgresql://user:password@host:port/database``.
    patience_s
        How long to wait for a connection, and for the lock on the head.
    """

    default_archive: Path | None = None

    def __init__(self, url: URL, *, read_only: bool, patience_s: float) -> None:
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise UsageError(
                "a journal in PostgreSQL needs psycopg", "none", "pip install 'consilium[postgres]'"
            ) from None
        self.place = url.set(password=None, query={}).render_as_string()
        self._patience_s = patience_s
        options = {
            "synchronous_commit": "on",
            "lock_timeout": f"{int(patience_s * 1_000)}",
            "default_transaction_isolation": "read\\ committed",
            "default_transaction_read_only": "on" if read_only else "off",
            "client_encoding": "utf8",
        }
        given = str(url.query.get("options", ""))
        told = " ".join([given, *(f"-c {key}={value}" for key, value in options.items())]).strip()
        self.engine = create_engine(
            url.set(drivername="postgresql+psycopg").update_query_dict({"options": told}),
            connect_args={"connect_timeout": max(2, int(patience_s)), "application_name": "consilium"},
            pool_size=4,
            max_overflow=16,
            pool_timeout=30.0,
            pool_pre_ping=True,
        )

    def prepare(self, connection: Connection) -> None:
        """Do nothing: a server's database is always one."""

    def require_writable(self, connection: Connection) -> None:
        """Refuse a standby, and a user who may not write all tables that are there.

        Raises
        ------
        OutputProblem
            Rows cannot be added.
        """
        must = f"the journal {self.place} must be writable"
        if connection.execute(text("SELECT pg_is_in_recovery()")).scalar():
            raise OutputProblem(must, "a standby, which only follows", "name the server that it follows")
        asked = [(name, done) for name, each in _WRITES.items() for done in ("SELECT", *each)]
        lists = {"names": [name for name, _ in asked], "privileges": [done for _, done in asked]}
        missing: dict[str, list[str]] = {}
        for name, privilege in connection.execute(text(_MISSING), lists):
            missing.setdefault(name, []).append(privilege)
        if missing:
            lacks = ", ".join(f"{' and '.join(each)} on {name}" for name, each in missing.items())
            raise OutputProblem(must, f"a user without {lacks}", "grant that, or name another user")

    def is_empty(self, connection: Connection) -> bool:
        """Tell whether the schema has no table."""
        sql = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
        return connection.execute(text(sql)).scalar() == 0

    def begin(self, connection: Connection) -> None:
        """Take the lock on the head, which goes when the transaction ends."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})

    def known(self, connection: Connection, ids: Sequence[str]) -> dict[str, int]:
        """Return the offsets of those ids that are kept or archived."""
        return {row[0]: row[1] for row in connection.exec_driver_sql(_KNOWN, {"ids": list(ids)})}

    def insert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        """Add rows to the events by COPY, which takes a quarter of the time of INSERT."""
        from psycopg import Error

        driver: Any = connection.connection.driver_connection
        statement = "COPY journal_events FROM STDIN (FORMAT BINARY)"
        try:
            with driver.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(_TYPES)
                for row in rows:
                    copy.write_row(row)
        except Error as error:
            raise DBAPIError(statement, None, error, connection_invalidated=driver.closed) from None

    def mark(self, connection: Connection, consumer: str, event_id: str) -> bool:
        """Add to the inbox; False if it is there."""
        sql = "INSERT INTO journal_inbox VALUES (:consumer, :event_id) ON CONFLICT DO NOTHING"
        rows: int = connection.execute(text(sql), {"consumer": consumer, "event_id": event_id}).rowcount
        return rows == 1

    def warnings(self, connection: Connection) -> tuple[str, ...]:
        """Return which settings of the server can lose what was acknowledged."""
        return tuple(
            f"PostgreSQL runs with {name} = off: a crash of its machine can lose what was acknowledged"
            for name in ("fsync", "full_page_writes")
            if connection.execute(text(f"SHOW {name}")).scalar_one() == "off"
        )

    def cure(self, error: DBAPIError) -> str:
        """Return what to do about an error of the server."""
        state = getattr(error.orig, "sqlstate", None) or ""
        said = str(error.orig)  # a connection that fails has no code
        if state == "55P03":
            return f"end the program that holds the lock (waited {self._patience_s:g} s)"
        if state == "53100":
            return "make room on the server's disk"
        if state in {"28P01", "28000"} or "authentication failed" in said:
            return "correct user and password"
        if state == "3D000" or ('database "' in said and "does not exist" in said):
            return "create the database"
        if state in {"42501", "25006"}:
            return "give the user the right to write, or open it to read only"
        if error.connection_invalidated or not state or state.startswith(("08", "57")):
            return "check that the server runs and can be reached"
        return "check the server's log"
