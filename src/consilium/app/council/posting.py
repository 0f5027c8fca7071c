"""Pages by HTTP: to a webhook, and to a chat by a bot."""

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from consilium.app.council.pages import TIMEOUT_S, NotSent, Page, kind_of
from consilium.domain import UsageError, to_iso
from consilium.domain.time import SECOND_NS

TELEGRAM_LETTERS = 4_096
BOT_API = "https://api.telegram.org"
_ANSWER_BYTES = 4_096


class Webhook:
    """A JSON object by POST, with a signature where there is a secret.

    ``X-Consilium-Signature`` is ``sha256=`` and the HMAC of ``TIMESTAMP.BODY`` under the secret, TIMESTAMP
    that of ``X-Consilium-Timestamp`` (seconds of sending). ``Idempotency-Key`` is the same when a page is
    sent again.

    Parameters
    ----------
    url
        Where to; it may hold a secret and is never told.
    secret
        Of the signature; empty for none.
    now_ns
        Dates the signature.

    References
    ----------
    Krawczyk, Bellare, Canetti (1997), "HMAC: Keyed-Hashing for Message Authentication", RFC 2104.
    """

    name = "webhook"

    def __init__(
        self, url: str, *, now_ns: Callable[[], int], secret: str = "", timeout_s: float = TIMEOUT_S
    ) -> None:
        _require_http("council.alerts.webhook_url", url)
        self._url = url
        self._secret = secret.encode()
        self._now_ns = now_ns
        self._http = _client(timeout_s)

    def send(self, page: Page) -> None:
        """Send one page; any answer of 2xx means that it arrived."""
        body = orjson.dumps(page.body(), option=orjson.OPT_NON_STR_KEYS)
        headers = {"Content-Type": "application/json", "Idempotency-Key": page.page_id}
        if self._secret:
            stamp = str(self._now_ns() // SECOND_NS)
            headers["X-Consilium-Timestamp"] = stamp
            headers["X-Consilium-Signature"] = f"sha256={signature_of(self._secret, stamp, body)}"
        status, _, wait = _post(self._http, self.name, self._url, body, headers)
        if not 200 <= status < 300:
            raise _refused(self.name, status, wait)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


def signature_of(secret: bytes, stamp: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of ``STAMP.BODY``, in hex.

    Examples
    --------
    >>> signature_of(b"secret", "1", b"{}")[:16]
    '1122767b193110cf'
    """
    return hmac.new(secret, stamp.encode() + b"." + body, sha256).hexdigest()


class Telegram:
    """A bot that writes into a chat, by ``sendMessage`` of the Bot API.

    Parameters
    ----------
    base_url
        Of a service that speaks like it.
    token
        Of the bot; it is a part of the path, and never told.
    chat
        Id of the chat, or ``@channel``.
    """

    name = "telegram"

    def __init__(self, base_url: str, token: str, chat: str, *, timeout_s: float = TIMEOUT_S) -> None:
        _require_http("council.alerts.telegram_url", base_url)
        if not chat:
            raise UsageError(
                "council.alerts.telegram_token needs a chat", "none", "set council.alerts.telegram_chat"
            )
        self._url = f"{base_url.rstrip('/')}/bot{token}/sendMessage"
        self._chat = chat
        self._http = _client(timeout_s)

    def send(self, page: Page) -> None:
        """Send one page; the answer must say ``ok``."""
        text = f"{page.subject}\n{to_iso(page.ts_event)}\n{page.text}"
        said = {
            "chat_id": self._chat,
            "text": text[:TELEGRAM_LETTERS],
            "link_preview_options": {"is_disabled": True},
        }
        headers = {"Content-Type": "application/json"}
        status, content, wait = _post(self._http, self.name, self._url, orjson.dumps(said), headers)
        answer = _object_of(content)
        if answer.get("ok") is not True:
            told = _object_of(answer.get("parameters")).get("retry_after")
            wait = float(told) if isinstance(told, int | float) else wait
            raise _refused(self.name, status, wait)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


def _client(timeout_s: float) -> httpx.Client:
    return httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False)


def _post(
    http: httpx.Client, name: str, url: str, body: bytes, headers: dict[str, str]
) -> tuple[int, bytes, float]:
    """Return status, the beginning of the answer, and the seconds of Retry-After."""
    content = b""
    try:
        with http.stream("POST", url, content=body, headers=headers) as response:
            for piece in response.iter_bytes():
                content += piece
                if len(content) >= _ANSWER_BYTES:
                    break
    except (httpx.HTTPError, httpx.StreamError) as error:  # its text may hold the URL
        raise NotSent(f"{name} must take the page", kind_of(error), "it is sent again") from None
    told = response.headers.get("retry-after", "")
    return response.status_code, content[:_ANSWER_BYTES], float(told) if told.isdecimal() else 0.0


def _object_of(value: object) -> dict[str, Any]:
    if isinstance(value, bytes):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}


def _refused(name: str, status: int, wait: float) -> NotSent:
    return NotSent(
        f"{name} must take the page", f"HTTP {status}", "it is sent again; look at its settings", after_s=wait
    )


def _require_http(setting: str, url: str) -> None:
    try:
        place = urlsplit(url)
        good = place.scheme in ("http", "https") and bool(place.hostname) and (place.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{setting} must be an http or https URL", "another text", "correct it")
