"""Webhook, chat and mailbox against real servers on the loopback, with faults at the socket."""

import hmac
import ssl
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path

import pytest

from alert_servers import http_server, mail_server
from consilium.app.council.mailing import Mail
from consilium.app.council.pages import NotSent, Page
from consilium.app.council.posting import Telegram, Webhook
from consilium.app.council.senders import senders_of
from consilium.app.council_settings import Alerts
from consilium.domain import UsageError
from tls_cases import write_certificate

TOKEN = "123456:a-token-that-nobody-may-see"  # noqa: S105 - of a server in this test
PAGE = Page(
    alert_id="a1b2",
    number=1,
    kind="frozen",
    severity="critical",
    title="Trading is frozen by supervisor (CRITICAL)",
    text="Drawdown 10.2% exceeds limit",
    ts_event=1_704_110_400 * 10**9,
    decision={"decision_id": "d1", "decision_type": "FREEZE"},
)


def now() -> int:
    return 1_700_000_000 * 10**9


def test_a_webhook_gets_the_alert_as_json_with_a_signature_that_it_can_check() -> None:
    with http_server() as (url, heard):
        sender = Webhook(f"{url}/hook?secret=of-the-url", now_ns=now, secret="shared")  # noqa: S106 - of this test
        sender.send(PAGE)
        sender.close()
    (got,) = heard.requests
    assert got["json"] == {
        "service": "consilium",
        "alert_id": "a1b2",
        "page": 1,
        "kind": "frozen",
        "severity": "critical",
        "title": PAGE.title,
        "text": PAGE.text,
        "timestamp": "2024-01-01T12:00:00Z",
        "decision": {"decision_id": "d1", "decision_type": "FREEZE"},
    }
    stamp = got["headers"]["x-consilium-timestamp"]
    assert stamp == "1700000000"
    mine = hmac.new(b"shared", stamp.encode() + b"." + got["content"], sha256).hexdigest()
    assert got["headers"]["x-consilium-signature"] == f"sha256={mine}"
    assert got["headers"]["idempotency-key"] == "a1b2-1"


def test_a_webhook_without_a_secret_has_no_signature() -> None:
    with http_server() as (url, heard):
        Webhook(url, now_ns=now).send(PAGE)
    assert "x-consilium-signature" not in heard.requests[0]["headers"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (("status", 500), "HTTP 500"),
        (("status", 302, {"Location": "http://127.0.0.1:9/elsewhere"}), "HTTP 302"),
        (("reset",), "Read"),
        (("hang", 1.0), "ReadTimeout"),
    ],
)
def test_a_webhook_that_does_not_take_it_is_told_without_its_url(
    fault: tuple[object, ...], told: str
) -> None:
    with http_server() as (url, heard):
        heard.faults = [fault]
        with pytest.raises(NotSent, match=told) as caught:
            Webhook(f"{url}/hook?secret=of-the-url", now_ns=now, timeout_s=0.3).send(PAGE)
        assert "of-the-url" not in str(caught.value)
        assert caught.value.__cause__ is None
        Webhook(url, now_ns=now).send(PAGE)
    assert len(heard.requests) == 1


def test_nobody_at_the_port_is_told() -> None:
    with pytest.raises(NotSent, match="ConnectError"):
        Webhook("http://127.0.0.1:9/", now_ns=now).send(PAGE)


def test_a_bot_writes_into_its_chat_and_never_tells_its_token() -> None:
    with http_server() as (url, heard):
        sender = Telegram(url, TOKEN, "-100200")
        sender.send(PAGE)
        heard.faults = [
            ("status", 429, {}, b'{"ok":false,"parameters":{"retry_after":7}}'),
            ("status", 200, {}, b'{"ok":false}'),
            ("reset",),
        ]
        for after_s in (7.0, 0.0, 0.0):
            with pytest.raises(NotSent) as caught:
                sender.send(PAGE)
            assert caught.value.after_s == after_s
            assert TOKEN not in str(caught.value)
    (got,) = heard.requests
    assert got["path"] == f"/bot{TOKEN}/sendMessage"
    assert got["json"]["chat_id"] == "-100200"
    first, second, third = got["json"]["text"].split("\n")
    assert first == "[consilium] CRITICAL: Trading is frozen by supervisor (CRITICAL)"
    assert (second, third) == ("2024-01-01T12:00:00Z", PAGE.text)


def test_a_text_that_is_too_long_for_a_chat_is_cut() -> None:
    with http_server() as (url, heard):
        page = Page(**{name: getattr(PAGE, name) for name in Page.__slots__} | {"text": "x" * 9_000})
        Telegram(url, TOKEN, "1").send(page)
    assert len(heard.requests[0]["json"]["text"]) == 4_096


def letter_of(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_a_letter_goes_to_every_address() -> None:
    with mail_server() as (port, box):
        Mail(f"smtp://127.0.0.1:{port}", ("ann@x.org", "bob@x.org"), "desk@x.org").send(PAGE)
    letter = letter_of(box.letters[0])
    assert box.to == [["ann@x.org", "bob@x.org"]]
    assert letter["Subject"] == "[consilium] CRITICAL: Trading is frozen by supervisor (CRITICAL)"
    assert letter["Message-ID"] == "<a1b2-1@x.org>"
    assert letter["Date"] == "Mon, 01 Jan 2024 12:00:00 -0000"
    assert PAGE.text in letter.get_content()


def test_a_title_over_two_lines_stays_one_header() -> None:
    page = Page(**{name: getattr(PAGE, name) for name in Page.__slots__} | {"title": "a\r\nBcc: eve@x.org"})
    with mail_server() as (port, box):
        Mail(f"smtp://127.0.0.1:{port}", ("ann@x.org",), "desk@x.org").send(page)
    letter = letter_of(box.letters[0])
    assert letter["Bcc"] is None
    assert letter["Subject"] == "[consilium] CRITICAL: a Bcc: eve@x.org"


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_letter_is_encrypted_where_that_is_asked_for_and_a_foreign_certificate_refused(
    tmp_path: Path, scheme: str
) -> None:
    files = write_certificate(tmp_path)
    url = f"{scheme}://bot:p%40ss%3Aword@127.0.0.1"
    with mail_server(files, login=scheme == "smtp+starttls", implicit=scheme == "smtps") as (port, box):
        if scheme == "smtps":
            url = f"{scheme}://127.0.0.1"
        with pytest.raises(NotSent, match="SSLCertVerificationError") as caught:
            Mail(f"{url}:{port}", ("ann@x.org",), "desk@x.org").send(PAGE)
        assert "p@ss" not in str(caught.value)
        trusted = ssl.create_default_context(cafile=str(files[0]))
        Mail(f"{url}:{port}", ("ann@x.org",), "desk@x.org", trusted=trusted).send(PAGE)
    assert box.encrypted == [True]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while:UserWarning")
def test_a_server_that_has_no_starttls_gets_no_letter_and_no_password() -> None:
    with mail_server(login=True) as (port, box), pytest.raises(NotSent, match="SMTPNotSupportedError"):
        Mail(f"smtp+starttls://bot:p%40ss%3Aword@127.0.0.1:{port}", ("a@x.org",), "d@x.org").send(PAGE)
    assert not box.letters


@pytest.mark.filterwarnings("ignore:Requiring AUTH while:UserWarning")
def test_a_wrong_password_and_refused_addresses_are_told() -> None:
    with mail_server(login=True) as (port, box):
        with pytest.raises(NotSent, match="SMTP 535") as caught:
            Mail(f"smtp://bot:wrong@127.0.0.1:{port}", ("a@x.org",), "d@x.org").send(PAGE)
        assert "wrong" not in str(caught.value)
        box.refuse = {"b@x.org"}
        good = f"smtp://bot:p%40ss%3Aword@127.0.0.1:{port}"
        with pytest.raises(NotSent, match="1 of 2 addresses refused"):
            Mail(good, ("a@x.org", "b@x.org"), "d@x.org").send(PAGE)
        assert box.to == [["a@x.org"]]
        with pytest.raises(NotSent, match="all addresses refused"):
            Mail(good, ("b@x.org",), "d@x.org").send(PAGE)
        box.answers = ["451 try again later"]
        with pytest.raises(NotSent, match="SMTP 451"):
            Mail(good, ("a@x.org",), "d@x.org").send(PAGE)


def test_a_mail_server_that_says_nothing_is_given_up_in_time() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        begun = time.monotonic()
        with pytest.raises(NotSent):
            Mail(f"smtp://127.0.0.1:{deaf.getsockname()[1]}", ("a@x.org",), "d@x.org", timeout_s=0.3).send(
                PAGE
            )
        assert time.monotonic() - begun < 2.0


@pytest.mark.parametrize(
    "given",
    [
        {"webhook_url": "ftp://host/secret-word"},
        {"webhook_url": "https://"},
        {"telegram_token": TOKEN},
        {"telegram_token": TOKEN, "telegram_chat": "1", "telegram_url": "secret-word"},
        {"smtp_url": "smtp://127.0.0.1"},
        {"smtp_url": "mail://secret-word@host", "mail_to": ["a@x.org"]},
        {"smtp_url": "smtp://u:secret-word@mail.x.org", "mail_to": ["a@x.org"]},
        {"smtp_url": "smtp://h:99999999", "mail_to": ["a@x.org"]},
        {"smtp_url": "smtp://127.0.0.1", "mail_to": ["nobody"]},
    ],
)
def test_settings_that_cannot_be_are_refused_without_their_secrets(given: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        senders_of(Alerts.model_validate(given), now)
    assert "secret-word" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_the_settings_name_who_is_called() -> None:
    alerts = Alerts.model_validate(
        {
            "webhook_url": "https://x.org/hook",
            "webhook_secret": "s",
            "telegram_token": TOKEN,
            "telegram_chat": "1",
            "smtp_url": "smtps://u:p@x.org",
            "mail_to": ["a@x.org"],
        }
    )
    made = senders_of(alerts, now)
    assert [sender.name for sender in made] == ["webhook", "telegram", "mail"]
    assert senders_of(Alerts(), now) == []
    assert TOKEN not in repr(alerts)
    for sender in made:
        sender.close()
