"""Where the chain ends."""

from sqlalchemy import Connection, select

from consilium.bus.journal.schema import events, segments

_KEPT = select(events.c.offset, events.c.hash).order_by(events.c.offset.desc()).limit(1)
_ARCHIVED = select(segments.c.last, segments.c.head).order_by(segments.c.last.desc()).limit(1)


def read_head(connection: Connection) -> tuple[int, bytes]:
    """Return offset and hash of the newest row, archived or not."""
    for query in (_KEPT, _ARCHIVED):
        row = connection.execute(query).first()
        if row is not None:
            return int(row[0]), bytes(row[1])
    return 0, bytes(32)
