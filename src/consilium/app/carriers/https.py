"""Carries a participant's messages over HTTPS: it pulls what is meant for it, and sends signed bytes."""

import io
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from consilium.app.tls import trusting
from consilium.domain import DataProblem, InvalidValue, UsageError

OCTETS = "application/octet-stream"
MOST_ANSWER = 1 << 30
PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """What a participant should have now.

    Parameters
    ----------
    change
        Number of this answer: with it the next one waits for another.
    messages
        Encoded.
    """

    change: int
    messages: tuple[bytes, ...]


class HttpsCarrier:
    """Speaks with the coordinator of one session.

    A coordinator that is away is asked again until ``patience_s`` are over. What it refuses is an
    InvalidValue with its words.

    Parameters
    ----------
    url
        Such as ``https://desk.example:8001``.
    session
        Name of the session.
    key
        API key with the scope publish.
    ca
        PEM file of certificates to trust; those of the system if not given.
    patience_s
        How long a coordinator may be away, > 0.
    told
        Hears of waits.
    """

    def __init__(
        self,
        url: str,
        session: str,
        *,
        key: str = "",
        ca: Path | None = None,
        patience_s: float = 300.0,
        told: Callable[[str], None] | None = None,
    ) -> None:
        if not url.startswith(("https://", "http://")):
            raise UsageError(
                "--url must begin with https:// or http://", url, "give the address of the service"
            )
        if ca is not None and not ca.is_file():
            raise UsageError("--ca must be a file of certificates", ca, "correct the path")
        self.session = session
        """Its name."""
        self._at = f"/api/network/sessions/{quote(session, safe='')}"
        self._patience_s, self._told = patience_s, told
        verify: bool | str = True if ca is None else str(ca)
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"X-API-Key": key} if key else {},
            timeout=60.0,
            verify=trusting(verify),
            trust_env=False,
        )

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def about(self) -> dict[str, Any]:
        """Return what is agreed, and how the session stands."""
        found: dict[str, Any] = self._ask("GET", "").json()
        return found

    def owners(self) -> str:
        """Return the signed owner list."""
        return self._ask("GET", "/owners").text

    def register(self, registration: Mapping[str, Any]) -> int:
        """Join; return the first round that one may be chosen for."""
        return int(self._ask("POST", "/registrations", json=dict(registration)).json()["first_round"])

    def round(self) -> dict[str, Any]:
        """Return state, rounds done, and the round that is on."""
        found: dict[str, Any] = self._ask("GET", "/round").json()
        return found

    def reports(self) -> list[dict[str, Any]]:
        """Return the reports of all rounds."""
        found: list[dict[str, Any]] = self._ask("GET", "/reports").json()["reports"]
        return found

    def model(self) -> dict[str, NDArray[np.float64]]:
        """Return the model's arrays.

        Raises
        ------
        DataProblem
            Something else came.
        """
        content = self._ask("GET", "/model").content
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return {name: np.asarray(file[name], dtype=np.float64) for name in file.files}
        except (ValueError, OSError, KeyError) as error:
            raise DataProblem("a model must be an npz file", f"{error}", "ask the coordinator") from None

    def outbox(self, owner: str, *, have: int = -1, wait_s: float = 0.0) -> Outbox:
        """Return what one should have now; with ``have`` the answer waits until something changed."""
        path = f"/outbox/{quote(owner, safe='')}"
        answer = self._ask("GET", path, params={"have": have, "wait": wait_s})
        return Outbox(change=int(answer.headers["X-Change"]), messages=tuple(_parted(answer.content)))

    def send(self, message: bytes) -> None:
        """Send a signed message; it is on the coordinator's disk when this returns.

        Raises
        ------
        InvalidValue
            The coordinator refuses it.
        """
        self._ask("POST", "/messages", content=message, headers={"Content-Type": OCTETS})

    def _ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        began, pause = time.monotonic(), PAUSE_S
        while True:
            try:
                answer = self._http.request(method, self._at + path, **given)
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {error}"
                if "CERTIFICATE" in why.upper():
                    raise UsageError(
                        "the coordinator's certificate must be trusted", why, "give its authority with --ca"
                    ) from error
            else:
                if answer.status_code not in (429, 502, 503, 504):
                    return _checked(answer)
                why = _said(answer)
            if time.monotonic() - began > self._patience_s:
                raise DataProblem(
                    f"the coordinator must answer within {self._patience_s:g} s", why, "start again later"
                )
            if self._told is not None:
                self._told(f"the coordinator does not answer yet ({why})")
            time.sleep(pause)
            pause = min(2.0 * pause, LONGEST_PAUSE_S)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    said = _said(answer)
    if answer.status_code in (401, 403):
        raise UsageError("the coordinator must know the key", said, "give CONSILIUM_API_KEY or --api-key")
    if answer.status_code == 404:
        raise UsageError("the session must be there", said, "look at consilium federate sessions list")
    raise InvalidValue("the coordinator must accept what is sent", said, "see its words")


def _said(answer: httpx.Response) -> str:
    """Return why an answer is no good, in the coordinator's words."""
    try:
        return str(answer.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"


def _parted(content: bytes) -> list[bytes]:
    """Return messages, each after its length."""
    found: list[bytes] = []
    at = 0
    while at < len(content):
        if at + 4 > len(content):
            raise DataProblem("an outbox must hold whole messages", "a torn length", "ask again")
        (size,) = struct.unpack_from("<I", content, at)
        if at + 4 + size > len(content):
            raise DataProblem("an outbox must hold whole messages", "a torn message", "ask again")
        found.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    return found
