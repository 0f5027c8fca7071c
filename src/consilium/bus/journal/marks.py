"""Marks of what consumers have done, forgotten once their rows are archived and a snapshot is past them.

One number a consumer then stands for all of them: up to that row everything is done. It lies in the inbox
under a name of its own.
"""

from sqlalchemy import Connection, delete, func, insert, select

from consilium.bus.journal.schema import archived, inbox, snapshots

_UP_TO = "#up-to"


def passed(connection: Connection, consumer: str) -> int:
    """Return the row up to which a consumer has done everything, whatever the inbox has; 0 for none."""
    found = connection.execute(select(inbox.c.event_id).where(inbox.c.consumer == consumer + _UP_TO)).scalar()
    return 0 if found is None else int(found)


def forget(connection: Connection, last: int) -> None:
    """Forget marks of rows that are archived, up to one.

    Only those of consumers with a snapshot of their own name, and only up to it: such a consumer takes rows
    in their order, and has kept the effects of each before it saved what they led to.
    """
    newest = select(snapshots.c.name, func.max(snapshots.c.offset)).group_by(snapshots.c.name)
    for consumer, reached in connection.execute(newest).all():
        up_to = min(last, int(reached))
        kept = select(archived.c.event_id).where(
            archived.c.event_id == inbox.c.event_id, archived.c.offset <= up_to
        )
        gone = connection.execute(delete(inbox).where(inbox.c.consumer == consumer, kept.exists()))
        if gone.rowcount and up_to > passed(connection, consumer):
            connection.execute(delete(inbox).where(inbox.c.consumer == consumer + _UP_TO))
            connection.execute(insert(inbox).values(consumer=consumer + _UP_TO, event_id=str(up_to)))
