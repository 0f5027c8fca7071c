"""What raises an alert, when it is over, what is counted, and which page is due to whom."""

from typing import Any

import pytest

from consilium.app.council.alerts import AlertBook, halts_of, of_status, raised_by, standing_of
from consilium.app.council.delivery import Trouble, due, waiting
from consilium.app.council.tally import CONFLICT, DECISION, POLICY, Tally, is_freeze
from consilium.domain import Event
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS

NOW = 1_704_110_400 * SECOND_NS


def row(topic: str, payload: dict[str, Any], ts: int = NOW, name: str = "e") -> Event:
    return Event(
        event_id=f"{name}-{ts}", topic=topic, stream="council", ts_event=ts, ts_recorded=ts, payload=payload
    )


def decision(
    kind: str,
    payload: dict[str, Any],
    *,
    officer: str = "supervisor",
    rule: str = "F1",
    ts: int = NOW,
) -> Event:
    body = {
        "decision_id": f"d-{kind}-{rule}-{ts}",
        "decision_type": kind,
        "role_source": officer,
        "rule": rule,
        "reason": "because",
        "payload": payload,
    }
    return row(DECISION, body, ts, f"{kind}{rule}")


def policy(mode: str = "LIVE", profile: str = "NORMAL", ts: int = NOW) -> Event:
    return row(
        POLICY, {"policy": {"mode": mode, "profile": profile}, "decisions": []}, ts, f"p{mode}{profile}"
    )


def conflict(ts: int) -> Event:
    said = {"kind": "MODE_CHANGE", "winner": "supervisor", "loser": "ceo"}
    return row(CONFLICT, said, ts, "c")


class Fold:
    """Rows as the watch takes them."""

    def __init__(self) -> None:
        self.tally, self.book = Tally(), AlertBook()

    def take(self, *events: Event) -> list[str]:
        told = []
        for event in events:
            self.tally.take(event)
            if event.topic == POLICY:
                self.book.settle(self.tally.mode, self.tally.profile, self.tally, event.ts_event)
            for found in raised_by(event, self.tally):
                if self.book.fresh(found):
                    self.book.raised(found, event.ts_recorded)
                    told.append(f"{found.severity} {found.kind}")
        return told


FREEZE = {"severity": "CRITICAL", "duration_minutes": 120}


@pytest.mark.promise("001", "alert, critical: trading frozen by supervisor")
def test_a_freeze_is_critical_and_told_once_while_it_lasts() -> None:
    fold = Fold()
    assert fold.take(decision("FREEZE", FREEZE), policy("FROZEN")) == ["critical frozen"]
    assert fold.take(decision("FREEZE", FREEZE, ts=NOW + 1)) == []
    # Another reason to freeze is told beside it.
    assert fold.take(decision("FREEZE", FREEZE, rule="F2", ts=NOW + 2)) == ["critical frozen"]
    assert fold.take(policy("SHADOW", ts=NOW + HOUR_NS)) == []
    assert all(standing.over for standing in fold.book.newest())
    assert fold.take(decision("FREEZE", FREEZE, ts=NOW + 2 * HOUR_NS)) == ["critical frozen"]


def test_a_halt_that_no_decision_told_is_told_by_the_policy() -> None:
    fold = Fold()
    assert fold.take(policy("FROZEN")) == ["critical frozen"]
    assert Fold().take(policy("EMERGENCY")) == ["critical emergency"]
    assert Fold().take(policy("PAUSED"), policy("REDUCING")) == []


@pytest.mark.promise("001", "alert, high: capital profile downgraded to MICRO")
def test_a_profile_that_falls_to_micro_is_high_and_one_that_begins_there_is_none() -> None:
    micro = {"profile": "MICRO"}
    fold = Fold()
    assert fold.take(decision("CAPITAL_PROFILE", micro, officer="ceo", rule="P0")) == []
    assert fold.take(decision("CAPITAL_PROFILE", micro, officer="ceo", rule="P1", ts=NOW + 1)) == []
    assert fold.take(policy(profile="NORMAL", ts=NOW + 2)) == []
    down = decision("CAPITAL_PROFILE", micro, officer="ceo", rule="P1", ts=NOW + 3)
    assert fold.take(down, policy(profile="MICRO", ts=NOW + 3)) == ["high micro"]
    again = decision("CAPITAL_PROFILE", micro, officer="ceo", rule="P2", ts=NOW + 4)
    assert fold.take(again) == []
    # The policy may come before its decision in one transaction.
    other = Fold()
    other.take(policy(profile="NORMAL"))
    assert other.take(policy(profile="MICRO", ts=NOW + 3), down) == ["high micro"]


@pytest.mark.promise("001", "alert, medium: 5 or more role conflicts in one hour")
def test_five_conflicts_within_an_hour_are_medium_and_four_are_none() -> None:
    fold = Fold()
    assert fold.take(*(conflict(NOW + k * MINUTE_NS) for k in range(4))) == []
    assert fold.take(conflict(NOW + 60 * MINUTE_NS)) == []  # the first of them is an hour old
    assert fold.take(conflict(NOW + 60 * MINUTE_NS + 1)) == ["medium conflicts"]
    assert fold.take(conflict(NOW + 60 * MINUTE_NS + 2)) == []
    fold.book.settle("LIVE", "NORMAL", fold.tally, NOW + 3 * HOUR_NS)
    assert fold.take(*(conflict(NOW + 4 * HOUR_NS + k) for k in range(5))) == ["medium conflicts"]


@pytest.mark.promise("001", "alert, low: research task generated")
def test_a_research_task_is_low_each_time() -> None:
    task = {"task_type": "hyperparameter_tuning", "model_name": "xgboost"}
    fold = Fold()
    events = [decision("RESEARCH_TASK", task, officer="researcher", rule="Q1", ts=NOW + k) for k in range(2)]
    assert fold.take(*events) == ["low research", "low research"]
    assert fold.book.newest()[0].alert.title == "Research: hyperparameter_tuning of xgboost"


def test_models_that_all_have_no_score_are_told_until_one_has() -> None:
    def weights(ts: int, **more: bool) -> Event:
        return decision("STRATEGY_ALLOCATION", {"model_weights": {}, **more}, officer="cio", rule="C1", ts=ts)

    fold = Fold()
    assert fold.take(weights(NOW)) == []
    assert fold.take(weights(NOW + 1, alert=True), weights(NOW + 2, alert=True)) == ["medium scores"]
    fold.take(weights(NOW + 3), policy(ts=NOW + 3))
    assert not fold.book.is_open("scores")


def test_approvals_that_wait_sources_that_are_silent_and_halts_follow_from_how_things_stand() -> None:
    status = {
        "approvals": [{"approval_id": "a1", "action": "mode", "person": "ann", "reason": "x", "ts_event": 5}],
        "sources": [
            {"source": "backend", "ts_event": 1, "silent": True},
            {"source": "system", "ts_event": 9, "silent": False},
        ],
        "holds": [
            {
                "key": "mode",
                "value": "FROZEN",
                "owner": "supervisor",
                "rule": "F1",
                "reason": "x",
                "ts_event": 3,
            },
            {"key": "mode", "value": "PAUSED", "owner": "ceo", "rule": "M2", "reason": "x", "ts_event": 3},
        ],
    }
    assert [(found.kind, found.key) for found in of_status(status)] == [
        ("approval", "approval:a1"),
        ("silent", "silent:backend"),
    ]
    # The hold has the key that its decision has, so that neither is told beside the other.
    assert [(found.kind, found.key) for found in halts_of(status)] == [("frozen", "frozen:F1")]
    assert {s.alert.key for s in frozen()[0].newest() if s.alert.kind == "frozen"} == {"frozen:F1"}
    assert (of_status({}), halts_of({})) == ([], [])


def test_sources_that_are_silent_are_one_alert_and_one_that_joins_them_another() -> None:
    def silent(*names: str) -> dict[str, Any]:
        return {"sources": [{"source": name, "ts_event": n, "silent": True} for n, name in enumerate(names)]}

    (both,) = of_status(silent("a", "b"))
    assert (both.key, both.title) == ("silent:a,b", "2 sources are silent")
    assert "a, b said nothing" in both.text
    (one,) = of_status(silent("b"), ["silent:a,b"])
    assert one.key == both.key, "one that is retired leaves the alert of the others open"
    (three,) = of_status(silent("a", "b", "c"), ["silent:a,b"])
    assert three.key == "silent:a,b,c"
    assert of_status(silent("a"))[0].title == "a is silent"


def test_the_end_of_a_freeze_is_no_freeze() -> None:
    assert is_freeze({"decision_type": "FREEZE", "payload": FREEZE})
    assert not is_freeze({"decision_type": "FREEZE", "payload": {"expired": True}})
    assert not is_freeze({"decision_type": "OVERRIDE", "payload": {}})


@pytest.mark.promise("001", "metrics: decisions per hour, role conflicts, override rate, freeze incidents")
def test_decisions_conflicts_overrides_freezes_and_the_time_halted_are_counted() -> None:
    fold = Fold()
    assert fold.tally.share(0) is None
    fold.take(
        decision("FREEZE", FREEZE),
        policy("FROZEN"),
        decision("OVERRIDE", {}, rule="V1", ts=NOW + 30 * MINUTE_NS),
        conflict(NOW + 30 * MINUTE_NS),
        policy("EMERGENCY", ts=NOW + 40 * MINUTE_NS),
        policy("LIVE", ts=NOW + 50 * MINUTE_NS),
        decision("MODE_CHANGE", {"mode": "LIVE"}, officer="ceo", rule="M4", ts=NOW + 61 * MINUTE_NS),
    )
    tally = fold.tally
    assert (tally.total, tally.conflicts, tally.of_kind("OVERRIDE"), tally.freezes) == (3, 1, 1, 1)
    assert tally.decisions["FREEZE", "supervisor"] == 1
    assert tally.share(tally.conflicts) == pytest.approx(1 / 3)
    assert tally.decisions_in_the_hour() == 2  # the freeze was 61 minutes ago
    assert tally.decisions_in_the_hour(NOW + 5 * HOUR_NS) == 0
    assert tally.halted_s() == 50 * 60
    fold.take(policy("FROZEN", ts=NOW + 2 * HOUR_NS))
    assert tally.halted_s(NOW + 2 * HOUR_NS + 7 * SECOND_NS) == 50 * 60 + 7
    assert Tally.of(tally.state()).state() == tally.state()


def frozen() -> tuple[AlertBook, str]:
    fold = Fold()
    fold.take(
        decision("RESEARCH_TASK", {"task_type": "t"}, officer="researcher", rule="Q1"),
        decision("FREEZE", FREEZE),
        policy("FROZEN"),
    )
    return fold.book, next(s.alert.alert_id for s in fold.book.newest() if s.alert.kind == "frozen")


def test_the_worst_page_is_due_first_and_each_once() -> None:
    book, _ = frozen()
    pages = []
    while page := due(book, "mail", NOW, 60.0, {}, 0.0):
        pages.append((page.severity, page.number))
        book.was_sent(page.alert_id, "mail", page.number, NOW)
    assert pages == [("critical", 1), ("low", 1)]
    assert waiting(book, "mail", NOW, 60.0) == 0
    assert waiting(book, "webhook", NOW, 60.0) == 2


def test_a_halt_pages_again_until_it_is_acknowledged_or_over() -> None:
    for end in ("acknowledged", "over"):
        book, alert_id = frozen()
        for standing in book.newest():
            if standing.alert.kind == "research":
                book.was_sent(standing.alert.alert_id, "mail", 1, NOW)
        for number in (1, 2, 3):
            at = NOW + number * 60 * SECOND_NS
            page = due(book, "mail", at, 60.0, {}, 0.0)
            assert page is not None
            assert (page.alert_id, page.number) == (alert_id, number)
            assert ("reminder" in page.subject) == (number > 1)
            book.was_sent(alert_id, "mail", number, at)
            assert due(book, "mail", at + 59 * SECOND_NS, 60.0, {}, 0.0) is None
        if end == "acknowledged":
            book.acknowledged(alert_id, "ann", NOW)
            book.acknowledged(alert_id, "bob", NOW + 1)
            assert book.standing[alert_id].acknowledged_by == "ann"
        else:
            book.settle("SHADOW", "NORMAL", Tally(), NOW)
        assert due(book, "mail", NOW + DAY_NS, 60.0, {}, 0.0) is None


def test_old_news_that_are_over_are_not_sent_and_what_stands_is() -> None:
    book, alert_id = frozen()
    assert due(book, "mail", NOW + 3 * DAY_NS, 60.0, {}, 0.0) is not None
    book.settle("LIVE", "NORMAL", Tally(), NOW + 2 * HOUR_NS)
    found = due(book, "mail", NOW + 3 * DAY_NS, 60.0, {}, 0.0)
    assert found is None or found.alert_id != alert_id


def test_a_page_that_failed_waits_longer_each_time_and_holds_up_no_other() -> None:
    book, alert_id = frozen()
    trouble = Trouble()
    pauses = []
    for _ in range(12):
        trouble.fail("no", 100.0, 0.0)
        pauses.append(trouble.again_at - 100.0)
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == 300.0
    trouble.fail("no", 100.0, 1_000.0)
    assert trouble.again_at == 1_100.0
    troubles = {f"{alert_id}-1": trouble}
    page = due(book, "mail", NOW, 60.0, troubles, 101.0)
    assert page is not None
    assert page.kind == "research"
    page = due(book, "mail", NOW, 60.0, troubles, 1_101.0)
    assert page is not None
    assert page.kind == "frozen"


def test_a_book_goes_on_from_its_state() -> None:
    book, alert_id = frozen()
    book.was_sent(alert_id, "mail", 1, NOW)
    book.acknowledged(alert_id, "ann", NOW)
    again = AlertBook.of(book.state())
    assert again.state() == book.state()
    assert [standing_of(s.as_dict()) for s in again.newest()] == book.newest()
    assert again.is_open("frozen:F1")


def test_a_book_forgets_what_is_long_over_and_never_what_stands() -> None:
    fold = Fold()
    fold.take(decision("FREEZE", FREEZE), policy("FROZEN"))
    for k in range(AlertBook.KEPT + 50):
        task = decision("RESEARCH_TASK", {"task_type": "t"}, officer="researcher", rule="Q1", ts=NOW + k)
        fold.take(task)
        fold.book.settle("FROZEN", "NORMAL", fold.tally, NOW + 2 * HOUR_NS)
    assert len(fold.book.standing) == AlertBook.KEPT
    assert "frozen" in {s.alert.kind for s in fold.book.newest()}
