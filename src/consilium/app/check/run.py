"""All checks, one after the other."""

from collections.abc import Callable, Iterator

from consilium.app.check.finding import Finding
from consilium.app.check.folders import check_data_dir, check_log, check_models
from consilium.app.check.network import check_address, check_tls
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


CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "data_dir": check_data_dir,
    "log": check_log,
    "database_url": check_journal,
    "redis_url": check_redis,
    "api_key": check_keys,
    "port": check_address,
    "api.tls": check_tls,
    "ensemble": check_ensemble,
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
