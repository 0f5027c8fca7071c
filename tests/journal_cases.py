"""Events for journals."""

from sqlalchemy import Engine

from consilium.bus.journal import Journal
from consilium.bus.journal.store import SqlJournal
from consilium.domain import Event


def event(number: int, *, topic: str = "model.predicted", stream: str = "BTCUSDT", wide: int = 0) -> Event:
    """The same number is always the same event, as big as a prediction and ``wide`` more letters."""
    return Event(
        event_id=f"{number:032x}",
        topic=topic,
        stream=stream,
        ts_event=number,
        ts_recorded=1_000 + number,
        trace_id=f"{number:016x}",
        payload={
            "model": "xgboost",
            "symbol": stream,
            "ts_event": number,
            "horizon_ns": 3_600_000_000_000,
            "probabilities": [0.25, 0.25, 0.5],
            "confidence": 0.5 + (number % 100) / 1_000,
            "note": "x" * wide,
        },
    )


def engine_of(journal: Journal) -> Engine:
    assert isinstance(journal, SqlJournal)
    return journal.backend.engine


def by_hand(journal: Journal, change: str, offset: int) -> None:
    """Change a row as somebody would who has the database and takes the guard away first."""
    sql = f'UPDATE journal_events SET {change} WHERE "offset" = {offset}'  # noqa: S608 - a test's own words
    without_guard(journal, sql)


def without_guard(journal: Journal, sql: str) -> None:
    engine = engine_of(journal)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("DROP TRIGGER IF EXISTS journal_events_update")
            connection.exec_driver_sql("DROP TRIGGER IF EXISTS journal_events_delete")
        else:
            connection.exec_driver_sql("ALTER TABLE journal_events DISABLE TRIGGER USER")
        changed = connection.exec_driver_sql(sql)
        assert changed.rowcount == 1


def blob(journal: Journal) -> str:
    """32 bytes that are no row's hash, as the database writes them."""
    return f"X'{'ab' * 32}'" if engine_of(journal).dialect.name == "sqlite" else f"'\\x{'ab' * 32}'::bytea"
