"""The polynomial on which most shares lie, although some of them are wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consilium.domain.errors import InvalidValue
from consilium.federated.shamir import PRIME

Poly = list[int]
"""Coefficients, the constant first; the last is not 0, and the zero polynomial is empty."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What shares have in common.

    Parameters
    ----------
    secret
        Value at 0 of the polynomial.
    wrong
        Points of the shares that do not lie on it.
    """

    secret: int
    wrong: frozenset[int]

    def __repr__(self) -> str:
        return f"Decoded({len(self.wrong)} wrong)"


def decode(shares: Mapping[int, int], threshold: int) -> Decoded | None:
    """Return the polynomial of degree < t on which all but ``e = floor((n - t) / 2)`` shares lie, if any.

    From ``g_0 = prod (x - x_i)`` and ``g_1`` through all n shares Euclid's algorithm stops at the first
    remainder of degree < (n + t) / 2; over its cofactor it is the polynomial. There is at most one.

    Parameters
    ----------
    shares
        Share by point, in [1, prime) and different; in [0, prime).
    threshold
        t, in [1, n].

    Raises
    ------
    InvalidValue
        Fewer shares than the threshold.

    Examples
    --------
    >>> right = {x: 5 + 7 * x for x in range(1, 7)}
    >>> decode(right | {2: 1, 5: 1}, 2)
    Decoded(2 wrong)
    >>> decode(right | {2: 1, 5: 1}, 2).secret
    5

    References
    ----------
    S. Gao, "A new algorithm for decoding Reed-Solomon codes", 2003, algorithm 1.
    """
    points = sorted(shares)
    if not 1 <= threshold <= len(points):
        raise InvalidValue(
            f"a secret needs {threshold} shares", len(points), "wait for more, or end the attempt"
        )
    whole = _whole(points)
    found = _common(whole, _through(points, [shares[x] for x in points], whole), len(points) + threshold)
    if found is None or len(found) > threshold:
        return None
    wrong = frozenset(x for x in points if _value(found, x) != shares[x])
    if 2 * len(wrong) > len(points) - threshold:
        return None
    return Decoded(found[0] if found else 0, wrong)


def _common(whole: Poly, through: Poly, both: int) -> Poly | None:
    """Return the first remainder of degree < both / 2 over its cofactor; None where that leaves a rest."""
    before, rest = whole, through
    cofactor_before: Poly = []
    cofactor: Poly = [1]
    while rest and 2 * (len(rest) - 1) >= both:
        quotient, left = _divided(before, rest)
        before, rest = rest, left
        cofactor_before, cofactor = cofactor, _minus_product(cofactor_before, quotient, cofactor)
    found, left = _divided(rest, cofactor)
    return None if left else found


def _whole(points: Sequence[int]) -> Poly:
    """Return the product of all x - x_i."""
    product = [1]
    for point in points:
        longer = [0, *product]
        for i, c in enumerate(product):
            longer[i] = (longer[i] - point * c) % PRIME
        product = longer
    return product


def _through(points: Sequence[int], values: Sequence[int], whole: Poly) -> Poly:
    """Return the polynomial of degree < n through n points, by Lagrange."""
    total = [0] * len(points)
    for x, value in zip(points, values, strict=True):
        # whole / (x - x_i), by Horner's scheme: it is 0 at all other points.
        part, carry = [0] * len(points), 0
        for i in range(len(points) - 1, -1, -1):
            carry = (whole[i + 1] + x * carry) % PRIME
            part[i] = carry
        weight = value * pow(_value(part, x), -1, PRIME) % PRIME
        total = [(a + weight * b) % PRIME for a, b in zip(total, part, strict=True)]
    return _trimmed(total)


def _divided(above: Poly, below: Poly) -> tuple[Poly, Poly]:
    """Return quotient and remainder."""
    rest, inverse = list(above), pow(below[-1], -1, PRIME)
    quotient = [0] * max(0, len(above) - len(below) + 1)
    for shift in range(len(quotient) - 1, -1, -1):
        factor = quotient[shift] = rest[shift + len(below) - 1] * inverse % PRIME
        for i, c in enumerate(below):
            rest[shift + i] = (rest[shift + i] - factor * c) % PRIME
    return _trimmed(quotient), _trimmed(rest)


def _minus_product(a: Poly, b: Poly, c: Poly) -> Poly:
    """Return a - b c."""
    total = a + [0] * (len(b) + len(c) - len(a))
    for i, left in enumerate(b):
        for j, right in enumerate(c):
            total[i + j] = (total[i + j] - left * right) % PRIME
    return _trimmed(total)


def _value(poly: Poly, point: int) -> int:
    value = 0
    for c in reversed(poly):
        value = (value * point + c) % PRIME
    return value


def _trimmed(poly: Poly) -> Poly:
    end = len(poly)
    while end and not poly[end - 1]:
        end -= 1
    return poly[:end]
