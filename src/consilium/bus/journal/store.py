"""The journal in SQL, whichever database it is."""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, delete, insert, select

from consilium.bus.journal.archive import archive
from consilium.bus.journal.backend import Backend, told
from consilium.bus.journal.canonical import canonical_json
from consilium.bus.journal.chain import row_of
from consilium.bus.journal.copies import backup
from consilium.bus.journal.core import Core
from consilium.bus.journal.head import read_head
from consilium.bus.journal.port import Head, Progress, Recorded, Verified
from consilium.bus.journal.schema import snapshots
from consilium.bus.journal.segments import Wanted
from consilium.bus.journal.writer import Task, Writer
from consilium.domain import DataProblem, Event, InvalidValue

if TYPE_CHECKING:
    from concurrent.futures import Future

_POLL_S = 0.05
"""How often another process' rows are looked for while somebody waits."""
_KEPT_SNAPSHOTS = 2


class SqlJournal(Core):
    """The `Journal` of both back ends; made by `open_journal`.

    Parameters
    ----------
    backend
        Its database, migrated.
    read_only
        Whether writing is refused.
    """

    def __init__(self, backend: Backend, *, read_only: bool, warnings: tuple[str, ...] = ()) -> None:
        self._news = Condition()
        self._newest = 0
        self._polling = False
        self._look_at = 0.0
        self.warnings = warnings
        super().__init__(backend, None if read_only else Writer(backend, self._tell))

    @property
    def failed(self) -> str:
        """Why the last write failed, or empty."""
        return "" if self._writer is None else self._writer.failed

    @property
    def rows_written(self) -> int:
        """Rows this object has added."""
        return 0 if self._writer is None else self._writer.rows_written

    @property
    def commits(self) -> tuple[int, float]:
        """How many groups this object has written, and the seconds that took."""
        return (0, 0.0) if self._writer is None else (self._writer.commits, self._writer.commit_seconds)

    def append(self, events: Sequence[Event]) -> tuple[int, ...]:
        """Keep events in one transaction; see `Journal.append`."""
        return self.append_async(events).result()

    def append_async(self, events: Sequence[Event]) -> "Future[tuple[int, ...]]":
        """Keep events without waiting; see `Journal.append_async`."""
        return self.put(Task(rows=[row_of(event) for event in events]))

    def append_once(self, consumer: str, event_id: str, effects: Sequence[Event]) -> bool:
        """Mark the inbox and keep effects; see `Journal.append_once`."""
        return self.append_once_async(consumer, event_id, effects).result()

    def append_once_async(self, consumer: str, event_id: str, effects: Sequence[Event]) -> "Future[bool]":
        """Mark the inbox and keep effects without waiting; see `Journal.append_once_async`."""
        rows = [row_of(event) for event in effects]
        return self.put(Task(rows=rows, mark=(consumer, event_id)))

    def read(
        self,
        after: int = 0,
        limit: int = 1000,
        *,
        topics: Collection[str] | None = None,
        stream: str | None = None,
        newest_first: bool = False,
        before: int | None = None,
        trace: str | None = None,
    ) -> list[Recorded]:
        """Return a page of rows; see `Journal.read`."""
        if limit < 1:
            raise InvalidValue("limit must be >= 1", limit, "ask for a row or more")
        with told(self.backend, "read"):
            return self.reader.page(
                after,
                limit,
                Wanted(topics, stream, trace),
                newest_first=newest_first,
                before=before,
            )

    def find(self, event_id: str) -> Recorded | None:
        """Return the row of an event; see `Journal.find`."""
        with told(self.backend, "read"):
            return self.reader.find(event_id)

    def head(self) -> Head:
        """Return the newest row's offset and hash."""
        with told(self.backend, "read"), self.backend.engine.connect() as connection:
            offset, tip = read_head(connection)
        return Head(offset, tip.hex())

    def verify(self, *, progress: Progress | None = None) -> Verified:
        """Walk the whole chain; see `Journal.verify`."""
        with told(self.backend, "read"):
            return self.reader.verify(progress)

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait for a row; see `Journal.wait`."""
        deadline, looked = time.monotonic() + timeout_s, False
        while True:
            with self._news:
                if self._newest > after:
                    return True
                # one looks for all who wait, or each would wake the next and none would ever rest
                due = not looked or time.monotonic() >= self._look_at
                mine = due and not self._polling
                self._polling |= mine
            if mine:
                try:
                    # a database that is away has no news; who reads it is told why
                    with suppress(DataProblem):
                        self._tell(self.head().offset)
                finally:
                    with self._news:
                        self._polling, looked = False, True
                        self._look_at = time.monotonic() + _POLL_S
            with self._news:
                left = deadline - time.monotonic()
                if self._newest > after or left <= 0:
                    return self._newest > after
                self._news.wait(min(left, _POLL_S))

    def _tell(self, offset: int) -> None:
        with self._news:
            if offset > self._newest:
                self._newest = offset
                self._news.notify_all()

    def save_snapshot(self, name: str, offset: int, state: Mapping[str, Any]) -> None:
        """Keep a state; see `Journal.save_snapshot`."""
        text = canonical_json(dict(state))

        def save(connection: Connection) -> None:
            newest = read_head(connection)[0]
            if not 0 <= offset <= newest:
                raise InvalidValue(
                    f"a snapshot's offset must be that of a row, at most {newest}", offset, "append first"
                )
            of_name = snapshots.c.name == name
            connection.execute(delete(snapshots).where(of_name, snapshots.c.offset == offset))
            connection.execute(
                insert(snapshots).values(
                    name=name, offset=offset, state=text.decode(), digest=sha256(text).hexdigest()
                )
            )
            kept = select(snapshots.c.offset).where(of_name).order_by(snapshots.c.offset.desc())
            oldest = connection.execute(kept.offset(_KEPT_SNAPSHOTS - 1).limit(1)).scalar()
            if oldest is not None:
                connection.execute(delete(snapshots).where(of_name, snapshots.c.offset < oldest))

        self.put(Task(alone=save)).result()

    def load_snapshot(self, name: str) -> tuple[int, dict[str, Any]] | None:
        """Return the newest sound snapshot; see `Journal.load_snapshot`."""
        query = (
            select(snapshots.c.offset, snapshots.c.state, snapshots.c.digest)
            .where(snapshots.c.name == name)
            .order_by(snapshots.c.offset.desc())
        )
        with told(self.backend, "read"), self.backend.engine.connect() as connection:
            for offset, state, digest in connection.execute(query):
                if sha256(state.encode()).hexdigest() == digest:
                    return int(offset), orjson.loads(state)
        return None

    def archive(self, before: int, folder: Path) -> tuple[Path, ...]:
        """Move old rows into files; see `Journal.archive`."""
        return archive(self, before, folder)

    def backup(self, path: Path) -> Head:
        """Write a copy; see `Journal.backup`."""
        return backup(self, path)

    def close(self) -> None:
        """Write what is queued and let go of the database."""
        if self._writer is not None:
            self._writer.close()
        self.backend.engine.dispose()
