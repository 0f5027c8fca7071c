"""The REST API of seed 001, request by request as the seed has them, against the real service."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from council_http import Desk, http_desk, problem
from served import ADMIN

ISO = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z"
ROLES = {"ceo", "cio", "cro", "cfo", "researcher", "supervisor"}
Caller = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with http_desk(tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.mark.promise("001", "GET /health: status, service, version, roles_active = 6")
def test_health_says_how_many_roles_are_active(desk: Desk) -> None:
    body = desk.http.get("/health").json()
    assert body["service"] == "federation-ai"
    assert body["roles_active"] == 6
    assert {"status", "version"} <= set(body)


@pytest.mark.promise("001", "GET /api/federation/status: roles, total_decisions, last_update")
def test_the_status_has_the_fields_of_the_seed(desk: Desk) -> None:
    body = desk.get("status")
    assert body["roles"] == dict.fromkeys(ROLES, True)
    assert isinstance(body["total_decisions"], int)
    assert re.fullmatch(ISO, body["last_update"])


@pytest.mark.promise("001", "POST /api/federation/mode takes mode and reason without a duration")
def test_the_seeds_curl_for_shadow_is_carried_out(desk: Desk) -> None:
    desk.tell_the_account(1)
    desk.wait_for(lambda: desk.get("policy")["mode"] == "LIVE")
    answer = desk.post("mode", {"mode": "SHADOW", "reason": "Testing"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["mode"] == "SHADOW"
    assert desk.get("policy")["mode"] == "SHADOW"


@pytest.mark.promise("001", "POST /api/federation/mode, manual override: success, decision_id, mode")
@pytest.mark.promise("001", "operators override manually via REST with critical priority")
def test_the_mode_is_overridden_as_in_the_seed(desk: Desk) -> None:
    answer = desk.post("mode", {"mode": "PAUSED", "reason": "Manual testing", "duration_minutes": 60})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["success"], body["mode"]) == (True, "PAUSED")
    newest = desk.get("decisions", limit=10, role="operator")["decisions"][0]
    assert newest["decision_id"] == body["decision_id"]
    assert newest["decision_type"] == "MODE_CHANGE"
    assert newest["payload"] == {"mode": "PAUSED", "duration_minutes": 60}
    assert (newest["reason"], newest["priority"]) == ("Manual testing", 0)
    held = {hold["value"]: hold for hold in desk.get("holds")["holds"] if hold["owner"] == "operator"}
    assert held["PAUSED"]["key"] == "mode"
    assert held["PAUSED"]["expires"] is not None


@pytest.mark.promise("001", "POST /api/federation/risk, manual adjustment: success, decision_id, limits")
def test_the_risk_is_adjusted_as_in_the_seed(desk: Desk) -> None:
    body = {"max_leverage": 5.0, "max_drawdown_pct": 0.05, "reason": "Emergency tightening"}
    answer = desk.post("risk", body)
    assert answer.status_code == 200
    told = answer.json()
    assert told["success"] is True
    assert told["limits"] == {"max_leverage": 5.0, "max_drawdown_pct": 0.05}
    assert desk.get("decisions", type="RISK_ADJUSTMENT")["decisions"][0]["decision_id"] == told["decision_id"]
    policy = desk.get("policy")
    assert (policy["max_leverage"], policy["max_drawdown_pct"]) == (5.0, 0.05)
    assert policy["max_position_size_usd"] == 10_000.0


@pytest.mark.promise("001", "GET /api/federation/decisions?limit=10: total and decisions")
def test_decisions_are_listed_with_the_fields_of_the_seed_newest_first(desk: Desk) -> None:
    body = desk.get("decisions", limit=10)
    assert body["total"] == len(body["decisions"]) >= 2
    for decision in body["decisions"]:
        assert {
            "decision_id",
            "decision_type",
            "role_source",
            "priority",
            "timestamp",
            "reason",
            "payload",
        } <= set(decision)
        assert re.fullmatch(ISO, decision["timestamp"])
    places = [decision["offset"] for decision in body["decisions"]]
    assert places == sorted(places, reverse=True)


def test_pages_of_decisions_join_without_a_gap(desk: Desk) -> None:
    whole = [d["decision_id"] for d in desk.get("decisions", limit=100)["decisions"]]
    joined: list[str] = []
    params: dict[str, Any] = {"limit": 1}
    while True:
        page = desk.get("decisions", **params)
        joined += [d["decision_id"] for d in page["decisions"]]
        if page["next"] is None:
            break
        params["before"] = page["next"]
    assert joined[-len(whole) :] == whole


@pytest.mark.promise("001", "POST /api/federation/roles/{role}/disable and enable: success, role, status")
def test_a_role_is_disabled_and_enabled_as_in_the_seed(desk: Desk) -> None:
    answer = desk.post("roles/researcher/disable", who=ADMIN)
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in ("success", "role", "status")} == {
        "success": True,
        "role": "researcher",
        "status": "disabled",
    }
    assert desk.get("status")["roles"]["researcher"] is False
    desk.wait_for(lambda: desk.http.get("/health").json()["roles_active"] == 5)
    answer = desk.post("roles/researcher/enable", who=ADMIN)
    assert (answer.status_code, answer.json()["status"]) == (200, "enabled")
    assert desk.get("status")["roles"]["researcher"] is True


@pytest.mark.promise("001", "the supervisor role cannot be disabled")
@pytest.mark.parametrize("role", ["supervisor", "cro"])
def test_supervisor_and_risk_officer_cannot_be_disabled(desk: Desk, role: str) -> None:
    assert "must stay enabled" in problem(desk.post(f"roles/{role}/disable", who=ADMIN), 409)
    assert desk.get("status")["roles"][role] is True


def test_a_disabled_role_keeps_its_holds(desk: Desk) -> None:
    def held() -> list[str]:
        return [hold["hold_id"] for hold in desk.get("holds")["holds"] if hold["owner"] == "ceo"]

    before = held()
    assert before  # a fresh desk begins in MICRO, which the chief executive holds
    assert desk.post("roles/ceo/disable", who=ADMIN).status_code == 200
    assert held() == before
    assert desk.get("policy")["profile"] == "MICRO"
    assert desk.post("roles/ceo/enable", who=ADMIN).status_code == 200


def test_a_role_that_there_is_not_is_told_with_those_that_there_are(desk: Desk) -> None:
    for word in ("enable", "disable"):
        assert "did you mean 'researcher'" in problem(desk.post(f"roles/resercher/{word}", who=ADMIN), 404)


GOOD: dict[str, Any] = {"max_leverage": 5.0, "reason": "x"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("risk", GOOD | {"max_leverage": 0}),
        ("risk", GOOD | {"max_leverage": -1.0}),
        ("risk", GOOD | {"max_leverage": 10.5}),
        ("risk", GOOD | {"max_leverage": "5"}),
        ("risk", GOOD | {"max_leverage": True}),
        ("risk", GOOD | {"max_drawdown_pct": -0.05}),
        ("risk", GOOD | {"max_drawdown_pct": 0.0}),
        ("risk", GOOD | {"max_drawdown_pct": 0.081}),
        ("risk", GOOD | {"max_drawdown_pct": 5}),
        ("risk", GOOD | {"max_exposure_pct": 1.5}),
        ("risk", GOOD | {"max_position_size_usd": 0}),
        ("risk", GOOD | {"stop_loss_multiplier": 0}),
        ("risk", GOOD | {"max_leverge": 5.0}),
        ("risk", {"reason": "no limit at all"}),
        ("risk", {"max_leverage": 5.0}),
        ("risk", GOOD | {"reason": ""}),
        ("risk", GOOD | {"reason": "two\nlines"}),
        ("risk", GOOD | {"duration_minutes": 0}),
        ("risk", GOOD | {"duration_minutes": 1_441}),
        ("risk", GOOD | {"duration_minutes": 1.5}),
        ("mode", {"mode": "HALTED", "reason": "x"}),
        ("mode", {"mode": "FROZEN", "reason": "only by freeze"}),
        ("mode", {"mode": "paused", "reason": "x"}),
        ("mode", {"mode": None, "reason": "x"}),
        ("mode", []),
        ("profile", {"profile": "HUGE", "reason": "x"}),
        ("universe", {"symbols": [], "reason": "x"}),
        ("universe", {"symbols": ["A", "A"], "reason": "x"}),
        ("allocation", {"model": "xgboost", "weight": 1.5, "reason": "x"}),
        ("freeze/review", {"what": "nothing", "reason": "x"}),
    ],
)
def test_a_bad_body_is_refused_and_changes_nothing(desk: Desk, path: str, body: Any) -> None:
    before = desk.get("policy"), desk.get("holds")
    problem(desk.post(path, body), 422)
    assert (desk.get("policy"), desk.get("holds")) == before


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"mode": "PAUSED", "reason": ""}, "body.reason: must be one line that begins with no space; got ''"),
        ([1], 'body: must be an object; got a list: send {"name": value, ...}'),
        ("PAUSED", "body: must be an object; got 'PAUSED': send {\"name\": value, ...}"),
    ],
)
def test_a_refusal_is_told_in_words_with_its_cure(desk: Desk, body: Any, told: str) -> None:
    assert problem(desk.post("mode", body), 422).startswith(told)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1e400"])
def test_a_number_that_is_none_is_refused(desk: Desk, number: str) -> None:
    before = desk.get("policy")
    text = f'{{"max_leverage": {number}, "reason": "x"}}'
    headers = desk.ann | {"Content-Type": "application/json"}
    answer = desk.http.post("/api/federation/risk", headers=headers, content=text)
    assert number not in problem(answer, 422)
    assert desk.get("policy") == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("mode", {"mode": "PAUSED", "reason": "x"}),
        ("risk", GOOD),
        ("profile", {"profile": "LOW", "reason": "x"}),
        ("universe", {"symbols": ["A"], "reason": "x"}),
        ("allocation", {"model": "xgboost", "weight": 0.5, "reason": "x"}),
        ("freeze", {"reason": "x"}),
        ("freeze/review", {"what": "freeze", "reason": "x"}),
        ("approvals/a1", {"reason": "x"}),
        ("holds/operator/O1:mode=PAUSED/mode/release", {"reason": "x"}),
        ("sources/backend/retire", {"reason": "x"}),
        ("alerts/a1/acknowledge", None),
        ("roles/researcher/disable", None),
        ("roles/researcher/enable", None),
    ],
)
def test_a_key_without_the_scope_is_refused(desk: Desk, path: str, body: Any) -> None:
    scope = "admin" if path.startswith("roles") else "override"
    assert f"the scope {scope}" in problem(desk.post(path, body, who=desk.reader), 403)
    if path.startswith("roles"):
        problem(desk.post(path, body, who=desk.ann), 403)
    problem(desk.post(path, body, who={}), 401)


def test_a_loosening_waits_for_another_person_and_not_for_the_same(desk: Desk) -> None:
    asked = desk.post("risk", {"max_leverage": 8.0, "reason": "all is well", "duration_minutes": 60})
    assert asked.status_code == 202
    told = asked.json()
    assert told["success"] is False
    approval_id = told["approval_id"]
    assert desk.get("policy")["max_leverage"] == 5.0
    waiting = desk.get("approvals")["approvals"]
    assert approval_id in [one["approval_id"] for one in waiting]
    assert "ann twice" in problem(desk.post(f"approvals/{approval_id}", {"reason": "me again"}), 409)
    assert desk.get("policy")["max_leverage"] == 5.0
    done = desk.post(f"approvals/{approval_id}", {"reason": "agreed"}, who=desk.bob)
    assert done.status_code == 200, done.text
    assert desk.get("policy")["max_leverage"] == 10.0  # base: the hold of 5 has ended, none of 8 is needed
    assert approval_id not in [one["approval_id"] for one in desk.get("approvals")["approvals"]]
    newest = desk.get("decisions", type="RISK_ADJUSTMENT")["decisions"][0]
    assert newest["decision_id"] == done.json()["decision_id"]
    assert "asked by ann, approved by bob" in newest["reason"]
    problem(desk.post(f"approvals/{approval_id}", {"reason": "once more"}, who=desk.bob), 404)


@pytest.mark.promise("001", "an operator's weight is a hold on that allocation, a day at most")
def test_a_weight_that_is_set_at_the_ensemble_is_held_by_the_council_for_a_day(desk: Desk) -> None:
    asked = {"model_type": "cnn_lstm", "weight": 0.5}
    answer = desk.http.post("/api/ensemble/models/weight", headers=ADMIN, json=asked)
    assert answer.status_code == 200, answer.text
    (held,) = [hold for hold in desk.get("holds")["holds"] if hold["key"] == "allocation:cnn_lstm"]
    assert (held["owner"], held["value"]) == ("operator", 0.5)
    assert 0 < held["expires_at"] - held["ts_event"] <= 24 * 3600 * 10**9
    (decision,) = desk.get("decisions", type="STRATEGY_ALLOCATION")["decisions"]
    assert decision["role_source"] == "operator"
    shown = desk.http.get("/api/ensemble/status", headers=ADMIN).json()["models"]
    assert shown["cnn_lstm"]["weight"] == pytest.approx(8 * shown["tlob"]["weight"])
    too_much = desk.http.post("/api/ensemble/models/weight", headers=ADMIN, json=asked | {"weight": 1.5})
    assert "weight must lie in [0, 1]" in problem(too_much, 409)
    stranger = asked | {"model_type": "xgbost"}
    problem(desk.http.post("/api/ensemble/models/weight", headers=ADMIN, json=stranger), 404)
    problem(desk.post("allocation", {"model": "xgbost", "weight": 0.5, "reason": "x"}), 404)
    answer = desk.post("allocation", {"model": "mpd", "weight": 0.1, "reason": "x"})
    assert "allocation:mpd_transformer" in [hold["key"] for hold in desk.get("holds")["holds"]], answer.text


def test_a_decision_is_explained(desk: Desk) -> None:
    made = desk.post("risk", {"max_exposure_pct": 0.5, "reason": "to be explained"}).json()
    told = desk.get(f"explain/{made['decision_id']}")
    assert told["decision"]["reason"] == "to be explained"
    assert told["cause"]["topic"] == "council.commanded"
    assert told["cause"]["payload"]["person"] == "ann"
    assert told["in_force"] is True
    assert told["released_by"]
    problem(desk.http.get("/api/federation/explain/none", headers=desk.reader), 404)


def test_a_repeated_command_with_the_same_key_is_carried_out_once(desk: Desk) -> None:
    headers = desk.ann | {"Idempotency-Key": "once-only"}
    body = {"max_exposure_pct": 0.4, "reason": "twice sent"}
    first, again = (desk.http.post("/api/federation/risk", headers=headers, json=body) for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"


def test_what_is_not_there_is_told(desk: Desk) -> None:
    problem(desk.post("holds/operator/none/mode/release", {"reason": "x"}), 404)
    problem(desk.post("sources/nobody/retire", {"reason": "x"}), 404)
    problem(desk.post("alerts/none/acknowledge"), 404)
    assert "own holds only" in problem(desk.post("holds/ceo/P0/profile/release", {"reason": "x"}), 409)


def test_a_publisher_is_told_what_is_refused(desk: Desk) -> None:
    def say(sequence: int, status: str = "HEALTHY") -> httpx.Response:
        payload = {"system_status": status, "ess_state": "NOMINAL"}
        body = {"source": "watchdog", "sequence": sequence, "ts_event": time.time_ns(), "payload": payload}
        return desk.http.post("/api/events/system.health_updated", headers=desk.reader, json=body)

    assert say(5).json()["success"] is True
    assert "sequence must be > 5" in problem(say(4), 409)
    problem(say(6, "SPLENDID"), 422)
