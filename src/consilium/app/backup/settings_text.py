"""The settings of a service as a file, without what is secret."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from consilium.app.settings import Settings
from consilium.bus.redis_link import shown_url

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def settings_toml(settings: Settings) -> str:
    """Return what differs from the defaults as a ``consilium.toml``; URLs and keys stay out of it.

    Examples
    --------
    >>> print(settings_toml(Settings(port=9000, redis_url="redis://:secret@cache:6379/0")), end="")
    # redis_url was set (cache:6379/0): give it by the environment
    port = 9000
    >>> made = settings_toml(Settings(api_key="0123456789abcdef", council={"alerts": {"smtp_url": "smtp://u:p@h"}}))
    >>> print(made, end="")
    # api_key was set: give it by the environment
    # council.alerts.smtp_url was set: give it by the environment
    """
    found = settings.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    lines = [
        f"# {name} was set ({shown_url(getattr(settings, name))}): give it by the environment"
        for name in ("database_url", "redis_url")
        if found.pop(name, "")
    ]
    lines += [f"# {name} was set: give it by the environment" for name in _without_secrets(found, settings)]
    lines += _table(found, ())
    return "\n".join(lines) + "\n" if lines else ""


def _without_secrets(found: dict[str, Any], section: BaseModel, path: tuple[str, ...] = ()) -> list[str]:
    """Take out what is secret, however deep; return its names."""
    gone = []
    for name in list(found):
        value = getattr(section, name)
        if isinstance(value, SecretStr):
            del found[name]
            gone.append(".".join((*path, name)))
        elif isinstance(value, BaseModel):
            gone += _without_secrets(found[name], value, (*path, name))
            if not found[name]:
                del found[name]
    return gone


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    plain = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    if path and (plain or not values):
        yield f"\n[{'.'.join(_key(part) for part in path)}]"
    for name, value in plain.items():
        yield f"{_key(name)} = {_value(value)}"
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _table(value, (*path, name))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + "}"
    # strings, numbers and booleans are written alike in JSON and TOML
    return json.dumps(value, ensure_ascii=True)
