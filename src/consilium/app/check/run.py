"""All checks, one after the other."""

from collections.abc import Callable, Iterator
from pathlib import Path

from consilium.app.check.candles import check_candles
from consilium.app.check.finding import Finding
from consilium.app.check.folders import check_data_dir, check_log, check_models
from consilium.app.check.network import check_address, check_authorities, check_tls
from consilium.app.check.stores import check_journal, check_keys, check_redis
from consilium.app.log import hide_text
from consilium.app.settings import Settings
from consilium.domain import ConsiliumError


def check_ensemble(settings: Settings) -> Iterator[Finding]:
    """Look whether rule, trust, gates and models of the ensemble are known."""
    from consilium.app.live.engine import make_live_ensemble

    told = settings.ensemble
    try:
        make_live_ensemble(settings)
    except ConsiliumError as error:
        yield Finding("ensemble", "wrong", str(error))
    else:
        yield Finding("ensemble", "ok", f"{told.rule}, trust {told.trust}, gates {told.gates}")


def check_feed(settings: Settings) -> Iterator[Finding]:
    """Look whether the feed is of a known kind, and a replay's data exist; they are not read."""
    feed = settings.live.feed
    kind, _, rest = feed.partition(":")
    if not feed:
        yield Finding("live.feed", "ok", "none: only signals and commands are heard")
    elif kind not in {"replay", "simulate", "exchange"} or (kind == "replay" and not rest):
        told = f"must be replay:PATH, simulate:... or exchange:VENUE, or empty for none; got '{feed}'"
        yield Finding("live.feed", "wrong", f"{told}: write for example simulate:symbols=5")
    elif kind == "replay" and rest != "sample" and not Path(rest).exists():
        yield Finding("live.feed", "failed", f"data to replay must exist; got {rest}: correct the path")
    else:
        yield Finding("live.feed", "ok", feed)
    if settings.live.foresight:
        told = "models may speak of closes that they learned from: for demonstrations, it is no evidence"
        yield Finding("live.foresight", "warning", told)


def check_alerts(settings: Settings) -> Iterator[Finding]:
    """Look whether whom the council calls can be called at all; nobody is called."""
    from consilium.app.council.senders import senders_of

    try:
        found = senders_of(settings.council.alerts, lambda: 0)
    except ConsiliumError as error:
        yield Finding("council.alerts", "wrong", str(error))
        return
    for sender in found:
        sender.close()
    yield Finding("council.alerts", "ok", ", ".join(s.name for s in found) or "log and dashboard only")


CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "data_dir": check_data_dir,
    "log": check_log,
    "database_url": check_journal,
    "candles": check_candles,
    "redis_url": check_redis,
    "api_key": check_keys,
    "port": check_address,
    "api.tls": check_tls,
    "api.tls_ca": check_authorities,
    "live.feed": check_feed,
    "ensemble": check_ensemble,
    "council.alerts": check_alerts,
    "models": check_models,
}


def inspect_settings(settings: Settings, *, port: bool = True) -> list[Finding]:
    """Return what all checks found, also what is in order.

    Parameters
    ----------
    port
        Whether to look at host and port; not if a service runs with these settings.
    """
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        if name == "port" and not port:
            continue
        try:
            findings += check(settings)
        except (OSError, ConsiliumError) as error:
            findings.append(Finding(name, "failed", " ".join(hide_text(str(error)).split())))
    return findings


def check_settings(settings: Settings, *, port: bool = True) -> list[Finding]:
    """Return the faults of settings, fatal ones and warnings; nothing where all is in order."""
    return [found for found in inspect_settings(settings, port=port) if found.level != "ok"]
