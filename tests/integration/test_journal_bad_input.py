"""Disks that are full, databases that are others', locked, newer or gone: one clear line, nothing lost."""

import shutil
import sqlite3
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from consilium.bus.journal import Journal, open_journal
from consilium.bus.journal.opening import inspect_journal
from consilium.domain import ConsiliumError, DataProblem, OutputProblem, UsageError
from journal_cases import engine_of, event
from real_servers import RealPostgres, free_port
from small_disk import ballast, small_disk


def one_line(error: pytest.ExceptionInfo[ConsiliumError]) -> str:
    told = str(error.value)
    assert "\n" not in told
    assert "Traceback" not in told
    return told


def test_a_full_disk_loses_nothing_acknowledged_and_can_be_emptied(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 3_000) as disk:
        journal = open_journal(f"sqlite:///{disk}/journal.sqlite")
        journal.append([event(0)])
        filler = ballast(disk, leave=200_000)
        kept = 1
        with pytest.raises(OutputProblem) as error:  # noqa: PT012 - which of them fails is the disk's
            for number in range(1, 5_000, 10):
                kept += len(journal.append([event(number + i, wide=500) for i in range(10)]))
        assert "make room" in one_line(error)
        assert journal.failed == str(error.value)
        with pytest.raises(OutputProblem, match="make room"):
            journal.append([event(10_000, wide=400_000)])
        assert kept > 10
        assert [row.offset for row in journal.read(limit=10_000)] == list(range(1, kept + 1))
        assert journal.verify().rows == kept
        filler.unlink()
        assert journal.append([event(20_000)]) == (kept + 1,)
        assert journal.failed == ""
        assert journal.rows_written == kept + 1
        assert journal.verify().rows == kept + 1
        journal.close()
        again = open_journal(f"sqlite:///{disk}/journal.sqlite")
        assert again.verify().rows == kept + 1
        again.close()


def test_a_full_disk_leaves_no_half_archive_and_no_half_backup(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1_000) as disk:
        journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
        journal.append([event(n, wide=50) for n in range(3_000)])
        ballast(disk, leave=20_000)
        with pytest.raises(OutputProblem, match="make room") as error:
            journal.archive(10_000, disk / "old")
        one_line(error)
        with pytest.raises(OutputProblem, match="room") as error:
            journal.backup(disk / "backup")
        one_line(error)
        assert sorted(path.name for path in disk.rglob("*") if path.is_file()) == ["filler"]
        assert journal.verify().rows == 3_000
        assert not journal.failed
        journal.close()


def test_a_read_only_disk_is_read_and_not_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_000) as disk:
        url = f"sqlite:///{disk}/journal.sqlite"
        journal = open_journal(url)
        journal.append([event(0)])
        journal.close()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(OutputProblem) as error:
            open_journal(url).append([event(1)])
        assert "read only" in one_line(error) or "permissions" in one_line(error)
        with pytest.raises(OutputProblem) as error:
            open_journal(f"sqlite:///{disk}/new.sqlite")
        one_line(error)
        reader = open_journal(url, read_only=True)
        assert reader.verify().rows == 1
        reader.close()


def test_one_that_another_program_locks_is_waited_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = open_journal(f"sqlite:///{path}", patience_s=0.3)
    journal.append([event(0)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    with pytest.raises(OutputProblem, match="end the program that holds it") as error:
        journal.append([event(1)])
    assert "locked" in one_line(error)
    assert 0.2 < time.monotonic() - begun < 5.0
    assert journal.read()[0].offset == 1
    other.execute("ROLLBACK")
    other.close()
    assert journal.append([event(1)]) == (2,)
    journal.close()


def test_a_lock_in_postgresql_is_waited_for_a_while(fresh_postgres: str) -> None:
    import psycopg

    journal = open_journal(fresh_postgres, patience_s=0.3)
    journal.append([event(0)])
    # the first stands in the way of reading the head, the second of adding rows
    for mode in ("ACCESS EXCLUSIVE", "SHARE"):
        with psycopg.connect(fresh_postgres) as other:
            other.execute(f"LOCK TABLE journal_events IN {mode} MODE".encode())
            with pytest.raises(OutputProblem, match="end the program that holds the lock") as error:
                journal.append([event(1)])
            one_line(error)
    assert journal.append([event(1)]) == (2,)
    journal.close()


def test_a_server_that_cannot_be_reached_is_said_without_its_password() -> None:
    url = f"postgresql://anna:geheim@127.0.0.1:{free_port()}/nothing"
    begun = time.monotonic()
    with pytest.raises(OutputProblem, match="check that the server runs") as error:
        open_journal(url)
    assert time.monotonic() - begun < 10.0
    told = one_line(error)
    assert "127.0.0.1" in told
    assert "geheim" not in told


def test_a_database_that_is_not_there_is_said(postgres_url: str) -> None:
    base = postgres_url.partition("?")[0].rpartition("/")[0]
    with pytest.raises(OutputProblem, match="create the database") as error:
        open_journal(f"{base}/there_is_none")
    one_line(error)
    with pytest.raises(DataProblem, match="create the database"):
        open_journal(f"{base}/there_is_none", read_only=True)


ALL_TABLES = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}"


@pytest.mark.parametrize(
    ("rights", "lacks"),
    [
        (
            ["GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"],
            "INSERT and DELETE on journal_events, INSERT and DELETE on journal_inbox, INSERT and DELETE on "
            "journal_snapshots, INSERT on journal_segments, INSERT on journal_archived",
        ),
        ([ALL_TABLES, "REVOKE INSERT ON journal_inbox FROM {user}"], "INSERT on journal_inbox"),
        ([ALL_TABLES, "REVOKE DELETE ON journal_snapshots FROM {user}"], "DELETE on journal_snapshots"),
        ([ALL_TABLES, "REVOKE INSERT ON journal_archived FROM {user}"], "INSERT on journal_archived"),
    ],
    ids=["reader", "inbox", "snapshots", "archived"],
)
def test_a_user_who_may_not_write_a_table_is_told_before_anything_is_concluded(
    fresh_postgres: str, rights: list[str], lacks: str
) -> None:
    import psycopg

    open_journal(fresh_postgres).close()
    user = f"reader_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(fresh_postgres) as owner:
        owner.execute(f"CREATE ROLE {user} LOGIN".encode())
        for right in rights:
            owner.execute(right.format(user=user).encode())
    url = fresh_postgres.replace("//postgres@", f"//{user}@")
    try:
        for opened in (open_journal, inspect_journal):
            with pytest.raises(OutputProblem, match=f"a user without {lacks}: grant that") as error:
                opened(url)
            one_line(error)
        reader = open_journal(url, read_only=True)
        assert reader.verify().rows == 0
        reader.close()
    finally:
        with psycopg.connect(fresh_postgres) as owner:
            owner.execute(f"DROP OWNED BY {user}".encode())
            owner.execute(f"DROP ROLE {user}".encode())


def test_a_user_who_may_write_all_tables_and_owns_none_appends(fresh_postgres: str) -> None:
    import psycopg

    open_journal(fresh_postgres).close()
    user = f"writer_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(fresh_postgres) as owner:
        owner.execute(f"CREATE ROLE {user} LOGIN".encode())
        owner.execute(ALL_TABLES.format(user=user).replace("UPDATE, ", "").encode())
    try:
        journal = open_journal(fresh_postgres.replace("//postgres@", f"//{user}@"))
        journal.append([event(1)])
        journal.append_once("worker", "e", [event(2)])
        for offset in (1, 2):
            journal.save_snapshot("s", offset, {"x": offset})
            journal.save_snapshot("s", offset, {"x": offset})
        journal.close()
    finally:
        with psycopg.connect(fresh_postgres) as owner:
            owner.execute(f"DROP OWNED BY {user}".encode())
            owner.execute(f"DROP ROLE {user}".encode())


def test_a_standby_is_told_before_anything_is_concluded() -> None:
    server = RealPostgres().start()
    try:
        open_journal(server.url).close()
        server.follow()
        for opened in (open_journal, inspect_journal):
            with pytest.raises(OutputProblem, match="a standby, which only follows") as error:
                opened(server.url)
            one_line(error)
        reader = open_journal(server.url, read_only=True)
        assert reader.verify().rows == 0
        reader.close()
    finally:
        server.stop()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_database_of_another_program_is_left_alone(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/other.sqlite"
        with sqlite3.connect(tmp_path / "other.sqlite") as other:
            other.execute("CREATE TABLE customers (name TEXT)")
        other.close()
        before = (tmp_path / "other.sqlite").read_bytes()
    else:
        import psycopg

        url = request.getfixturevalue("fresh_postgres")
        with psycopg.connect(url) as server:
            server.execute("CREATE TABLE customers (name TEXT)")
        before = b""
    for read_only in (False, True):
        with pytest.raises(DataProblem, match="another program") as error:
            open_journal(url, read_only=read_only)
        one_line(error)
    if before:
        assert (tmp_path / "other.sqlite").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["other.sqlite"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_journal_from_a_newer_version_is_refused(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/j.sqlite" if kind == "sqlite" else request.getfixturevalue("fresh_postgres")
    journal = open_journal(url)
    with engine_of(journal).begin() as connection:
        connection.exec_driver_sql("UPDATE journal_version SET version_num = '0417'")
    journal.close()
    for read_only in (False, True):
        with pytest.raises(DataProblem, match="or older; got version 0417") as error:
            open_journal(url, read_only=read_only)
        one_line(error)


def test_files_that_are_no_journals_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a letter to my mother\n" * 100)
    (tmp_path / "cut").write_bytes(b"SQLite format 3\0" + b"\0" * 40)
    for name in ("text", "cut"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ConsiliumError) as error:
            open_journal(f"sqlite:///{tmp_path}/{name}")
        one_line(error)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(DataProblem, match="must be a file") as error:
        open_journal(f"sqlite:///{tmp_path}")
    one_line(error)
    with pytest.raises(DataProblem, match="must exist"):
        open_journal(f"sqlite:///{tmp_path}/none.sqlite", create=False)
    with pytest.raises(DataProblem, match="must exist"):
        open_journal(f"sqlite:///{tmp_path}/none.sqlite", read_only=True)
    with pytest.raises(OutputProblem, match="folder must be writable") as error:
        open_journal(f"sqlite:///{tmp_path}/text/journal.sqlite")
    one_line(error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "text"]


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://a:geheim@b/c", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_cannot_keep_a_journal_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="sqlite:///PATH") as error:
        open_journal(url)
    assert "geheim" not in one_line(error)


def test_rows_cannot_be_replaced_in_sqlite(tmp_path: Path) -> None:
    journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    journal.append([event(n) for n in range(3)])
    with sqlite3.connect(tmp_path / "journal.sqlite") as other:
        columns = other.execute('SELECT * FROM journal_events WHERE "offset" = 2').fetchone()
        for changed in ((2, "x", *columns[2:]), (9, columns[1], *columns[2:])):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(f"REPLACE INTO journal_events VALUES ({','.join('?' * 11)})", changed)  # noqa: S608
    other.close()
    assert journal.verify().rows == 3
    journal.close()


def test_a_snapshot_or_effect_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_000) as disk:
        journal: Journal = open_journal(f"sqlite:///{disk}/journal.sqlite")
        journal.append([event(0)])
        filler = ballast(disk)
        with pytest.raises(OutputProblem):
            journal.append_once("a", "e1", [event(1, wide=100_000)])
        with pytest.raises(OutputProblem):
            journal.save_snapshot("engine", 1, {"x": "y" * 100_000})
        filler.unlink()
        assert journal.load_snapshot("engine") is None
        assert journal.append_once("a", "e1", [event(1)])
        assert journal.head().offset == 2
        journal.close()


@pytest.mark.long
def test_a_server_that_comes_back_is_written_again() -> None:
    server = RealPostgres().start()
    try:
        journal = open_journal(server.url, patience_s=2.0)
        journal.append([event(0)])
        server.kill()
        with pytest.raises(OutputProblem, match="check that the server runs") as error:
            journal.append([event(1)])
        one_line(error)
        assert journal.failed
        assert not journal.wait(1, 0.2)
        with pytest.raises(DataProblem, match="check that the server runs"):
            journal.read()
        server.start_again()
        assert journal.append([event(1)]) == (2,)
        assert not journal.failed
        server.kill()
        server.start_again()
        assert journal.append([event(2)]) == (3,)
        assert journal.verify().rows == 3
        journal.close()
    finally:
        server.stop()


def test_a_journal_can_move_with_its_archive_beside_it(tmp_path: Path) -> None:
    journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    journal.append([event(n) for n in range(9)])
    journal.archive(1_005, tmp_path / "old")
    journal.close()
    (tmp_path / "new").mkdir()
    shutil.move(tmp_path / "journal.sqlite", tmp_path / "new" / "j.sqlite")
    shutil.move(tmp_path / "old", tmp_path / "new" / "j.sqlite-archive")
    moved = open_journal(f"sqlite:///{tmp_path}/new/j.sqlite")
    assert moved.verify().rows == 9
    moved.close()
