"""A desk whose disk is full or damaged: nothing is answered from memory, and all goes on when it is well."""

import shutil
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest

from consilium.app.federated.desk import MOST_SESSIONS, NetworkDesk
from consilium.app.federated.session_folder import STATE_FILE, SessionFolder
from consilium.app.federated.set_aside import SetAside
from consilium.domain import InvalidValue, OutputProblem
from consilium.federated.effects import Persist
from consilium.federated.messages import Phase, Signed
from consilium.federated.registration import Registration
from consilium.federated.session import Terms
from desk_cases import World, nothing, world
from small_disk import ballast, small_disk


def vectors_of(made: World) -> dict[str, Signed]:
    """Keep masked vectors back until all are there."""
    found: dict[str, Signed] = {}

    def lost(owner: str, message: Signed) -> bool:
        if message.header.phase is Phase.MASKED:
            found[owner] = message
        return message.header.phase is Phase.MASKED

    made.lost = lost
    made.start()
    made.until(lambda: len(found) == made.count, "all have masked")
    return found


def take_all(made: World, found: dict[str, Signed]) -> None:
    for message in found.values():
        made.desk.guarded("s1", methodcaller("take", message))
    made.desk.guarded("s1", methodcaller("tick", made.clock.now_ns()))


@pytest.mark.promise("003", "a full disk loses no round, and nothing is answered that is not on it")
def test_after_a_failed_write_nothing_is_answered_from_memory_and_the_round_goes_on(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", 512) as disk,
        world(tmp_path, desk=disk / "desk", dimension=2_000) as made,
    ):
        made.join()
        found = vectors_of(made)
        old = made.desk.of("s1")
        filler = ballast(disk)
        with pytest.raises(OutputProblem, match="No space left"):
            take_all(made, found)
        asked: tuple[Any, ...] = (
            methodcaller("summary"),
            methodcaller("about"),
            methodcaller("plan"),
            methodcaller("model"),
            methodcaller("reports"),
            methodcaller("most_bytes"),
            methodcaller("outbox", "desk1"),
            methodcaller("take", found["desk1"]),
            methodcaller("tick", made.clock.now_ns()),
            methodcaller("move", "paused", now=made.clock.now_ns()),
        )
        for ask in asked:
            with pytest.raises(OutputProblem, match="No space left"):
                ask(old)
        made.lost = nothing
        made.until(lambda: made.desk.troubles.get("s1", "").startswith("No space"), "it fails again, in vain")
        filler.unlink()
        made.until(lambda: not made.desk.troubles and made.kept.session.done >= 1, "a round is over")
        made.desk.move("s1", "cancelled", reason="enough")
        report = made.desk.of("s1").reports()[0]
        assert (report["failed"], len(report["survivors"]), report["participation"]["attempts"]) == ("", 5, 1)


def test_a_session_is_taken_back_only_once_its_disk_takes_bytes_and_says_why_all_the_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consilium.app.federated.set_aside.PAUSE_S", 0.0)
    with (
        small_disk(tmp_path / "disk", 512) as disk,
        world(tmp_path, desk=disk / "desk", dimension=2_000) as made,
    ):
        loads: list[Path] = []
        load = SessionFolder.load

        def counted(folder: SessionFolder) -> Any:
            loads.append(folder.path)
            return load(folder)

        monkeypatch.setattr(SessionFolder, "load", counted)
        filler = ballast(disk)
        with pytest.raises(OutputProblem, match="No space left"):
            made.desk.move("s1", "running", reason="go")
        for _ in range(20):
            made.desk.tick()
            assert made.desk.troubles == {"s1": "No space left on device"}
        assert loads == []
        filler.unlink()
        made.desk.tick()
        assert made.desk.troubles == {}
        assert len(loads) == 1
        made.desk.move("s1", "running", reason="go")


def test_the_same_registration_again_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(tmp_path) as made:
        said = Registration(
            participant="desk1",
            owner="desk1",
            session="s1",
            key=made.keys["desk1"].public,
            capabilities=("synthetic", "sum"),
        )
        saves: list[Path] = []
        save = SessionFolder.save

        def counted(folder: SessionFolder, *given: Any) -> None:
            saves.append(folder.path)
            save(folder, *given)

        monkeypatch.setattr(SessionFolder, "save", counted)
        for examples, wanted in ((1, 1), (1, 1), (1, 1), (2, 2), (2, 2)):
            signed = replace(said, examples=examples).signed(made.keys["desk1"].private)
            assert made.desk.of("s1").register(signed).first_round == 1
            assert len(saves) == wanted


def test_a_record_is_refused_where_there_is_no_log(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "s1")
    with pytest.raises(OutputProblem, match="its log is closed"):
        folder.keep("1-1", Persist(b"record", secret=False))
    folder.begin_attempt("1-1")
    folder.keep("1-1", Persist(b"record", secret=False))
    folder.sync()
    folder.end_attempt()
    with pytest.raises(OutputProblem, match="its log is closed"):
        folder.keep("1-1", Persist(b"another", secret=False))
    assert folder.resume_attempt("1-1") == [b"record"]
    folder.end_attempt()


def test_a_damaged_folder_is_read_once_until_something_in_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(tmp_path) as made:
        whole = shutil.copytree(tmp_path / "desk", tmp_path / "copy")
        reads: list[Path] = []
        load = SessionFolder.load

        def counted(folder: SessionFolder) -> Any:
            reads.append(folder.path)
            return load(folder)

        monkeypatch.setattr(SessionFolder, "load", counted)
        file = whole / "s1" / STATE_FILE
        good = file.read_bytes()
        file.write_bytes(good[:-1])
        again = NetworkDesk(whole, made.clock)
        for _ in range(20):
            again.tick()
        assert len(reads) == 1
        assert "damage" in again.troubles["s1"]
        with pytest.raises(OutputProblem, match="damage"):
            again.of("s1")
        file.write_bytes(good)
        again.tick()
        assert len(reads) == 2
        assert again.troubles == {}
        assert again.of("s1").summary()["state"] == "open"
        again.stop()


def test_what_fails_in_the_same_way_is_said_once(tmp_path: Path) -> None:
    now = [0.0]
    aside = SetAside(lambda: now[0])
    said = []
    for _ in range(100):
        now[0] += 1.0
        said.append(aside.put("s1", "no space", tmp_path, damaged=False))
        assert not aside.due("s1", tmp_path)
    assert sum(said) == 1
    now[0] += 1.0
    assert aside.due("s1", tmp_path)
    now[0] += 300.0
    assert aside.put("s1", "no space", tmp_path, damaged=False)
    assert aside.put("s1", "another reason", tmp_path, damaged=False)


def test_sessions_that_have_ended_do_not_count_against_the_limit(tmp_path: Path) -> None:
    with world(tmp_path) as made:
        signed = made.admitted.signed(made.admission.private)
        parameters = made.kept.parameters

        def create(name: str) -> None:
            terms = Terms(session=name, task="synthetic")
            options = {"dimension": len(parameters)}
            made.desk.create(terms, signed, made.admission.public, parameters, options=options)

        for number in range(2, MOST_SESSIONS + 1):
            create(f"s{number}")
        with pytest.raises(
            InvalidValue, match=f"may have {MOST_SESSIONS} sessions that have not ended; got 65"
        ):
            create("more")
        made.desk.move("s7", "cancelled", reason="enough")
        create("more")
