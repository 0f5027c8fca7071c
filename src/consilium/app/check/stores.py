"""What keeps the truth and who may ask: journal, Redis, keys."""

import os
from collections.abc import Iterator
from pathlib import Path

from consilium.app.check.finding import Finding
from consilium.app.check.folders import writing_trouble
from consilium.app.log import hide_text
from consilium.app.settings import Settings
from consilium.domain import ConsiliumError

_PATIENCE_S = 2.0


def check_journal(settings: Settings) -> Iterator[Finding]:
    """Look whether the journal's database answers, is ours, and is of a version that we know."""
    from consilium.bus.journal.opening import inspect_journal

    url = settings.journal_url
    path = _sqlite_path(url)
    if path is not None:
        trouble = _file_trouble(path)
        if trouble:
            cure = "correct its permissions or CONSILIUM_DATABASE_URL"
            told = f"the journal's file must be writable; got {trouble}: {cure}"
            yield Finding("database_url", "failed", told)
            return
    try:
        found = inspect_journal(url, patience_s=_PATIENCE_S)
    except ConsiliumError as error:
        yield _of(error, "database_url")
        return
    for warning in found.warnings:
        yield Finding("database_url", "warning", warning)
    new = "" if found.version else ", will be made"
    yield Finding("database_url", "ok", f"{found.place}{new}")


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Look whether Redis answers; the service starts without, and takes it up when it is back."""
    from consilium.bus.redis_link import RedisLink

    if not settings.redis_url:
        yield Finding("redis_url", "ok", "none: keys and messages stay in this process")
        return
    try:
        link = RedisLink(settings.redis_url, timeout_s=_PATIENCE_S)
    except ConsiliumError as error:
        yield _of(error, "redis_url")
        return
    try:
        trouble = link.healthy()
        if trouble:
            yield Finding("redis_url", "warning", hide_text(trouble))
            return
        for warning in link.warnings():
            yield Finding("redis_url", "warning", warning)
        yield Finding("redis_url", "ok", link.where)
    finally:
        link.close()


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Look whether the admin key is long enough, and the file of keys whole."""
    from consilium.app.api.keys import ADMIN, KeyStore
    from consilium.app.bootstrap import SystemClock

    given = settings.api_key.get_secret_value() if settings.api_key else None
    try:
        store = KeyStore(settings.data_dir, SystemClock(), given)
        records = store.records()
    except ConsiliumError as error:
        yield _of(error, "api_key")
        return
    if given is None and not any(record.may(ADMIN) for record in records):
        yield Finding("api_key", "ok", "none: an admin key will be generated")
    else:
        named = "the admin key of the environment" if given is not None else "no admin key in the environment"
        yield Finding("api_key", "ok", f"{named}, {len(records)} in {store.path}")


def _file_trouble(path: Path) -> str:
    trouble = writing_trouble(path.parent)
    if not trouble and path.exists() and not os.access(path, os.W_OK):
        return f"{path}: not writable"
    return trouble


def _of(error: ConsiliumError, setting: str) -> Finding:
    return Finding(setting, "wrong" if error.exit_code == 2 else "failed", hide_text(str(error)))


def _sqlite_path(url: str) -> Path | None:
    if not url.startswith("sqlite"):
        return None
    return Path(url.partition("///")[2].partition("?")[0])
