"""Archived segments: old rows in files that are never rewritten."""

import gzip
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import orjson
from sqlalchemy import Connection, func, select

from consilium.bus.journal.backend import Backend
from consilium.bus.journal.chain import Stored, body
from consilium.bus.journal.schema import segments
from consilium.domain import DataProblem

_PAGE = 5_000
_KIND = "consilium journal segment"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are asked for: of any of these topics, this stream and this trace; None for all."""

    topics: Collection[str] | None = None
    stream: str | None = None
    trace: str | None = None

    def has(self, row: Stored) -> bool:
        """Whether a row is one of them."""
        return (
            (self.topics is None or row.topic in self.topics)
            and (self.stream is None or row.stream == self.stream)
            and (self.trace is None or row.trace_id == self.trace)
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of rows, with the hash of its last one and how many it has of each topic."""

    first: int
    last: int
    head: bytes
    folder: str
    file: str
    digest: str
    topics: dict[str, int]


class Shelf:
    """The archived segments of a journal."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: list[Segment] = []
        self._lock = Lock()
        self._open: tuple[str, list[bytes]] = ("", [])

    def archived_to(self, connection: Connection) -> int:
        """Return the offset of the last archived row, or 0."""
        return int(connection.execute(select(func.max(segments.c.last))).scalar() or 0)

    def all(self) -> list[Segment]:
        """Return the segments in order."""
        with self._backend.engine.connect() as connection:
            moved = self.archived_to(connection)
            if not self._known or self._known[-1].last < moved:
                rows = connection.execute(select(segments).order_by(segments.c.last)).all()
                self._known = [
                    Segment(
                        row.first,
                        row.last,
                        bytes(row.head),
                        row.folder,
                        row.file,
                        row.digest,
                        orjson.loads(row.topics),
                    )
                    for row in rows
                ]
            return self._known

    def path(self, segment: Segment) -> Path:
        """Return where a segment's file is: where it was put, or beside the journal.

        Raises
        ------
        DataProblem
            It is in neither place.
        """
        places = [Path(segment.folder), *filter(None, [self._backend.default_archive])]
        for place in places:
            if (place / segment.file).is_file():
                return place / segment.file
        told = " or ".join(map(str, places))
        raise DataProblem(
            f"the archived rows {segment.first} to {segment.last} must be there",
            f"no {segment.file} in {told}",
            "put the file back",
        )

    def rows(
        self,
        after: int,
        end: int,
        wanted: Wanted,
        limit: int,
        *,
        newest_first: bool,
    ) -> list[Stored]:
        """Return at most ``limit`` archived rows with ``after < offset < end``."""
        found: list[Stored] = []
        known = self.all()
        for segment in reversed(known) if newest_first else known:
            if segment.last <= after or segment.first >= end:
                continue
            if wanted.topics is not None and not set(wanted.topics) & set(segment.topics):
                continue
            lines = self._lines(segment)
            start, stop = max(after + 1, segment.first), min(end - 1, segment.last)
            picked = lines[start - segment.first : stop - segment.first + 1]
            for line in reversed(picked) if newest_first else picked:
                row = parse(line)
                if wanted.has(row):
                    found.append(row)
                    if len(found) == limit:
                        return found
        return found

    def pages(self, after: int, last: int) -> Iterator[list[Stored]]:
        """Yield the archived rows behind an offset in pages, as they are kept."""
        for segment in self.all():
            if segment.last <= after or segment.first > last:
                continue
            page: list[Stored] = []
            for line in read_lines(self.path(segment)):
                row = parse(line)
                if row.offset > after:
                    page.append(row)
                if len(page) == _PAGE:
                    yield page
                    page = []
            if page:
                yield page

    def check_files(self) -> None:
        """Refuse segments that are not all there.

        Raises
        ------
        DataProblem
            One is missing, or they do not follow each other.
        """
        first = 1
        for segment in self.all():
            if segment.first != first:
                raise DataProblem(
                    f"the archived rows from {first} on must be there",
                    f"the next segment begins at {segment.first}",
                    "restore the journal from a backup",
                )
            first = segment.last + 1
            self.path(segment)

    def check_digests(self) -> None:
        """Refuse files of other bytes than were written, even where the rows in them are the same.

        Raises
        ------
        DataProblem
            Names the file.
        """
        for segment in self.all():
            path = self.path(segment)
            if digest_of(path) != segment.digest:
                raise DataProblem(
                    "an archived segment must be the file that was written",
                    f"other bytes in {path}",
                    "restore the file",
                )

    def _lines(self, segment: Segment) -> list[bytes]:
        with self._lock:
            if self._open[0] != segment.file:
                self._open = (segment.file, list(read_lines(self.path(segment))))
            return self._open[1]


def line_of(row: Stored) -> bytes:
    """Return a row as a line of a file."""
    return b'{"event":%b,"hash":"%b","offset":%d}\n' % (
        body(*row[1:10]),
        row.hash.hex().encode(),
        row.offset,
    )


def parse(line: bytes) -> Stored:
    """Return the row of a line.

    Raises
    ------
    DataProblem
        It is none.
    """
    try:
        kept = orjson.loads(line)
        event = kept["event"]
        payload = orjson.dumps(event["payload"], option=orjson.OPT_SORT_KEYS).decode()
        return Stored(
            kept["offset"],
            event["event_id"],
            event["topic"],
            event["stream"],
            event["version"],
            event["ts_event"],
            event["ts_recorded"],
            event["cause_id"],
            event["trace_id"],
            payload,
            bytes.fromhex(kept["hash"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataProblem(
            "a line of an archived segment must be a row", f"{line[:60]!r} ({error})", "restore the file"
        ) from None


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the rows of a segment's file as lines.

    Raises
    ------
    DataProblem
        It cannot be read to its end.
    """
    try:
        with gzip.open(path, "rb") as lines:
            header = orjson.loads(next(lines, b"{}"))
            if header.get("kind") != _KIND:
                raise DataProblem("a segment must begin with its header", path.name, "restore the file")
            yield from lines
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataProblem(
            "an archived segment must be whole", f"{path.name}: {error}", "restore the file"
        ) from None


def write_segment(out: BinaryIO, rows: list[Stored], previous: bytes) -> dict[str, int]:
    """Write rows into a file; return how many there are of each topic.

    The same rows always give the same bytes.
    """
    topics: dict[str, int] = {}
    for row in rows:
        topics[row.topic] = topics.get(row.topic, 0) + 1
    header = {
        "kind": _KIND,
        "first": rows[0].offset,
        "last": rows[-1].offset,
        "previous": previous.hex(),
        "head": rows[-1].hash.hex(),
        "topics": topics,
    }
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as packed:
        packed.write(orjson.dumps(header, option=orjson.OPT_SORT_KEYS) + b"\n")
        for row in rows:
            packed.write(line_of(row))
    return topics


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as whole:
        return file_digest(whole, "sha256").hexdigest()
