"""Finding a feature's column by its name."""

from collections.abc import Sequence

from consilium.domain import InvalidValue


def column_of(owner: str, feature: str, feature_names: Sequence[str] | None) -> int:
    """Return the column of a feature that a model needs.

    Raises
    ------
    InvalidValue
        No names were given, or the feature is not among them.

    Examples
    --------
    >>> column_of("persistence", "return_1", ("range_1", "return_1"))
    1
    """
    if feature_names is None:
        raise InvalidValue(f"{owner} needs feature_names", None, "give the names of the columns of X")
    names = list(feature_names)
    if feature not in names:
        raise InvalidValue(
            f"{owner} needs the feature {feature}",
            ", ".join(names[:6]) + (", ..." if len(names) > 6 else ""),
            f"choose a feature set with {feature}, such as core14 or candle62",
        )
    return names.index(feature)


def require_named(owner: str, feature_names: Sequence[str], columns: int) -> None:
    """Refuse rows with another number of columns than there are names."""
    if len(feature_names) != columns:
        raise InvalidValue(
            f"{owner} has {len(feature_names)} feature_names and needs as many columns",
            f"{columns} columns",
            "give the names of the columns of X",
        )
