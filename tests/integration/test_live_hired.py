"""Workers at work: what they look at before a cycle, what shows their life, and what ends with either."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest

from consilium.app.live import hired
from consilium.app.live.hired import Hired
from consilium.app.live.room_worker import RoomWorker
from consilium.app.live.worker_assembly import Beat, working
from consilium.app.settings import Settings
from consilium.bus.journal import Journal, open_journal
from consilium.bus.journal.alone import Held
from consilium.bus.signs import Signs
from consilium.bus.transport import MemoryTransport
from consilium.domain import Event, OutputProblem


class Counting:
    """A room that counts its cycles and remembers nothing."""

    name = "counting"
    topics: tuple[str, ...] = ()
    torn = False

    def __init__(self) -> None:
        self.cycles = 0

    def handle(self, event: Event) -> Sequence[Event]:
        del event
        return ()

    def cycle(self) -> None:
        self.cycles += 1

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        del state


class Doubtful(Held):
    """Cannot see whether it is still held, so many times."""

    def __init__(self, times: int, error: BaseException) -> None:
        super().__init__()
        self.times, self.error = times, error

    def keep(self) -> OutputProblem | None:
        if self.times > 0:
            self.times -= 1
            raise self.error
        return None


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()


def until(good: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.promise("001", "a look that fails leaves nothing of an earlier one, and no cycle out")
def test_a_look_that_fails_is_told_and_the_cycle_is_done_all_the_same(journal: Journal) -> None:
    room, stop, seen, broken = Counting(), Flag(), [True], [True]
    worker = RoomWorker(room, journal, MemoryTransport())

    def look() -> None:
        if broken[0]:
            raise OSError(5, "no such disk")
        seen[0] = True

    def unseen(error: Exception) -> None:
        assert isinstance(error, OSError)
        seen[0] = False

    worker.catch_up()
    thread = Thread(target=worker.beat, args=(room, 0.01, stop, look, unseen))
    thread.start()
    try:
        until(lambda: room.cycles > 2)
        assert not seen[0]
        assert "no such disk" in worker.worry
        broken[0] = False
        until(lambda: seen[0] and worker.worry == "")
    finally:
        stop.set()
        thread.join(20.0)


def test_a_look_that_hangs_is_told(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    from consilium.app.live import room_worker

    monkeypatch.setattr(room_worker, "LATE_S", 0.2)
    room, stop, going_on = Counting(), Flag(), Flag()
    worker = RoomWorker(room, journal, MemoryTransport())
    worker.catch_up()
    thread = Thread(target=worker.beat, args=(room, 0.01, stop, lambda: going_on.wait(60.0)))
    thread.start()
    try:
        until(lambda: "a cycle is late" in worker.worry)
        going_on.set()
        until(lambda: room.cycles > 0 and worker.worry == "")
    finally:
        going_on.set()
        stop.set()
        thread.join(20.0)


def employed(settings: Settings, journal: Journal, held: Held, room: Counting) -> Hired:
    transport = MemoryTransport()
    worker = RoomWorker(room, journal, transport)
    work = working(worker, room, Beat("counting", 0.02), lambda: None)
    return Hired(settings, worker, journal, transport, work, held)


@pytest.mark.promise("001", "what shows a worker's life is taken up again after a fault, and told")
def test_a_sign_of_life_that_fails_is_told_and_given_again(
    tmp_path: Path, fresh_valkey: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hired, "LASTS_S", 0.2)
    settings = Settings.model_validate({"data_dir": tmp_path, "redis_url": fresh_valkey})
    journal, stop, signs = open_journal(settings.journal_url), Flag(), Signs(fresh_valkey)
    work = employed(settings, journal, Doubtful(2, RuntimeError("not now")), Counting())
    thread = Thread(target=work.run, args=(stop,))
    thread.start()
    try:
        until(lambda: signs.seen(["counting"]) == {"counting": ""})
        told = [said.getMessage() for said in caplog.records if "no sign of life" in said.getMessage()]
        assert [text.rpartition(", ")[2] for text in told] == ["1 times by now", "2 times by now"]
    finally:
        stop.set()
        thread.join(20.0)
        signs.close()
    assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_life_nobody_shows_ends_with_a_word(tmp_path: Path, fresh_valkey: str) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "redis_url": fresh_valkey})
    journal = open_journal(settings.journal_url)
    work = employed(settings, journal, Doubtful(1, SystemExit("ended")), Counting())
    with pytest.raises(OutputProblem, match="must show its life"):
        work.run(Flag())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_beat_has_ended_ends_with_a_word(tmp_path: Path, fresh_valkey: str) -> None:
    class Ending(Counting):
        def cycle(self) -> None:
            raise SystemExit("ended")

    settings = Settings.model_validate({"data_dir": tmp_path, "redis_url": fresh_valkey})
    work = employed(settings, open_journal(settings.journal_url), Held(), Ending())
    with pytest.raises(OutputProblem, match="must go on with its counting"):
        work.run(Flag())


def test_a_worker_that_is_told_to_stop_ends_without_a_word(journal: Journal) -> None:
    room, stop = Counting(), Flag()
    worker = RoomWorker(room, journal, MemoryTransport())

    def told() -> None:
        until(lambda: room.cycles > 0)
        stop.set()

    thread = Thread(target=told)
    thread.start()
    working(worker, room, Beat("counting", 0.02), lambda: None)(stop)
    thread.join(20.0)
    assert room.cycles > 0
