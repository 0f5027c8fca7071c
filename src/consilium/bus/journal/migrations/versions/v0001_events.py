"""Events, inbox, snapshots and archived segments, guarded by triggers."""

import sqlalchemy as sa
from alembic import op

from consilium.domain import DataProblem

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_GUARDED = ("journal_segments", "journal_archived")
_ARCHIVED = 'OLD."offset" <= (SELECT coalesce(max("last"), 0) FROM journal_segments)'

_THERE = (
    'WHEN EXISTS (SELECT 1 FROM journal_events WHERE "offset" = NEW."offset") '
    "OR EXISTS (SELECT 1 FROM journal_events WHERE event_id = NEW.event_id)"
)


def upgrade() -> None:
    """Make the tables and their triggers."""
    _make_events()
    wide = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "journal_inbox",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "journal_snapshots",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("offset", sa.BigInteger, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
    )
    op.create_table(
        "journal_segments",
        sa.Column("last", wide, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, nullable=False, unique=True),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("topics", sa.Text, nullable=False),
    )
    op.create_table(
        "journal_archived",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgres()


def downgrade() -> None:
    """Take all away, where there is nothing to lose.

    Raises
    ------
    DataProblem
        The journal has rows or archived segments.
    """
    bind = op.get_bind()
    for table in ("journal_events", "journal_segments"):
        rows = bind.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - two constants
        if rows:
            raise DataProblem(
                "a journal must be empty before its tables are taken away",
                f"{rows} rows in {table}",
                "keep it, or export it and start with a new database",
            )
    for table in ("archived", "segments", "snapshots", "inbox", "events"):
        op.drop_table(f"journal_{table}")
    if bind.dialect.name == "postgresql":
        op.execute("DROP FUNCTION journal_refuse()")
        op.execute("DROP FUNCTION journal_refuse_delete()")


def _make_events() -> None:
    op.create_table(
        "journal_events",
        sa.Column(
            "offset",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("event_id", sa.Text, nullable=False, unique=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("ts_event", sa.BigInteger, nullable=False),
        sa.Column("ts_recorded", sa.BigInteger, nullable=False),
        sa.Column("cause_id", sa.Text, nullable=False),
        sa.Column("trace_id", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    # The offset stands behind, so that a page of one topic is read in order without sorting.
    op.create_index("ix_journal_events_topic", "journal_events", ["topic", "offset"])
    op.create_index("ix_journal_events_stream", "journal_events", ["stream", "offset"])


def _guard_sqlite() -> None:
    refuse = "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    op.execute(f"CREATE TRIGGER journal_events_update BEFORE UPDATE ON journal_events {refuse}")
    op.execute(
        "CREATE TRIGGER journal_events_delete BEFORE DELETE ON journal_events "
        f"WHEN NOT ({_ARCHIVED}) {refuse}"
    )
    # REPLACE takes rows away without asking the trigger of DELETE.
    op.execute(f"CREATE TRIGGER journal_events_replace BEFORE INSERT ON journal_events {_THERE} {refuse}")
    for table in _GUARDED:
        op.execute(f"CREATE TRIGGER {table}_update BEFORE UPDATE ON {table} {refuse}")
        op.execute(f"CREATE TRIGGER {table}_delete BEFORE DELETE ON {table} {refuse}")


def _guard_postgres() -> None:
    refuse = "BEGIN RAISE EXCEPTION 'the journal is append-only'; END"
    op.execute(f"CREATE FUNCTION journal_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {refuse} $$")
    op.execute(
        "CREATE FUNCTION journal_refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {_ARCHIVED} THEN RETURN OLD; END IF; RAISE EXCEPTION 'the journal is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER journal_events_delete BEFORE DELETE ON journal_events "
        "FOR EACH ROW EXECUTE FUNCTION journal_refuse_delete()"
    )
    op.execute(
        "CREATE TRIGGER journal_events_update BEFORE UPDATE ON journal_events "
        "FOR EACH ROW EXECUTE FUNCTION journal_refuse()"
    )
    for table in _GUARDED:
        op.execute(
            f"CREATE TRIGGER {table}_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION journal_refuse()"
        )
    for table in ("journal_events", *_GUARDED):
        op.execute(
            f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse()"
        )
