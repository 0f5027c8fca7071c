"""Ids that follow from what they name, and the hash of the rules themselves."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from consilium.domain.digest import digest

ID_DIGITS = 32


def _code_hash(folder: Path) -> str:
    """Hash all sources of a package, by name and content."""
    total = sha256()
    for path in sorted(folder.rglob("*.py")):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(path.read_bytes() + b"\0")
    return total.hexdigest()


CODE_HASH = _code_hash(Path(__file__).parent)
"""Of the sources of this room: two councils of one hash decide alike."""


def decision_id(
    snapshot_id: str,
    officer: str,
    kind: str,
    rule: str,
    payload: Mapping[str, Any],
    ts_event: int,
    serial: int = 0,
) -> str:
    """Name a decision by what it says, on which facts, when, and after how many others: 32 hex digits.

    Examples
    --------
    >>> first = decision_id("s", "ceo", "MODE_CHANGE", "M4", {"mode": "LIVE"}, 7)
    >>> first == decision_id("s", "ceo", "MODE_CHANGE", "M4", {"mode": "LIVE"}, 7), len(first)
    (True, 32)
    """
    return digest([snapshot_id, officer, kind, rule, dict(payload), ts_event, serial])[:ID_DIGITS]


def command_id_of(what: str, command_id: str) -> str:
    """Name what a command led to: its decision, or its approval.

    Examples
    --------
    >>> len(command_id_of("approval", "c1")), command_id_of("a", "c") == command_id_of("b", "c")
    (32, False)
    """
    return digest([what, command_id])[:ID_DIGITS]
