"""Alerts from the journal to people: in order, over failures and restarts, and never in the way of a step."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from alert_servers import http_server, mail_server
from consilium.app.bootstrap import SystemClock
from consilium.app.council import watch as watch_module
from consilium.app.council.mailing import Mail
from consilium.app.council.pages import NotSent, Page, Sender
from consilium.app.council.posting import Telegram, Webhook
from consilium.app.council.watch import LOCK, RAISED, SENT, SNAPSHOT, CouncilWatch
from consilium.bus.codec import envelope
from consilium.bus.journal import Journal, open_journal
from consilium.domain import (
    ConflictResolved,
    CouncilCommanded,
    OutputProblem,
    Policy,
    PolicyChanged,
)
from small_system import MemoryJournal

CLOCK = SystemClock()


def decision(kind: str, payload: dict[str, Any], *, officer: str = "supervisor", rule: str = "F1") -> Any:
    ts = CLOCK.now_ns()
    body = {
        "decision_id": f"d{ts}",
        "decision_type": kind,
        "role_source": officer,
        "priority": 1,
        "timestamp": "2024-01-01T12:00:00Z",
        "rule": rule,
        "reason": "Drawdown 10.2% exceeds limit",
        "payload": payload,
        "ts_event": ts,
    }
    return envelope(
        body,
        topic="ai.federation.decision_made",
        stream="council",
        ts_recorded=ts,
        ts_event=ts,
        trace_id="t-1",
    )


def told(message: Any) -> Any:
    return envelope(message, stream="council", ts_recorded=CLOCK.now_ns())


def policy(mode: str) -> Any:
    changed = PolicyChanged(policy=Policy(mode=mode), decisions=(), ts_event=CLOCK.now_ns())
    return told(changed)


def freeze() -> list[Any]:
    return [decision("FREEZE", {"severity": "CRITICAL", "duration_minutes": 120}), policy("FROZEN")]


def until(good: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def watching(journal: Any, *senders: Sender, **more: Any) -> Iterator[CouncilWatch]:
    watch = CouncilWatch(journal, CLOCK, more.pop("status", dict), senders=senders, **more)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = open_journal(f"sqlite:///{tmp_path / 'journal.sqlite'}")
    yield made
    made.close()


def rows(journal: Journal, topic: str) -> list[Any]:
    return [row.event.payload for row in journal.read(0, 1_000, topics=[topic])]


def test_all_three_senders_carry_a_freeze_over_failures_at_the_socket(journal: Journal) -> None:
    with http_server() as (url, hook), http_server() as (bot_url, bot), mail_server() as (port, box):
        hook.faults = [("reset",), ("status", 503)]
        bot.faults = [("status", 500), ("reset",)]
        box.answers = ["451 try again"]
        senders = (
            Webhook(url, now_ns=CLOCK.now_ns, timeout_s=1.0),
            Telegram(bot_url, "1:t", "7", timeout_s=1.0),
            Mail(f"smtp://127.0.0.1:{port}", ("a@x.org",), "d@x.org", timeout_s=1.0),
        )
        with watching(journal, *senders) as watch:
            journal.append(freeze())
            until(lambda: bool(watch.trouble()))
            until(lambda: bool(hook.requests and bot.requests and box.letters))
            until(lambda: len(rows(journal, SENT)) == 3)
            assert watch.trouble() == ""
            assert watch.outstanding() == {"webhook": 0, "telegram": 0, "mail": 0}
        assert (len(hook.requests), len(bot.requests), len(box.letters)) == (1, 1, 1)
    (raised,) = rows(journal, RAISED)
    assert raised["severity"] == "critical"
    assert {sent["sender"] for sent in rows(journal, SENT)} == {"webhook", "telegram", "mail"}
    assert {sent["alert_id"] for sent in rows(journal, SENT)} == {raised["alert_id"]}


def test_a_sender_that_hangs_holds_up_neither_the_others_nor_who_writes_the_journal(journal: Journal) -> None:
    class Stuck:
        name = "stuck"

        def __init__(self) -> None:
            self.entered, self.go = threading.Event(), threading.Event()

        def send(self, page: Page) -> None:  # noqa: ARG002 - the name is the port's
            self.entered.set()
            self.go.wait(30.0)

        def close(self) -> None:
            self.go.set()

    stuck = Stuck()
    with http_server() as (url, hook):
        with watching(journal, stuck, Webhook(url, now_ns=CLOCK.now_ns)):
            journal.append(freeze())
            assert stuck.entered.wait(10.0)
            begun = time.monotonic()
            journal.append([decision("FREEZE", {"severity": "HIGH"}, rule="F2")])
            assert time.monotonic() - begun < 1.0
            hook.wait_for(2)
            begun = time.monotonic()
        assert time.monotonic() - begun < 5.0  # a stop does not wait for it
        assert len(hook.requests) == 2


def test_what_was_not_sent_before_a_stop_is_sent_after_it_and_what_was_is_not_sent_again(
    journal: Journal,
) -> None:
    class Deaf:
        name = "webhook"

        def send(self, page: Page) -> None:  # noqa: ARG002 - the name is the port's
            raise NotSent("the other side must listen", "nothing", "wait")

        def close(self) -> None:
            pass

    with watching(journal, Deaf()) as watch:
        journal.append(freeze())
        until(lambda: len(rows(journal, RAISED)) == 1)
        until(lambda: "webhook: 1 pages wait" in watch.trouble())
    with http_server() as (url, hook):
        with watching(journal, Webhook(url, now_ns=CLOCK.now_ns)):
            hook.wait_for(1)
            until(lambda: len(rows(journal, SENT)) == 1)
        with watching(journal, Webhook(url, now_ns=CLOCK.now_ns)) as third:
            until(third.caught_up)
            time.sleep(0.5)
        assert len(hook.requests) == 1
    assert len(rows(journal, RAISED)) == 1


def test_without_any_snapshot_the_journal_alone_says_what_was_sent_and_acknowledged(journal: Journal) -> None:
    with http_server() as (url, hook):
        with watching(journal, Webhook(url, now_ns=CLOCK.now_ns), every_s=0.2) as watch:
            journal.append(freeze())
            hook.wait_for(2)
            (alert,) = watch.alerts()
            asked = CouncilCommanded(
                command_id="c1",
                action="acknowledge",
                payload={"alert_id": alert.alert.alert_id},
                reason="seen",
                person="ann",
                ts_event=CLOCK.now_ns(),
            )
            journal.append([told(asked)])
            until(lambda: watch.unacknowledged() == [])
        sent = len(hook.requests)
        # As after a kill: no snapshot, another process, every row anew.
        fresh = _Without(journal)
        with watching(fresh, Webhook(url, now_ns=CLOCK.now_ns), every_s=0.2) as again:
            until(again.caught_up)
            time.sleep(0.6)
            assert [s.acknowledged_by for s in again.alerts()] == ["ann"]
            assert again.tally().freezes == 1
        assert len(hook.requests) == sent
    assert len(rows(journal, RAISED)) == 1


class _Without:
    """A journal whose snapshots are gone."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def load_snapshot(self, name: str) -> None:
        assert name == SNAPSHOT

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def test_a_journal_that_fails_for_a_while_delays_rows_and_not_the_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "_HALT_PATIENCE_S", 0.5)
    monkeypatch.setattr(watch_module, "_STATUS_S", 0.2)

    class Failing(MemoryJournal):
        broken = False

        def append(self, events: Any) -> tuple[int, ...]:
            if self.broken:
                raise OutputProblem("the journal must be writable", "a full disk", "make room")
            return super().append(events)

    journal = Failing()
    halts: dict[str, Any] = {}
    with http_server() as (url, hook):
        with watching(journal, Webhook(url, now_ns=CLOCK.now_ns), status=lambda: halts) as watch:
            until(watch.caught_up)
            journal.broken = True
            # The council has halted in memory, and cannot write it down.
            hold = {"key": "mode", "value": "FROZEN", "owner": "supervisor", "rule": "F0", "reason": "fire"}
            halts.update(mode="FROZEN", holds=[hold | {"ts_event": 1}], now=CLOCK.now_ns())
            page, *_ = hook.wait_for(1)
            assert (page["json"]["kind"], page["json"]["text"]) == ("frozen", "fire")
            until(lambda: "full disk" in watch.trouble())
            journal.broken = False
            until(lambda: len(journal.read(0, 10, topics=[RAISED, SENT])) == 2)
            until(lambda: watch.trouble() == "")
        assert len(hook.requests) == 1


@pytest.mark.promise("001", 'logs: "Decision published", "Decision conflict resolved", "EMERGENCY FREEZE"')
def test_the_log_has_the_phrases_of_the_seed_with_the_fields_of_the_decision() -> None:
    journal = MemoryJournal()
    before = decision("MODE_CHANGE", {"mode": "PAUSED"})
    journal.append([before])
    time.sleep(0.01)
    conflict = ConflictResolved(
        kind="MODE_CHANGE",
        winner_id="d1",
        winner="supervisor",
        loser_id="d2",
        loser="ceo",
        payload={"mode": "LIVE"},
        reason="higher authority",
        ts_event=CLOCK.now_ns(),
    )
    with structlog.testing.capture_logs() as lines, watching(journal) as watch:
        until(watch.caught_up)
        journal.append([*freeze(), told(conflict)])
        until(lambda: watch.tally().conflicts == 1)
    said = [line for line in lines if line["event"] != "alert raised"]
    assert [(line["event"], line["log_level"]) for line in said] == [
        ("Decision published", "info"),
        ("EMERGENCY FREEZE", "critical"),
        ("Decision conflict resolved", "warning"),
    ]
    published, frozen, resolved = said
    for name in ("decision_id", "decision_type", "role_source", "priority", "reason", "payload", "rule"):
        assert published[name] == frozen[name]
    assert (published["decision_type"], published["trace_id"]) == ("FREEZE", "t-1")
    assert (resolved["winner"], resolved["loser"]) == ("supervisor", "ceo")
    assert watch.tally().total == 2  # what was there before is counted, and not told anew


def test_one_process_sends_and_another_takes_its_place_when_it_ends(journal: Journal, tmp_path: Path) -> None:
    with http_server() as (url, hook):
        first, second = (Webhook(url, now_ns=CLOCK.now_ns) for _ in range(2))
        with watching(journal, second, folder=tmp_path) as other:
            # Whichever is first to send goes on.
            until(lambda: (tmp_path / LOCK).exists())
            with watching(journal, first, folder=tmp_path) as one:
                journal.append(freeze())
                until(lambda: len(one.alerts()) == len(other.alerts()) == 1)
                hook.wait_for(1)
                until(lambda: len(rows(journal, SENT)) == 1)
                time.sleep(0.3)
                assert (one.trouble(), other.trouble()) == ("", "")
        assert len(hook.requests) == 1
        assert (tmp_path / LOCK).stat().st_mode & 0o777 == 0o600
        first, second = (Webhook(url, now_ns=CLOCK.now_ns) for _ in range(2))
        with watching(journal, first, folder=tmp_path) as one:
            until(one.caught_up)
            with watching(journal, second, folder=tmp_path) as other:
                time.sleep(0.3)
                one.stop()
                journal.append([decision("FREEZE", {"severity": "HIGH"}, rule="F2")])
                hook.wait_for(2)
                assert len(other.alerts()) == 2
    assert len(rows(journal, RAISED)) == 2


def test_many_alerts_of_many_kinds_arrive_each_once(journal: Journal) -> None:
    with http_server() as (url, hook):
        hook.faults = [("status", 500)] * 5
        with watching(journal, Webhook(url, now_ns=CLOCK.now_ns)) as watch:
            for k in range(20):
                task = {"task_type": "model_retraining", "model_name": f"m{k}"}
                journal.append([decision("RESEARCH_TASK", task, officer="researcher", rule="Q1")])
            journal.append(freeze())
            hook.wait_for(21)
            until(lambda: watch.outstanding() == {"webhook": 0})
        ids = [request["json"]["alert_id"] for request in hook.requests]
    assert len(ids) == len(set(ids)) == 21
