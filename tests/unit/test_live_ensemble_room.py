"""The ensemble in a process of its own: cycles, snapshots and changes, whatever fails meanwhile."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from threading import Thread, current_thread
from typing import Any

import pytest

from consilium.app.live.candle_log import CandleReader
from consilium.app.live.engine import EnsembleEngine, make_live_ensemble
from consilium.app.live.mirror import MirrorSystem
from consilium.app.live.records import Recorder
from consilium.app.live.room_worker import RoomWorker
from consilium.app.live.rooms import EnsembleRoom
from consilium.bus.codec import envelope
from consilium.bus.journal import Journal, open_journal
from consilium.bus.state_store import MemoryStore, Set
from consilium.bus.transport import MemoryTransport
from consilium.domain import DataProblem, Event, PoolChanged, Prediction, RuleChanged
from live_room_cases import HOUR, NOW, SETTINGS, Clock, step, until


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()


class Ensemble:
    """A worker of the ensemble over a journal."""

    def __init__(self, journal: Journal, store: MemoryStore | None = None) -> None:
        self.journal = journal
        self.between: list[Event] = []
        self.engine = EnsembleEngine(
            make_live_ensemble(SETTINGS, ["xgboost", "nhits"]),
            store,
            settings=SETTINGS,
            clock=Clock(),
            publish=self.keep,
            symbol="BTCUSDT",
            label_id="l",
            horizon_ns=HOUR,
        )
        self.room = EnsembleRoom(SETTINGS, self.engine, Clock())
        self.worker = RoomWorker(self.room, journal, MemoryTransport())

    def keep(self, messages: Any) -> None:
        """Keep what a cycle says, after what the market says in the very moment."""
        if self.between:
            self.journal.append(self.between)
        self.between = []
        self.journal.append(Recorder(ts_recorded=NOW, trace_id="cycle-1").events(messages))


def spoken(model: str, direction: str = "up", ts: int = NOW - 5 * 10**9) -> Event:
    said = (0.1, 0.1, 0.8) if direction == "up" else (0.8, 0.1, 0.1)
    prediction = Prediction(
        model=model, symbol="BTCUSDT", ts_event=ts, horizon_ns=HOUR, label_id="l", probabilities=said
    )
    return envelope(prediction, stream="BTCUSDT", ts_recorded=NOW, trace_id="step-1")


def signals(store: MemoryStore) -> None:
    for model, confidence in (("tlob", 0.9), ("patchtst", 0.8)):
        said = json.dumps({"action": "SELL", "confidence": confidence, "timestamp": NOW / 1e9 - 1})
        store.write([Set(f"quantum:model:{model}:signal", said.encode())])


def consensuses(journal: Journal) -> list[str]:
    return [row.event.event_id for row in journal.read(0, 1_000, topics=["ensemble.consensus_reached"])]


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_cycle_at_any_moment_leaves_what_the_journal_says(journal: Journal, moment: str) -> None:
    store = MemoryStore()
    live = Ensemble(journal, store)
    live.worker.catch_up()
    said = [spoken("xgboost"), spoken("nhits")]
    if moment == "before":
        journal.append(said)  # rows that the worker has not taken when its cycle comes
    elif moment == "between":
        live.between = said
    signals(store)
    live.worker.cycle(live.room)
    if moment == "after":
        journal.append(said)
    journal.append([step(NOW)])
    live.worker.catch_up()
    kept = consensuses(journal)
    assert len(kept) >= 2
    again = Ensemble(journal)
    again.worker.catch_up()
    assert again.engine.state_hash() == live.engine.state_hash()
    assert consensuses(journal) == kept


def test_a_second_cycle_says_nothing_twice(journal: Journal) -> None:
    store = MemoryStore()
    live = Ensemble(journal, store)
    signals(store)
    for _ in range(3):
        live.worker.catch_up()
        live.worker.cycle(live.room)
    assert [row.event.topic for row in journal.read(0, 100)] == [
        "ensemble.signal_received",
        "ensemble.signal_received",
        "ensemble.consensus_reached",
    ]


def test_a_snapshot_brings_the_pool_back(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consilium.app.live.room_worker.SNAPSHOT_EVENTS", 1)
    change = PoolChanged(models={"nhits": "v1"}, missing={}, label={}, means={}, ts_event=1)
    journal.append([envelope(change, stream="ensemble", ts_recorded=1)])
    Ensemble(journal).worker.catch_up()
    again = Ensemble(journal)
    again.worker.catch_up()
    assert again.engine.pure.service.loaded == {"nhits"}


def test_rows_of_other_systems_change_nothing(journal: Journal) -> None:
    rule = RuleChanged(rule="majority", by="x", ts_event=1)
    journal.append([envelope(rule, stream="outside:x", ts_recorded=1)])
    live = Ensemble(journal)
    before = live.engine.state_hash()
    live.worker.catch_up()
    assert live.engine.state_hash() == before


def test_cycles_go_on_after_one_that_failed(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    live, stop, tried = Ensemble(journal, MemoryStore()), Flag(), list[int]()
    live.worker.catch_up()
    sound = live.engine.cycle

    def cycle() -> Any:
        tried.append(1)
        if len(tried) == 1:
            raise DataProblem("the journal must be read", "server closed the connection", "start it")
        return sound()

    monkeypatch.setattr(live.engine, "cycle", cycle)
    thread = Thread(target=live.worker.beat, args=(live.room, 0.02, stop))
    thread.start()
    try:
        until(lambda: len(tried) >= 3)
    finally:
        stop.set()
        thread.join(10.0)


def test_changes_are_told_again_after_a_fault_of_the_journal(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consilium.app.live.mirror.PAUSE_S", 0.01)
    engine = Ensemble(journal).engine
    system = MirrorSystem(
        SETTINGS.model_copy(update={"data_dir": tmp_path}), Clock(), journal, MemoryTransport(), engine,
        CandleReader(tmp_path / "candles"),
    )  # fmt: skip
    told, faults, sound = list[int](), list[int](), journal.head
    warned: list[str] = []

    def head() -> Any:
        if current_thread().name != "consilium-changes":
            return sound()
        if len(told) >= 1 and len(faults) < 2:
            faults.append(1)
            raise DataProblem("the journal must be read", "server closed the connection", "start it")
        if len(faults) == 2 and not warned:
            warned.append(system.ready()["journal"])
        return sound()

    monkeypatch.setattr(journal, "head", head)
    system.on_change(lambda: told.append(1))
    system.start()
    try:
        until(lambda: len(told) >= 1)
        until(lambda: len(faults) == 2)
        until(lambda: bool(warned))
        journal.append([step(NOW)])
        until(lambda: len(told) >= 2)
        until(lambda: system.ready()["journal"] == "")
    finally:
        system.stop()
    assert "changes are not seen" in warned[0]
    assert warned[0].startswith("warn")
