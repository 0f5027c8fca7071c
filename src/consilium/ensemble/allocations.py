"""Allocations: the configured share of each model before experience."""

from collections.abc import Iterable, Mapping
from math import isfinite
from types import MappingProxyType

from consilium.domain import InvalidValue

SEED_002_ALLOCATIONS: Mapping[str, float] = MappingProxyType(
    {"xgboost": 0.25, "lightgbm": 0.25, "nhits": 0.30, "patchtst": 0.20}
)
"""Allocations of the four models of seed 002."""

SEED_004_ALLOCATIONS: Mapping[str, float] = MappingProxyType(
    {"cnn_lstm": 0.40, "mpd_transformer": 0.35, "tlob": 0.25}
)
"""Allocations of the three models of seed 004."""


def check_shares(kind: str, shares: Mapping[str, float], voters: Iterable[str]) -> None:
    """Refuse shares that no rule can weigh with.

    Parameters
    ----------
    kind
        What they are, for the error: ``"allocations"`` or ``"trust"``.
    shares
        By model; finite, >= 0, not all 0.
    voters
        Models that must be named.

    Raises
    ------
    InvalidValue
        A share that is negative or not finite, a voter without one, or nothing above 0.

    Examples
    --------
    >>> check_shares("allocations", {"xgboost": 1.0}, ["xgboost"])
    """
    positive = False
    for model, share in shares.items():
        if not (isfinite(share) and share >= 0.0):
            raise InvalidValue(f"{kind} must be finite and >= 0", f"{share} for {model}", f"correct {model}")
        positive = positive or share > 0.0
    if not positive:
        raise InvalidValue(f"{kind} must not all be 0", dict(shares), "give at least one model a share")
    for model in voters:
        if model not in shares:
            raise InvalidValue(
                f"{kind} must name every voter", f"none for {model}", f"add {model}, or disable the model"
            )


def rule_shares(allocations: Mapping[str, float] | None, *, in_prior: bool) -> Mapping[str, float] | None:
    """Return what a rule multiplies trust by.

    Parameters
    ----------
    allocations
        Share by model, >= 0; None for equal ones.
    in_prior
        Whether trust carries them as its prior: then only who has one at all is told.

    Examples
    --------
    >>> rule_shares({"a": 0.7, "b": 0.0}, in_prior=True)
    {'a': 1.0, 'b': 0.0}
    """
    if allocations is None or not in_prior:
        return allocations
    if all(share > 0.0 for share in allocations.values()):
        return None
    return {model: float(share > 0.0) for model, share in allocations.items()}
