"""What a process that we start may know of the environment: all but our secrets."""

from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel, SecretStr

from consilium.app.settings import Settings

URLS = ("database_url", "redis_url")
"""They carry passwords."""


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without each setting that is secret, or holds one.

    Examples
    --------
    >>> without_secrets({"PATH": "p", "consilium_api_key": "k", "CONSILIUM_COUNCIL__ALERTS__SMTP_URL": "u"})
    {'PATH': 'p'}
    """
    prefix = str(Settings.model_config["env_prefix"])
    kept = {f"{prefix}{name}".upper() for name in (*_secret(Settings), *URLS)}
    return {name: value for name, value in environment.items() if name.upper() not in kept}


def _secret(model: type[BaseModel]) -> Iterator[str]:
    """Yield secret settings of a section, and the sections that a whole JSON value would give them by."""
    for name, field in model.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        if SecretStr in kinds:
            yield name
        for kind in kinds:
            below = list(_secret(kind)) if issubclass(kind, BaseModel) else []
            yield from (f"{name}__{inner}" for inner in below)
            if below:
                yield name
