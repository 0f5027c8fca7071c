"""The OpenAPI document: examples that hold, errors that are declared; and pages that name what is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from api_world import ADMIN_KEY
from consilium.app.api.description import describe
from consilium.app.api.frame import make_api
from consilium.app.api.intake import PUBLIC
from consilium.app.api.keys import KeyStore
from consilium.app.settings import Settings
from small_system import SmallSystem

jsonschema_rs = pytest.importorskip("jsonschema_rs")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("described")
    settings = Settings(data_dir=folder, api_key=SecretStr(ADMIN_KEY))
    system = SmallSystem(settings)
    return describe(make_api(system, KeyStore(folder, system.clock, ADMIN_KEY), settings))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def holds(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    whole = {**schema, "components": document["components"]}
    return bool(jsonschema_rs.is_valid(whole, value))


def test_every_answer_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for kind, content in operation["responses"]["200"]["content"].items():
            if kind == "text/plain":
                assert isinstance(content["example"], str)
                continue
            assert holds(document, content["schema"], content["example"]), path


def test_every_body_has_an_example_that_its_schema_allows(document: dict[str, Any]) -> None:
    bodies = 0
    for path, _, operation in operations(document):
        if "requestBody" not in operation:
            continue
        kinds = operation["requestBody"]["content"]
        if set(kinds) == {"application/octet-stream"}:
            # signed bytes, described in docs
            assert path.removeprefix("/api/network/sessions/{session}/") in ("messages", "updates")
            continue
        content = kinds["application/json"]
        schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
        examples = [content["example"]] if "example" in content else schema["examples"]
        assert all(holds(document, content["schema"], example) for example in examples), path
        assert schema["additionalProperties"] is False, path
        bodies += 1
    assert bodies == 24


def test_every_error_is_declared_as_a_problem(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        declared = {int(status) for status in operation["responses"]}
        assert {405, 413, 500, 503} <= declared, path
        if path not in PUBLIC:
            assert {401, 403, 429} <= declared, path
            assert operation["security"] == [{"ApiKey": []}]
        if method == "post":
            assert {404, 409, 422} <= declared, path
            assert "Idempotency-Key" in {p["name"] for p in operation["parameters"]}
        for status, response in operation["responses"].items():
            if int(status) >= 400 and (path, status) != ("/readyz", "503"):
                assert list(response["content"]) == ["application/problem+json"], (path, status)


def test_every_page_of_threats_names_tests_that_are_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) >= 20
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_the_page_of_the_api_names_every_route(document: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    for path in document["paths"]:
        last = "/" + path.split("/", 2)[-1].split("/", 1)[-1]
        short = last.rsplit("/", 1)[-1]
        assert path in page or short in page, path
