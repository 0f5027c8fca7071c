"""Settings of the council: who sits in it, its bounds, and whom it calls."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

Role = Literal["supervisor", "cro", "ceo", "cio", "cfo", "researcher"]

Source = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _require_earned(profile: object) -> object:
    """Refuse the profile that nobody starts with."""
    if profile == "AGGRESSIVE":
        raise ValueError(
            "must be MICRO, LOW or NORMAL: start with NORMAL, rule P3 raises it where it is earned"
        )
    return profile


class Alerts(BaseModel):
    """Whom the council calls, besides the log and the dashboard. See docs/council.md.

    Parameters
    ----------
    webhook_url
        Gets each alert as a JSON object, by POST.
    webhook_secret
        Signs what the webhook gets (HMAC-SHA256); no signature without it.
    telegram_url
        Of a service that speaks like Telegram's bots; empty for Telegram's own.
    telegram_token, telegram_chat
        Of a bot, and where it writes.
    smtp_url
        ``smtp+starttls://USER:PASSWORD@HOST:PORT``, ``smtps://...``, or ``smtp://...`` in the clear.
    mail_to, mail_from
        Addresses.
    page_every_s
        From one reminder of a halt to the next, until it is acknowledged.
    timeout_s
        How long a webhook, chat or mail server may take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook_url: SecretStr | None = None
    webhook_secret: SecretStr | None = None
    telegram_url: str = ""
    telegram_token: SecretStr | None = None
    telegram_chat: str = ""
    smtp_url: SecretStr | None = None
    mail_to: tuple[str, ...] = ()
    mail_from: str = "consilium@localhost"
    page_every_s: Annotated[float, Field(gt=0.0, le=86_400.0, allow_inf_nan=False)] = 900.0
    timeout_s: Annotated[float, Field(gt=0.0, le=120.0, allow_inf_nan=False)] = 10.0


class Council(BaseModel):
    """The six officers. See docs/council.md.

    Parameters
    ----------
    enabled
        False: the limits are those of ``paper.profile``, and nobody changes them.
    roles
        Officers that sit; the chief risk officer and the supervisor always do.
    floor_usd
        Equity below it freezes trading.
    universe
        Base symbols of entries, a part of what is followed; empty for all of it.
    start_profile
        Capital profile of a fresh start: MICRO, LOW or NORMAL; AGGRESSIVE is earned (rule P3).
    trusted_sources
        Names of outside sources (``source`` of their events) whose figures may loosen too and weigh models;
        all others may only tighten.
    one_person
        A desk of one operator: the same person may complete a loosening after 24 hours.
    tick_s
        From one look at the clock to the next.
    lost_s
        Among workers: the trading worker takes no entries when it heard no word of the council for so long.
    disk_gb
        Free space in the data folder below which the system is degraded; a fifth of it is critical.
    advice
        Whether a learned forecast of drawdown may tighten, once it has earned it; it is off by default.
    alerts
        Whom it calls.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    roles: tuple[Role, ...] = ("supervisor", "cro", "ceo", "cio", "cfo", "researcher")
    floor_usd: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1_000.0
    universe: tuple[str, ...] = ()
    start_profile: Annotated[Literal["MICRO", "LOW", "NORMAL"], BeforeValidator(_require_earned)] = "MICRO"
    trusted_sources: tuple[Source, ...] = ()
    one_person: bool = False
    tick_s: Annotated[float, Field(gt=0.0, le=30.0, allow_inf_nan=False)] = 1.0
    lost_s: Annotated[float, Field(gt=0.0, le=3_600.0, allow_inf_nan=False)] = 60.0
    disk_gb: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0
    advice: bool = False
    alerts: Alerts = Alerts()
