"""The journal's tables."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

REVISION = "0001"
"""The newest migration."""
VERSION_TABLE = "journal_version"

metadata = MetaData()

events = Table(
    "journal_events",
    metadata,
    Column("offset", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False, unique=True),
    Column("topic", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("ts_event", BigInteger, nullable=False),
    Column("ts_recorded", BigInteger, nullable=False),
    Column("cause_id", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("ix_journal_events_topic", "topic", "offset"),
    Index("ix_journal_events_stream", "stream", "offset"),
)
inbox = Table(
    "journal_inbox",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    sqlite_with_rowid=False,
)
snapshots = Table(
    "journal_snapshots",
    metadata,
    Column("name", Text, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("digest", Text, nullable=False),
)
segments = Table(
    "journal_segments",
    metadata,
    Column("last", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False, unique=True),
    Column("head", LargeBinary, nullable=False),
    Column("folder", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("topics", Text, nullable=False),
)
archived = Table(
    "journal_archived",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
