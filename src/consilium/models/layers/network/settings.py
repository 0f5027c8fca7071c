"""Bounds of the configurations of networks."""

from collections.abc import Sequence
from typing import Any

from consilium.domain import InvalidValue, UnknownName
from consilium.models.layers.settings import require_count


def require_counts(owner: str, config: Any, names: Sequence[str]) -> None:
    """Refuse fields of a configuration that are not whole numbers >= 1."""
    for name in names:
        require_count(owner, name, getattr(config, name), 1)


def require_choice(owner: str, name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a word that is not among the known ones.

    Examples
    --------
    >>> require_choice("patchtst", "head", "men", ("mean", "flatten"))
    Traceback (most recent call last):
    ...
    consilium.domain.errors.UnknownName: head of patchtst must be one of flatten, mean; got ...
    """
    if value not in known:
        raise UnknownName(f"{name} of {owner}", str(value), known)


def require_share(owner: str, name: str, value: float) -> None:
    """Refuse a share outside [0, 1).

    Examples
    --------
    >>> require_share("patchtst", "dropout", 1.0)
    Traceback (most recent call last):
    ...
    consilium.domain.errors.InvalidValue: dropout of patchtst must be in [0, 1); got 1.0: correct dropout
    """
    if not 0.0 <= value < 1.0:
        raise InvalidValue(f"{name} of {owner} must be in [0, 1)", value, f"correct {name}")
