"""The kill switch: it acts without journal and bus, survives a kill, and ends only by the rule."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from consilium.app.council.kill_switch import note_of, path_of, write_note
from consilium.app.live import governing
from consilium.app.live.assembly import assemble
from consilium.domain import ConsiliumError, DataProblem, Event, Mode, OutputProblem, UsageError
from council_cases import Ward
from live_cases import settings_of, store_models
from live_process import KEY, journal_of, serving, steps_in

TRUE: dict[str, Any] = {"CONSILIUM_COUNCIL__ENABLED": "true", "CONSILIUM_COUNCIL__START_PROFILE": "NORMAL"}
FEED = ("--feed", "simulate:symbols=2,bars=540,seed=5", "--speed", "20")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    store_models(folder)
    return folder


@pytest.fixture
def ward(tmp_path: Path, models: Path) -> Iterator[Ward]:
    with Ward(tmp_path / "ward", models) as made:
        yield made


def with_an_entry(ward: Ward) -> Ward:
    """Go on until an order that adds risk waits."""
    while not resting(ward):
        ward.go()
    return ward


def resting(ward: Ward) -> list[Any]:
    orders = ward.system.pipeline.accounts.trading.broker.open_orders()
    return [order for order in orders.values() if not order.reduce_only]


@pytest.mark.promise("001", "a halt needs no bus and no database")
def test_a_halt_acts_while_the_journal_is_away_and_is_written_when_it_is_back(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_an_entry(ward)
    journal, appended = ward.system.journal, ward.system.journal.append

    def away(events: Sequence[Event]) -> Any:
        raise DataProblem("the journal must answer", len(events), "wait")

    monkeypatch.setattr(journal, "append", away)
    mark = ward.head
    command_id = ward.system.kill("smoke in the room", "ann")
    assert ward.system.council.policy.mode == Mode.FROZEN
    assert resting(ward) == []
    assert path_of(ward.system.settings.data_dir).exists()
    assert ward.head == mark
    assert ward.system.kill("again", "bob") == command_id
    monkeypatch.setattr(journal, "append", appended)
    ward.until(lambda: ward.head > mark)
    ward.until(lambda: ward.system.troubles == {})  # a tick may have met the journal while it was away
    (commanded,) = ward.events("council.commanded", after=mark)
    said = ward.events("ai.federation.decision_made", "trading.order_changed", after=mark)
    assert {event.cause_id for event in said} >= {commanded.event_id}
    ward.go(5)
    assert ward.entries(after=mark) == []


@pytest.mark.promise(
    "001", "from a halt to the last cancel it takes less than a second, whatever else is going on"
)
def test_a_halt_does_not_wait_for_a_journal_that_hangs(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    with_an_entry(ward)
    going_on, appended = threading.Event(), ward.system.journal.append
    hanging = threading.Event()

    def slow(events: Sequence[Event]) -> Any:
        hanging.set()
        going_on.wait(60.0)
        return appended(events)

    monkeypatch.setattr(ward.system.journal, "append", slow)
    before = ward.system.pipeline.ts
    ward.feed.gate.release()
    assert hanging.wait(60.0)
    began = time.monotonic()
    ward.system.kill("it hangs", "ann")
    took = time.monotonic() - began
    assert resting(ward) == []
    assert took < 1.0
    going_on.set()
    ward.until(lambda: ward.system.pipeline.ts > before)
    ward.go(3)
    rows = ward.system.journal.read(0, 100_000)
    topics = [row.event.topic for row in rows]
    # what was concluded before the halt stands before it
    halted = topics.index("council.commanded")
    assert any(
        topic == "market.step_done" and row.event.ts_event > before
        for topic, row in zip(topics[:halted], rows, strict=False)
    )
    ward.system.journal.verify()


@pytest.mark.promise(
    "001", "from a halt to the last cancel it takes less than a second, whatever else is going on"
)
def test_a_halt_does_not_wait_for_forecasts_and_stands_before_their_step(
    ward: Ward, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_an_entry(ward)
    market, going_on, hanging = ward.system.pipeline.market, threading.Event(), threading.Event()
    observe = market.observe

    def slow(*arguments: Any) -> Any:
        hanging.set()
        going_on.wait(60.0)
        return observe(*arguments)

    monkeypatch.setattr(market, "observe", slow)
    mark, before = ward.head, ward.system.pipeline.ts
    ward.feed.gate.release()
    assert hanging.wait(60.0)
    began = time.monotonic()
    ward.system.kill("a model hangs", "ann")
    took = time.monotonic() - began
    assert resting(ward) == []
    assert took < 1.0
    going_on.set()
    ward.until(lambda: ward.system.pipeline.ts > before)
    ward.go(2)
    assert ward.entries(after=mark) == []
    folder = ward.system.settings.data_dir
    monkeypatch.setattr(ward.system, "_last_words", lambda: None)  # as after a kill: no snapshot
    ward.system.stop()
    with Ward(folder, models) as again:
        assert again.system.council.policy.mode == Mode.FROZEN
        assert again.system.differing == 0


def test_where_a_step_hangs_the_note_of_a_halt_is_left_at_once(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_an_entry(ward)
    accounts, going_on, hanging = ward.system.pipeline.accounts, threading.Event(), threading.Event()
    step = accounts.step

    def slow(*arguments: Any) -> Any:
        hanging.set()
        going_on.wait(60.0)
        return step(*arguments)

    monkeypatch.setattr(accounts, "step", slow)
    ward.feed.gate.release()
    assert hanging.wait(60.0)
    halting = threading.Thread(target=ward.system.kill, args=("it hangs", "ann"))
    halting.start()
    try:
        ward.until(lambda: path_of(ward.system.settings.data_dir).exists(), 1.0)
    finally:
        going_on.set()
        halting.join(60.0)
    assert ward.system.council.policy.mode == Mode.FROZEN
    assert resting(ward) == []
    ward.system._run(lambda: None)
    ward.go(2)
    assert len(ward.events("council.commanded")) == 1


def test_a_note_that_cannot_be_written_is_told_and_left_later(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ward.go(2)

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(governing, "write_note", full)
    ward.system.kill("smoke", "ann")
    assert ward.system.council.policy.mode == Mode.FROZEN
    assert "its note cannot be written: No space left" in ward.system.ready()["engine"]
    assert any(
        "in memory only" in said.getMessage() for said in caplog.records if said.levelname == "CRITICAL"
    )
    monkeypatch.undo()
    ward.until(lambda: path_of(ward.system.settings.data_dir).exists())
    ward.until(lambda: ward.system.ready()["engine"] == "")
    monkeypatch.setattr(governing, "write_note", full)
    ward.system.troubles["engine"] = "a step failed"
    ward.system._killed = ""
    with pytest.raises(OutputProblem, match="No space left"):
        ward.system.kill("neither", "ann")
    del ward.system.troubles["engine"]


@pytest.mark.promise("001", "a journal that does not take what is concluded freezes trading (F6)")
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


def test_a_journal_that_takes_nothing_freezes(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    with_an_entry(ward)
    journal, appended = ward.system.journal, ward.system.journal.append

    def away(events: Sequence[Event]) -> Any:
        raise DataProblem("the journal must answer", len(events), "wait")

    monkeypatch.setattr(journal, "append", away)
    mark = ward.head
    ward.feed.gate.release()
    ward.until(lambda: ward.system.council.policy.mode == Mode.FROZEN)
    assert resting(ward) == []
    assert ward.head == mark
    monkeypatch.setattr(journal, "append", appended)
    ward.until(lambda: "F6" in ward.rules(after=mark))
    topics = [event.topic for event in ward.events("market.step_done", "system.health_updated", after=mark)]
    assert topics[:2] == ["market.step_done", "system.health_updated"]
    journal.verify()


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


@pytest.mark.promise(
    "001", "a freeze ends only by its rule: time alone never lifts it, two reviews and 120 minutes do"
)
def test_a_freeze_ends_by_the_rule_alone_and_its_note_with_it(ward: Ward) -> None:
    ward.go(2)
    ward.system.kill("a test", "ann")
    ward.go(6)
    assert ward.system.council.policy.mode == Mode.FROZEN
    with pytest.raises(ConsiliumError):
        ward.ask("mode", mode="LIVE", duration_minutes=60, person="bob")
    ward.ask("review", what="freeze", note="looked at", person="ann")
    ward.go(3)
    assert ward.system.council.policy.mode == Mode.FROZEN
    ward.ask("review", what="freeze", note="looked at too", person="bob")
    assert ward.system.council.policy.mode == Mode.SHADOW
    ward.until(lambda: not path_of(ward.system.settings.data_dir).exists())
    ward.go(3)
    assert ward.system.council.policy.mode == Mode.LIVE
    assert ward.system.council.policy.profile == "MICRO"


@pytest.mark.promise("001", "a halt before the first close of a market lasts its 120 minutes of that market")
def test_a_halt_before_the_first_close_lasts_as_long_as_any(ward: Ward) -> None:
    ward.system.kill("before it begins", "ann")
    ward.ask("risk", max_leverage=2.0, duration_minutes=90)
    ward.ask("allocation", model="xgboost", weight=0.5)
    share = "operator/O1:allocation/allocation:xgboost"
    ward.ask("release", hold_id=share)
    ward.go()
    assert share not in ward.system.council.holds
    for person in ("ann", "bob"):
        ward.ask("review", what="freeze", note="looked at", person=person)
    ward.go()
    assert ward.system.council.policy.mode == Mode.FROZEN, "one hour of 120 minutes is over"
    assert ward.system.council.policy.max_leverage == 2.0
    ward.go()
    assert ward.system.council.policy.mode == Mode.SHADOW
    assert ward.system.council.policy.max_leverage == 10.0
    before = ward.system.state_hash()
    ward.system._stand_again()
    assert ward.system.state_hash() == before


def test_a_halt_that_meets_a_recovery_is_heard_once(
    ward: Ward, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.go(2)
    system = ward.system
    asked, there, going_on, done = (threading.Event() for _ in range(4))
    carry_out, tell_pool = system._carry_out_note, system._tell_pool

    def late(*arguments: Any, **more: Any) -> bool:
        if threading.current_thread() is halting:
            asked.set()
            going_on.wait(60.0)
        return carry_out(*arguments, **more)

    def slow() -> None:
        there.set()
        done.wait(60.0)
        tell_pool()

    monkeypatch.setattr(system, "_carry_out_note", late)
    monkeypatch.setattr(system, "_tell_pool", slow)
    halting = threading.Thread(target=system.kill, args=("smoke", "ann"))
    halting.start()
    assert asked.wait(60.0)
    system.torn = True
    assert there.wait(60.0)
    going_on.set()
    halting.join(60.0)
    done.set()
    ward.until(lambda: system.council.policy.mode == Mode.FROZEN and system.troubles == {})
    assert len(ward.events("council.commanded")) == 1
    stands = system.state_hash()
    monkeypatch.setattr(system, "_last_words", lambda: None)
    system.stop()
    with Ward(system.settings.data_dir, models) as again:
        assert again.system.state_hash() == stands


def test_without_a_council_there_is_nothing_to_halt_with(tmp_path: Path) -> None:
    with assemble(settings_of(tmp_path)) as system, pytest.raises(UsageError, match="council"):
        system.kill("no", "ann")


def tell(url: str, sequence: int, **changes: Any) -> httpx.Response:
    payload = {
        "total_equity": 10_000.0,
        "drawdown_pct": 0.11,
        "max_drawdown_pct": 0.11,
        "realized_pnl_today": 0.0,
        "exposure_pct": 0.0,
        "open_positions": 0,
        "win_rate": None,
        "sharpe_ratio": None,
        "consecutive_losses": 0,
        "winning_days": 0,
        "losing_days": 0,
    }
    body = {"source": "desk", "sequence": sequence, "ts_event": time.time_ns(), "payload": payload | changes}
    return httpx.post(
        f"{url}/api/events/portfolio.snapshot_updated", headers={"X-API-Key": KEY}, json=body, timeout=10.0
    )


@pytest.mark.promise("001", "a freeze survives kill -9 of the real service")
def test_a_freeze_survives_the_death_of_the_real_service(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "killed"
    shutil.copytree(models, folder / "models")
    with serving(folder, *FEED, **TRUE) as service:
        service.wait_for_steps(folder, 5, 120.0)
        assert service.get("/api/trading/status").json()["mode"] == "LIVE"
        assert tell(service.url, 1).status_code == 200
        assert service.get("/api/trading/status").json()["mode"] == "FROZEN"
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
    with journal_of(folder) as journal:
        mark = journal.head().offset
    settings = settings_of(folder, live={"feed": FEED[1], "speed": 50.0}, council={"start_profile": "NORMAL"})
    hashes = []
    system = assemble(settings)
    # as after another kill: no snapshot of the end
    monkeypatch.setattr(system, "_last_words", lambda: hashes.append(system.pipeline.state_hash()))
    with system:
        done = steps_in(folder)
        while steps_in(folder) < done + 20:
            assert "feed" not in system.troubles
            time.sleep(0.02)
        assert system.council.policy.mode == Mode.FROZEN
    with journal_of(folder) as journal:
        sent = journal.read(mark, 100_000, topics=["trading.order_sent"])
        assert [row for row in sent if not row.event.payload["reduce_only"]] == []  # type: ignore[index]
    # from zero as it was, all that was heard included
    again = assemble(settings)
    monkeypatch.setattr(again.feed, "steps", lambda *_: iter(()))
    monkeypatch.setattr(again.journal, "load_snapshot", lambda _: None)
    with again:
        hashes.append(again.state_hash())
        assert again.council.policy.mode == Mode.FROZEN
    assert hashes[0] == hashes[1]
