"""The settings as they were given, with every fault of them at once."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model
from pydantic_settings import EnvSettingsSource

from consilium.app.check.finding import Finding
from consilium.app.log import hide_text, is_secret_name
from consilium.app.settings import Settings, fault_told
from consilium.domain import UnknownName

_HIDDEN_VALUES = ("database_url", "redis_url", "api_key")


_PLAIN = create_model(
    "_Plain", **{name: (field.annotation, field) for name, field in Settings.model_fields.items()}
)  # type: ignore[call-overload]  # the fields of Settings, which read no environment


def read_settings(**given: Any) -> tuple[Settings, list[Finding]]:
    """Read file, environment and command line; where a value is wrong, its default stands in for it.

    Parameters
    ----------
    given
        Settings of the command line, which prevail; a section as a mapping of those that were given.

    Returns
    -------
    The settings, and what is wrong with those that were given; of secrets no value is shown.
    """
    findings: list[Finding] = []
    values = _merged(_merged(_of_file(findings), _of_environment(findings)), given)
    while True:
        try:
            return Settings.model_construct(**_checked(values)), findings
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                findings.append(_told(fault))
                _forget(values, tuple(fault["loc"]))


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = _PLAIN(**values)
    return {name: getattr(plain, name) for name in Settings.model_fields}


def _of_file(findings: list[Finding]) -> dict[str, Any]:
    path = Path(str(Settings.model_config["toml_file"]))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        findings.append(Finding(path.name, "failed", f"the file must be readable; got {error.strerror}"))
        return {}
    except ValueError as error:
        told = f"the file must be valid TOML; got {error}: correct it"
        findings.append(Finding(path.name, "wrong", " ".join(told.split())))
        return {}
    return _known(values, path.name, findings)


def _of_environment(findings: list[Finding]) -> dict[str, Any]:
    prefix = str(Settings.model_config["env_prefix"])
    sections = {
        name.upper().removeprefix(prefix).partition("__")[0].lower(): name
        for name in sorted(os.environ)
        if name.upper().startswith(prefix) and "__" in name
    }
    unknown = [section for section in sections if section not in Settings.model_fields]
    findings += [_unknown(section, sections[section]) for section in unknown]
    try:
        return dict(EnvSettingsSource(Settings)())
    except ValueError as error:
        told = " ".join(str(error).split())
        findings.append(Finding("CONSILIUM_*", "wrong", f"a section must be a JSON object; got {told}"))
        return {}


def _known(values: dict[str, Any], where: str, findings: list[Finding]) -> dict[str, Any]:
    for name in [name for name in values if name not in Settings.model_fields]:
        findings.append(_unknown(name, f"'{name}' in {where}"))
        del values[name]
    return values


def _unknown(name: str, told: str) -> Finding:
    error = UnknownName("setting", name, Settings.model_fields)
    return Finding(name, "wrong", f"no such setting; got {told}: {error.cure}")


def _told(fault: Any) -> Finding:
    loc = [str(part) for part in fault["loc"]]
    setting = ".".join(loc)
    if loc[0] in _HIDDEN_VALUES or is_secret_name(loc[-1]):
        return Finding(setting, "wrong", f"{fault['msg']} (the value is not shown)")
    text = fault_told(fault).removeprefix(f"{setting}: ")
    return Finding(setting, "wrong", " ".join(hide_text(text).split()))


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        held = merged.get(name)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            value = _merged(held, value)
        merged[name] = value
    return merged


def _forget(values: Any, loc: Iterable[Any]) -> None:
    """Take out the value of a fault: the innermost that can be named, or what holds it."""
    *above, last = loc
    for part in above:
        inner = values.get(part) if isinstance(values, dict) else None
        if not isinstance(inner, dict):
            last = part
            break
        values = inner
    del values[last]
