"""What every journal must do, whatever keeps it."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from consilium.bus.codec import canonical, from_wire, to_wire
from consilium.bus.journal import GENESIS, Journal, open_journal
from consilium.bus.journal.canonical import canonical_json
from consilium.domain import DataProblem, Event, InvalidValue, OutputProblem
from journal_cases import blob, by_hand, engine_of, event, without_guard


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


def test_payloads_are_hashed_as_they_travel(journal: Journal) -> None:
    journal.append([event(0)])
    assert journal.read()[0].event.payload == from_wire(to_wire(event(0))).payload
    assert canonical_json({"b": 1, "a": ["☃", 0.1]}) == canonical({"b": 1, "a": ["☃", 0.1]})


def test_an_event_twice_is_kept_once(journal: Journal) -> None:
    journal.append([event(0), event(1)])
    head = journal.head()
    assert journal.append([event(1), event(0)]) == (2, 1)
    assert journal.head() == head
    assert journal.append([event(2), event(0), event(2)]) == (3, 1, 3)
    assert journal.head().offset == 3
    assert journal.rows_written == 3


def test_an_event_is_done_once_by_each_consumer(journal: Journal) -> None:
    assert journal.append_once("a", "e1", [event(0), event(1)])
    assert not journal.append_once("a", "e1", [event(2)])
    assert journal.append_once("b", "e1", [event(1), event(3)])
    assert journal.append_once("a", "e2", [])
    assert [row.event.event_id for row in journal.read()] == [event(n).event_id for n in (0, 1, 3)]


def test_of_many_that_do_an_event_one_prevails(journal: Journal) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: journal.append_once("a", "e1", [event(n)]), range(40)))
    assert done.count(True) == 1
    assert [row.event for row in journal.read()] == [event(done.index(True))]


def test_pages_follow_each_other(journal: Journal) -> None:
    journal.append([event(n, topic=f"a.{n % 3}", stream=f"s{n % 2}") for n in range(30)])
    seen: list[int] = []
    while page := journal.read(after=seen[-1] if seen else 0, limit=7):
        seen += [row.offset for row in page]
    assert seen == list(range(1, 31))
    chosen = journal.read(topics={"a.1"}, stream="s0")
    assert [row.event.ts_event for row in chosen] == [4, 10, 16, 22, 28]
    newest = journal.read(limit=3, newest_first=True)
    assert [row.offset for row in newest] == [30, 29, 28]
    assert [row.offset for row in journal.read(limit=3, newest_first=True, before=28)] == [27, 26, 25]
    assert [row.offset for row in journal.read(after=20, newest_first=True, topics=["a.0"])] == [28, 25, 22]
    assert [row.offset for row in journal.read(after=25, before=28)] == [26, 27]
    assert journal.read(topics=[]) == []
    with pytest.raises(InvalidValue, match="limit"):
        journal.read(limit=0)


def test_a_journal_is_the_same_when_opened_again(journal_url: str) -> None:
    first = open_journal(journal_url)
    first.append([event(n) for n in range(5)])
    first.save_snapshot("engine", 4, {"weights": [0.5, 0.5]})
    head = first.head()
    first.close()
    second = open_journal(journal_url)
    assert second.head() == head
    assert second.load_snapshot("engine") == (4, {"weights": [0.5, 0.5]})
    assert second.append([event(5)]) == (6,)
    assert second.verify().head == second.head()
    second.close()


def test_the_newest_sound_snapshot_is_loaded(journal: Journal) -> None:
    assert journal.load_snapshot("engine") is None
    journal.append([event(n) for n in range(9)])
    for offset in (2, 5, 9):
        journal.save_snapshot("engine", offset, {"at": offset})
    journal.save_snapshot("other", 1, {"at": "other"})
    assert journal.load_snapshot("engine") == (9, {"at": 9})
    journal.save_snapshot("engine", 9, {"at": "again"})
    assert journal.load_snapshot("engine") == (9, {"at": "again"})
    with engine_of(journal).begin() as connection:
        connection.exec_driver_sql("UPDATE journal_snapshots SET state = '{}' WHERE \"offset\" = 9")
    assert journal.load_snapshot("engine") == (5, {"at": 5})
    with pytest.raises(InvalidValue, match="at most 9"):
        journal.save_snapshot("engine", 10, {})
    with pytest.raises(InvalidValue, match="finite"):
        journal.save_snapshot("engine", 9, {"x": float("inf")})
    assert journal.failed == ""


def test_many_threads_share_commits_and_lose_nothing(journal: Journal) -> None:
    def work(worker: int) -> list[tuple[int, str]]:
        ids = []
        for number in range(25):
            sent = event(worker * 1_000 + number)
            ids.append((journal.append([sent])[0], sent.event_id))
        return ids

    with ThreadPoolExecutor(8) as pool:
        told = [pair for pairs in pool.map(work, range(8)) for pair in pairs]
    assert sorted(told) == [(row.offset, row.event.event_id) for row in journal.read()]
    assert journal.verify().rows == 200


def test_two_that_are_open_at_once_write_one_chain(journal_url: str, journal: Journal) -> None:
    other = open_journal(journal_url)
    with ThreadPoolExecutor(6) as pool:
        sent = [event(number) for number in range(120)]
        offsets = list(
            pool.map(lambda n: (journal if n % 2 else other).append([sent[n], sent[n // 2]]), range(120))
        )
    other.close()
    assert sorted(pair[0] for pair in offsets) == list(range(1, 121))
    assert journal.verify().rows == 120


def test_many_who_wait_look_no_more_often_than_one(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    head = journal.head

    def counted() -> object:
        nonlocal looks
        looks += 1
        return head()

    monkeypatch.setattr(journal, "head", counted)
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(lambda _: journal.wait(0, 1.0), range(4)))
    assert 4 <= looks <= 4 + 1.0 / 0.05 + 4


def test_waiting_ends_as_soon_as_there_is_a_row(journal_url: str, journal: Journal) -> None:
    begun = time.monotonic()
    assert not journal.wait(0, 0.1)
    assert time.monotonic() - begun < 2.0
    other = open_journal(journal_url)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(one.wait, 0, 20.0) for one in (journal, journal, other, other)]
        time.sleep(0.1)
        assert not any(one.done() for one in waiting)
        journal.append([event(0)])
        assert all(one.result() for one in waiting)
    assert time.monotonic() - begun < 15.0
    assert journal.wait(0, 0.0)
    assert not journal.wait(1, 0.0)
    other.close()


def test_rows_can_be_neither_changed_nor_deleted(journal: Journal) -> None:
    journal.append([event(n) for n in range(3)])
    for sql in (
        "UPDATE journal_events SET payload = '{}' WHERE \"offset\" = 2",
        'DELETE FROM journal_events WHERE "offset" = 3',
        "DELETE FROM journal_events",
    ):
        with pytest.raises(DBAPIError, match="append-only"), engine_of(journal).begin() as connection:
            connection.exec_driver_sql(sql)
    assert journal.verify().rows == 3


CHANGES = (
    "payload = replace(payload, 'xgboost', 'xgboos7')",
    "topic = 'model.predicte'",
    "stream = ''",
    "version = 2",
    "ts_event = ts_event + 1",
    "ts_recorded = ts_recorded + 1",
    "cause_id = 'x'",
    "trace_id = 'x'",
    "event_id = 'another'",
)


def test_verification_names_the_first_row_that_was_changed_by_hand(journal: Journal) -> None:
    journal.append([event(n) for n in range(12)])
    for row, change in zip(range(12, 1, -1), [*CHANGES, f"hash = {blob(journal)}"], strict=False):
        by_hand(journal, change, row)
        with pytest.raises(DataProblem, match=rf"^row {row} of the journal") as told:
            journal.verify()
        assert "\n" not in str(told.value)


def test_verification_names_the_row_that_is_gone(journal: Journal) -> None:
    journal.append([event(n) for n in range(12)])
    without_guard(journal, 'DELETE FROM journal_events WHERE "offset" = 4')
    with pytest.raises(DataProblem, match="row 4 of the journal must be there; got row 5 next"):
        journal.verify()


def test_verification_tells_how_far_it_is(journal: Journal) -> None:
    for start in range(0, 6_000, 3_000):
        journal.append([event(n) for n in range(start, start + 3_000)])
    told: list[tuple[int, int]] = []
    found = journal.verify(progress=lambda done, total: told.append((done, total)))
    assert found.rows == 6_000
    assert found.head == journal.head()
    assert told[-1] == (6_000, 6_000)
    assert len(told) > 1


def test_a_closed_journal_says_so(journal_url: str) -> None:
    journal = open_journal(journal_url)
    pending = journal.append_async([event(0)])
    journal.close()
    assert pending.result(0) == (1,)
    with pytest.raises(OutputProblem, match="closed"):
        journal.append([event(1)])


def test_one_opened_to_read_only_reads(journal_url: str, journal: Journal) -> None:
    journal.append([event(0)])
    reader = open_journal(journal_url, read_only=True)
    assert [row.offset for row in reader.read()] == [1]
    assert reader.verify().rows == 1
    with pytest.raises(OutputProblem, match="read only"):
        reader.append([event(1)])
    journal.append([event(1)])
    assert reader.wait(1, 5.0)
    reader.close()


def marks(journal: Journal, consumer: str) -> int:
    sql = f"SELECT count(*) FROM journal_inbox WHERE consumer = '{consumer}'"  # noqa: S608 - a test's own words
    with engine_of(journal).connect() as connection:
        return int(connection.exec_driver_sql(sql).scalar_one())


def test_marks_of_archived_rows_are_forgotten_and_stay_done(journal: Journal, tmp_path: Path) -> None:
    given = [event(number) for number in range(30)]
    journal.append(given)
    for consumer, done in (("worker", 30), ("behind", 5), ("without-snapshot", 30)):
        for number in range(done):
            effects = [event(1_000 + number)] if consumer == "worker" else []
            assert journal.append_once(consumer, given[number].event_id, effects)
    journal.save_snapshot("worker", 30, {})
    journal.save_snapshot("behind", 5, {})
    head = journal.head()
    journal.archive(given[20].ts_recorded, tmp_path / "old")
    assert [marks(journal, name) for name in ("worker", "behind", "without-snapshot")] == [10, 0, 30]
    for number in range(30):
        assert not journal.append_once("worker", given[number].event_id, [event(2_000 + number)])
        assert not journal.append_once("without-snapshot", given[number].event_id, [event(2_000 + number)])
        # what it has not done yet is still to be done, though it is archived
        assert journal.append_once("behind", given[number].event_id, []) is (number >= 5)
    assert journal.head() == head
    journal.save_snapshot("worker", journal.head().offset, {})
    journal.archive(10**18, tmp_path / "old")
    assert marks(journal, "worker") == 0
    assert not any(journal.append_once("worker", one.event_id, [event(3_000)]) for one in given)
    assert journal.append_once("worker", "an event of no journal", [event(3_001)])
    assert journal.verify().rows == head.offset + 1
