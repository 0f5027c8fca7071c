"""The training desk: real trainings of a real model in a real process."""

import signal
import subprocess
import sys
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from command_line import environment
from consilium import models
from consilium.app.api.problems import status_of
from consilium.app.bootstrap import SystemClock
from consilium.app.live.assembly import assemble
from consilium.app.live.feed_choice import make_feed
from consilium.app.live.members import Shelf
from consilium.app.live.training import TrainingDesk
from consilium.app.settings import Live, Settings, Training
from consilium.bus.codec import envelope, message_of
from consilium.bus.journal import open_journal
from consilium.domain import (
    ArtefactRefused,
    OutputProblem,
    TrainingEnded,
    TrainingStarted,
    UnknownName,
    UsageError,
    missing_package,
)

FEED = "simulate:symbols=2,bars=1200,kind=garch"
LONG = "simulate:symbols=2,bars=40000,kind=garch"
"""Seconds of work, so that what ends early was ended."""
SYMBOL = "SIM00"


def settings_in(folder: Path, feed: str = FEED, **training: Any) -> Settings:
    return Settings(
        data_dir=folder,
        live=Live(feed=feed),
        training=Training(features="core14", folds=2, **training),
    )


class Journal:
    def __init__(self) -> None:
        self.messages: list[Any] = []

    def submit(self, message: Any, *, by: str, trace_id: str = "") -> None:
        self.messages.append((message, by, trace_id))


def begun(desk: TrainingDesk, model: str = "xgboost", symbol: str = SYMBOL, **more: Any) -> Any:
    asked: dict[str, Any] = {"epochs": 2, "batch_size": 32, "by": "ann", "trace_id": "t1"} | more
    return desk.start(architecture=model, symbol=symbol, **asked)


def test_a_training_is_the_real_one_stores_its_model_and_is_journaled(tmp_path: Path) -> None:
    journal = Journal()
    stored: list[str] = []
    desk = TrainingDesk(settings_in(tmp_path), SystemClock(), journal.submit, on_stored=stored.append)
    status = begun(desk, "xgb", SYMBOL)
    assert (status["is_training"], status["architecture"], status["total_epochs"]) == (True, "xgboost", 2)
    with pytest.raises(ArtefactRefused, match="one training may run at a time"):
        begun(desk)
    assert desk.wait(120.0)
    status = desk.status()
    assert status["error"] == ""
    assert (status["is_training"], status["progress_percent"]) == (False, 100.0)
    assert (tmp_path / "models" / "xgboost").is_dir()
    assert stored == ["xgboost"]
    (started, by, trace), (ended, _, _) = journal.messages
    assert isinstance(started, TrainingStarted)
    assert isinstance(ended, TrainingEnded)
    assert (by, trace, started.training_id == ended.training_id) == ("ann", "t1", True)
    assert (ended.outcome, ended.version) == ("done", "1")
    assert desk.cancel(by="ann") is False


def test_a_training_learns_nothing_of_a_replay_that_was_not_played(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    feed = make_feed(settings.live, seed=settings.training.seed, clock=time.time_ns)
    candles = [candle for candle in feed.candles() if candle.symbol == SYMBOL]
    played, known = candles[1149].ts_close, candles[1149].ts_open
    desk = TrainingDesk(settings, SystemClock(), until=lambda: played)
    begun(desk)
    assert desk.wait(120.0)
    assert desk.status()["error"] == ""
    members = Shelf(tmp_path / "models", interval_ns=0, max_age_days=0.0).load(time.time_ns())
    assert members.models["xgboost"].learned_until == known
    assert members.ahead_of(known) == ()
    assert members.ahead_of(known - 1) == ("xgboost",)


def test_a_training_before_any_bar_was_played_is_refused_in_one_line(tmp_path: Path) -> None:
    desk = TrainingDesk(settings_in(tmp_path), SystemClock(), until=lambda: -1)
    begun(desk)
    assert desk.wait(60.0)
    assert desk.status()["error"] == "a training needs bars that were played; got none: start it later"


def test_a_training_that_fails_tells_why_and_the_next_may_begin(tmp_path: Path) -> None:
    journal = Journal()
    desk = TrainingDesk(settings_in(tmp_path), SystemClock(), journal.submit)
    begun(desk, symbol="NOSUCH")
    assert desk.wait(60.0)
    assert "symbol must be one of" in str(desk.status()["error"])
    assert journal.messages[-1][0].outcome == "failed"
    assert "symbol must be one of" in journal.messages[-1][0].reason
    begun(desk, symbol="NOSUCH")
    assert desk.cancel(by="ann")


@pytest.mark.parametrize(
    ("model", "feed", "refused", "told"),
    [
        ("xgbost", FEED, UnknownName, "did you mean 'xgboost'"),
        ("tlob", FEED, ArtefactRefused, "order-book"),
        ("xgboost", "", UsageError, "no feed"),
        ("xgboost", "exchange:binance", UsageError, "consilium train"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_process_begins(
    tmp_path: Path, model: str, feed: str, refused: type[Exception], told: str
) -> None:
    desk = TrainingDesk(settings_in(tmp_path, feed), SystemClock())
    with pytest.raises(refused, match=told):
        begun(desk, model)
    assert desk.status()["is_training"] is False


@pytest.mark.parametrize(("model", "package"), [("cnn_lstm", "torch"), ("xgboost", "onnxruntime")])
def test_a_training_without_its_libraries_is_refused_before_it_is_journaled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, package: str
) -> None:
    journal = Journal()
    monkeypatch.setattr(models, "find_spec", lambda name: None if name == package else find_spec(name))
    monkeypatch.setitem(models.LIBRARIES, model, (package,))
    desk = TrainingDesk(settings_in(tmp_path), SystemClock(), journal.submit)
    cure = missing_package("it", ModuleNotFoundError(name=package)).cure
    with pytest.raises(ArtefactRefused) as refused:
        begun(desk, model)
    assert (
        str(refused.value) == f"training {model} needs the package {package}; got nothing installed: {cure}"
    )
    assert status_of(refused.value) == 409
    assert (journal.messages, desk.status()["is_training"]) == ([], False)


def test_a_cancelled_training_ends_and_is_journaled_as_cancelled(tmp_path: Path) -> None:
    journal = Journal()
    desk = TrainingDesk(settings_in(tmp_path, LONG), SystemClock(), journal.submit)
    begun(desk)
    time.sleep(2.0)
    assert desk.status()["is_training"]
    process = desk._process
    assert process is not None
    assert desk.cancel(by="bob")
    assert process.poll() is not None
    assert desk.status()["is_training"] is False
    assert desk.status()["error"] == "cancelled by bob"
    assert journal.messages[-1][0].outcome == "cancelled"


def test_a_machine_without_a_process_to_give_leaves_the_desk_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal()
    desk = TrainingDesk(settings_in(tmp_path), SystemClock(), journal.submit)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(tmp_path / "no-python"))
        with pytest.raises(OutputProblem, match="a process of its own; got No such file"):
            begun(desk)
    assert desk.status()["is_training"] is False
    assert journal.messages[-1][0].outcome == "failed"
    assert "no process could be started" in str(desk.status()["error"])
    assert desk.cancel(by="ann") is False
    assert begun(desk)["is_training"] is True
    desk.close()


def test_a_training_that_a_kill_of_the_service_cut_off_is_ended_at_the_next_start(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    begin = TrainingStarted(
        training_id="a1", model="xgboost", symbol=SYMBOL, epochs=1, batch_size=1, by="ann", ts_event=5
    )
    with closing(open_journal(settings.journal_url)) as journal:
        journal.append([envelope(begin, stream="training", ts_recorded=6, trace_id="t")])
    for _ in range(2):
        with assemble(settings) as system:
            until = time.monotonic() + 30.0
            while "engine" in system.troubles and time.monotonic() < until:
                time.sleep(0.01)
            system.state_hash()  # whatever came before it on the pipeline's thread is done
            rows = system.journal.read(topics=["training.ended"])
    (ended,) = (message_of(row.event) for row in rows)
    assert (ended.training_id, ended.model, ended.outcome) == ("a1", "xgboost", "failed")
    assert ended.reason == "the service ended before it"


def test_a_worker_that_is_killed_is_told_with_its_code(tmp_path: Path) -> None:
    desk = TrainingDesk(settings_in(tmp_path), SystemClock())
    begun(desk)
    assert desk._process is not None
    desk._process.kill()
    assert desk.wait(20.0)
    assert "ended with code -9" in str(desk.status()["error"])


PARENT = f"""
import os, sys, time
from pathlib import Path
from consilium.app.bootstrap import SystemClock
from consilium.app.live.training import TrainingDesk
from consilium.app.settings import Live, Settings
desk = TrainingDesk(Settings(data_dir=Path(sys.argv[1]), live=Live(feed="{LONG}")), SystemClock())
desk.start(architecture="xgboost", symbol="{SYMBOL}", epochs=1, batch_size=1, by="ann")
print(desk._process.pid, flush=True)
time.sleep(60)
"""


def test_a_worker_dies_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert parent.stdout is not None
    with parent:
        worker = int(parent.stdout.readline())
        time.sleep(2.0)
        assert _lives(worker)
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 2.0
    while time.monotonic() < until and _lives(worker):
        time.sleep(0.05)
    assert not _lives(worker)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[-1][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.long
@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.promise(
    "004", "training status: is_training, current_epoch, total_epochs, losses, architecture, progress"
)
def test_the_epochs_and_losses_of_a_network_are_told_as_it_learns(tmp_path: Path) -> None:
    desk = TrainingDesk(settings_in(tmp_path, stride=4), SystemClock())
    begun(desk, "cnn_lstm", SYMBOL, epochs=3, batch_size=64)
    seen: list[Any] = []
    while desk.status()["is_training"]:
        seen.append(desk.status())
        time.sleep(0.05)
    assert desk.status()["error"] == ""
    assert all(status["total_epochs"] == 3 for status in seen)
    assert max(status["current_epoch"] for status in seen) == 3
    losses = [status["current_loss"] for status in seen if status["current_loss"] is not None]
    assert losses
    assert all(0.0 < loss < 10.0 for loss in losses)
    percents = [status["progress_percent"] for status in seen]
    assert percents == sorted(percents)
    assert (tmp_path / "models" / "cnn_lstm").is_dir()
