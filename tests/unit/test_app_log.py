"""What stands in a line of the log, and what never does."""

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from consilium.app.log import configure_logging, follow, logger, traced
from consilium.app.settings import Log, Settings
from consilium.domain import OutputProblem

KEY = 'adm"in-key-of-the-environment'


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = list(root.handlers), root.level, threading.excepthook
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    threading.excepthook = hook
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def _settings(**more: Any) -> Settings:
    return Settings(
        database_url="postgresql://owner:p%40ss-of-db@db/x",
        redis_url="redis://:pass-of-redis@cache:6379/0",
        api_key=SecretStr(KEY),
        log=Log(**{"format": "json", **more}),
    )


def _lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_logger_and_trace() -> None:
    out = io.StringIO()
    configure_logging(_settings(), stream=out)
    with traced("t-1"):
        logger("consilium.live").info("step done\nforged line", symbols=3)
    logger("consilium.live").debug("unheard")
    (line,) = _lines(out)
    assert list(line)[:4] == ["time", "level", "logger", "event"]
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"], line["trace_id"]) == ("info", "consilium.live", "t-1")
    assert (line["event"], line["symbols"]) == ("step done\nforged line", 3)


def test_a_trace_is_followed_by_a_task_and_by_no_other() -> None:
    out = io.StringIO()
    configure_logging(_settings(), stream=out)

    async def request(name: str) -> None:
        follow(name)
        await asyncio.sleep(0.01)
        await asyncio.to_thread(logger("x").info, name)

    async def both() -> None:
        await asyncio.gather(request("r-1"), request("r-2"))

    asyncio.run(both())
    logger("x").info("after")
    assert {line["event"]: line.get("trace_id") for line in _lines(out)} == {
        "r-1": "r-1",
        "r-2": "r-2",
        "after": None,
    }


def test_lines_of_libraries_go_the_same_way() -> None:
    out = io.StringIO()
    configure_logging(_settings(), stream=out)
    with traced("t-2"):
        logging.getLogger("uvicorn.error").info("Started %s", "it")
        logging.getLogger("sqlalchemy.engine").info("SELECT %s", "a value")
        logging.getLogger("alembic.runtime.migration").info("Running upgrade")
    assert [(line["logger"], line["event"], line["trace_id"]) for line in _lines(out)] == [
        ("uvicorn.error", "Started it", "t-2"),
        ("alembic.runtime.migration", "Running upgrade", "t-2"),
    ]


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_in_any_line(form: str) -> None:
    out = io.StringIO()
    configure_logging(_settings(format=form), stream=out)
    own = "csl_" + "k" * 43
    log = logger("consilium")
    log.info(
        f"with {KEY} and {own}", api_key="abc1", headers={"X-API-Key": "abc2", "list": [{"token": "abc3"}]}
    )
    log.info("database", url="postgresql://owner:other-password@db/x", dsn="host=db password=abc4")
    log.info("nested", secret=["abc5"], cookie="a; abc6 and abc7", of={"own": {"password": {"x": "abc8"}}})
    log.info("sent", header="Authorization: Bearer abcdefghijk")
    logging.getLogger("redis_client").warning("AUTH pass-of-redis failed at %s", "redis://:x9x9@cache")
    try:
        word = "a-value-of-the-frame"
        int(f"login with {len(word)} p@ss-of-db")
    except ValueError:
        log.exception("failed")
    text = out.getvalue()
    secrets = (KEY, KEY.replace('"', '\\"'), own, "abc1", "abc2", "abc3", "abc4", "abcdefghijk", word)
    for secret in (
        *secrets,
        "abc5",
        "abc6",
        "abc7",
        "abc8",
        "other-password",
        "pass-of-redis",
        "x9x9",
        "p@ss-of-db",
        "p%40ss-of-db",
    ):
        assert secret not in text
    assert "ValueError" in text
    assert "@db/x" in text


def test_what_is_no_secret_is_shown() -> None:
    out = io.StringIO()
    configure_logging(_settings(), stream=out)
    logger("consilium").info("key made", key_id="a1b2", monkey="m", keys=3)
    (line,) = _lines(out)
    assert (line["key_id"], line["monkey"], line["keys"]) == ("a1b2", "m", 3)


def test_lines_for_people_cannot_be_forged() -> None:
    out = io.StringIO()
    configure_logging(_settings(format="console"), stream=out)
    logging.getLogger("x").warning("a\n2026-01-01 [error] forged \x1b[31m")
    logger("x").warning("b", value="c\nd")
    assert len(out.getvalue().splitlines()) == 2
    assert "\x1b[31m" not in out.getvalue()


def test_values_of_any_kind_are_written() -> None:
    out = io.StringIO()
    configure_logging(_settings(), stream=out)
    logger("x").info("odd", big=2**80, path=Path("a"), broken="\ud800", error=ValueError("no"))
    logger("x").info("set", of={1, 2}, nan=float("nan"))
    assert [line["event"].strip("'") for line in _lines(out)] == ["odd", "set"]


def test_a_thread_that_ends_by_an_error_is_told() -> None:
    out = io.StringIO()
    configure_logging(_settings(), stream=out)

    def fail() -> None:
        raise ValueError("of the thread")

    thread = threading.Thread(target=fail, name="worker-7")
    thread.start()
    thread.join()
    (line,) = _lines(out)
    assert (line["level"], line["thread"]) == ("error", "worker-7")
    assert "of the thread" in line["exception"]


def test_a_file_is_opened_again_after_it_was_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "consilium.log"
    configure_logging(_settings(file=path))
    logger("x").info("before")
    path.rename(tmp_path / "old.log")
    logger("x").info("after")
    assert json.loads((tmp_path / "old.log").read_text())["event"] == "before"
    assert json.loads(path.read_text())["event"] == "after"


def test_a_file_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputProblem, match=r"log\.file must be writable; got .*: correct"):
        configure_logging(_settings(file=tmp_path / "file" / "x.log"))


def test_configured_twice_a_line_is_written_once() -> None:
    out = io.StringIO()
    configure_logging(_settings(), stream=io.StringIO())
    configure_logging(_settings(level="warning"), stream=out)
    logger("x").info("unheard")
    logger("x").warning("heard")
    assert [line["event"] for line in _lines(out)] == ["heard"]
