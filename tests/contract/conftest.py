"""One journal of each back end and one transport of each kind, for the tests that all of them must pass."""

import uuid
from collections.abc import Callable, Iterator

import pytest

from consilium.bus.journal import Journal, open_journal
from consilium.bus.transport import MemoryTransport, RedisTransport, Transport

Make = Callable[[int], Transport]


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


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes the one transport of a test, with room for about so many events."""
    opened: list[Transport] = []

    def make(room: int) -> Transport:
        if request.param == "memory":
            opened.append(MemoryTransport(room))
        else:
            opened.append(RedisTransport(request.getfixturevalue("fresh_valkey"), max_entries=room))
        return opened[-1]

    yield make
    for transport in opened:
        transport.close()


@pytest.fixture
def transport(make: Make) -> Transport:
    return make(100_000)
