"""Reading and walking the chain, in the table and in archived segments."""

from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import Select, select

from consilium.bus.journal.backend import Backend
from consilium.bus.journal.chain import Stored, event_of, link
from consilium.bus.journal.head import read_head
from consilium.bus.journal.port import Head, Progress, Recorded, Verified
from consilium.bus.journal.schema import archived, events
from consilium.bus.journal.segments import Shelf, Wanted
from consilium.domain import DataProblem

_PAGE = 5_000
_CURE = "restore the journal from a backup"


class Reader:
    """Reads rows wherever they are.

    Rows are asked for first and what is archived second: rows that are moved in between are then seen in both
    places, never in none.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.shelf = Shelf(backend)

    def page(
        self,
        after: int,
        limit: int,
        wanted: Wanted,
        *,
        newest_first: bool,
        before: int | None,
    ) -> list[Recorded]:
        """Return what `Journal.read` promises."""
        query = _filtered(select(events), wanted).where(events.c.offset > after)
        if before is not None:
            query = query.where(events.c.offset < before)
        order = events.c.offset.desc() if newest_first else events.c.offset
        with self._backend.engine.connect() as connection:
            rows = [Stored(*row) for row in connection.execute(query.order_by(order).limit(limit))]
            moved = self.shelf.archived_to(connection)
        if newest_first:
            if len(rows) < limit and moved > after:
                end = min(
                    [moved + 1, *([] if before is None else [before]), *(row.offset for row in rows[-1:])]
                )
                old = self.shelf.rows(after, end, wanted, limit - len(rows), newest_first=True)
                rows += old
        elif moved > after:
            end = moved + 1 if before is None else min(moved + 1, before)
            old = self.shelf.rows(after, end, wanted, limit, newest_first=False)
            rows = (old + [row for row in rows if row.offset > moved])[:limit]
        return [recorded(row) for row in rows]

    def find(self, event_id: str) -> Recorded | None:
        """Return the row of an event, or None."""
        with self._backend.engine.connect() as connection:
            row = connection.execute(select(events).where(events.c.event_id == event_id)).first()
            if row is not None:
                return recorded(Stored(*row))
            offset = connection.execute(
                select(archived.c.offset).where(archived.c.event_id == event_id)
            ).scalar()
        if offset is None:
            return None
        found = self.shelf.rows(offset - 1, offset + 1, Wanted(), 1, newest_first=False)
        return recorded(found[0]) if found else None

    def newest(self) -> int:
        """Return the offset of the newest row, or 0."""
        with self._backend.engine.connect() as connection:
            return read_head(connection)[0]

    def stored(self, after: int = 0) -> Iterator[list[Stored]]:
        """Yield all rows behind an offset in order, in pages, as they are kept: nothing is checked."""
        names = ", ".join(f'"{column.name}"' for column in events.columns)
        table = f'SELECT {names} FROM journal_events WHERE "offset"'  # noqa: S608 - names of our own columns
        while True:
            with self._backend.engine.connect() as connection:
                sql = f'{table} > {int(after)} ORDER BY "offset" LIMIT {_PAGE}'
                # a row of the result has the columns of Stored; making one of each would cost a fifth
                page = cast("list[Stored]", connection.exec_driver_sql(sql).all())
                moved = self.shelf.archived_to(connection)
            if moved > after:
                for old in self.shelf.pages(after, moved):
                    yield old
                    after = old[-1].offset
                continue
            if not page:
                return
            yield page
            after = page[-1].offset

    def verify(self, progress: Progress | None) -> Verified:
        """Walk the chain.

        Raises
        ------
        DataProblem
            Names the first broken row.
        """
        total = self.newest()
        self.shelf.check_files()
        offset, tip = 0, bytes(32)
        for page in self.stored():
            offset, tip = walked(page, offset, tip)
            if progress is not None:
                progress(offset, max(total, offset))
        if offset < total:
            raise missing(offset + 1, total)
        self.shelf.check_digests()
        return Verified(offset, Head(offset, tip.hex()))


def walked(page: list[Stored], offset: int, tip: bytes) -> tuple[int, bytes]:
    """Check rows that follow a head; return the head behind them.

    Raises
    ------
    DataProblem
        Names the first that is missing, or not what it was.
    """
    for row in page:
        if row[0] != offset + 1:
            raise missing(offset + 1, row.offset)
        try:
            found = link(tip, row[1:10])
        except (TypeError, ValueError) as error:
            raise broken(row, f"what is no event: {error}") from None
        if found != row[10]:
            raise broken(row, f"{found.hex()[:16]}... instead of {bytes(row.hash or b'').hex()[:16]}...")
        offset += 1
        tip = found
    return offset, tip


def missing(offset: int, following: int) -> DataProblem:
    """Return the error of a hole in the chain."""
    return DataProblem(f"row {offset} of the journal must be there", f"row {following} next", _CURE)


def broken(row: Stored, found: str) -> DataProblem:
    """Return the error of a row that was changed."""
    return DataProblem(
        f"row {row.offset} of the journal (event {row.event_id}) must hash to what was kept", found, _CURE
    )


def recorded(row: Stored) -> Recorded:
    """Return a stored row as its readers see it."""
    return Recorded(row.offset, event_of(row[1:10]), bytes(row.hash).hex())


def _filtered(query: "Select[Any]", wanted: Wanted) -> "Select[Any]":
    if wanted.topics is not None:
        query = query.where(events.c.topic.in_(sorted(wanted.topics)))
    if wanted.stream is not None:
        query = query.where(events.c.stream == wanted.stream)
    if wanted.trace is not None:
        query = query.where(events.c.trace_id == wanted.trace)
    return query
