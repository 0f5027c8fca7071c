"""Comparisons of figures with bounds: strict, and false where a figure is missing."""

from consilium.domain import Figure, Missing


def above(figure: Figure, bound: float) -> bool:
    """Return whether a known figure is strictly greater than a bound.

    Examples
    --------
    >>> above(0.102, 0.10), above(0.10, 0.10), above(Missing.UNKNOWN, 0.10)
    (True, False, False)
    """
    return not isinstance(figure, Missing) and figure > bound


def known(figure: Figure, condition: bool) -> bool | None:
    """Return a condition on a figure; None where the figure is missing: it neither begins nor ends.

    Examples
    --------
    >>> known(0.9, above(0.9, 0.85)), known(Missing.UNKNOWN, False)
    (True, None)
    """
    return None if isinstance(figure, Missing) else condition


def below(figure: Figure, bound: float) -> bool:
    """Return whether a known figure is strictly less than a bound.

    Examples
    --------
    >>> below(0.02, 0.03), below(0.03, 0.03), below(Missing.INSUFFICIENT, 0.03)
    (True, False, False)
    """
    return not isinstance(figure, Missing) and figure < bound


def at_least(figure: Figure, count: int) -> bool:
    """Return whether a known count has reached a bound: counts are compared with >=.

    Examples
    --------
    >>> at_least(5, 5), at_least(4, 5), at_least(Missing.UNKNOWN, 5)
    (True, False, False)
    """
    return not isinstance(figure, Missing) and figure >= count


def above_or_insufficient(figure: Figure, bound: float) -> bool:
    """Return whether nothing speaks against a figure being above a bound: too little data does not.

    Examples
    --------
    >>> above_or_insufficient(Missing.INSUFFICIENT, 0.4), above_or_insufficient(Missing.UNKNOWN, 0.4)
    (True, False)
    """
    return figure is Missing.INSUFFICIENT or above(figure, bound)


def below_or_insufficient(figure: Figure, bound: float) -> bool:
    """Return whether nothing speaks against a figure being below a bound: too little data does not.

    Examples
    --------
    >>> below_or_insufficient(0.4, 0.4), below_or_insufficient(Missing.INSUFFICIENT, 0.4)
    (False, True)
    """
    return figure is Missing.INSUFFICIENT or below(figure, bound)


def percent(figure: Figure) -> str:
    """Return a fraction in words.

    Examples
    --------
    >>> percent(0.102), percent(0.001), percent(Missing.UNKNOWN)
    ('10.2 %', '0.1 %', 'unknown')
    """
    return figure.value if isinstance(figure, Missing) else f"{100.0 * figure:.6g} %"


def number(figure: Figure) -> str:
    """Return a count or an amount in words.

    Examples
    --------
    >>> number(5), number(999.5), number(1.52)
    ('5', '999.5', '1.52')
    """
    return figure.value if isinstance(figure, Missing) else f"{figure:.8g}"
