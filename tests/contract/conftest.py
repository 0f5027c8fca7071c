"""One journal of each back end for the tests that all of them must pass."""

import uuid
from collections.abc import Iterator

import pytest

from consilium.bus.journal import Journal, open_journal


@pytest.fixture(params=["sqlite", "postgresql"])
def journal_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('journal')}/new/journal.sqlite"
    return str(request.getfixturevalue("fresh_postgres"))


@pytest.fixture
def journal(journal_url: str) -> Iterator[Journal]:
    opened = open_journal(journal_url)
    yield opened
    opened.close()


@pytest.fixture
def second_postgres(postgres_url: str) -> Iterator[str]:
    """Another empty database, beside `fresh_postgres`."""
    import psycopg

    name = f"consilium_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        base, _, query = postgres_url.partition("?")
        yield f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
