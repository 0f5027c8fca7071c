"""Holm's correction: p-values of several tests, so that one false finding among all is rare."""

from collections.abc import Mapping

from consilium.domain import InvalidValue


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values: ``p~_(i) = max_(j <= i) min(1, (m - j + 1) p_(j))``, p sorted ascending.

    Rejecting where p~ <= alpha keeps the chance of any false rejection at alpha, however the tests depend.

    Parameters
    ----------
    p_values
        m p-values in [0, 1] by name.

    Returns
    -------
    The adjusted p-values by name, in the order given.

    Raises
    ------
    InvalidValue
        A p-value outside [0, 1].

    Examples
    --------
    >>> holm({"mcc": 0.04, "ic": 0.01, "ece": 0.03})
    {'mcc': 0.06, 'ic': 0.03, 'ece': 0.06}

    References
    ----------
    Holm (1979), sec. 2.
    """
    for name, p in p_values.items():
        if not 0.0 <= p <= 1.0:
            raise InvalidValue(f"the p-value of {name} must lie in [0, 1]", p, "give a probability")
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
