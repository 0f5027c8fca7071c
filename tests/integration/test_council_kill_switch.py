"""The kill switch: it acts without journal and bus, at once, whatever else is going on."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from consilium.app.council.health import signals_of
from consilium.app.council.kill_switch import note_of, path_of, write_note
from consilium.app.live import governing
from consilium.app.live.assembly import assemble
from consilium.domain import DataProblem, Event, Mode, OutputProblem, UsageError
from council_cases import Ward, resting, ward, with_an_entry
from live_cases import settings_of

__all__ = ["ward"]


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


@pytest.mark.promise(
    "001", "where our own health cannot be judged it is unknown, and halts are heard all the same"
)
def test_a_look_that_fails_is_unknown_health_and_no_look_away(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.go(2)
    assert ward.system.council.policy.mode == Mode.LIVE

    def broken(_: Any) -> Any:
        raise OSError(5, "no such disk")

    monkeypatch.setattr(governing, "signals_of", broken)
    ward.until(lambda: ward.system.council.policy.mode == Mode.PAUSED)
    ward.go(2)
    assert ward.system.council.policy.mode == Mode.PAUSED
    assert ward.system.council.status()["unknown"] == ["health"]
    write_note(ward.system.settings.data_dir, note_of("smoke", "ann"))
    ward.until(lambda: ward.system.council.policy.mode == Mode.FROZEN)


def test_a_look_that_hangs_is_unknown_health_at_the_next_close(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.go(2)
    going_on = threading.Event()

    def slow(system: Any) -> Any:
        going_on.wait(60.0)
        return signals_of(system)

    monkeypatch.setattr(governing, "signals_of", slow)
    monkeypatch.setattr(governing, "UNSEEN_S", 0.3)
    time.sleep(0.5)
    ward.go(2)
    assert ward.system.council.policy.mode == Mode.PAUSED
    assert ward.system.council.status()["unknown"] == ["health"]
    going_on.set()
    ward.until(lambda: ward.system.council.policy.mode == Mode.LIVE)


def test_without_a_council_there_is_nothing_to_halt_with(tmp_path: Path) -> None:
    with assemble(settings_of(tmp_path)) as system, pytest.raises(UsageError, match="council"):
        system.kill("no", "ann")
