"""The notes of the kill switch: of another process, torn, unreadable, and from several at once."""

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from consilium.app.council.kill_switch import drop_note, note_of, path_of, read_note, write_note
from consilium.domain import Mode
from council_cases import Ward


def test_threads_that_leave_a_note_at_once_do_not_take_each_others_file(tmp_path: Path) -> None:
    note = note_of("smoke", "ann")
    together = threading.Barrier(4)
    failed: list[OSError] = []

    def leave() -> None:
        together.wait()
        try:
            for _ in range(25):
                write_note(tmp_path, note)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=leave) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [path.name for path in path_of(tmp_path).parent.iterdir()] == [path_of(tmp_path).name]


def test_a_note_of_another_process_freezes_a_running_system_and_a_stopped_one(
    tmp_path: Path, models: Path
) -> None:
    folder = tmp_path / "noted"
    with Ward(folder, models) as ward:
        ward.go(3)
        write_note(folder, note_of("from the command line", "ann"))
        ward.until(lambda: ward.system.council.policy.mode == Mode.FROZEN)
    shutil.rmtree(folder)
    write_note(folder, note_of("before the start", "ann"))
    with Ward(folder, models, council={"tick_s": 30.0}) as ward:
        assert ward.system.council.policy.mode == Mode.FROZEN
        shutil.copytree(models, folder / "models", dirs_exist_ok=True)
        ward.go(3)
        assert ward.entries() == []


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"reason": 7}'])
def test_a_torn_note_is_a_halt_too(tmp_path: Path, models: Path, text: bytes) -> None:
    path = path_of(tmp_path / "torn")
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    shutil.copytree(models, tmp_path / "torn" / "models")
    with Ward(tmp_path / "torn", models) as ward:
        ward.go(2)
        assert ward.system.council.policy.mode == Mode.FROZEN


def test_a_torn_note_that_comes_again_is_another_halt(tmp_path: Path, models: Path) -> None:
    path = path_of(tmp_path / "torn")
    with Ward(tmp_path / "torn", models) as ward:
        ward.go(2)
        path.write_bytes(b"{")
        ward.until(lambda: ward.system.council.policy.mode == Mode.FROZEN)
        ward.go(6)
        for person in ("ann", "bob"):
            ward.ask("review", what="freeze", note="looked at", person=person)
        assert ward.system.council.policy.mode == Mode.SHADOW
        ward.until(lambda: not path.exists())
        path.write_bytes(b"{")
        ward.until(lambda: ward.system.council.policy.mode == Mode.FROZEN)
        ward.go(2)
        assert path.exists()


def test_a_note_that_is_dropped_takes_none_with_it_that_was_left_since(tmp_path: Path) -> None:
    first, second = note_of("smoke", "ann"), note_of("fire", "bob")
    write_note(tmp_path, first)
    write_note(tmp_path, second)  # after the first was read, and before it is dropped
    drop_note(tmp_path, first)
    assert read_note(tmp_path) == second
    drop_note(tmp_path, second)
    assert list(path_of(tmp_path).parent.iterdir()) == []


def test_notes_that_cannot_be_read_are_halts_of_their_own(tmp_path: Path) -> None:
    found = set()
    for second in (1, 2):
        path_of(tmp_path).mkdir(parents=True)  # a folder where a file should lie
        os.utime(path_of(tmp_path), (second, second))
        note = read_note(tmp_path)
        assert note is not None
        found.add(note["command_id"])
        path_of(tmp_path).rmdir()
    assert len(found) == 2


@pytest.mark.promise("001", "a note that is newer than the halt which is over stays a halt on any disk")
def test_a_newer_note_stays_where_the_disk_has_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = note_of("first", "ann"), note_of("fire", "bob")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    write_note(tmp_path, second)
    monkeypatch.setattr(os, "link", refuse)
    drop_note(tmp_path, first)
    assert read_note(tmp_path) == second
    drop_note(tmp_path, second)
    assert list(path_of(tmp_path).parent.iterdir()) == []


def test_a_note_that_was_taken_aside_when_all_were_killed_is_a_halt(tmp_path: Path) -> None:
    first, second = note_of("first", "ann"), note_of("fire", "bob")
    path = write_note(tmp_path, second)
    path.rename(path.with_suffix(".over-1-1"))  # so far came who was to forget the first
    assert read_note(tmp_path) == second
    drop_note(tmp_path, first)
    assert (path.exists(), read_note(tmp_path)) == (True, second)
    path.rename(path.with_suffix(".over-1-1"))
    drop_note(tmp_path, second)
    assert list(path.parent.iterdir()) == []


def test_a_second_halt_after_a_restart_without_the_note_is_the_first_one(
    tmp_path: Path, models: Path
) -> None:
    folder = tmp_path / "again"
    with Ward(folder, models) as ward:
        ward.go(3)
        first = ward.system.kill("smoke", "ann")
        ward.until(lambda: len(ward.events("council.commanded")) == 1)
    path_of(folder).unlink()
    with Ward(folder, models) as ward:
        ward.until(lambda: ward.system.council.policy.mode == Mode.FROZEN)
        assert ward.system.kill("smoke again", "bob") == first
