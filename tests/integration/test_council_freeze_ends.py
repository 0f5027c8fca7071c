"""A freeze ends by its rule alone: not by time, not by a kill, and not by another freeze."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from consilium.app.council.kill_switch import path_of
from consilium.app.live.assembly import assemble
from consilium.domain import ConsiliumError, Mode
from council_cases import Ward, ward
from live_cases import settings_of
from live_process import KEY, journal_of, serving, steps_in

__all__ = ["ward"]
TRUE: dict[str, Any] = {"CONSILIUM_COUNCIL__ENABLED": "true", "CONSILIUM_COUNCIL__START_PROFILE": "NORMAL"}
FEED = ("--feed", "simulate:symbols=2,bars=540,seed=5", "--speed", "20")


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


@pytest.mark.promise("001", "a halt under another freeze is a halt of its own, with its note")
def test_a_halt_under_another_freeze_is_one_of_its_own(ward: Ward) -> None:
    ward.go(2)
    first = ward.system.kill("a test", "ann")
    ward.go(6)
    path = path_of(ward.system.settings.data_dir)
    path.unlink()  # by hand: nothing tells that its freeze is over
    for person in ("ann", "bob"):
        ward.ask("review", what="freeze", note="looked at", person=person)
    assert ward.system.council.policy.mode == Mode.SHADOW
    ward.account(drawdown_pct=0.11, max_drawdown_pct=0.11)
    assert ward.system.council.policy.mode == Mode.FROZEN  # F1
    second = ward.system.kill("smoke", "bob")
    assert second != first
    assert path.exists()
    assert "supervisor/F0/mode" in ward.system.council.holds
    assert ward.system.kill("smoke", "bob") == second


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
        while steps_in(folder) < done + 8:
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
