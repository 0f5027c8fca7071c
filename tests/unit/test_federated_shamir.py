"""Sharing of secrets, held to its definition."""

from itertools import combinations

import pytest

from consilium.domain import InvalidValue
from consilium.federated.entropy import SeededEntropy, SystemEntropy
from consilium.federated.shamir import (
    PRIME,
    as_bytes,
    as_number,
    combine,
    draw_secret,
    lagrange_weights,
    split,
)

PROMISE = pytest.mark.promise("003", "threshold sharing: any t shares give the secret, fewer nothing")


class Fixed:
    """Bytes that were written down beforehand."""

    real = False

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    def token(self, size: int) -> bytes:
        return self._numbers.pop(0).to_bytes(size, "big")


def test_shares_are_the_values_of_the_polynomial() -> None:
    # 5 + 7x + 11x^2, by hand.
    assert split(5, 3, [1, 2, 3, 10], Fixed(7, 11)) == [23, 63, 125, 1175]


@PROMISE
def test_every_set_of_the_threshold_gives_the_secret_back() -> None:
    secret = as_number(draw_secret(SystemEntropy()))
    points = [3, 4, 9, 17, 10_000, 2**31 - 1]
    shares = dict(zip(points, split(secret, 4, points, SystemEntropy()), strict=True))
    for held in combinations(points, 4):
        assert combine({point: shares[point] for point in held}, 4) == secret
    assert combine(shares, 4) == secret


@PROMISE
def test_fewer_shares_than_the_threshold_fit_every_secret() -> None:
    points = [1, 2, 3]
    shares = split(1234, 3, points, SystemEntropy())
    weights = lagrange_weights((1, 2, 3))
    for other in (0, 1, PRIME - 1):
        # A third share that turns the secret into another one exists; nothing tells it from the true one.
        missing = (
            (other - weights[0] * shares[0] - weights[1] * shares[1]) * pow(weights[2], -1, PRIME) % PRIME
        )
        assert combine({1: shares[0], 2: shares[1], 3: missing}, 3) == other
    with pytest.raises(
        InvalidValue, match="a secret needs 3 shares; got 2: wait for more, or end the attempt"
    ):
        combine({1: shares[0], 2: shares[1]}, 3)


def test_a_wrong_share_gives_another_secret() -> None:
    shares = dict(zip([1, 2, 3], split(99, 2, [1, 2, 3], SystemEntropy()), strict=True))
    shares[1] = (shares[1] + 1) % PRIME
    assert combine(shares, 2) != 99
    assert combine({2: shares[2], 3: shares[3]}, 2) == 99


def test_the_order_in_which_shares_came_does_not_matter() -> None:
    shares = split(7, 2, [8, 5, 6], SystemEntropy())
    assert combine({8: shares[0], 5: shares[1], 6: shares[2]}, 2) == 7
    assert combine({6: shares[2], 8: shares[0], 5: shares[1]}, 2) == 7


def test_a_threshold_of_one_copies_the_secret() -> None:
    assert split(7, 1, [1, 2], SystemEntropy()) == [7, 7]
    assert combine({2: 7}, 1) == 7


def test_coefficients_at_or_above_the_prime_are_drawn_anew() -> None:
    assert draw_secret(Fixed(PRIME, 2**256 - 1, PRIME - 1)) == as_bytes(PRIME - 1)
    assert split(5, 2, [1, 2], Fixed(PRIME, 3)) == [8, 11]


def test_secrets_are_written_and_read_as_32_bytes() -> None:
    for number in (0, 1, 2**255, PRIME - 1):
        assert as_number(as_bytes(number)) == number
        assert len(as_bytes(number)) == 32
    for text in (b"", bytes(31), bytes(33)):
        with pytest.raises(InvalidValue, match="a secret must have 32 bytes; got"):
            as_number(text)


def test_what_is_out_of_bounds_is_refused_without_showing_the_secret() -> None:
    entropy = SeededEntropy(1)
    for number in (-1, PRIME, 2**256):
        with pytest.raises(InvalidValue, match="must lie in") as refused:
            split(number, 1, [1], entropy)
        assert str(number) not in str(refused.value)
        with pytest.raises(InvalidValue, match="a share must lie in"):
            combine({1: number}, 1)
    with pytest.raises(InvalidValue, match=r"\[1, 2\], the number of shares; got 3"):
        split(1, 3, [1, 2], entropy)
    with pytest.raises(InvalidValue, match=r"\[1, 2\], the number of shares; got 0"):
        split(1, 0, [1, 2], entropy)
    for points in ([0, 1], [1, 2**31], [-3, 4]):
        with pytest.raises(InvalidValue, match=r"points of shares must lie in \[1, 2\^31\)"):
            split(1, 1, points, entropy)
    with pytest.raises(InvalidValue, match="points of shares must differ; got the same point twice"):
        split(1, 1, [2, 2], entropy)
