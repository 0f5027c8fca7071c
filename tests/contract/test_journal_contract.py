"""What every journal must do, whatever keeps it."""

from collections.abc import Iterator

import pytest

from consilium.bus.journal import GENESIS, Journal, open_journal
from consilium.domain import Event
from journal_cases import event


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('journal')}/new/journal.sqlite"
    return str(request.getfixturevalue("fresh_postgres"))


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    opened = open_journal(url)
    yield opened
    opened.close()


def test_offsets_begin_at_one_and_have_no_gaps(journal: Journal) -> None:
    assert journal.append([event(0), event(1)]) == (1, 2)
    assert journal.append([event(2)]) == (3,)
    assert [row.offset for row in journal.read()] == [1, 2, 3]
    assert journal.head().offset == 3
    assert journal.rows_written == 3


def test_an_empty_journal_has_the_first_hash(journal: Journal) -> None:
    assert (journal.head().offset, journal.head().hash) == (0, GENESIS)
    assert journal.verify().rows == 0
    assert journal.append([]) == ()


def test_events_come_back_as_they_were(journal: Journal) -> None:
    given = Event(
        event_id="é☃",
        topic="a.b",
        stream="",
        version=3,
        ts_event=-1,
        ts_recorded=2**62,
        cause_id="c",
        trace_id="t",
        payload={"z": [1, 2.5, None, True, 1e-300], "a": {"text": "\u0000 'quoted' \" ☃"}},
    )
    journal.append([given])
    assert journal.read()[0].event == given
    found = journal.find("é☃")
    assert found is not None
    assert found.event == given
    assert journal.find("other") is None
