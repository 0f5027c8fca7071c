"""Shares that sum to 1."""

from collections.abc import Mapping


def spread(fixed: Mapping[str, float], wanted: Mapping[str, float]) -> dict[str, float]:
    """Return shares that sum to 1: the fixed ones as they are, the rest in the ratio that is wanted.

    Where the fixed ones come to more than 1, or nobody is left to take the rest, they are scaled to 1.

    Parameters
    ----------
    fixed
        Shares in [0, 1] by name.
    wanted
        Weights >= 0 of all names; those of fixed names do not count. All 0: equal ones.

    Examples
    --------
    >>> spread({"xgboost": 0.5}, {"xgboost": 9.0, "lightgbm": 3.0, "nhits": 1.0})
    {'lightgbm': 0.375, 'nhits': 0.125, 'xgboost': 0.5}
    """
    others = {name: weight for name, weight in wanted.items() if name not in fixed}
    taken = sum(fixed.values())
    if taken > 1.0 or not others:
        return _to_one({name: share / taken for name, share in fixed.items()}) if taken > 0 else {}
    total = sum(others.values())
    rest = {
        name: (1.0 - taken) * (weight / total if total > 0 else 1.0 / len(others))
        for name, weight in others.items()
    }
    return _to_one(dict(fixed) | rest, spare=fixed)


def _to_one(shares: dict[str, float], spare: Mapping[str, float] | None = None) -> dict[str, float]:
    """Let the last name that may give take up what rounding left."""
    names = sorted(shares)
    giving = [name for name in names if name not in (spare or ())] or names
    last = giving[-1]
    others = sum(shares[name] for name in names if name != last)
    return {name: max(0.0, 1.0 - others) if name == last else shares[name] for name in names}
