"""One canonical way to write a value, so that equal values have equal hashes."""

import json
from hashlib import sha256
from typing import Any

from consilium.domain.errors import InvalidValue


def canonical_json(value: Any) -> str:
    """Write JSON with sorted keys, no spaces and no NaN.

    Raises
    ------
    InvalidValue
        The value holds NaN, an infinity, or something that JSON does not know.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidValue(
            "a value to hash must be plain JSON", error, "use numbers, texts and lists"
        ) from None


def digest(value: Any) -> str:
    """Hash a JSON value: SHA-256 of its canonical form, as 64 hex digits.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return sha256(canonical_json(value).encode()).hexdigest()
