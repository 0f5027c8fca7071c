"""Carries a participant's messages over HTTPS: it pulls what is meant for it, and sends signed bytes."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray

from consilium.app.carriers import answers
from consilium.app.carriers.answers import Answer, Bounds
from consilium.app.tls import trusting
from consilium.domain import ConsiliumError, DataProblem, InvalidValue, UsageError
from consilium.federated.owners import MOST_BYTES as MOST_OWNERS_BYTES

OCTETS = "application/octet-stream"
PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """What a participant should have now.

    Parameters
    ----------
    change
        Number of this answer: with it the next one waits for another.
    attempt
        Round and attempt that are on; None between rounds.
    messages
        Encoded.
    """

    change: int
    attempt: tuple[int, int] | None = None
    messages: tuple[bytes, ...] = ()


class NotLetIn(ConsiliumError):
    """The coordinator knows the caller, and does not let it take part."""


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
        _require_private(url)
        if ca is not None and not ca.is_file():
            raise UsageError("--ca must be a file of certificates", ca, "correct the path")
        self.session = session
        """Its name."""
        self._at = f"/api/network/sessions/{quote(session, safe='')}"
        self._patience_s, self._told = patience_s, told
        self._bounds = Bounds()
        verify: bool | str = True if ca is None else str(ca)
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"Accept-Encoding": "identity"} | ({"X-API-Key": key} if key else {}),
            timeout=60.0,
            verify=trusting(verify),
            trust_env=False,
        )

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def expect(self, *, owners: int, dimension: int) -> None:
        """Read answers no further than so many owners and numbers of a model ask for."""
        self._bounds = Bounds(owners=owners, dimension=dimension)

    def about(self) -> dict[str, Any]:
        """Return what is agreed, and how the session stands."""
        content = self._ask("GET", "", self._bounds.plain).content
        found = answers.plain_of(content, answers.ABOUT, "a session")
        answers.require(found["coordinator"], {"name": str, "key": str}, "a coordinator")
        return found

    def owners(self) -> str:
        """Return the signed owner list."""
        return self._ask("GET", "/owners", MOST_OWNERS_BYTES).content.decode("utf-8", errors="replace")

    def register(self, registration: Mapping[str, Any]) -> int:
        """Join; return the first round that one may be chosen for."""
        answer = self._ask("POST", "/registrations", answers.MIB, json=dict(registration))
        return int(answers.plain_of(answer.content, {"first_round": int}, "an answer")["first_round"])

    def round(self) -> dict[str, Any]:
        """Return state, rounds done, and the round that is on."""
        content = self._ask("GET", "/round", self._bounds.plain).content
        found = answers.plain_of(content, answers.STANDS, "a session")
        if found["round"] is not None:
            for row in answers.require(found["round"], answers.ROUND, "a round")["members"]:
                answers.require(row, answers.MEMBER, "a member")
        return found

    def reports(self, since: int = 1) -> list[dict[str, Any]]:
        """Return the reports of the rounds from one on."""
        answer = self._ask("GET", "/reports", self._bounds.reports, params={"since": since})
        found = answers.plain_of(answer.content, {"reports": list}, "reports")["reports"]
        return [answers.require(report, answers.REPORT, "a report") for report in found]

    def model(self) -> dict[str, NDArray[np.float64]]:
        """Return the model's arrays.

        Raises
        ------
        DataProblem
            Something else came.
        """
        return answers.arrays_of(self._ask("GET", "/model", self._bounds.model).content)

    def outbox(self, owner: str, *, have: int = -1, wait_s: float = 0.0) -> Outbox:
        """Return what one should have now; with ``have`` the answer waits until something changed.

        Parameters
        ----------
        owner
            Its name.
        have
            Number of the last answer.
        wait_s
            Seconds, at most.

        Raises
        ------
        DataProblem
            Something else came.
        """
        path = f"/outbox/{quote(owner, safe='')}"
        answer = self._ask("GET", path, self._bounds.outbox, params={"have": have, "wait": wait_s})
        change, on = answer.headers.get("X-Change", ""), answer.headers.get("X-Attempt")
        parts = [] if on is None else on.split(".")
        if not _counts([change, *parts]) or len(parts) not in (0, 2):
            raise DataProblem("an outbox must tell its number", f"{change} {on}"[:80], answers.ASK)
        return Outbox(
            change=int(change),
            attempt=(int(parts[0]), int(parts[1])) if parts else None,
            messages=tuple(answers.parted(answer.content)),
        )

    def send(self, message: bytes) -> None:
        """Send a signed message; it is on the coordinator's disk when this returns.

        Raises
        ------
        InvalidValue
            The coordinator refuses it.
        """
        self._ask("POST", "/messages", answers.MIB, content=message, headers={"Content-Type": OCTETS})

    def send_update(self, update: bytes) -> None:
        """Send a signed update of a round that is seen; it is on the coordinator's disk when this returns.

        Raises
        ------
        InvalidValue
            The coordinator refuses it.
        """
        self._ask("POST", "/updates", answers.MIB, content=update, headers={"Content-Type": OCTETS})

    def _ask(self, method: str, path: str, most: int, **given: Any) -> Answer:
        began, pause = time.monotonic(), PAUSE_S
        while True:
            try:
                with self._http.stream(method, self._at + path, **given) as came:
                    # What is refused is told in a line, however little is asked for.
                    answer = answers.read_within(came, most if came.is_success else answers.MIB)
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {error}"
                if "CERTIFICATE" in why.upper():
                    raise UsageError(
                        "the coordinator's certificate must be trusted", why, "give its authority with --ca"
                    ) from error
            else:
                if answer.status not in (429, 502, 503, 504):
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


def _require_private(url: str) -> None:
    """Refuse an address to which the API key would travel in the clear."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname or ""
    except ValueError:
        scheme, host = "", ""
    if scheme not in ("https", "http") or not host:
        raise UsageError(
            "--url must begin with https:// and a host", url[:80], "give the address of the service"
        )
    if scheme == "http" and not _here(host):
        raise UsageError(
            "--url must begin with https:// for other machines, or the API key travels in the clear",
            f"http://{host}"[:80],
            "give https://, and its authority with --ca",
        )


def _here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _counts(texts: list[str]) -> bool:
    return all(text.isascii() and text.isdigit() and len(text) < 17 for text in texts)


def _checked(answer: Answer) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    said = _said(answer)
    if answer.status == 401:
        raise UsageError("the coordinator must know the key", said, "give CONSILIUM_API_KEY or --api-key")
    if answer.status == 403:
        raise NotLetIn("the coordinator must let this participant in", said, "ask it for what is missing")
    if answer.status == 404:
        raise UsageError("the session must be there", said, "look at consilium federate sessions list")
    raise InvalidValue("the coordinator must accept what is sent", said, "see its words")


def _said(answer: Answer) -> str:
    """Return why an answer is no good, in the coordinator's words: printable, and not many."""
    try:
        found = answers.plain_of(answer.content, {"detail": str}, "a refusal")
    except DataProblem:
        return f"HTTP {answer.status}"
    return "".join(sign if sign.isprintable() else " " for sign in found["detail"][:500])
