"""Pages as letters."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from urllib.parse import SplitResult, unquote, urlsplit

from consilium.app.council.pages import TIMEOUT_S, NotSent, Page, kind_of
from consilium.domain import UsageError, to_iso

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Mail:
    """A letter by SMTP.

    Parameters
    ----------
    url
        ``smtp://HOST:PORT`` plain, ``smtp+starttls://`` encrypted after its greeting, ``smtps://`` from the
        start; ``USER:PASSWORD@`` before the host to log in, which over plain SMTP only this machine may ask.
    mail_to, mail_from
        Addresses.
    trusted
        Certificates to trust; those of the system if not given.

    Raises
    ------
    UsageError
        Another URL, or no address.
    """

    name = "mail"

    def __init__(
        self,
        url: str,
        mail_to: tuple[str, ...],
        mail_from: str,
        *,
        timeout_s: float = TIMEOUT_S,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._place = _smtp_place(url)
        for address in (*mail_to, mail_from):
            if "@" not in parseaddr(address)[1] or not address.isprintable():
                raise UsageError("an address of council.alerts must be one", repr(address), "correct it")
        if not mail_to:
            raise UsageError("council.alerts.smtp_url needs somebody to write to", "none", "set mail_to")
        self._to, self._from = mail_to, mail_from
        self._timeout_s = timeout_s
        self._trusted = trusted

    def send(self, page: Page) -> None:
        """Send one page to all addresses; one that is refused is told, and the others have it."""
        letter = self._letter(page)
        try:
            with self._connected() as post:
                refused = post.send_message(letter)
        except smtplib.SMTPResponseException as error:
            raise _not_mailed(f"SMTP {error.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused:
            raise _not_mailed("all addresses refused") from None
        except (OSError, smtplib.SMTPException) as error:
            raise _not_mailed(kind_of(error)) from None
        if refused:
            raise _not_mailed(f"{len(refused)} of {len(self._to)} addresses refused")

    def _letter(self, page: Page) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = page.subject[:200]
        letter["From"], letter["To"] = self._from, ", ".join(self._to)
        letter["Date"] = formatdate(page.ts_event / 1e9)
        domain = parseaddr(self._from)[1].rpartition("@")[2]
        letter["Message-ID"] = f"<{page.page_id}@{domain}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(
            f"{page.subject}\n{to_iso(page.ts_event)}\n\n{page.text}\n\nalert {page.alert_id}\n"
        )
        return letter

    def _connected(self) -> smtplib.SMTP:
        place, context = self._place, self._trusted or ssl.create_default_context()
        host, port = place.hostname or "", place.port or 0
        post: smtplib.SMTP
        if place.scheme == "smtps":
            post = smtplib.SMTP_SSL(host, port or 465, timeout=self._timeout_s, context=context)
        else:
            post = smtplib.SMTP(host, port or 25, timeout=self._timeout_s)
        try:
            if place.scheme == "smtp+starttls":
                post.starttls(context=context)
            if place.username:
                post.login(unquote(place.username), unquote(place.password or ""))
        except BaseException:
            post.close()
            raise
        return post

    def close(self) -> None:
        """Do nothing: each letter has a connection of its own."""


def _not_mailed(told: str) -> NotSent:
    return NotSent("mail must take the page", told, "it is sent again; look at its settings")


def _smtp_place(url: str) -> SplitResult:
    bound = "council.alerts.smtp_url must be smtp://, smtp+starttls:// or smtps:// with a host"
    try:
        place = urlsplit(url)
        good = place.scheme in ("smtp", "smtp+starttls", "smtps") and bool(place.hostname)
        good = good and (place.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise UsageError(bound, "another text", "correct it")
    if place.scheme == "smtp" and place.username and place.hostname not in _LOCAL:
        raise UsageError(
            "a password must not cross the network in the clear",
            "smtp:// with one",
            "use smtp+starttls:// or smtps://",
        )
    return place
