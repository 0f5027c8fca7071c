"""How a command asks a running service: where it is, with which key, and what its refusals mean."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.domain import ConsiliumError, UsageError

if TYPE_CHECKING:
    from consilium.app.client.waiting import Client
    from consilium.app.settings import Settings

Url = Annotated[
    str | None,
    typer.Option("--url", help="Of the service (default: host and port of the settings)."),
]
STRANGER = (401, 403)
"""Answers to somebody who may not halt."""


class NoAnswer(ConsiliumError):
    """No service answers."""


class Refused(ConsiliumError):
    """The service has answered, and not done it."""

    status = 0


class RefusedUse(Refused, UsageError):
    """It knows no such thing, or takes no such value."""


@contextmanager
def asking(url: str | None, timeout_s: float) -> Iterator["Client"]:
    """Yield a client of the service; what goes wrong is one line with the exit code that fits.

    Raises
    ------
    UsageError
        The service knows no such thing, or takes no such value (exit code 2).
    ConsiliumError
        It does not answer, or refuses as things stand (1).
    """
    import httpx

    from consilium.app.client import ApiError, Client
    from consilium.app.log import hide_text
    from consilium.app.settings import load_settings

    settings = load_settings()
    place, trusted = url or place_of(settings), settings.api.tls_ca
    verify: bool | str = True if trusted is None or not place.startswith("https") else str(trusted)
    try:
        client = Client(place, key=key_of(settings), timeout_s=timeout_s, verify=verify)
    except (OSError, ssl.SSLError, UsageError):
        if not isinstance(verify, str):
            raise
        # No usage error: a halt that cannot reach the service must still leave its note.
        raise NoAnswer("api.tls_ca must be a file of PEM certificates", trusted, "correct the path") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise _silent(error, hide_text(place)) from None
    try:
        with client:
            yield client
    except ApiError as error:
        raise _refusal(error) from None
    except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise _silent(error, hide_text(place)) from None


def _silent(error: Exception, place: str) -> NoAnswer:
    what = f"{type(error).__name__} at {place}"
    return NoAnswer("the service must answer", what, "start it, or give --url")


def place_of(settings: "Settings") -> str:
    """Return where the service of these settings answers."""
    scheme = "https" if settings.api.tls_certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - where to ask, not to listen
    return f"{scheme}://{host}:{settings.port}"


def key_of(settings: "Settings") -> str:
    """Return the key: that of CONSILIUM_API_KEY, else the one that `serve` has made in the data folder."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    try:
        return (settings.data_dir / "admin.key").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _refusal(error: Any) -> ConsiliumError:
    told = error.problem.get("detail") or "no reason"
    kind = RefusedUse if error.status in (404, 422) else Refused
    bound, _, rest = str(told).partition("; got ")
    value, _, cure = rest.rpartition(": ")
    if not value or not cure:
        bound, value, cure = "the service must take it", f"{error.status}: {told}", "correct it"
    refused = kind(bound, value, cure)
    refused.status = error.status
    return refused
