"""Many small files of a finished day made into few: the rows are there once at every instant."""

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np

from consilium.domain.errors import OutputProblem
from consilium.domain.files import sweep_unfinished
from consilium.domain.time import to_iso
from consilium.market.book.archive import JOINED, KINDS, day_files, recorded_symbols, symbol_folder
from consilium.market.book.recorded import RecordedFile, book_file, trade_file
from consilium.market.book.scaled_rows import Rows, ScaledBooks, ScaledTrades, joined
from consilium.market.collector.durable import flush_folder, unwritable, write_durably

ROWS = 100_000
COMPRESSION = 19


def compact(folder: Path | str, *, before: int, min_free_bytes: int = 0) -> Counter[str]:
    """Join the files of each day that is over, up to 100,000 rows a file, packed tighter.

    A joined file names those it replaces, and they count as not there from the instant it is. They are taken
    away once it was read back and found equal. What a kill leaves, the next call finishes.

    Parameters
    ----------
    folder
        Of a recorder, which may be running.
    before
        UTC nanoseconds: days that end later are left alone.
    min_free_bytes
        Nothing is written that would leave fewer.

    Returns
    -------
    Counter
        ``files_before``, ``files_after``, ``bytes_before``, ``bytes_after`` of the days, and ``busy``: days
        that another call is at.

    Raises
    ------
    DataProblem
        A file is damaged, or of another symbol.
    OutputProblem
        A file cannot be written, or does not read back as it was written. The old ones are there then.
    """
    folder, today = Path(folder), f"day={to_iso(before)[:10]}"
    counts: Counter[str] = Counter()
    for kind in KINDS:
        for venue, symbol in recorded_symbols(folder, kind):
            for day in sorted(symbol_folder(folder, kind, venue, symbol).glob("day=*")):
                if day.name < today:
                    with _alone(day) as alone:
                        if alone:
                            _compact_day(day, venue, symbol, min_free_bytes, counts)
                        counts["busy"] += not alone
    return counts


@contextmanager
def _alone(day: Path) -> Iterator[bool]:
    handle = os.open(day, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def _compact_day(day: Path, venue: str, symbol: str, min_free_bytes: int, counts: Counter[str]) -> None:
    counts["files_before"] += len(list(day.glob("*.parquet")))
    counts["bytes_before"] += _bytes(day)
    try:
        sweep_unfinished(day)
        files = day_files(day, venue, symbol)
        _remove(day, {path.name for path in day.glob("*.parquet")} - {file.path.name for file in files})
        for group in _groups(files):
            _join(day, group, min_free_bytes)
    except OSError as error:
        raise unwritable(day, error) from error
    counts["files_after"] += len(list(day.glob("*.parquet")))
    counts["bytes_after"] += _bytes(day)


def _bytes(day: Path) -> int:
    return sum(path.stat().st_size for path in day.glob("*.parquet"))


def _groups(files: list[RecordedFile]) -> list[list[RecordedFile]]:
    """Return neighbours that fit into one file and agree in what it says of them."""
    groups: list[list[RecordedFile]] = []
    rows = 0
    for file in files:
        fits = groups and rows + file.head.rows <= ROWS and file.head.levels == groups[-1][0].head.levels
        if fits and file.head.interval == groups[-1][0].head.interval and _follows(groups[-1][-1], file):
            groups[-1].append(file)
        else:
            groups.append([file])
            rows = 0
        rows += file.head.rows
    return [group for group in groups if len(group) > 1]


def _follows(before: RecordedFile, file: RecordedFile) -> bool:
    """Return whether joining hides no hole: trades tell one by their numbers, books by their files."""
    one, other = before.head, file.head
    return one.kind == "trades" or one.last_session < other.first_session or other.follows(one)


def _join(day: Path, group: list[RecordedFile], min_free_bytes: int) -> None:
    head, names = group[0].head, tuple(file.path.name for file in group)
    said = {"venue": head.venue, "symbol": head.symbol, "interval": head.interval}
    rows: ScaledBooks | ScaledTrades
    if head.kind == "books":
        rows = joined([file.books() for file in group])
        body = book_file(rows, **said, replaces=names, previous_id=head.previous_id, compression=COMPRESSION)
    else:
        rows = joined([file.trades() for file in group])
        body = trade_file(rows, **said, replaces=names, compression=COMPRESSION)
    path = day / f"{rows.ts_event[0]}_{len(rows)}{JOINED}.parquet"
    write_durably(path, body, min_free_bytes=min_free_bytes)
    if not _equal(RecordedFile(path), rows):
        path.unlink()
        raise OutputProblem(f"{path.name} must read back as it was written", "other rows", "check the disk")
    _remove(day, set(names))


def _equal(file: RecordedFile, rows: Rows) -> bool:
    read: Rows = file.books() if isinstance(rows, ScaledBooks) else file.trades()
    return all(np.array_equal(getattr(read, f.name), getattr(rows, f.name)) for f in fields(rows))


def _remove(day: Path, names: set[str]) -> None:
    for name in names:
        (day / name).unlink(missing_ok=True)
    if names:
        flush_folder(day)
