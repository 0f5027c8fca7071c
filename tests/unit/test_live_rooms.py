"""Rooms in processes of their own: steps wait, freezes hold, and what was torn follows from the journal."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest

from consilium.app.council.kill_switch import note_of, write_note
from consilium.app.live import worker_assembly
from consilium.app.live.candle_log import CandleLog, CandleReader, digest_of
from consilium.app.live.records import STEP_DECIDED
from consilium.app.live.room_worker import RoomWorker
from consilium.app.live.trading_room import TradingRoom
from consilium.bus.codec import envelope
from consilium.bus.journal import Journal, open_journal
from consilium.bus.transport import MemoryTransport
from consilium.domain import Candle, DataProblem, Event, OutputProblem, Prediction, UsageError
from live_room_cases import HOUR, SETTINGS, Clock, step, until

ALONE = SETTINGS.model_copy(update={"council": SETTINGS.council.model_copy(update={"enabled": False})})
"""A desk without a council."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = open_journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()


def candles(close: int) -> list[Candle]:
    return [
        Candle(
            symbol="S1", venue="v", interval_ns=HOUR, ts_open=(close - 1) * HOUR, ts_close=close * HOUR,
            open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0,
        )
    ]  # fmt: skip


def decided(close: int) -> Event:
    return step(close * HOUR, digest_of(candles(close)), STEP_DECIDED)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[CandleLog]:
    log = CandleLog(tmp_path / "candles")
    log.begin({"feed": "x", "interval_ns": HOUR, "symbols": ["S1"], "bars_per_day": {"S1": 24.0}}, candles(1))
    yield log
    log.close()


def heard(close: int) -> Event:
    prediction = Prediction(
        model="xgboost", symbol="S1", ts_event=close * HOUR, horizon_ns=HOUR, label_id="l",
        probabilities=(0.1, 0.1, 0.8),
    )  # fmt: skip
    return envelope(prediction, stream="S1", ts_recorded=1, trace_id=f"step-{close}")


def trading(kept: CandleLog) -> TradingRoom:
    return TradingRoom(ALONE, CandleReader(kept.folder), Clock())


def test_a_step_whose_candles_are_not_there_yet_loses_nothing(kept: CandleLog) -> None:
    room = trading(kept)
    room.handle(heard(2))
    before = room.state()
    with pytest.raises(DataProblem, match="must be in"):
        room.handle(decided(2))
    assert not room.torn
    assert room.state() == before
    kept.keep(2 * HOUR, candles(2))
    assert [event.topic for event in room.handle(decided(2))] == ["portfolio.snapshot_updated"]
    assert room.state()["heard"] == []


@pytest.mark.promise("001", "no order of a close is made before the council's word on the last one")
def test_a_governed_step_waits_for_the_word_on_the_last_one(kept: CandleLog) -> None:
    room = TradingRoom(SETTINGS, CandleReader(kept.folder), Clock())
    for close in (2, 3, 4):
        kept.keep(close * HOUR, candles(close))
    first = room.handle(decided(2))
    assert [event.topic for event in first] == ["portfolio.snapshot_updated", "trading.step_traded"]
    assert (room.handle(decided(3)), room.handle(decided(4))) == ((), ())
    word = envelope({"ts_event": 2 * HOUR}, stream="council", ts_recorded=1, topic="council.step_ruled")
    again = TradingRoom(SETTINGS, CandleReader(kept.folder), Clock())
    again.restore(room.state())
    for each in (room, again):
        told = [(event.topic, event.ts_event) for event in each.handle(word)]
        assert told == [
            ("trading.step_obeyed", 2 * HOUR),
            ("portfolio.snapshot_updated", 3 * HOUR),
            ("trading.step_traded", 3 * HOUR),
        ]
    assert room.state() == again.state()
    silent = {"heard": False, "ts_event": 1}
    lost = envelope(silent, stream="account:paper", ts_recorded=1, topic="trading.council_heard")
    topics = [event.topic for event in room.handle(lost)]
    assert topics == [
        "trading.step_obeyed",  # nobody waits for a word that does not come
        "portfolio.snapshot_updated",
        "trading.step_traded",
        "trading.step_obeyed",
    ]


def halting(kept: CandleLog, journal: Journal, folder: Path, *, council: bool) -> RoomWorker:
    settings = SETTINGS.model_copy(
        update={"data_dir": folder, "council": SETTINGS.council.model_copy(update={"enabled": council})}
    )
    room = TradingRoom(settings, CandleReader(kept.folder), Clock(), journal.append)
    return RoomWorker(room, journal, MemoryTransport())


def gate_of(worker: RoomWorker) -> tuple[str, bool]:
    room = worker.room
    assert isinstance(room, TradingRoom)
    assert room._accounts is not None
    policy = room._accounts.trading.gate.policy
    return policy.mode, policy.entry


@pytest.mark.promise(
    "001", "among workers no policy is no entries: the trading worker makes none before the council speaks"
)
@pytest.mark.parametrize(("council", "gate"), [(True, ("PAUSED", False)), (False, ("LIVE", True))])
def test_a_trading_worker_fails_closed_where_a_council_is_asked_for(
    kept: CandleLog, journal: Journal, tmp_path: Path, council: bool, gate: tuple[str, bool]
) -> None:
    kept.keep(2 * HOUR, candles(2))
    journal.append([heard(2), decided(2)])
    worker = halting(kept, journal, tmp_path, council=council)
    worker.catch_up()
    assert gate_of(worker) == gate


@pytest.mark.promise("001", "a note of the kill switch freezes a trading worker, over restarts")
def test_a_note_freezes_a_trading_worker_until_it_is_removed(
    kept: CandleLog, journal: Journal, tmp_path: Path
) -> None:
    kept.keep(2 * HOUR, candles(2))
    journal.append([heard(2), decided(2)])
    worker = halting(kept, journal, tmp_path, council=False)
    worker.catch_up()
    note = write_note(tmp_path, note_of("smoke", "ann"))
    for _ in range(2):
        worker.cycle(worker.room)  # type: ignore[arg-type]
    assert gate_of(worker) == ("FROZEN", False)
    assert len(journal.read(0, 100, topics=["council.commanded"])) == 1
    kept.keep(3 * HOUR, candles(3))
    journal.append([heard(3), decided(3)])
    again = halting(kept, journal, tmp_path, council=False)
    again.catch_up()
    assert gate_of(again) == ("FROZEN", False)
    assert "frozen" in again.room.allowed.warning  # type: ignore[attr-defined]
    note.unlink()
    again.cycle(again.room)  # type: ignore[arg-type]
    assert gate_of(again) == ("LIVE", True)


def test_a_market_worker_has_no_council(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SETTINGS.model_copy(update={"data_dir": tmp_path, "redis_url": "redis://127.0.0.1:1/0"})
    assert settings.council.enabled
    made: list[Any] = []
    monkeypatch.setattr(worker_assembly, "MarketSystem", lambda parts, *_: made.append(parts))
    worker_assembly.market_worker(settings)
    (parts,) = made
    assert not parts.settings.council.enabled
    parts.journal.close()
    parts.held.close()


def test_a_desk_without_a_council_has_no_worker_for_one(tmp_path: Path) -> None:
    settings = ALONE.model_copy(update={"data_dir": tmp_path, "redis_url": "redis://127.0.0.1:1/0"})
    with pytest.raises(UsageError, match="set it to true"):
        worker_assembly.council_worker(settings)


def test_a_worker_waits_for_a_step_and_does_the_next_ones_after_it(kept: CandleLog, journal: Journal) -> None:
    stop, transport = Flag(), MemoryTransport()
    journal.append([heard(2), decided(2), decided(3)])
    worker = RoomWorker(trading(kept), journal, transport)
    thread = Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        until(lambda: "must be in" in worker.trouble)
        assert not journal.read(0, 10, topics=["portfolio.snapshot_updated", "system.handler_failed"])
        kept.keep(2 * HOUR, candles(2))
        kept.keep(3 * HOUR, candles(3))
        until(lambda: len(journal.read(0, 10, topics=["portfolio.snapshot_updated"])) == 2)
        until(lambda: worker.trouble == "")
    finally:
        stop.set()
        thread.join(10.0)
    assert not thread.is_alive()


def test_a_room_that_was_torn_is_made_anew(
    kept: CandleLog, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for close in (2, 3):
        kept.keep(close * HOUR, candles(close))
    journal.append([heard(2), decided(2), heard(3), decided(3)])
    room = trading(kept)
    monkeypatch.setattr("consilium.app.live.room_worker.FIRST_PAUSE_S", 0.01)
    once = breaking_once(room, at=3 * HOUR, monkeypatch=monkeypatch)
    RoomWorker(room, journal, MemoryTransport()).catch_up()
    assert once == ["broken"]
    sound = trading(kept)
    for row in journal.read(0, 10, topics=sound.topics):
        sound.handle(row.event)
    assert room.state() == sound.state()
    assert len(journal.read(0, 10, topics=["portfolio.snapshot_updated"])) == 2


def breaking_once(room: TradingRoom, *, at: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a step fail after it has changed the account, the first time."""
    from consilium.app.live.account import Accounts

    sound, told = Accounts.step, list[str]()

    def step(self: Accounts, ts: int, *rest: Any) -> list[Any]:
        said = sound(self, ts, *rest)
        if ts == at and not told:
            told.append("broken")
            raise MemoryError("no memory")
        return said

    monkeypatch.setattr(Accounts, "step", step)
    return told


def test_a_snapshot_is_kept_only_after_the_effects_before_it(
    kept: CandleLog, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consilium.app.live.room_worker.SNAPSHOT_EVENTS", 1)
    monkeypatch.setattr("consilium.app.live.room_worker.FIRST_PAUSE_S", 0.01)
    kept.keep(2 * HOUR, candles(2))
    journal.append([decided(2)])
    sound, failed = journal.append_once, list[bool]()

    def full(consumer: str, event_id: str, effects: Any) -> bool:
        if len(failed) < 3:
            failed.append(journal.load_snapshot("worker-trading") is None)
            raise OutputProblem("the journal must be written", "disk full", "free space")
        return sound(consumer, event_id, effects)

    monkeypatch.setattr(journal, "append_once", full)
    RoomWorker(trading(kept), journal, MemoryTransport()).catch_up()
    assert failed == [True] * 3
    assert len(journal.read(0, 10, topics=["portfolio.snapshot_updated"])) == 1
    assert journal.load_snapshot("worker-trading") is not None
