"""A freeze over the API of seed 001: in every view, paged, logged, counted and reviewed."""

import json
import time
from collections.abc import Iterator

import pytest

from council_http import Desk, http_desk, problem


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with http_desk(tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.mark.promise("001", "emergency freeze: an immediate halt, in every view")
@pytest.mark.promise("001", 'logs: "Decision published" and "EMERGENCY FREEZE" with the decision')
@pytest.mark.promise("001", "alert, critical: trading frozen")
def test_a_freeze_shows_everywhere_pages_until_it_is_acknowledged_and_is_logged(desk: Desk) -> None:
    answer = desk.post("freeze", {"reason": "smoke in the room"})
    assert answer.status_code == 200
    decision_id = answer.json()["decision_id"]
    status = desk.get("status")
    assert (status["mode"], status["detail"]) == ("EMERGENCY", "FROZEN")
    assert status["release_at"] > status["frozen_at"]
    assert desk.get("policy")["detail"] == "FROZEN"
    assert "by the supervisor" in problem(desk.post("mode", {"mode": "LIVE", "reason": "no"}), 409)
    first, *_ = desk.heard.wait_for(1)
    assert first["json"]["severity"] == "critical"
    assert first["json"]["text"] == "smoke in the room"
    assert first["json"]["decision"]["decision_id"] == decision_id
    # It pages again, until somebody has seen it.
    pages = desk.heard.wait_for(2)
    assert [page["json"]["page"] for page in pages[:2]] == [1, 2]
    shown = next(a for a in desk.get("alerts")["alerts"] if a["kind"] == "frozen")
    assert shown["alert_id"] == first["json"]["alert_id"]
    assert desk.post(f"alerts/{shown['alert_id']}/acknowledge").status_code == 200
    desk.wait_for(lambda: desk.get("alerts")["alerts"][0]["acknowledged_by"] == "ann")
    sent = len(desk.heard.requests)
    time.sleep(1.2)  # three times as long as from one page to the next
    assert len(desk.heard.requests) <= sent + 1
    lines = [json.loads(line) for line in (desk.folder / "serve.log").read_text().splitlines() if "{" in line]
    frozen = [line for line in lines if line.get("event") == "EMERGENCY FREEZE"]
    assert [line["decision_id"] for line in frozen] == [decision_id]
    published = {line["decision_id"]: line for line in lines if line.get("event") == "Decision published"}
    assert published[decision_id]["role_source"] == "operator"
    assert published[decision_id]["payload"]["severity"] == "HIGH"


def test_a_freeze_is_reviewed_and_a_second_review_by_one_person_is_refused(desk: Desk) -> None:
    assert desk.post("freeze/review", {"reason": "stops are live"}).status_code == 200
    assert desk.get("status")["reviews"] == {"freeze": ["ann"]}
    again = desk.post("freeze/review", {"reason": "and again"})
    assert again.status_code == 409, again.text
    assert desk.post("freeze/review", {"reason": "seen"}, who=desk.bob).status_code == 200
    assert desk.get("status")["detail"] == "FROZEN"  # the dwell of 120 min is not over


def test_no_secret_of_the_alerts_is_in_the_log_or_in_the_journal(desk: Desk) -> None:
    for path in desk.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"of-the-url" not in content, path
            assert b"a-shared-secret" not in content, path


@pytest.mark.promise("001", "metrics: decisions per hour, role conflicts, override rate, freeze incidents")
def test_the_figures_of_the_seed_are_told_to_prometheus(desk: Desk) -> None:
    def told() -> str:
        return desk.http.get("/metrics", headers=desk.reader).text

    desk.wait_for(lambda: "consilium_council_freezes_total 1.0" in told())
    text = told()
    assert 'consilium_council_decisions_total{kind="FREEZE",officer="operator"} 1.0' in text
    assert 'consilium_council_mode{mode="FROZEN"} 1.0' in text
    assert 'consilium_council_profile{profile="MICRO"} 1.0' in text
    for name in ("decisions_last_hour", "conflict_ratio", "override_ratio", "halted_seconds_total"):
        assert f"consilium_council_{name} " in text
    assert 'consilium_council_pages_waiting{sender="webhook"} 0.0' in text


@pytest.mark.promise("001", "a critical freeze with a margin ratio above 50 % closes positions")
def test_the_margin_of_a_venue_closes_its_positions_in_a_critical_freeze(desk: Desk) -> None:
    assert desk.get("policy")["flatten"] is False
    desk.tell_the_account(2, drawdown_pct=0.11, max_drawdown_pct=0.11, open_positions=2, margin_ratio=0.6)
    assert desk.get("policy")["flatten"] is True
    assert desk.get("policy")["detail"] == "FROZEN"
    (held,) = [hold for hold in desk.get("holds")["holds"] if hold["rule"] == "L1"]
    assert held["reason"] == "margin ratio 60 % is above 50 % in a critical freeze"
