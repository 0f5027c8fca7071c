"""The frame of the API: keys, scopes, rates, sizes, and one form for every error."""

import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_world import ADMIN, ADMIN_KEY, World, problem
from consilium.app.live.views import health_body
from consilium.domain import OutcomeUnknown
from small_system import HOUR, said


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One that many tests ask and none changes."""
    with World(tmp_path_factory.mktemp("api"), writes_per_minute=0, reads_per_minute=0) as made:
        yield made


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/ui"])
def test_signs_of_life_and_the_page_need_no_key(reading: World, path: str) -> None:
    assert reading.http.get(path).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"X-API-Key": "é"}])
@pytest.mark.parametrize("path", ["/api/ensemble/status", "/metrics", "/openapi.json", "/nothing", "/"])
def test_everything_else_is_refused_without_a_good_key(
    reading: World, path: str, headers: dict[str, str]
) -> None:
    raw = {name: value.encode() for name, value in headers.items()}
    body = problem(reading.http.get(path, headers=raw), 401)  # type: ignore[arg-type]  # httpx takes bytes
    assert "consilium keys create" in body["detail"]


def test_a_key_is_taken_as_a_bearer_token_too(reading: World) -> None:
    found = reading.http.get("/api/ensemble/status", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
    assert found.status_code == 200


def test_a_scope_that_a_key_has_not_is_refused_before_the_body_is_looked_at(reading: World) -> None:
    reader = reading.key("read")
    refused = reading.http.post("/api/ensemble/strategy", headers=reader, content=b"{not json")
    assert "scope admin" in problem(refused, 403)["detail"]
    assert reading.system.journal.head().offset == 0


def test_admin_includes_every_scope(reading: World) -> None:
    assert reading.http.get("/api/ensemble/status", headers=reading.key("admin")).status_code == 200


def test_a_revoked_key_is_refused_at_once(reading: World) -> None:
    key, record = reading.keys.create("bob", ["read"])
    assert reading.http.get("/api/ensemble/status", headers={"X-API-Key": key}).status_code == 200
    reading.keys.revoke(record.key_id)
    problem(reading.http.get("/api/ensemble/status", headers={"X-API-Key": key}), 401)


def test_a_path_that_is_not_there_and_a_method_that_is_not_allowed_are_problems(reading: World) -> None:
    problem(reading.http.get("/api/nothing", headers=ADMIN), 404)
    refused = reading.http.delete("/api/ensemble/status", headers=ADMIN)
    problem(refused, 405)
    assert refused.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"model_type": "tlob", "weight": NaN}', "body"),
        (b'{"model_type": "tlob", "weight": Infinity}', "body"),
        (b'{"model_type": "tlob", "weight": 1e999}', "body"),
        (b'{"model_type": "tlob", "weight": -1}', "weight"),
        (b'{"model_type": "tlob", "weight": "0.5"}', "weight"),
        (b'{"model_type": "tlob", "weight": "NaN"}', "weight"),
        (b'{"model_type": "-Infinity", "weight": 1.0}', "model_type"),
        (b'{"model_type": "tlob", "weight": 0.5, "extra": 1}', "extra"),
        (b'{"model_type": "tlob"}', "weight"),
        (b'{"model_type": "../x", "weight": 0.5}', "model_type"),
        (b"[]", "body"),
        (b"", "body"),
        (b"{", "body"),
        (b"[" * 100_000, "body"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "body"),
        (b"\xff\xfe", "body"),
    ],
)
def test_a_bad_body_is_a_problem_that_names_the_place_and_echoes_no_non_finite_number(
    reading: World, body: bytes, told: str
) -> None:
    headers = ADMIN | {"Content-Type": "application/json"}
    found = problem(reading.http.post("/api/ensemble/models/weight", headers=headers, content=body), 422)
    assert told in found["errors"][0]["where"]
    assert not re.search(r"\b(nan|inf|infinity)\b", json.dumps(found).lower())
    assert reading.system.journal.head().offset == 0


def test_a_body_that_is_no_json_by_its_type_is_refused(reading: World) -> None:
    refused = reading.http.post(
        "/api/ensemble/strategy", headers=ADMIN | {"Content-Type": "text/plain"}, content=b"{}"
    )
    problem(refused, 415)


def test_a_body_may_not_be_larger_than_its_bound_whether_it_says_so_or_not(tmp_path: Path) -> None:
    headers = ADMIN | {"Content-Type": "application/json"}
    with World(tmp_path, body_bytes=1_024) as world:
        problem(world.http.post("/api/ensemble/strategy", headers=headers, content=b" " * 1_025), 413)
        pieces = (b" " * 100 for _ in range(100))
        problem(world.http.post("/api/ensemble/strategy", headers=headers, content=pieces), 413)


def test_more_writes_than_a_key_may_make_are_told_when_to_come_again(tmp_path: Path) -> None:
    with World(tmp_path, writes_per_minute=3, reads_per_minute=5) as world:
        for limited in (ADMIN, world.key("read", "admin")):
            for _ in range(3):
                world.http.post("/api/ensemble/strategy", headers=limited, json={"strategy": "adaptive"})
            refused = world.http.post(
                "/api/ensemble/strategy", headers=limited, json={"strategy": "majority"}
            )
            problem(refused, 429)
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        free = world.key("admin", limited=False)
        answers = [
            world.http.post("/api/ensemble/strategy", headers=free, json={"strategy": "adaptive"}).status_code
            for _ in range(8)
        ]
        assert answers == [200] * 8
        codes = [world.http.get("/api/ensemble/status", headers=ADMIN).status_code for _ in range(6)]
        assert codes == [200] * 5 + [429]


def test_an_unforeseen_failure_is_a_problem_without_internals_and_is_logged(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(symbol: str, limit: int) -> Any:
        raise RuntimeError(f"secret path /root/{symbol}/{limit}")

    world.system.candles = broken  # type: ignore[method-assign]
    refused = world.http.get("/api/market/candles?symbol=X", headers=ADMIN | {"X-Request-Id": "trace-1"})
    body = problem(refused, 500)
    assert "secret" not in refused.text
    assert body["trace_id"] == "trace-1"
    told = capsys.readouterr()
    assert "trace-1" in told.out + told.err


def test_every_answer_carries_the_security_headers(reading: World) -> None:
    for path, headers in (("/livez", {}), ("/api/ensemble/status", ADMIN), ("/nothing", {})):
        found = reading.http.get(path, headers=headers).headers
        assert found["x-content-type-options"] == "nosniff"
        assert found["x-frame-options"] == "DENY"
        assert found["content-security-policy"].startswith("default-src 'none'")
        assert found["cache-control"] == "no-store"
        assert found["referrer-policy"] == "no-referrer"


def test_a_trace_id_goes_through_to_the_journal_and_a_hostile_one_is_replaced(world: World) -> None:
    world.http.post(
        "/api/ensemble/strategy", headers=ADMIN | {"X-Request-Id": "r-77"}, json={"strategy": "adaptive"}
    )
    assert world.system.journal.read()[0].event.trace_id == "r-77"
    found = world.http.get("/livez", headers={"X-Request-Id": "a b<script>"})
    assert "script" not in found.headers["x-request-id"]


def test_a_command_is_journaled_under_the_person_of_its_key(world: World) -> None:
    key, _ = world.keys.create("carla", ["admin"])
    world.http.post(
        "/api/ensemble/strategy", headers={"X-API-Key": key}, json={"strategy": "unanimous"}
    ).raise_for_status()
    payload: Any = world.system.journal.read()[0].event.payload
    assert payload["by"] == "carla"


def test_a_repeated_post_with_the_same_key_is_carried_out_once(world: World) -> None:
    headers = ADMIN | {"Idempotency-Key": "one"}
    first = world.http.post("/api/ensemble/strategy", headers=headers, json={"strategy": "adaptive"})
    again = world.http.post("/api/ensemble/strategy", headers=headers, json={"strategy": "adaptive"})
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert world.system.journal.head().offset == 1
    other = world.http.post("/api/ensemble/strategy", headers=headers, json={"strategy": "majority"})
    problem(other, 409)
    elsewhere = world.http.post(
        "/api/ensemble/models/weight", headers=headers, json={"model_type": "tlob", "weight": 1.0}
    )
    assert elsewhere.status_code == 200


def test_a_refused_post_may_be_tried_again_under_the_same_key(world: World) -> None:
    headers = ADMIN | {"Idempotency-Key": "two"}
    problem(world.http.post("/api/ensemble/strategy", headers=headers, json={"strategy": "no"}), 422)
    done = world.http.post("/api/ensemble/strategy", headers=headers, json={"strategy": "adaptive"})
    assert done.status_code == 200


def test_a_post_whose_answer_cannot_be_kept_is_answered_and_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with World(tmp_path) as made, closing(_another(tmp_path)) as other:
        made.app.state.answers._db.execute("PRAGMA busy_timeout = 20")
        submit = made.system.submit

        def held(*asked: Any, **named: Any) -> Any:
            event = submit(*asked, **named)
            other.execute("BEGIN IMMEDIATE")  # from here on nobody else writes
            return event

        monkeypatch.setattr(made.system, "submit", held)
        first = _switch(made, "adaptive", "four")
        assert first.status_code == 200
        refused = problem(_switch(made, "majority", "five"), 503)
        assert "answers.sqlite must be writable" in refused["detail"]
        other.rollback()
        assert "look whether it took effect" in problem(_switch(made, "adaptive", "four"), 409)["detail"]
        assert made.system.journal.head().offset == 1


def test_a_post_with_an_unknown_outcome_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with World(tmp_path) as made:
        submit = made.system.submit

        def unanswered(*asked: Any, **named: Any) -> Any:
            submit(*asked, **named)
            raise OutcomeUnknown("the journal must take the command", "no answer from it", "look at /readyz")

        monkeypatch.setattr(made.system, "submit", unanswered)
        problem(_switch(made, "adaptive", "six"), 503)
        problem(_switch(made, "adaptive", "six"), 409)
        assert made.system.journal.head().offset == 1


def _another(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "answers.sqlite", isolation_level=None, check_same_thread=False)


def _switch(world: World, rule: str, key: str) -> httpx.Response:
    return world.http.post(
        "/api/ensemble/strategy", headers=ADMIN | {"Idempotency-Key": key}, json={"strategy": rule}
    )


def test_answers_survive_a_restart(tmp_path: Path) -> None:
    headers = ADMIN | {"Idempotency-Key": "three"}
    with World(tmp_path) as first:
        said_first = first.http.post("/api/ensemble/strategy", headers=headers, json={"strategy": "adaptive"})
    with World(tmp_path) as second:
        again = second.http.post("/api/ensemble/strategy", headers=headers, json={"strategy": "adaptive"})
    assert again.content == said_first.content
    assert second.system.journal.head().offset == 0


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"])
def test_an_idempotency_key_has_bounds(reading: World, key: str) -> None:
    refused = reading.http.post(
        "/api/ensemble/strategy", headers=ADMIN | {"Idempotency-Key": key}, json={"strategy": "adaptive"}
    )
    problem(refused, 422)


def test_a_check_that_is_in_order_reads_ok_in_readyz_and_in_health() -> None:
    body = health_body({"journal": "", "bus": "warn: x"}, coverage="none", feed={}, federation={})
    assert body["checks"] == {"journal": "ok", "bus": "warn: x"}
    assert body["status"] == "degraded"


def test_broken_json_is_told_where_it_breaks_and_what_to_send(world: World) -> None:
    answer = world.http.post(
        "/api/ensemble/strategy",
        content=b'{"strategy": }',
        headers={"X-API-Key": ADMIN_KEY, "Content-Type": "application/json"},
    )
    told = "body: must be JSON of finite numbers; got something else at byte 13: send a whole object"
    assert problem(answer, 422)["detail"] == told


def test_the_description_says_which_number_is_which_direction(reading: World) -> None:
    schemas = reading.http.get("/openapi.json", headers=ADMIN).json()["components"]["schemas"]
    assert (
        schemas["ConsensusRow"]["properties"]["direction"]["description"] == "0 is DOWN, 1 is FLAT, 2 is UP."
    )


def test_readyz_tells_warnings_and_says_503_when_a_part_is_broken(world: World) -> None:
    body = world.http.get("/readyz").json()
    assert body["status"] == "ready"
    assert body["warnings"] == ["feed: none is configured"]
    world.system.problems["journal"] = "the disk is full"
    world.app.state.ready._made = -10.0
    refused = world.http.get("/readyz")
    assert refused.status_code == 503
    assert refused.json()["checks"]["journal"] == "the disk is full"


def test_readyz_answers_while_every_thread_of_the_routes_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, waiting = threading.Event(), threading.Semaphore(0)
    with World(tmp_path, writes_per_minute=0) as made:
        submit = made.system.submit

        def held(*asked: Any, **named: Any) -> Any:
            waiting.release()
            assert gate.wait(30.0)
            return submit(*asked, **named)

        monkeypatch.setattr(made.system, "submit", held)
        with ThreadPoolExecutor(41) as callers:
            try:
                asked = [callers.submit(_switch, made, "adaptive", f"k{n}") for n in range(41)]
                assert all(waiting.acquire(timeout=20.0) for _ in range(40))
                for path in ("/readyz", "/health"):
                    assert made.http.get(path, timeout=10.0).status_code == 200
            finally:
                gate.set()
            assert {each.result().status_code for each in asked} == {200}


def test_readyz_warns_of_keys_that_cannot_be_read(world: World) -> None:
    (world.settings.data_dir / "keys.json").write_text("{")
    world.keys._look(force=True)
    world.app.state.ready._made = -10.0
    answer = world.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["warnings"][-1].startswith("keys: keys.json must be a whole file of keys")


def test_metrics_count_requests_by_route_and_never_by_path(world: World) -> None:
    for path in ("/livez", "/api/secret-path-1", "/api/market/candles?symbol=BTC"):
        world.http.get(path, headers=ADMIN)
    text = world.http.get("/metrics", headers=ADMIN).text
    assert 'consilium_api_requests_total{method="GET",route="/livez",status="200"} 1.0' in text
    assert "secret-path" not in text
    assert 'consilium_ready{part="journal"} 1.0' in text


def test_pages_go_on_after_the_last_row_until_there_is_none(world: World) -> None:
    for step in range(5):
        for model in ("cnn_lstm", "mpd_transformer", "tlob"):
            world.system.hear(said(model, step * HOUR, (0.1, 0.2, 0.7)))
    found, after = [], 0
    while True:
        page = world.http.get(f"/api/consensus?limit=2&after={after}", headers=ADMIN).json()
        found += page["items"]
        if page["next"] is None:
            break
        after = page["next"]
    assert [row["ts_event"] for row in found] == [step * HOUR for step in range(5)]
    newest = world.http.get("/api/events/history?before=9007199254740991&limit=3", headers=ADMIN).json()
    assert [row["offset"] for row in newest["items"]] == [5, 4, 3]
    older = world.http.get(f"/api/events/history?before={newest['next']}&limit=3", headers=ADMIN).json()
    assert ([row["offset"] for row in older["items"]], older["next"]) == ([2, 1], None)
    for bad in ("limit=0", "limit=1001", "after=-1", "limit=x", "after=9007199254740992"):
        problem(world.http.get(f"/api/consensus?{bad}", headers=ADMIN), 422)


def test_what_cannot_be_shown_does_no_harm_to_the_step_that_changed_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Any:
        raise RuntimeError("no status")

    world.system.engine.status = broken  # type: ignore[method-assign]
    changed = world.http.post("/api/ensemble/strategy", headers=ADMIN, json={"strategy": "adaptive"})
    assert changed.status_code == 200
    assert world.http.get("/api/ensemble/status", headers=ADMIN).status_code == 200
    told = capsys.readouterr()
    assert "no status" in told.out + told.err
