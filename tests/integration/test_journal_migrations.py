"""The tables' way up and down, by alembic."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect, make_url

from consilium.bus.journal import open_journal
from consilium.bus.journal.migrations import downgrade, upgrade
from consilium.bus.journal.schema import REVISION, VERSION_TABLE, metadata
from consilium.domain import DataProblem
from journal_cases import event


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.sqlite"
    return str(request.getfixturevalue("fresh_postgres"))


def engine_for(url: str) -> Engine:
    parsed = make_url(url)
    driver = {"postgresql": "postgresql+psycopg"}.get(parsed.drivername, parsed.drivername)
    return create_engine(parsed.set(drivername=driver))


def revision(connection: Connection) -> str | None:
    options = {"version_table": VERSION_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def test_the_tables_go_down_and_up_again_where_nothing_is_lost(url: str) -> None:
    open_journal(url).close()
    engine = engine_for(url)
    with engine.begin() as connection:
        assert revision(connection) == REVISION
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        downgrade(connection)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == [VERSION_TABLE]
        assert revision(connection) is None
        upgrade(connection)
        assert revision(connection) == REVISION
    engine.dispose()
    journal = open_journal(url)
    assert journal.append([event(0)]) == (1,)
    journal.close()


def test_the_tables_do_not_go_down_while_there_are_rows(url: str, tmp_path: Path) -> None:
    journal = open_journal(url)
    journal.append([event(0)])
    engine = engine_for(url)
    for table in ("journal_events", "journal_segments"):
        with pytest.raises(DataProblem, match=f"1 rows in {table}"), engine.begin() as connection:
            downgrade(connection)
        assert journal.verify().rows == 1
        journal.archive(2_000, tmp_path / "old")
    engine.dispose()
    journal.close()


def test_a_journal_that_went_down_is_brought_up_when_opened(url: str) -> None:
    open_journal(url).close()
    engine = engine_for(url)
    with engine.begin() as connection:
        downgrade(connection)
    with pytest.raises(DataProblem, match="open it once to write"):
        open_journal(url, read_only=True)
    journal = open_journal(url)
    assert journal.append([event(0)]) == (1,)
    journal.close()
    engine.dispose()


def test_several_processes_may_make_it_at_once(url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        journals = list(pool.map(lambda _: open_journal(url, patience_s=20.0), range(4)))
    for number, journal in enumerate(journals):
        assert journal.append([event(number)]) == (number + 1,)
    assert journals[0].verify().rows == 4
    for journal in journals:
        journal.close()
