"""One way to write a value as JSON, so that equal values have equal bytes and equal hashes."""

import json
from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from typing import Any

import numpy as np

from consilium.domain import InvalidValue


def plain(value: Any) -> Any:
    """Return what strict JSON can hold: NumPy scalars become numbers, NaN and infinities null.

    Examples
    --------
    >>> plain({"a": np.float64(0.5), "b": (1, float("nan"))})
    {'a': 0.5, 'b': [1, None]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def canonical_json(what: str, value: Mapping[str, Any]) -> str:
    """Return JSON with sorted keys and no spaces.

    Raises
    ------
    InvalidValue
        A value that JSON cannot hold; ``what`` names it in the error.
    """
    try:
        return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise InvalidValue(f"{what} must be JSON", str(error), "use numbers, text, lists, mappings") from None


def canonical_hash(what: str, value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON; the order of keys does not matter.

    Examples
    --------
    >>> canonical_hash("config", {"a": 1, "b": [2.0]}) == canonical_hash("config", {"b": [2.0], "a": 1})
    True
    """
    return sha256(canonical_json(what, value).encode()).hexdigest()
