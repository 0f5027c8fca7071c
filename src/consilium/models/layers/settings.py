"""Bounds of constructor parameters, checked in fit as scikit-learn wants it."""

from numbers import Integral
from typing import Any

from consilium.domain import InvalidValue


def require_count(owner: str, parameter: str, value: Any, least: int) -> None:
    """Refuse a parameter that is not a whole number >= ``least``.

    Examples
    --------
    >>> require_count("xgboost", "rounds", 0, 1)
    Traceback (most recent call last):
    ...
    consilium.domain.errors.InvalidValue: rounds of xgboost must be a whole number >= 1; got 0: correct rounds
    """
    if not isinstance(value, Integral) or value < least:
        raise InvalidValue(
            f"{parameter} of {owner} must be a whole number >= {least}", value, f"correct {parameter}"
        )


def require_above_zero(owner: str, parameter: str, value: float, most: float = float("inf")) -> None:
    """Refuse a parameter outside (0, ``most``]."""
    if not 0.0 < value <= most:
        bound = f"> 0 and <= {most:g}" if most < float("inf") else "> 0"
        raise InvalidValue(f"{parameter} of {owner} must be {bound}", value, f"correct {parameter}")
