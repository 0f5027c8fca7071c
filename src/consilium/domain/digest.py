"""One canonical way to write a value, so that equal values have equal hashes."""

import json
from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from typing import Any

import numpy as np

from consilium.domain.errors import InvalidValue


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
    kind = type(value)  # the commonest first: a state has thousands of them
    if kind is float:
        return value if isfinite(value) else None
    if kind is str or kind is int:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise InvalidValue("a value must be plain JSON", type(value).__name__, "use numbers, texts and lists")


def canonical_json(value: Any) -> str:
    """Write JSON with sorted keys and no spaces; what is not finite becomes null.

    Raises
    ------
    InvalidValue
        Something that JSON does not know.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def digest(value: Any) -> str:
    """Hash a JSON value: SHA-256 of its canonical form, as 64 hex digits.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return sha256(canonical_json(value).encode()).hexdigest()
