"""Canonical JSON: one way only to write a value, so that it can be hashed."""

from math import isfinite
from typing import Any

import orjson

from consilium.domain import InvalidValue

_PLAIN = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)


def canonical_json(value: dict[str, Any]) -> bytes:
    """Return a JSON object as bytes: keys sorted, no spaces, finite numbers only.

    Raises
    ------
    InvalidValue
        Something in it is no JSON, or a number is not finite.

    Examples
    --------
    >>> canonical_json({"b": 1.5, "a": [True, None]})
    b'{"a":[true,null],"b":1.5}'
    """
    try:
        text = orjson.dumps(value, option=_PLAIN)
    except TypeError as error:
        raise InvalidValue("an event's payload must be JSON", str(error), "use plain values") from None
    # orjson writes NaN and infinities as null: where there is no null there was none of them.
    if b"null" in text:
        _require_finite(value)
    return text


def _require_finite(value: object) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise InvalidValue("numbers in a payload must be finite", value, "leave it out or write null")
    if isinstance(value, dict):
        for part in value.values():
            _require_finite(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _require_finite(part)
