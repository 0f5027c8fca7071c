"""Decoding held to its definition: the one polynomial from which at most half of the spare shares differ."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.domain import InvalidValue
from consilium.federated.decoding import Decoded, decode
from consilium.federated.entropy import SeededEntropy
from consilium.federated.shamir import PRIME, as_number, combine, draw_secret, split


def dealt(n: int, threshold: int, seed: int = 0) -> tuple[int, dict[int, int]]:
    entropy = SeededEntropy(seed)
    secret = as_number(draw_secret(entropy))
    points = range(1, n + 1)
    return secret, dict(zip(points, split(secret, threshold, points, entropy), strict=True))


def by_force(shares: dict[int, int], threshold: int) -> Decoded | None:
    """Try every set of t shares: what the definition says, word for word."""
    for chosen in combinations(sorted(shares), threshold):
        base = {x: shares[x] for x in chosen}
        secret = combine(base, threshold)
        beside = {x: shares[x] for x in chosen[1:]}
        wrong = frozenset(
            x for x in shares if x not in base and combine({**beside, x: shares[x]}, threshold) != secret
        )
        if 2 * len(wrong) <= len(shares) - threshold:
            return Decoded(secret, wrong)
    return None


@given(st.data())
def test_decoding_agrees_with_trying_every_set_of_shares(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 8))
    threshold = data.draw(st.integers(1, n))
    _, shares = dealt(n, threshold, data.draw(st.integers(0, 2**32)))
    for point in data.draw(st.lists(st.sampled_from(sorted(shares)), unique=True)):
        shares[point] = data.draw(st.integers(0, 5) | st.integers(0, PRIME - 1))
    assert decode(shares, threshold) == by_force(shares, threshold)


@given(st.data())
def test_as_many_liars_as_half_of_the_spare_shares_are_found_and_the_secret_comes_back(
    data: st.DataObject,
) -> None:
    n = data.draw(st.integers(3, 40))
    threshold = data.draw(st.integers(1, n - 2))
    secret, shares = dealt(n, threshold, data.draw(st.integers(0, 2**32)))
    most = (n - threshold) // 2
    liars = data.draw(st.sets(st.sampled_from(sorted(shares)), max_size=most))
    offsets = {x: data.draw(st.integers(1, PRIME - 1)) for x in sorted(liars)}
    lied = shares | {x: (shares[x] + offsets[x]) % PRIME for x in liars}
    assert decode(lied, threshold) == Decoded(secret, frozenset(liars))


@pytest.mark.parametrize(("n", "threshold"), [(62, 46), (127, 70)])
def test_as_many_liars_as_a_large_session_bears_are_found(n: int, threshold: int) -> None:
    secret, shares = dealt(n, threshold)
    liars = range(3, n, 3)[: (n - threshold) // 2]
    lied = shares | dict.fromkeys(liars, 7)
    assert decode(lied, threshold) == Decoded(secret, frozenset(liars))


def test_more_liars_than_that_are_no_polynomial() -> None:
    _, shares = dealt(9, 5)
    assert decode(shares | {2: 1, 4: 1, 9: 1}, 5) is None


def test_points_need_not_follow_one_another() -> None:
    points = [3, 500, 9_999, 2**31 - 1, 12, 77]
    shares = dict(zip(points, split(42, 2, points, SeededEntropy(1)), strict=True))
    assert decode(shares | {500: 1, 77: 2}, 2) == Decoded(42, frozenset({500, 77}))


def test_the_zero_polynomial_is_one_too() -> None:
    assert decode({1: 0, 2: 0, 3: 0, 4: 9}, 2) == Decoded(0, frozenset({4}))


def test_fewer_shares_than_the_threshold_are_refused() -> None:
    with pytest.raises(InvalidValue, match="a secret needs 3 shares; got 2"):
        decode({1: 1, 2: 2}, 3)


def test_a_secret_is_in_no_message() -> None:
    assert "12345" not in repr(Decoded(12345, frozenset()))
