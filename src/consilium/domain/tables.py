"""Tables of plug-ins: a name, and where its class lives, so that listing them imports nothing."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from consilium.domain.errors import UnknownName, UsageError

_EXTRA_OF = {
    "xgboost": "models",
    "lightgbm": "models",
    "onnx": "models",
    "onnxruntime": "models",
    "ccxt": "exchange",
    "aiohttp": "exchange",
    "arch": "judge",
    "cryptography": "federated",
    "apscheduler": "schedule",
    "numba": "fast",
    "optuna": "tune",
    "redis": "redis",
    "safetensors": "torch",
    "torch": "torch",
}


def names_in(table: Mapping[str, str], group: str) -> tuple[str, ...]:
    """Return all names of a table, those of other packages' entry points included.

    Parameters
    ----------
    table
        Maps a name to ``"module:Class"``.
    group
        Entry point group by which other packages add to the table, for example ``consilium.rules``.
    """
    return (*table, *(point.name for point in entry_points(group=group) if point.name not in table))


def lookup(kind: str, name: str, table: Mapping[str, str], group: str) -> Any:
    """Import what a table holds under a name.

    Parameters
    ----------
    kind
        What the table lists, for the error: ``"rule"``.
    name
        The name asked for.
    table
        Maps a name to ``"module:Class"``.
    group
        Entry point group by which other packages add to the table.

    Raises
    ------
    UnknownName
        No such name; the error lists the known ones.
    UsageError
        The entry needs a package that is not installed; the error names the extra that brings it.

    Examples
    --------
    >>> lookup("clock", "date", {"date": "datetime:date"}, "consilium.none").__name__
    'date'
    """
    if name in table:
        module, _, attribute = table[name].partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise missing_package(f"{kind} {name}", error) from None
    for point in entry_points(group=group, name=name):
        return point.load()
    raise UnknownName(kind, name, names_in(table, group))


def missing_package(what: str, error: ModuleNotFoundError) -> UsageError:
    """Say which extra brings a package that is not installed.

    Examples
    --------
    >>> str(missing_package("model xgboost", ModuleNotFoundError("no", name="xgboost")))
    "model xgboost needs the package xgboost; got nothing installed: pip install 'consilium[models]'"
    """
    package = error.name or "unknown"
    extra = _EXTRA_OF.get(package)
    cure = f"pip install 'consilium[{extra}]'" if extra else f"pip install {package}"
    return UsageError(f"{what} needs the package {package}", "nothing installed", cure)
