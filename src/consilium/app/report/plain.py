"""A report as plain JSON values, without NaN."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from consilium.app import files
from consilium.domain import InvalidValue

SCHEMA = "consilium.backtest/1"


def plain(value: Any) -> Any:
    """Turn NumPy values into Python's, tuples into lists, and what is not finite into None.

    Raises
    ------
    InvalidValue
        Something that JSON does not know.

    Examples
    --------
    >>> plain({"sharpe": float("nan"), "equity": np.array([1.0, 2.0]), "trades": np.int64(3)})
    {'sharpe': None, 'equity': [1.0, 2.0], 'trades': 3}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise InvalidValue("a report must be plain JSON", type(value).__name__, "use numbers, texts and lists")


def checked(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report as plain JSON; refuse one of another schema.

    Raises
    ------
    InvalidValue
        The schema is not ``consilium.backtest/1``.
    """
    clean: dict[str, Any] = plain(report)
    if clean.get("schema") != SCHEMA:
        raise InvalidValue(
            f"a report must have the schema {SCHEMA}",
            repr(clean.get("schema")),
            "run the backtest again with this version",
        )
    return clean


def write_json(report: Mapping[str, Any], path: Path) -> None:
    """Write a report as JSON, whole or not at all.

    Parameters
    ----------
    report
        A report of the schema ``consilium.backtest/1``; NaN and infinities become null.
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
