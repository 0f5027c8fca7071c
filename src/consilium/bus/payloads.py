"""Domain types as plain JSON and back, by the types of their fields; nothing is guessed or rounded."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from functools import cache
from hashlib import sha256
from math import isfinite
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np

from consilium.domain import DataProblem, FeatureWindow, InvalidValue

Convert = Callable[[Any], Any]
MAX_DEPTH = 32
_INT_BOUND = 2**63


def encode(message: Any) -> dict[str, Any]:
    """Turn a message into a JSON object.

    Raises
    ------
    DataProblem
        A field that is not finite, too large or of another type.

    Examples
    --------
    >>> from consilium.domain import Fill
    >>> encode(Fill(order_id="o1", price=100, quantity=0.5, fee=0.05, ts_event=7))
    {'order_id': 'o1', 'price': 100.0, 'quantity': 0.5, 'fee': 0.05, 'liquidity': 'taker', 'ts_event': 7}
    """
    if isinstance(message, FeatureWindow):
        return _encode_window(message)
    if isinstance(message, Mapping):
        plain: dict[str, Any] = as_json(message)
        return plain
    return _each((name, convert, getattr(message, name)) for name, convert in _encoders(_type(message)))


def decode(kind: Any, payload: Mapping[str, Any]) -> Any:
    """Make a message of ``kind`` from a JSON object, with all its fields and no others.

    Raises
    ------
    DataProblem
        A field is missing, unknown or of another type, or the message is refused by its own checks.

    Examples
    --------
    >>> from consilium.domain import HandlerFailed
    >>> failed = {"handler": "trade", "topic": "t", "event_id": "e", "error": "no", "ts_event": 1}
    >>> decode(HandlerFailed, failed).error
    'no'
    """
    if not isinstance(payload, Mapping):
        raise DataProblem("a payload must be a JSON object", clipped(payload), "send an object")
    if kind is FeatureWindow:
        return _decode_window(payload)
    if kind is dict:
        return as_json(payload)
    return _build(kind, payload)


def require_encodable(kind: Any) -> None:
    """Refuse a type that has a field which JSON cannot carry.

    Raises
    ------
    InvalidValue
        Such a field, or no dataclass.
    """
    if kind is dict or kind is FeatureWindow:
        return
    plain: Any = kind
    if not is_dataclass(kind):
        raise InvalidValue("a topic's type must be a dataclass or dict", kind, "write a frozen dataclass")
    _encoders(plain)
    _decoders(plain)


def clipped(value: object, length: int = 80) -> str:
    """Show a value of unknown size.

    Examples
    --------
    >>> clipped("a" * 100, 8)
    "'aaaaaaa..."
    """
    text = repr(value[: 2 * length] if isinstance(value, str | bytes) else value)
    return text if len(text) <= length else f"{text[:length]}..."


def as_json(value: Any, depth: int = 0) -> Any:
    """Copy a value as plain JSON: texts, whole numbers below 2^63, finite numbers, lists and objects.

    Raises
    ------
    DataProblem
        Anything else, or deeper than 32.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if isinstance(value, Enum):
        return as_json(value.value, depth)
    if isinstance(value, int | np.integer):
        return _to_int(value)
    if isinstance(value, float | np.floating):
        return _to_float(value)
    if depth >= MAX_DEPTH:
        raise DataProblem(f"JSON must be at most {MAX_DEPTH} deep", "more", "flatten it")
    if isinstance(value, Mapping):
        return {_to_key(key): as_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item, depth + 1) for item in value]
    if isinstance(value, str):
        return str(value)
    raise DataProblem("a value must be plain JSON", type(value).__name__, "use numbers, texts and lists")


def _each(parts: Iterable[tuple[str, Convert, Any]]) -> dict[str, Any]:
    """Convert named values, and put the name before what is wrong with one."""
    converted = {}
    name = ""
    try:
        for name, convert, value in parts:
            converted[name] = convert(value)
    except DataProblem as error:
        raise DataProblem(f"{name} {error.bound}", error.value, error.cure) from None
    return converted


def _to_key(value: Any) -> str:
    if not isinstance(value, str):
        raise DataProblem("keys must be texts", clipped(value), "name them")
    return str(value)


def _to_float(value: Any) -> float:
    if type(value) is float and isfinite(value):
        return value + 0.0
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise DataProblem("must be a number", clipped(value), "send a JSON number")
    try:
        number = float(value) + 0.0  # -0.0 equals 0.0 and must be written like it
    except OverflowError:
        raise DataProblem("must be a finite number", clipped(value), "send a smaller one") from None
    if not isfinite(number):
        raise DataProblem("must be a finite number", number, "leave it out or correct it")
    return number


def _to_int(value: Any) -> int:
    if type(value) is int and -_INT_BOUND <= value < _INT_BOUND:
        return value
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DataProblem("must be a whole number", clipped(value), "send a JSON integer")
    number = int(value)
    if not -_INT_BOUND <= number < _INT_BOUND:
        raise DataProblem("must fit 64 bits", clipped(number), "send a smaller one")
    return number


def _to_text(value: Any) -> str:
    if not isinstance(value, str):
        raise DataProblem("must be a text", clipped(value), "send a JSON string")
    return str(value)


def _to_bool(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise DataProblem("must be true or false", clipped(value), "send a JSON boolean")
    return bool(value)


_SCALARS: dict[Any, Convert] = {float: _to_float, int: _to_int, str: _to_text, bool: _to_bool}


class _Ways(NamedTuple):
    """How dataclasses, enums and tuples are converted in one direction."""

    of_dataclass: Callable[[type], Convert]
    of_enum: Callable[[Any], Convert]
    gather: Callable[[Iterable[Any]], Any]


def _converter(hint: Any, ways: _Ways) -> Convert:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if hint is object or hint is Any:
        return as_json
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ways.of_enum(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return ways.of_dataclass(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    parts = [_converter(part, ways) for part in arguments if part not in (NoneType, Ellipsis)]
    if origin in (Union, UnionType) and NoneType in arguments and len(parts) == 1:
        return lambda value: None if value is None else parts[0](value)
    if origin in (Mapping, dict) and len(parts) == 2:
        return lambda value: _map(value, parts[1])
    if origin is tuple and arguments[-1] is Ellipsis:
        return lambda value: ways.gather(parts[0](item) for item in _items(value, None))
    if origin is tuple:
        return lambda value: ways.gather(
            part(item) for part, item in zip(parts, _items(value, len(parts)), strict=True)
        )
    raise InvalidValue("a field must be of a type that JSON knows", hint, "use numbers, texts, tuples, maps")


def _map(value: Any, convert: Convert) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise DataProblem("must be an object", clipped(value), "send a JSON object")
    return _each((_to_key(key), convert, item) for key, item in value.items())


def _items(value: Any, count: int | None) -> Any:
    if not isinstance(value, list | tuple):
        raise DataProblem("must be a list", clipped(value), "send a JSON array")
    if count is not None and len(value) != count:
        raise DataProblem(f"must have {count} items", len(value), "send them all")
    return value


_type: Callable[[Any], Any] = type
_ENCODE = _Ways(lambda _: encode, lambda enum: lambda value: enum(value).value, list)


def _enum_decoder(enum: Any) -> Convert:
    scalar = _to_int if issubclass(enum, IntEnum) else _to_text

    def convert(value: Any) -> Any:
        try:
            return enum(scalar(value))
        except ValueError:
            known = ", ".join(str(item.value) for item in enum)
            raise DataProblem(f"must be one of {known}", clipped(value), "use a known one") from None

    return convert


_DECODE = _Ways(lambda part: lambda value: decode(part, value), _enum_decoder, tuple)


@cache
def _encoders(kind: Any) -> tuple[tuple[str, Convert], ...]:
    hints = get_type_hints(kind)
    return tuple((part.name, _converter(hints[part.name], _ENCODE)) for part in fields(kind))


@cache
def _decoders(kind: Any) -> dict[str, Convert]:
    hints = get_type_hints(kind)
    return {part.name: _converter(hints[part.name], _DECODE) for part in fields(kind)}


def _build(kind: type, payload: Mapping[str, Any]) -> Any:
    decoders = _decoders(kind)
    if len(payload) != len(decoders) or not all(name in decoders for name in payload):
        missing = sorted(decoders.keys() - payload.keys())
        surplus = sorted(clipped(name, 40) for name in payload.keys() - decoders.keys())
        raise DataProblem(
            f"{kind.__name__} must have exactly its {len(decoders)} fields",
            f"without {', '.join(missing) or 'none'} and with unknown {', '.join(surplus[:5]) or 'none'}",
            "send what its schema lists",
        )
    values = _each((name, decoders[name], value) for name, value in payload.items())
    try:
        return kind(**values)
    except InvalidValue as error:
        raise DataProblem(error.bound, clipped(error.value), error.cure) from None


_WINDOW: dict[str, Convert] = {
    "symbol": _to_text,
    "ts_event": _to_int,
    "volatility": _to_float,
    "regime": _to_text,
    "digest": _to_text,
}


def _encode_window(window: FeatureWindow) -> dict[str, Any]:
    digest = window_digest(window)
    return _each(
        (name, convert, digest if name == "digest" else getattr(window, name))
        for name, convert in _WINDOW.items()
    )


def window_digest(window: FeatureWindow) -> str:
    """Hash the arrays of a window, shapes included; 32 hex digits.

    Examples
    --------
    >>> window_digest(FeatureWindow(symbol="BTCUSDT", ts_event=0, features=np.zeros((1, 2))))
    'b7ad3066d5dbf4b2de097a0cc8527ae4'
    """
    hashed = sha256()
    for part in (window.features, window.book):
        if part is not None:
            hashed.update(f"{part.shape};".encode())
            hashed.update(np.ascontiguousarray(part, dtype="<f8").tobytes())
    return hashed.hexdigest()[:32]


def _decode_window(payload: Mapping[str, Any]) -> FeatureWindow:
    """Without its arrays: they are read again from the data that the digest names."""
    if payload.keys() != _WINDOW.keys():
        raise DataProblem(
            f"a feature window must have {', '.join(_WINDOW)}",
            clipped(sorted(payload)),
            "send what its schema lists",
        )
    values = _each((name, _WINDOW[name], value) for name, value in payload.items())
    del values["digest"]
    return FeatureWindow(features=np.empty((0, 0)), **values)
