"""Whom the settings name: a webhook, a chat, a mailbox."""

from collections.abc import Callable

from consilium.app.council.mailing import Mail
from consilium.app.council.pages import Sender
from consilium.app.council.posting import BOT_API, Telegram, Webhook
from consilium.app.council_settings import Alerts


def senders_of(alerts: Alerts, now_ns: Callable[[], int]) -> list[Sender]:
    """Make whom the settings name.

    Raises
    ------
    UsageError
        A setting that cannot be; what is secret in it is not told.
    """
    made: list[Sender] = []
    if alerts.webhook_url is not None:
        secret = alerts.webhook_secret.get_secret_value() if alerts.webhook_secret else ""
        made.append(
            Webhook(
                alerts.webhook_url.get_secret_value(),
                now_ns=now_ns,
                secret=secret,
                timeout_s=alerts.timeout_s,
            )
        )
    if alerts.telegram_token is not None:
        token = alerts.telegram_token.get_secret_value()
        url = alerts.telegram_url or BOT_API
        made.append(Telegram(url, token, alerts.telegram_chat, timeout_s=alerts.timeout_s))
    if alerts.smtp_url is not None:
        url = alerts.smtp_url.get_secret_value()
        made.append(Mail(url, alerts.mail_to, alerts.mail_from, timeout_s=alerts.timeout_s))
    return made
