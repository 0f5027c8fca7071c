"""What the service says of itself: one line an event, with the trace it belongs to and without secrets.

Lines of libraries that use the standard library's logging go the same way.
"""

import logging
import re
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from logging.handlers import WatchedFileHandler
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

import orjson
import structlog

from consilium.app.settings import Settings
from consilium.domain import OutputProblem

HIDDEN = "***"
SECRET_NAMES = frozenset(
    {"key", "token", "password", "passwd", "secret", "authorization", "credential", "credentials", "cookie"}
)
"""A field is secret if the last word of its name is one of these: ``api_key`` is, ``key_id`` is not."""

QUIET = ("sqlalchemy", "alembic.runtime.plugins", "httpx", "httpcore", "asyncio", "redis", "urllib3")
"""Libraries that are heard from WARNING on: below it they show values."""

_SHORTEST_SECRET = 4
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_SHAPES = (
    (re.compile(r"(?<=://)[^/\s@\"']*@"), f"{HIDDEN}@"),
    (re.compile(r"\bcsl_[A-Za-z0-9_-]{20,}"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"(?i)\b((?:[a-z]+[_-])*(?:api[_-]?key|password|passwd|secret|token|authorization))"
            r"(\\?[\"']?\s*[=:]\s*(?:b?\\?[\"'])?)(?!\*\*\*)[^\s,;&\"'\\]+"
        ),
        rf"\1\2{HIDDEN}",
    ),
)
_trace: ContextVar[str] = ContextVar("consilium_trace", default="")


@contextmanager
def traced(trace_id: str) -> Iterator[None]:
    """Let every line that is written meanwhile carry a trace id, in this task and what it starts.

    Examples
    --------
    >>> with traced("r-1"):
    ...     trace_id()
    'r-1'
    >>> trace_id()
    ''
    """
    token = _trace.set(trace_id)
    try:
        yield
    finally:
        _trace.reset(token)


def follow(trace_id: str) -> str:
    """Let every line of this task carry a trace id from now on, and return it.

    For tasks that end with what they trace: a request, a piece of work run in a context of its own.
    """
    _trace.set(trace_id)
    return trace_id


def trace_id() -> str:
    """Return the trace id that holds here, or nothing."""
    return _trace.get()


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return what writes lines under a name: ``logger("consilium.live").info("ready", port=8001)``."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return bound


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Let all lines of this process go where the section ``log`` of the settings wants them.

    Parameters
    ----------
    settings
        Level, format and file; passwords and keys in it are hidden wherever they turn up.
    stream
        Where lines go without a file; standard error if not given.

    Raises
    ------
    OutputProblem
        The file cannot be written.
    """
    told = settings.log
    out = stream or sys.stderr
    handler = logging.StreamHandler(out) if told.file is None else _file_handler(settings)
    as_json = told.format == "json" or (told.format == "auto" and not (told.file is None and out.isatty()))
    colours = told.file is None and out.isatty()
    shared = (
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_trace,
        hide_fields,
    )
    handler.setFormatter(_Formatter(shared, _secrets_of(settings), as_json=as_json, colours=colours))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    _take_root(handler, told.level.upper())


def _take_root(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, _Formatter)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_ended


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Say that a thread ended by an error that nobody caught."""
    if ended.exc_type is not SystemExit:
        name = "" if ended.thread is None else ended.thread.name
        trouble = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        logger("consilium").error("a thread ended", thread=name, exc_info=trouble)


def _file_handler(settings: Settings) -> logging.Handler:
    path = settings.log.file
    assert path is not None  # noqa: S101 - asked before
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Reopened when it was moved away, so that logrotate needs no signal.
        return WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise OutputProblem(
            "log.file must be writable", f"{path}: {error.strerror}", "correct CONSILIUM_LOG__FILE"
        ) from None


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders a line and hides at the very end what is secret, wherever in it that stands."""

    def __init__(self, shared: Any, secrets: tuple[str, ...], *, as_json: bool, colours: bool) -> None:
        final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
        if as_json:
            final += [structlog.processors.format_exc_info, _json_line]
        else:
            plain = structlog.dev.plain_traceback  # the other ones show local variables
            final += [_one_line, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
        super().__init__(processors=final, foreign_pre_chain=list(shared))
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return hide_text(super().format(record), self._secrets)


def hide_fields(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of fields whose names say that they are secret, however deep."""
    for name, value in event.items():
        if name not in {"event", "exc_info"} and not name.startswith("_"):
            event[name] = HIDDEN if is_secret_name(name) else _hidden(value)
    return event


def is_secret_name(name: str) -> bool:
    """Tell whether the name of a field says that its value is secret.

    Examples
    --------
    >>> [is_secret_name(name) for name in ("X-API-Key", "apiKey", "redis_password", "key_id", "keys")]
    [True, True, True, False, False]
    """
    words = _WORDS.findall(name)
    return bool(words) and words[-1].lower() in SECRET_NAMES


def hide_text(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Hide in a text what looks like a secret: credentials of URLs, keys of ours, ``password=...``.

    Parameters
    ----------
    secrets
        Texts that are hidden whatever they look like.

    Examples
    --------
    >>> hide_text("cannot reach redis://user:pw@host/0, password=pw1 for 'x'", ("x",))
    "cannot reach redis://***@host/0, password=*** for '***'"
    """
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if is_secret_name(str(name)) else _hidden(inner) for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hidden(inner) for inner in value]
    return value


def _secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return the secrets of the settings as they could stand in a line, longest first."""
    found = set()
    mail = settings.council.alerts.smtp_url
    for url in (settings.database_url, settings.redis_url, mail.get_secret_value() if mail else ""):
        try:
            password = urlsplit(url).password
        except ValueError:
            password = None
        found |= {password, unquote(password)} if password else set()
    alerts = settings.council.alerts
    given = (
        settings.api_key,
        alerts.webhook_url,
        alerts.webhook_secret,
        alerts.telegram_token,
        alerts.smtp_url,
    )
    found |= {secret.get_secret_value() for secret in given if secret is not None}
    found |= {orjson.dumps(secret).decode()[1:-1] for secret in found}
    return tuple(sorted((s for s in found if len(s) >= _SHORTEST_SECRET), key=len, reverse=True))


def _add_trace(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    held = _trace.get()
    if held:
        event.setdefault("trace_id", held)
    return event


def _json_line(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
    first = {name: event.pop(name) for name in ("time", "level", "logger", "event") if name in event}
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps({**first, **event}, default=str, option=options).decode()
    except (TypeError, ValueError):  # text that is not UTF-8, integers beyond 64 bits
        return orjson.dumps({name: ascii(value) for name, value in {**first, **event}.items()}).decode()


def _one_line(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep line ends and control characters of others out of the console."""
    text = str(event.get("event", ""))
    if not text.isprintable():
        event["event"] = text.encode("unicode_escape").decode()
    return event
