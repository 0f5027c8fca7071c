"""Counts and lists in plain words."""

from collections.abc import Sequence


def counted(count: float, noun: str) -> str:
    """Return a count with its noun, which stands in the singular beside one; the first word takes the ending.

    Examples
    --------
    >>> counted(1, "trial"), counted(1204, "trial"), counted(0, "day of trading")
    ('1 trial', '1,204 trials', '0 days of trading')
    """
    first, space, rest = noun.partition(" ")
    return f"{count:,.0f} {first}{'' if count == 1 else 's'}{space}{rest}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
