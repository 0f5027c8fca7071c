"""The client against the OpenAPI document, and against a real server."""

import ast
import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pydoc import plain, render_doc
from typing import Any, get_type_hints
from urllib.parse import unquote

import httpx
import pytest

import client_stub
from api_world import ADMIN, ADMIN_KEY, World
from consilium.app.api.description import describe
from consilium.app.api.federation import ModeRuled, RiskRuled, Waiting
from consilium.app.api.network import NewSession
from consilium.app.api.schemas import PAYLOADS
from consilium.app.client import calls, council_calls, network_calls
from consilium.app.client.call import Call
from consilium.client import ApiError, AsyncClient, Client
from small_system import HOUR, said


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("client")
    with World(folder, writes_per_minute=0, reads_per_minute=0, longest_s=0.3) as made:
        yield made


CARRIED = {
    f"/api/network/sessions/{{session}}/{last}"
    for last in ("registrations", "round", "model", "outbox/{owner}", "messages", "updates")
}

FUNCTIONS = {
    name: function
    for module in (calls, council_calls, network_calls)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
}


def filled(name: str) -> list[Call[Any]]:
    """The calls of a function, with every parameter given; one for each topic that may be published."""
    values: dict[str, Any] = {
        "model_type": "tlob",
        "enabled": True,
        "weight": 0.5,
        "strategy": "adaptive",
        "accuracy": 0.5,
        "profit_factor": 1.0,
        "architecture": "cnn_lstm",
        "symbol": "BTCUSDT",
        "epochs": 1,
        "batch_size": 1,
        "after": 0,
        "before": 9,
        "limit": 5,
        "since": 1,
        "topics": ["trading.filled"],
        "source": "backend",
        "sequence": 1,
        "ts_event": 1,
        "payload": {},
        "mode": "PAUSED",
        "profile": "LOW",
        "reason": "because",
        "duration_minutes": 60,
        "max_leverage": 5.0,
        "max_position_size_usd": 1_000.0,
        "max_drawdown_pct": 0.05,
        "max_exposure_pct": 0.5,
        "stop_loss_multiplier": 0.5,
        "symbols": ["BTCUSDT"],
        "model": "tlob",
        "what": "freeze",
        "decision_type": "FREEZE",
        "role": "cro",
        "terms": dict.fromkeys(NewSession.model_fields),
        **{name: f"{{{name}}}" for name in ("session", "approval_id", "hold_id", "alert_id", "decision_id")},
    }
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    topics = list(PAYLOADS) if "topic" in parameters else [""]
    return [
        FUNCTIONS[name](**{p: topic if p == "topic" else values[p] for p in parameters}) for topic in topics
    ]


def test_every_route_has_a_call_with_its_parameters_and_its_body(world: World) -> None:
    document = describe(world.app)
    reached = {}
    for name in FUNCTIONS:
        for call in filled(name):
            reached[call.method.lower(), unquote(call.path)] = call
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if (method, path) == ("get", "/api/events"):
                continue  # the stream is `events` of both clients
            if path in CARRIED:
                continue  # spoken by participants: `HttpsCarrier`, whose test asks that it speaks all of them
            call = reached.pop((method, path.replace("{role}", "cro").replace("{source}", "backend")))
            queries = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
            assert set(call.params) == queries, path
            assert set(call.body or {}) == _fields(document, operation), path
    assert not reached


def _fields(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    if "requestBody" not in operation:
        return set()
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return set(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]["properties"])


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_both_clients_have_a_method_for_every_call_with_its_parameters(client: type) -> None:
    for name, function in FUNCTIONS.items():
        method = inspect.signature(getattr(client, name))
        assert list(method.parameters)[1:] == list(inspect.signature(function).parameters), name
        mine = [p.default for p in method.parameters.values()][1:]
        assert mine == [p.default for p in inspect.signature(function).parameters.values()], name


def test_both_clients_do_what_they_are_asked(world: World) -> None:
    with Client(world.url, key=ADMIN_KEY) as client:
        assert client.livez().status == "ok"
        assert client.readyz().status == "ready"
        assert client.health().model_federation.status in ("active", "idle")
        assert client.choose_strategy("unanimous").success
        assert client.ensemble_status().strategy == "unanimous"
        assert {model.model_type for model in client.ensemble_models()} == {
            "cnn_lstm",
            "mpd_transformer",
            "tlob",
        }
        assert client.consensus(limit=5).next is None
        assert "consilium_api_requests_total" in client.metrics()
        payload = {"system_status": "HEALTHY", "ess_state": "NOMINAL"}
        published = [
            client.publish("system.health_updated", source="t", sequence=1, ts_event=1, payload=payload)
            for _ in range(2)
        ]
        assert published[0].event_id == published[1].event_id

    async def ask() -> str:
        async with AsyncClient(world.url, key=ADMIN_KEY) as other:
            await other.choose_strategy("majority")
            return (await other.ensemble_status()).strategy

    assert asyncio.run(ask()) == "majority"


def test_both_clients_ask_the_council_and_tell_a_loosening_from_what_holds(world: World) -> None:
    with Client(world.url, key=ADMIN_KEY) as client:
        assert client.council_status().roles["supervisor"] is True
        ruled = client.change_mode("PAUSED", "Manual testing", 60)
        assert isinstance(ruled, ModeRuled)
        assert (ruled.mode, client.decisions(1).decisions[0].decision_id) == ("PAUSED", ruled.decision_id)
        tight = client.adjust_risk("Emergency tightening", max_leverage=5.0)
        assert isinstance(tight, RiskRuled)
        assert tight.limits == {"max_leverage": 5.0}
        waits = client.adjust_risk("all is well", max_leverage=8.0)
        assert isinstance(waits, Waiting)
        assert client.approvals().approvals[0]["approval_id"] == waits.approval_id
        with pytest.raises(ApiError, match="409: a second person must agree"):
            client.approve(waits.approval_id, "me again")
        told = client.explain_decision(ruled.decision_id)
        assert (told.decision.reason, told.in_force) == ("Manual testing", True)
        (held,) = [h for h in client.holds().holds if h["value"] == "PAUSED" and h["owner"] == "operator"]
        assert isinstance(client.release_hold(held["hold_id"], "done"), Waiting)
        assert client.council_policy().max_leverage == 5.0
        assert client.disable_role("cfo").status == "disabled"
        assert client.enable_role("cfo").status == "enabled"
        with pytest.raises(ApiError, match="404: source must be one of"):
            client.retire_source("account:other", "gone")

    async def ask() -> tuple[str, str]:
        async with AsyncClient(world.url, key=ADMIN_KEY) as other:
            frozen = await other.freeze("smoke")
            await other.review("freeze", "seen")
            return frozen.decision_id, (await other.council_status()).detail

    decision_id, detail = asyncio.run(ask())
    assert detail == "FROZEN"
    with Client(world.url, key=ADMIN_KEY) as client:
        assert client.decisions(5, decision_type="FREEZE").decisions[0].decision_id == decision_id
        until = time.monotonic() + 10.0
        while not [one for one in client.alerts().alerts if one.kind == "frozen"]:
            assert time.monotonic() < until
        (alert,) = [one for one in client.alerts().alerts if one.kind == "frozen"]
        assert client.acknowledge(alert.alert_id).success


def test_a_refusal_is_an_error_that_carries_the_problem(world: World) -> None:
    with Client(world.url, key=ADMIN_KEY) as client:
        with pytest.raises(ApiError, match="did you mean 'tlob'") as caught:
            client.enable_model("tlo", True)
        assert (caught.value.status, caught.value.problem["title"]) == (404, "Not Found")
    with Client(world.url) as nobody, pytest.raises(ApiError, match="401"):
        nobody.ensemble_status()
    with Client(world.url) as nobody, pytest.raises(ApiError, match="401"):
        next(nobody.events())


def test_a_service_that_is_not_there_is_told_after_some_tries() -> None:
    with Client("http://127.0.0.1:9", key="x") as client, pytest.raises(httpx.TransportError):
        client.ensemble_status()


def test_streams_that_end_are_taken_up_again_without_a_gap_or_an_event_twice(world: World) -> None:
    head = world.system.journal.head().offset
    heard: list[int] = []

    def listen() -> None:
        with Client(world.url, key=ADMIN_KEY) as client:
            heard.extend(event.offset for event in islice(client.events(after=head), 60))

    async def listen_async() -> list[int]:
        found = []
        async with AsyncClient(world.url, key=ADMIN_KEY) as client:
            async for event in client.events(after=head):
                found.append(event.offset)
                if len(found) == 60:
                    break
        return found

    thread = threading.Thread(target=listen)
    thread.start()
    # The server ends each stream after 0.3 s; events come over 1.5 s.
    for step in range(60):
        for model in ("cnn_lstm", "mpd_transformer", "tlob"):
            world.system.hear(said(model, step * HOUR, (0.1, 0.2, 0.7)))
        threading.Event().wait(0.025)
    thread.join(20.0)
    assert heard == list(range(head + 1, head + 61))
    assert asyncio.run(listen_async()) == heard


def test_a_filter_of_topics_leaves_out_the_rest(world: World) -> None:
    head = world.system.journal.head().offset
    world.http.post("/api/ensemble/strategy", headers=ADMIN, json={"strategy": "adaptive"})
    world.http.post(
        "/api/ensemble/models/enable", headers=ADMIN, json={"model_type": "tlob", "enabled": True}
    )
    with Client(world.url, key=ADMIN_KEY) as client:
        (event,) = islice(client.events(["ensemble.model_configured"], after=head), 1)
    assert (event.topic, event.offset) == ("ensemble.model_configured", head + 2)
    assert event.payload["enabled"] is True


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_method_shows_what_its_call_says_as_one_that_was_written_in_its_class(client: type) -> None:
    for name, function in FUNCTIONS.items():
        method = getattr(client, name)
        assert method.__doc__ == function.__doc__
        answer = inspect.signature(function).return_annotation.__args__[0]
        assert inspect.signature(method).return_annotation == answer, name
        assert get_type_hints(method) == {**get_type_hints(function), "return": answer}, name
        assert inspect.iscoroutinefunction(method) == (client is AsyncClient)
        assert (method.__module__, method.__qualname__) == (client.__module__, f"{client.__name__}.{name}")
        assert method.__name__ in vars(client)
    told = plain(render_doc(client("http://127.0.0.1:9").weigh_model))
    assert "weigh_model(model_type: str, weight: float) -> consilium.app.api.answers.Done method of" in told
    assert "Set the share of a model before experience." in told


@pytest.mark.parametrize("kind", client_stub.KINDS)
def test_the_stub_of_a_client_is_what_its_calls_say(kind: str) -> None:
    kept = ast.dump(ast.parse(client_stub.place(kind).read_text()))
    assert kept == ast.dump(ast.parse(client_stub.page(kind))), "python tests/client_stub.py"


@pytest.mark.parametrize("kind", client_stub.KINDS)
def test_the_stub_of_a_client_is_what_the_document_says(kind: str, world: World) -> None:
    document = describe(world.app)
    stub = ast.parse(client_stub.place(kind).read_text()).body
    (shown,) = [node for node in stub if isinstance(node, ast.ClassDef)]
    methods = {
        node.name: node for node in shown.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert set(methods) == set(FUNCTIONS)
    for name, method in methods.items():
        assert isinstance(method, ast.AsyncFunctionDef) == (kind == "Awaits")
        operation = _operation(document, filled(name)[0])
        assert method.returns is not None
        assert set(ast.unparse(method.returns).split(" | ")) == _answers(operation), name
        given = _given(document, operation)
        for arg in (*method.args.args[1:], *method.args.kwonlyargs):
            if arg.arg in given and arg.annotation is not None:
                written = {JSON[part.partition("[")[0]] for part in ast.unparse(arg.annotation).split(" | ")}
                # None leaves a parameter out, and a list of topics is sent as one text
                written = {"string" if arg.arg == "topics" else said for said in written - {"null"}}
                assert written == _kinds(document, given[arg.arg]) - {"null"}, (name, arg.arg)


JSON = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean", "None": "null",
    "Sequence": "array", "Mapping": "object",
}  # fmt: skip


def _operation(document: dict[str, Any], call: Call[Any]) -> dict[str, Any]:
    for path, operations in document["paths"].items():
        if path.replace("{role}", "cro").replace("{source}", "backend") == unquote(call.path):
            return dict(operations[call.method.lower()])
    raise AssertionError(call.path)


def _answers(operation: dict[str, Any]) -> set[str]:
    """The models of all answers that are no problem, as they are written in Python."""
    found = set()
    for status, answer in operation["responses"].items():
        for kind, content in answer.get("content", {}).items() if status.startswith("2") else ():
            schema = content["schema"]
            many = schema.get("type") == "array"
            name = "str" if kind != "application/json" else _named(schema["items"] if many else schema)
            # of a page the document says what its items are
            name = "Page" if name.endswith("Page") else name
            found.add(f"list[{name}]" if many else name)
    return found


def _given(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    found = {p["name"]: p["schema"] for p in operation.get("parameters", ()) if p["in"] in {"query", "path"}}
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        found |= document["components"]["schemas"][_named(schema)]["properties"]
    return found


def _kinds(document: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        return _kinds(document, document["components"]["schemas"][_named(schema)])
    parts = [part for key in ("anyOf", "oneOf") for part in schema.get(key, ())]
    kinds = {kind for part in parts for kind in _kinds(document, part)}
    return kinds | ({schema["type"]} if "type" in schema else set())


def _named(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[1]
