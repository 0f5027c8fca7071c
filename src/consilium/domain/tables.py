"""Tables of plug-ins: a name, and where its class lives, so that listing them imports nothing."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from consilium.domain.errors import UnknownName


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

    Examples
    --------
    >>> lookup("clock", "date", {"date": "datetime:date"}, "consilium.none").__name__
    'date'
    """
    if name in table:
        module, _, attribute = table[name].partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=group, name=name):
        return point.load()
    raise UnknownName(kind, name, names_in(table, group))
