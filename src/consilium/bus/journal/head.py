"""Where the chain ends."""

from sqlalchemy import Connection, select

from consilium.bus.journal.schema import events, segments


def read_head(connection: Connection) -> tuple[int, bytes]:
    """Return offset and hash of the newest row, archived or not."""
    for table, key, value in (
        (events, events.c.offset, events.c.hash),
        (segments, segments.c.last, segments.c.head),
    ):
        row = connection.execute(select(key, value).select_from(table).order_by(key.desc()).limit(1)).first()
        if row is not None:
            return int(row[0]), bytes(row[1])
    return 0, bytes(32)
