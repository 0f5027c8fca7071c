"""Restore: from the files of a backup into either back end."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from consilium.bus.journal.backend import told
from consilium.bus.journal.chain import Stored
from consilium.bus.journal.copies import KIND, aside_of
from consilium.bus.journal.head import read_head
from consilium.bus.journal.opening import open_journal
from consilium.bus.journal.port import GENESIS, Head, Progress, Verified
from consilium.bus.journal.reader import walked
from consilium.bus.journal.schema import snapshots
from consilium.bus.journal.segments import parse
from consilium.bus.journal.store import SqlJournal
from consilium.bus.journal.writer import Task
from consilium.domain import DataProblem

_ROWS = 5_000


def restore(source: Path, url: str, *, progress: Progress | None = None) -> Verified:
    """Bring a backup or an export into a journal that is empty, or holds the beginning of it.

    The source is checked from its first row to its last before anything is written, and what was interrupted
    goes on where it was.

    Raises
    ------
    DataProblem
        The source is damaged, or the journal holds other rows.
    """
    head = check(source)
    journal = open_journal(url)
    assert isinstance(journal, SqlJournal)  # noqa: S101 - open_journal makes no other
    try:
        there = journal.head()
        offset, tip = 0, bytes(32)
        with _opened(source) as (pages, aside):
            for page in pages:
                offset, tip = walked(page, offset, tip)
                _require_beginning(there, page)
                fresh = [Stored(*row) for row in page if row.offset > there.offset]
                if fresh:
                    journal.put(Task(alone=_Insert(journal, fresh))).result()
                if progress is not None:
                    progress(offset, head.offset)
            if there.offset > offset:
                raise _others(there)
            journal.put(Task(alone=_Aside(journal, aside))).result()
    finally:
        journal.close()
    return Verified(offset, Head(offset, tip.hex()))


def _require_beginning(there: Head, page: list[Stored]) -> None:
    at = there.offset - page[0].offset
    if 0 <= at < len(page) and page[at].hash.hex() != there.hash:
        raise _others(there)


def _others(there: Head) -> DataProblem:
    return DataProblem(
        "a journal to restore into must be empty or hold the beginning of the backup",
        f"{there.offset} other rows",
        "name a new database",
    )


class _Insert:
    """Adds rows that are chained already."""

    def __init__(self, journal: SqlJournal, rows: list[Stored]) -> None:
        self._backend, self._rows = journal.backend, rows

    def __call__(self, connection: Connection) -> None:
        offset, tip = read_head(connection)
        walked(self._rows[:1], offset, tip)
        self._backend.insert(connection, self._rows)


class _Aside:
    """Adds what inbox and snapshots do not have."""

    def __init__(self, journal: SqlJournal, aside: dict[str, Any]) -> None:
        self._backend, self._aside = journal.backend, aside

    def __call__(self, connection: Connection) -> None:
        for consumer, event_id in self._aside["inbox"]:
            self._backend.mark(connection, consumer, event_id)
        there = {tuple(row) for row in connection.execute(select(snapshots.c.name, snapshots.c.offset))}
        for name, offset, state, digest in self._aside["snapshots"]:
            if (name, offset) not in there:
                connection.execute(
                    insert(snapshots).values(name=name, offset=offset, state=state, digest=digest)
                )


def check(source: Path, *, progress: Progress | None = None) -> Head:
    """Walk a backup or an export to its end, and return its head.

    Raises
    ------
    DataProblem
        It is damaged.
    """
    offset, tip = 0, bytes(32)
    with _opened(source) as (pages, _):
        for page in pages:
            offset, tip = walked(page, offset, tip)
            if progress is not None:
                progress(offset, offset)
    return Head(offset, tip.hex())


@contextmanager
def _opened(source: Path) -> Iterator[tuple[Iterator[list[Stored]], dict[str, Any]]]:
    """Yield the pages of a backup, and what inbox and snapshots hold once they were read to their end."""
    try:
        with source.open("rb") as opened:
            magic = opened.read(16)
    except OSError as error:
        raise DataProblem(
            "a backup must be readable", f"{source}: {error.strerror}", "correct the path"
        ) from None
    aside: dict[str, Any] = {}
    if magic[:2] == b"\x1f\x8b":
        yield _exported(source, aside), aside
        return
    journal = open_journal(f"sqlite:///{source}", read_only=True)
    assert isinstance(journal, SqlJournal)  # noqa: S101 - open_journal makes no other
    try:
        with told(journal.backend, "read"):
            aside.update(aside_of(journal))
            yield journal.reader.stored(), aside
    finally:
        journal.close()


def _exported(source: Path, aside: dict[str, Any]) -> Iterator[list[Stored]]:
    page: list[Stored] = []
    last, ended = Head(0, GENESIS), False
    try:
        with gzip.open(source, "rb") as lines:
            if orjson.loads(next(lines, b"{}")).get("kind") != KIND:
                raise DataProblem("an export must begin with its header", source.name, "name an export")
            for line in lines:
                if line.startswith(b'{"inbox"'):
                    aside.update(orjson.loads(line))
                    _require_end(aside.pop("end"), last, source)
                    ended = True
                    continue
                page.append(parse(line))
                last = Head(page[-1].offset, page[-1].hash.hex())
                if len(page) == _ROWS:
                    yield page
                    page = []
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataProblem(
            "an export must be whole", f"{source.name}: {error}", "take another backup"
        ) from None
    if page:
        yield page
    if not ended:
        raise DataProblem("an export must be whole", f"{source.name} without its end", "take another backup")


def _require_end(end: dict[str, Any], last: Head, source: Path) -> None:
    if (end["rows"], end["head"]) != (last.offset, last.hash):
        raise DataProblem(
            f"the export {source.name} must have {end['rows']} rows", last.offset, "take another backup"
        )
