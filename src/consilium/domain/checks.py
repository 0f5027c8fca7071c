"""Checks of field values shared by the domain types."""

from math import isfinite

from consilium.domain.errors import InvalidValue

PROBABILITY_TOLERANCE = 1e-6


def finite(value: object) -> bool:
    """Return whether a value is a number that a float can hold, and no infinity.

    Examples
    --------
    >>> finite(1), finite(float("nan")), finite("1"), finite(10**400)
    (True, False, False, False)
    """
    try:
        return isfinite(value)  # type: ignore[arg-type]  # else TypeError
    except (TypeError, OverflowError):
        return False


def require_name(field: str, value: str) -> None:
    """Refuse an empty name."""
    if not value:
        raise InvalidValue(f"{field} must not be empty", repr(value), f"give the {field}")


def require_at_least(field: str, value: float, bound: float) -> None:
    """Refuse a value that is not finite or below its bound."""
    if not (finite(value) and value >= bound):
        raise InvalidValue(f"{field} must be finite and >= {bound:g}", value, f"correct {field}")


def require_positive(field: str, value: float) -> None:
    """Refuse a value that is not finite or not above 0."""
    if not (finite(value) and value > 0):
        raise InvalidValue(f"{field} must be finite and > 0", value, f"correct {field}")


def require_finite(field: str, value: float) -> None:
    """Refuse NaN and infinities."""
    if not finite(value):
        raise InvalidValue(f"{field} must be finite", value, f"correct {field}")


def require_fraction(field: str, value: float) -> None:
    """Refuse a value outside [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise InvalidValue(f"{field} must lie in [0, 1]", value, "give a fraction, not a percentage")


def as_probabilities(field: str, values: object) -> tuple[float, float, float]:
    """Return (down, flat, up) as floats; refuse what is not a distribution over three classes."""
    try:
        down, flat, up = (float(v) for v in values)  # type: ignore[attr-defined]  # else TypeError
    except (TypeError, ValueError):
        raise InvalidValue(
            f"{field} must be three numbers (down, flat, up)", repr(values), "give one number for each class"
        ) from None
    if not (down >= 0.0 and flat >= 0.0 and up >= 0.0):
        raise InvalidValue(f"{field} must be >= 0", (down, flat, up), "clip or renormalise them")
    if not abs(down + flat + up - 1.0) <= PROBABILITY_TOLERANCE:
        raise InvalidValue(
            f"{field} must sum to 1 within {PROBABILITY_TOLERANCE:g}",
            f"{(down, flat, up)} with sum {down + flat + up:.6g}",
            "divide them by their sum",
        )
    return down, flat, up
