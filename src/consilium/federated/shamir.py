"""Shamir's sharing of secrets: any ``threshold`` of the shares give the secret, fewer give nothing."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod

import numpy as np

from consilium.domain.errors import InvalidValue
from consilium.federated.entropy import Entropy

PRIME = 2**256 - 189
"""The largest prime below 2^256: nearly every string of 32 bytes is a secret."""

SIZE = 32
"""Bytes of a secret and of a share."""


def draw_secret(entropy: Entropy) -> bytes:
    """Return 32 bytes that, read as a number, lie below the prime; all of them equally likely."""
    while True:
        token = entropy.token(SIZE)
        if int.from_bytes(token, "big") < PRIME:
            return token


def as_number(secret: bytes) -> int:
    """Read a secret or a share from its 32 bytes.

    Raises
    ------
    InvalidValue
        Not 32 bytes, or a number that is not below the prime.

    Examples
    --------
    >>> as_number(as_bytes(12345))
    12345
    """
    if len(secret) != SIZE:
        raise InvalidValue("a secret must have 32 bytes", f"{len(secret)} bytes", "send it whole")
    return _below_prime(int.from_bytes(secret, "big"), "a secret")


def as_bytes(number: int) -> bytes:
    """Write a secret or a share as 32 bytes, the highest first."""
    return _below_prime(number, "a secret").to_bytes(SIZE, "big")


def split(secret: int, threshold: int, points: Sequence[int], entropy: Entropy) -> list[int]:
    """Share a secret: the values of a random polynomial of degree ``threshold - 1`` that is the secret at 0.

    ``share_j = secret + a_1 x_j + ... + a_(t-1) x_j^(t-1)  mod 2^256 - 189``.

    Parameters
    ----------
    secret
        In [0, prime).
    threshold
        How many shares give it back: in [1, number of points].
    points
        Where each share is taken: different numbers in [1, 2^31), roster index + 1.
    entropy
        Draws the coefficients.

    Raises
    ------
    InvalidValue
        A secret, a threshold or points outside these bounds.

    Examples
    --------
    >>> from consilium.federated.entropy import SystemEntropy
    >>> shares = split(42, 2, [1, 2, 3], SystemEntropy())
    >>> combine({1: shares[0], 3: shares[2]}, 2)
    42

    References
    ----------
    A. Shamir, "How to share a secret", 1979.
    """
    _below_prime(secret, "a secret")
    _check_threshold(threshold, len(points))
    _check_points(points)
    coefficients = [int.from_bytes(draw_secret(entropy), "big") for _ in range(threshold - 1)]
    return [_value(secret, coefficients, point) for point in points]


def combine(shares: Mapping[int, int], threshold: int) -> int:
    """Give a secret back from its shares: Lagrange's interpolation at 0.

    Of more shares than needed those of the lowest points are used. A wrong share gives a wrong secret: who
    combines compares it with what was committed to.

    Parameters
    ----------
    shares
        Share by point.
    threshold
        That of `split`.

    Raises
    ------
    InvalidValue
        Fewer shares than the threshold, or a point or share out of its bounds.
    """
    if len(shares) < threshold:
        raise InvalidValue(
            f"a secret needs {threshold} shares", f"{len(shares)}", "wait for more, or end the attempt"
        )
    _check_threshold(threshold, len(shares))
    points = tuple(sorted(shares)[:threshold])
    weights = lagrange_weights(points)
    total = sum(w * _below_prime(shares[x], "a share") for w, x in zip(weights, points, strict=True))
    return total % PRIME


@lru_cache(maxsize=4096)
def lagrange_weights(points: tuple[int, ...]) -> tuple[int, ...]:
    """Return by point what its share counts in the value at 0.

    ``w_i = prod_(j != i) x_j / (x_j - x_i)  mod prime``; one inversion serves all of them.
    """
    _check_points(points)
    whole = prod(points)
    below = [x * rest % PRIME for x, rest in zip(points, _differences(points), strict=True)]
    before = [1]
    for value in below:
        before.append(before[-1] * value % PRIME)
    inverse = pow(before[-1], -1, PRIME) * whole % PRIME
    weights = [0] * len(points)
    for i in range(len(points) - 1, -1, -1):
        weights[i] = inverse * before[i] % PRIME
        inverse = inverse * below[i] % PRIME
    return tuple(weights)


def _differences(points: tuple[int, ...]) -> list[int]:
    """Return by point x the product of y - x over all other points y."""
    values = np.array(points, dtype=np.int64)
    apart = values[None, :] - values[:, None]
    np.fill_diagonal(apart, 1)
    # As many factors at a time as 64 bits hold for certain.
    together = 62 // int(values.max()).bit_length()
    ones = np.ones((len(points), -len(points) % together), dtype=np.int64)
    chunks = np.hstack([apart, ones]).reshape(len(points), -1, together).prod(axis=2)
    return [prod(row) for row in chunks.tolist()]


def _value(secret: int, coefficients: list[int], point: int) -> int:
    """Return the polynomial at a point, by Horner's scheme."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value + coefficient) * point % PRIME
    return (value + secret) % PRIME


def _below_prime(number: int, what: str) -> int:
    # The number itself is a secret: it never gets into a message.
    if not 0 <= number < PRIME:
        raise InvalidValue(f"{what} must lie in [0, 2^256 - 189)", "another number", "draw it anew")
    return number


def _check_threshold(threshold: int, shares: int) -> None:
    if not 1 <= threshold <= shares:
        raise InvalidValue(
            f"a threshold must lie in [1, {shares}], the number of shares",
            threshold,
            "lower it or share with more",
        )


def _check_points(points: Sequence[int]) -> None:
    if len(set(points)) != len(points):
        raise InvalidValue("points of shares must differ", "the same point twice", "give one share to each")
    if not points or not (min(points) >= 1 and max(points) < 2**31):
        raise InvalidValue(
            "points of shares must lie in [1, 2^31)", list(points)[:5], "use the index in the roster + 1"
        )
