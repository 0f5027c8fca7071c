"""Laws of masks, sharing, quantising and rings."""

from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.federated.entropy import SeededEntropy
from consilium.federated.masks import add_mask, add_masks
from consilium.federated.parameters import Ring, count_of, degree_for, ring_for
from consilium.federated.primitives import agree, derive, new_exchange_key, seal, unseal
from consilium.federated.quantising import Scale, dequantise, quantise
from consilium.federated.shamir import PRIME, combine, split

KEYS = st.binary(min_size=32, max_size=32)
DTYPES = st.sampled_from([np.uint32, np.uint64])


@given(KEYS, DTYPES, st.integers(0, 5_000), st.integers(0, 2**32 - 1))
def test_a_mask_added_and_subtracted_leaves_the_vector(
    key: bytes, dtype: type[np.uint32], size: int, seed: int
) -> None:
    before = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, size, dtype=dtype, endpoint=True)
    after = before.copy()
    add_mask(after, key, 1)
    if size > 8:
        assert not np.array_equal(after, before)
    add_mask(after, key, -1)
    assert np.array_equal(after, before)


@given(st.lists(KEYS, min_size=2, max_size=6, unique=True), DTYPES)
def test_pair_masks_of_all_pairs_cancel_in_the_sum(keys: list[bytes], dtype: type[np.uint32]) -> None:
    n = len(keys)
    total = np.zeros(100, dtype)
    for i in range(n):
        mine = np.full(100, i, dtype)
        pairs = [
            (derive(keys[min(i, j)] + keys[max(i, j)], b"pair"), 1 if i < j else -1)
            for j in range(n)
            if j != i
        ]
        add_masks(mine, pairs)
        assert len(set(mine.tolist())) > 90
        total += mine
    assert set(total.tolist()) == {n * (n - 1) // 2}


@given(KEYS, KEYS)
def test_masks_of_two_keys_differ(one: bytes, other: bytes) -> None:
    masks = [np.zeros(8, np.uint32) for _ in range(2)]
    for mask, key in zip(masks, (one, other), strict=True):
        add_mask(mask, key, 1)
    assert np.array_equal(masks[0], masks[1]) == (one == other)


@given(st.data(), st.integers(0, PRIME - 1), st.integers(0, 2**32))
def test_any_threshold_of_the_shares_gives_the_secret(data: st.DataObject, secret: int, seed: int) -> None:
    points = data.draw(st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=20, unique=True))
    threshold = data.draw(st.integers(1, len(points)))
    held = data.draw(st.permutations(points))[: data.draw(st.integers(threshold, len(points)))]
    shares = dict(zip(points, split(secret, threshold, points, SeededEntropy(seed)), strict=True))
    assert combine({point: shares[point] for point in held}, threshold) == secret


@given(st.integers(0, PRIME - 1), st.integers(0, PRIME - 1), st.integers(1, 6))
def test_sharing_is_linear(one: int, other: int, threshold: int) -> None:
    points = list(range(1, 8))
    summed = [
        (a + b) % PRIME
        for a, b in zip(
            split(one, threshold, points, SeededEntropy(1)),
            split(other, threshold, points, SeededEntropy(2)),
            strict=True,
        )
    ]
    assert combine(dict(zip(points, summed, strict=True)), threshold) == (one + other) % PRIME


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_both_sides_agree_on_the_same_secret(one: int, other: int) -> None:
    mine, theirs = new_exchange_key(SeededEntropy(one)), new_exchange_key(SeededEntropy(other))
    assert agree(mine.private, theirs.public) == agree(theirs.private, mine.public)


@given(KEYS, st.binary(max_size=300), st.binary(max_size=100))
def test_what_is_sealed_opens(key: bytes, data: bytes, associated: bytes) -> None:
    sealed = seal(key, data, associated)
    assert unseal(key, sealed, associated) == data
    assert len(sealed) == len(data) + 16


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50),
    st.floats(1e-6, 1e6),
    st.integers(1, 2**20),
    st.integers(0, 2**32),
)
def test_quantised_updates_stay_in_their_bounds_and_near_the_clipped_ones(
    values: list[float], clip: float, clip_int: int, seed: int
) -> None:
    scale = Scale(clip=clip, clip_int=clip_int)
    delta = np.array(values)
    whole = quantise(delta, scale, SeededEntropy(seed))
    assert np.abs(whole).max() <= clip_int
    assert int(whole @ whole) <= scale.norm_bound(len(values)) ** 2
    # Decimals, where the square of a float would overflow.
    exact = [Decimal(value) for value in values]
    length = sum((value * value for value in exact), Decimal(0)).sqrt()
    factor = Decimal(clip) / max(length, Decimal(clip))
    expected = np.array([float(value * factor) for value in exact])
    assert np.abs(dequantise(whole, scale) - expected).max() <= scale.step * (1 + 1e-6)


@given(st.integers(1, 10_000), st.integers(1, 2**20), st.integers(0, 2**30), st.data())
def test_the_sum_of_honest_vectors_in_the_ring_is_their_sum(
    n: int, clip_int: int, noise: int, data: st.DataObject
) -> None:
    ring: Ring = ring_for(n, clip_int, noise)
    reach = clip_int + noise
    values = data.draw(st.lists(st.integers(-reach, reach), min_size=1, max_size=10))
    values += [data.draw(st.sampled_from([-reach, reach]))] * (min(n, 200) - len(values[: min(n, 200)]))
    values = values[:n]
    total = np.zeros(1, ring.dtype)
    for value in values:
        total += ring.encode(np.array([value]))
    assert ring.decode(total).tolist() == [sum(values)]


@settings(max_examples=25)
@given(st.integers(2, 3_000), st.floats(0.0, 0.2), st.floats(0.0, 0.1))
def test_a_degree_leaves_a_threshold_above_half_that_survivors_can_reach(
    n: int, gamma: float, delta: float
) -> None:
    degree = degree_for(n, gamma, delta)
    k, t = degree.neighbours, degree.threshold
    assert 1 <= t <= k <= n - 1
    assert 2 * t > k
    if n <= 128:
        assert t <= n - 1 - count_of(delta, n)
