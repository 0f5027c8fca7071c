"""A report as plain JSON values, without NaN."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consilium.app import files
from consilium.domain import InvalidValue, plain

SCHEMA = "consilium.backtest/1"
JUDGE_SCHEMA = "consilium.judge/1"


def checked(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report as plain JSON; refuse one of another schema.

    Raises
    ------
    InvalidValue
        The schema is neither ``consilium.backtest/1`` nor ``consilium.judge/1``.
    """
    clean: dict[str, Any] = plain(report)
    if clean.get("schema") not in (SCHEMA, JUDGE_SCHEMA):
        raise InvalidValue(
            f"a report must have the schema {JUDGE_SCHEMA} or the schema {SCHEMA}",
            repr(clean.get("schema")),
            "make the report again with this version",
        )
    return clean


def write_json(report: Mapping[str, Any], path: Path) -> None:
    """Write a report as JSON, whole or not at all.

    Parameters
    ----------
    report
        A report of a backtest or of the judge; NaN and infinities become null.
    path
        The file to write.

    Raises
    ------
    InvalidValue
        Another schema.
    OutputProblem
        The file cannot be written.
    """
    files.write_json(path, checked(report))
