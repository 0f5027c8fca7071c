"""Backup and export: everything of a journal in files."""

import gzip
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select

from consilium.bus.journal.archive import flush_folder
from consilium.bus.journal.backend import told
from consilium.bus.journal.core import Core
from consilium.bus.journal.port import GENESIS, Head, Progress
from consilium.bus.journal.reader import walked
from consilium.bus.journal.schema import inbox, snapshots
from consilium.bus.journal.segments import line_of
from consilium.bus.journal.sqlite import SqliteBackend, archive_folder
from consilium.domain import OutputProblem
from consilium.domain.files import whole_file

KIND = "consilium journal export"
_ROWS = 5_000


def backup(journal: Core, path: Path) -> Head:
    """Copy an SQLite journal while others write, its archived segments beside it; export any other.

    Raises
    ------
    OutputProblem
        There is a file of that name, or it cannot be written.
    """
    if not isinstance(journal.backend, SqliteBackend):
        return export_journal(journal, path)
    with _new_file(path):
        with whole_file(path) as out, told(journal.backend, "copied", writing=True):
            head = _copy_database(journal, Path(out.name))
            shelved = archive_folder(path)
            for segment in journal.reader.shelf.all():
                if segment.last <= head.offset:
                    shelved.mkdir(parents=True, exist_ok=True)
                    kept = journal.reader.shelf.path(segment)
                    with whole_file(shelved / segment.file) as copy, kept.open("rb") as original:
                        shutil.copyfileobj(original, copy)
        flush_folder(path.parent)
    return head


def _copy_database(journal: Core, beside: Path) -> Head:
    source = journal.backend.engine.raw_connection()
    target = sqlite3.connect(beside, isolation_level=None)
    try:
        # all pages in one step: one instant of the journal, and in write-ahead mode nobody waits for it
        source.driver_connection.backup(target)  # type: ignore[union-attr]
        target.execute("PRAGMA journal_mode=DELETE")
        newest = 'SELECT "offset", hash FROM journal_events ORDER BY "offset" DESC LIMIT 1'
        archived = "SELECT last, head FROM journal_segments ORDER BY last DESC LIMIT 1"
        found = target.execute(newest).fetchone() or target.execute(archived).fetchone()
    except sqlite3.Error as error:
        raise OutputProblem("a backup must be written whole", str(error), "make room on the disk") from None
    finally:
        target.close()
        source.close()
    return Head(0, GENESIS) if found is None else Head(int(found[0]), bytes(found[1]).hex())


def export_journal(journal: Core, path: Path, *, progress: Progress | None = None) -> Head:
    """Write all rows, archived ones included, with inbox and snapshots into one portable file.

    Raises
    ------
    OutputProblem
        There is a file of that name, or it cannot be written.
    DataProblem
        A row is not what was appended.
    """
    with (
        _new_file(path),
        whole_file(path) as out,
        told(journal.backend, "read"),
        gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as packed,
    ):
        packed.write(orjson.dumps({"kind": KIND}) + b"\n")
        total = journal.reader.newest()
        # inbox and snapshots first: rows that come later are then never missing from what they speak of
        kept = aside_of(journal)
        offset, tip = 0, bytes(32)
        for page in journal.reader.stored():
            offset, tip = walked(page, offset, tip)
            packed.writelines(line_of(row) for row in page)
            if progress is not None:
                progress(offset, max(total, offset))
        kept["end"] = {"rows": offset, "head": tip.hex()}
        packed.write(orjson.dumps(kept) + b"\n")
    return Head(offset, tip.hex())


def aside_of(journal: Core) -> dict[str, Any]:
    """Return what is kept beside the chain: inbox and snapshots."""
    with journal.backend.engine.connect() as connection:
        return {
            "inbox": [list(row) for row in connection.execute(select(inbox))],
            "snapshots": [list(row) for row in connection.execute(select(snapshots))],
        }


@contextmanager
def _new_file(path: Path) -> Iterator[None]:
    if path.exists():
        raise OutputProblem(
            "a backup must go to a new file", f"{path}, which is there", "name another or move it away"
        )
    try:
        yield
    except OSError as error:
        raise OutputProblem(
            f"{path.name} must be written whole",
            f"{path.parent}: {error.strerror or error}",
            "make room, or name another folder",
        ) from None
