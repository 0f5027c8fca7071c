"""Moving old rows out of the table into segments."""

import os
from pathlib import Path

import orjson
from sqlalchemy import Connection, delete, func, insert, literal, select

from consilium.bus.journal.backend import told
from consilium.bus.journal.chain import Stored
from consilium.bus.journal.core import Core
from consilium.bus.journal.marks import forget
from consilium.bus.journal.reader import walked
from consilium.bus.journal.schema import archived, events, segments
from consilium.bus.journal.segments import digest_of, parse, read_lines, write_segment
from consilium.bus.journal.writer import Task
from consilium.domain import DataProblem, OutputProblem
from consilium.domain.files import sweep_unfinished, whole_file

ROWS = 10_000
"""Most rows of one segment: while they leave the table, in one transaction, other writers wait."""


def archive(journal: Core, before: int, folder: Path) -> tuple[Path, ...]:
    """Move the rows up to the first one recorded at ``before`` or later into files; return those.

    Each file is written, flushed and read back before its rows leave the table, in one transaction with the
    note of where they went. A kill at any instant leaves every row in the table or in a noted file.

    Parameters
    ----------
    before
        UTC nanoseconds.
    folder
        Of the files; made if it is not there.

    Raises
    ------
    OutputProblem
        A file cannot be written.
    DataProblem
        The rows are not those that were appended, or a file of that name holds other rows.
    """
    made: list[Path] = []
    with told(journal.backend, "read"):
        start, tip, end = _span(journal, before)
    while start < end:
        with told(journal.backend, "read"):
            rows = _rows(journal, start, min(start + ROWS, end))
        previous = tip
        _, tip = walked(rows, start - 1, tip)
        path = folder.absolute() / f"journal-{rows[0].offset:012d}-{rows[-1].offset:012d}.jsonl.gz"
        _keep(path, rows, previous)
        journal.put(Task(alone=_Move(rows, path))).result()
        made.append(path)
        start = rows[-1].offset + 1
    return tuple(made)


def _span(journal: Core, before: int) -> tuple[int, bytes, int]:
    """Return the first offset to archive, the hash before it, and the first offset to leave."""
    with journal.backend.engine.connect() as connection:
        last = connection.execute(
            select(segments.c.last, segments.c.head).order_by(segments.c.last.desc()).limit(1)
        ).first()
        left = connection.execute(select(func.min(events.c.offset)).where(events.c.ts_recorded >= before))
        end = left.scalar()
        if end is None:
            end = (connection.execute(select(func.max(events.c.offset))).scalar() or 0) + 1
    return (1, bytes(32), int(end)) if last is None else (int(last[0]) + 1, bytes(last[1]), int(end))


def _rows(journal: Core, start: int, end: int) -> list[Stored]:
    query = select(events).where(events.c.offset >= start, events.c.offset < end).order_by(events.c.offset)
    with journal.backend.engine.connect() as connection:
        rows = [Stored(*row) for row in connection.execute(query)]
    if not rows:
        raise DataProblem(
            "rows to archive must be in the table",
            f"none from {start} on",
            "see whether another process archives, and run `consilium audit verify`",
        )
    return rows


def _keep(path: Path, rows: list[Stored], previous: bytes) -> None:
    """Write a file and read it back; one that is there already must hold the same rows."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_unfinished(path.parent)
        if not path.exists():
            with whole_file(path) as out:
                write_segment(out, rows, previous)
            flush_folder(path.parent)
    except OSError as error:
        raise OutputProblem(
            f"the segment {path.name} must be written whole",
            f"{path.parent}: {error.strerror or error}",
            "make room, or name another folder",
        ) from None
    if [parse(line) for line in read_lines(path)] != rows:
        raise DataProblem(
            "a segment's file must hold the rows of the table",
            f"{path} with others",
            "move it away, or name another folder",
        )


class _Move:
    """Notes a segment, and takes out its rows and marks that nobody needs, in one transaction."""

    def __init__(self, rows: list[Stored], path: Path) -> None:
        self._rows, self._path = rows, path

    def __call__(self, connection: Connection) -> None:
        first, last = self._rows[0].offset, self._rows[-1].offset
        moved = int(connection.execute(select(func.max(segments.c.last))).scalar() or 0)
        if moved != first - 1:
            raise DataProblem(
                "only one process may archive at a time", f"rows up to {moved} archived", "run it again"
            )
        topics: dict[str, int] = {}
        for row in self._rows:
            topics[row.topic] = topics.get(row.topic, 0) + 1
        connection.execute(
            insert(segments).values(
                first=first,
                last=last,
                head=self._rows[-1].hash,
                folder=str(self._path.parent),
                file=self._path.name,
                digest=digest_of(self._path),
                topics=orjson.dumps(topics, option=orjson.OPT_SORT_KEYS).decode(),
            )
        )
        within = events.c.offset.between(literal(first), literal(last))
        ids = select(events.c.event_id, events.c.offset).where(within)
        connection.execute(insert(archived).from_select(["event_id", "offset"], ids))
        connection.execute(delete(events).where(within))
        forget(connection, last)


def flush_folder(folder: Path) -> None:
    """Let a renaming in a folder reach the disk.

    Raises
    ------
    OSError
        It does not.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
