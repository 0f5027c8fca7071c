"""What differs between the databases that keep a journal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from consilium.bus.journal.chain import Stored
from consilium.domain import ConsiliumError, DataProblem, OutputProblem


class Backend(Protocol):
    """A database, with what SQL alone does not say."""

    engine: Engine
    place: str
    """Where it is, without a password."""
    default_archive: Path | None
    """Where archived segments lie that are no longer where they were put."""

    def prepare(self, connection: Connection) -> None:
        """Make a database that is a journal's, or empty, ready to be written."""
        ...

    def require_writable(self, connection: Connection) -> None:
        """Refuse a database that answers and would take no row, before anything is concluded from it."""
        ...

    def is_empty(self, connection: Connection) -> bool:
        """Tell whether there is no table at all in it."""
        ...

    def begin(self, connection: Connection) -> None:
        """Begin to write: alone, until the transaction ends."""
        ...

    def known(self, connection: Connection, ids: Sequence[str]) -> dict[str, int]:
        """Return the offsets of those ids that the tables have."""
        ...

    def insert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        """Add rows to the events."""
        ...

    def mark(self, connection: Connection, consumer: str, event_id: str) -> bool:
        """Add to the inbox; False if it is there."""
        ...

    def warnings(self, connection: Connection) -> tuple[str, ...]:
        """Return how this server is set up less safely than a journal needs."""
        ...

    def cure(self, error: DBAPIError) -> str:
        """Return what to do about an error."""
        ...


def one_line(error: DBAPIError) -> str:
    """Return what the database said, in one line."""
    return " ".join(str(error.orig).split()) or type(error.orig).__name__


@contextmanager
def told(backend: Backend, doing: str, *, writing: bool = False) -> Iterator[None]:
    """Turn what the database raises into one line that says where and what to do.

    Raises
    ------
    OutputProblem, DataProblem
        The journal cannot be written, or read.
    """
    kind: type[ConsiliumError] = OutputProblem if writing else DataProblem
    try:
        yield
    except DBAPIError as error:
        raise kind(
            f"the journal {backend.place} must be {doing}", one_line(error), backend.cure(error)
        ) from None
    except PoolTimeout:
        raise kind(
            f"the journal {backend.place} must be {doing}",
            "no free connection",
            "read from fewer threads at once",
        ) from None
