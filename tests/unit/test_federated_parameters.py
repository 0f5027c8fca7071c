"""Neighbours, thresholds, rings and group sizes, held to the laws they come from."""

import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from consilium.domain import InvalidValue
from consilium.federated.groups import group_count, largest_group, least_group, occupied, split_for
from consilium.federated.parameters import (
    Degree,
    Ring,
    at_least,
    count_of,
    degree_for,
    least_survivors,
    parted,
    ring_for,
)

CASES = [
    (300, 0.1, 0.05, 47, 35),
    (1_000, 0.1, 0.05, 62, 46),
    (10_000, 0.1, 0.05, 76, 56),
    (300, 0.2, 0.1, 93, 69),
    (1_000, 0.2, 0.1, 138, 102),
    (10_000, 0.2, 0.1, 179, 132),
]


def bounds(
    n: int, gamma: float, delta: float, k: int, t: int, *, malicious: bool = True
) -> tuple[float, float]:
    """Return N P[secrecy fails] and N P[liveness fails], by scipy."""
    secrecy = n * hypergeom.sf((2 * t - k if malicious else t) - 1, n - 1, count_of(gamma, n), k)
    liveness = n * hypergeom.sf(k - t, n - 1, count_of(delta, n), k)
    return float(secrecy), float(liveness)


def meets(n: int, gamma: float, delta: float, k: int, t: int, *, malicious: bool = True) -> bool:
    secrecy, liveness = bounds(n, gamma, delta, k, t, malicious=malicious)
    return secrecy <= 2**-40 and liveness <= 2**-20


@pytest.mark.promise("003", "secure aggregation: neighbours and threshold computed from N, gamma and delta")
@pytest.mark.parametrize(("n", "gamma", "delta", "k", "t"), CASES)
def test_neighbours_and_threshold_are_those_of_the_table(
    n: int, gamma: float, delta: float, k: int, t: int
) -> None:
    assert degree_for(n, gamma, delta) == Degree(k, t)
    assert meets(n, gamma, delta, k, t)
    assert not any(meets(n, gamma, delta, k - 1, lower) for lower in range(1, k))
    assert not meets(n, gamma, delta, k, t - 1)


@pytest.mark.parametrize("n", [129, 200, 731, 2_500])
@pytest.mark.parametrize(("gamma", "delta"), [(0.05, 0.02), (0.15, 0.05), (0.3, 0.02)])
@pytest.mark.parametrize("malicious", [True, False])
def test_no_smaller_degree_meets_both_bounds(n: int, gamma: float, delta: float, malicious: bool) -> None:
    degree = degree_for(n, gamma, delta, malicious=malicious)
    k, t = degree.neighbours, degree.threshold
    assert meets(n, gamma, delta, k, t, malicious=malicious)
    if k > 1:
        less = [
            lower
            for lower in range(k // 2 + 1, k)
            if meets(n, gamma, delta, k - 1, lower, malicious=malicious)
        ]
        assert not less


@pytest.mark.parametrize(
    ("population", "marked", "drawn"), [(999, 100, 62), (299, 15, 47), (50, 49, 20), (9, 0, 4)]
)
def test_tails_of_the_hypergeometric_law_are_those_of_scipy(population: int, marked: int, drawn: int) -> None:
    tails, unit = at_least(population, marked, drawn)
    expected = hypergeom.sf(np.arange(drawn + 2) - 1, population, marked, drawn)
    assert np.allclose([tail / unit for tail in tails], expected, rtol=1e-6, atol=1e-300)


def test_tails_of_the_hypergeometric_law_are_what_drawing_gives() -> None:
    rng = np.random.default_rng(3)
    draws = np.array([rng.permutation(30)[:8] < 9 for _ in range(20_000)]).sum(axis=1)
    tails, unit = at_least(30, 9, 8)
    for j in range(9):
        assert abs((draws >= j).mean() - tails[j] / unit) < 0.02


@pytest.mark.parametrize(
    ("n", "gamma", "t"), [(5, 0.1, 3), (50, 0.1, 28), (100, 0.1, 55), (128, 0.1, 70), (100, 0.2, 60)]
)
def test_few_participants_are_all_neighbours_of_each_other(n: int, gamma: float, t: int) -> None:
    assert degree_for(n, gamma, 0.05) == Degree(n - 1, t)
    # A coordinator that lies needs t shares of each of both secrets; honest holders give one of them.
    colluders = count_of(gamma, n)
    honest = n - 1 - colluders
    assert 2 * t > honest + 2 * colluders
    assert t <= n - 1 - count_of(0.05, n)


def test_a_large_share_of_colluders_takes_many_neighbours_but_not_all() -> None:
    degree = degree_for(2_000, 0.35, 0.05)
    assert degree == Degree(157, 130)
    assert meets(2_000, 0.35, 0.05, degree.neighbours, degree.threshold)


def test_half_of_the_neighbours_is_no_safe_threshold() -> None:
    secrecy, _ = bounds(1_000, 0.1, 0.05, 62, 32)
    assert secrecy > 100


def test_a_graph_without_colluders_or_dropouts_still_hangs_together() -> None:
    degree = degree_for(1_000, 0.0, 0.0)
    assert degree.neighbours >= 2
    assert parted(1_000, 0, degree.neighbours) <= -40
    assert parted(1_000, 0, degree.neighbours - 1) > -40


@pytest.mark.parametrize(("n", "lost", "k"), [(12, 2, 1), (12, 2, 2), (9, 4, 2), (20, 4, 1)])
def test_a_graph_falls_into_parts_no_oftener_than_its_bound(n: int, lost: int, k: int) -> None:
    rng = np.random.default_rng(7)
    broken, draws = 0, 400
    for _ in range(draws):
        linked = np.zeros((n, n), bool)
        for i in range(n):
            linked[i, rng.choice([j for j in range(n) if j != i], k, replace=False)] = True
        linked = (linked | linked.T)[lost:, lost:]
        reached = np.zeros(n - lost, bool)
        reached[0] = True
        for _ in range(n):
            reached |= linked[reached].any(axis=0)
        broken += not reached.all()
    assert broken / draws <= min(1.0, 2.0 ** parted(n, lost, k)) + 0.06
    assert parted(n, lost, k) > parted(n, lost, k + 1)


@pytest.mark.parametrize(
    ("n", "gamma", "delta", "problem"),
    [
        (1, 0.1, 0.05, "a secure sum needs >= 2 participants; got 1: ask more of them"),
        (100, 0.5, 0.05, r"gamma must lie in \[0, .5\); got 0.5"),
        (100, -0.1, 0.05, "gamma must lie in"),
        (100, float("nan"), 0.05, "gamma must lie in"),
        (100, 0.1, 1.0, r"delta must lie in \[0, 1\); got 1.0"),
        (
            100,
            0.45,
            0.3,
            "100 participants must leave 73 neighbours for the threshold; got 69 after 30 dropouts",
        ),
        (
            1_000,
            0.45,
            0.3,
            "1000 participants must leave 725 neighbours for the threshold; got 699 after 300 dropouts",
        ),
    ],
)
def test_what_no_degree_serves_is_refused(n: int, gamma: float, delta: float, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        degree_for(n, gamma, delta)


def test_counts_of_fractions_are_those_of_people() -> None:
    assert [count_of(0.29, 100), count_of(0.1, 1_000), count_of(0.05, 99)] == [29, 100, 4]
    assert [least_survivors(1_000, 0.05), least_survivors(99, 0.05), least_survivors(20, 0.05)] == [
        950,
        95,
        19,
    ]
    for n in range(2, 400):
        for delta in (0.0, 0.05, 0.1, 0.3):
            assert least_survivors(n, delta) + count_of(delta, n) == n


@pytest.mark.parametrize(
    ("n", "clip_int", "noise", "bits"),
    [
        (1_000, 4_096, 0, 32),
        (524_032, 4_096, 0, 32),
        (524_160, 4_096, 0, 32),
        (524_161, 4_096, 0, 64),
        (1, 2**31 - 3, 0, 32),
        (1, 2**31 - 2, 0, 32),
        (1, 2**31 - 1, 0, 64),
        (1_000, 4_096, 2_143_386, 32),
        (1_000, 4_096, 2_143_387, 64),
    ],
)
def test_the_ring_is_the_smallest_that_cannot_wrap(n: int, clip_int: int, noise: int, bits: int) -> None:
    assert ring_for(n, clip_int, noise).bits == bits
    assert (n * (clip_int + 1 + noise) < 2**31) == (bits == 32)


def test_the_largest_honest_sum_does_not_wrap() -> None:
    ring = ring_for(524_160, 4_096)
    for one in (4_096, -4_096):
        words = ring.encode(np.array([one]))
        total = (words.astype(np.uint64) * 524_160).astype(np.uint32)
        assert ring.decode(total).tolist() == [one * 524_160]


def test_a_sum_that_no_ring_holds_is_refused() -> None:
    with pytest.raises(
        InvalidValue, match=r"must be < 2\^63; got 1099511627776 x 1073741825: lower clip_int"
    ):
        ring_for(2**40, 2**30)
    with pytest.raises(InvalidValue, match=r"a ring must have 32 or 64 bits; got 16"):
        Ring(16)
    with pytest.raises(InvalidValue, match=r"got -5 to 2147483648: lower clip_int"):
        Ring(32).encode(np.array([-5, 2**31]))


@pytest.mark.promise("003", "grouped: groups are large enough to hide in")
@pytest.mark.parametrize(
    ("n", "gamma", "size"),
    [(1_000, 0.1, 59), (1_000, 0.2, 67), (10_000, 0.2, 75), (300, 0.2, 61), (50, 0.1, 50)],
)
def test_least_groups_are_those_of_the_table(n: int, gamma: float, size: int) -> None:
    assert least_group(n, gamma) == size
    sure = n - count_of(gamma, n)
    left = sure - count_of(0.05, n)
    fails = [sure * float(binom.cdf(7, left, min(1.0, 1 / (n // g)))) for g in (size, size - 1)]
    assert fails[0] <= 2**-40
    assert size == n // 2 + 1 or fails[1] > 2**-40 or n // size == 1


@pytest.mark.parametrize(
    ("byzantine", "of_100", "of_1000"),
    [(0.02, (20, 25), (20, 25)), (0.05, (8, 10), (10, 20)), (0.1, (4, 5), (5, 8)), (0.2, (2, 3), (2, 3))],
)
def test_largest_groups_lie_between_what_4000_draws_passed_and_failed(
    byzantine: float, of_100: tuple[int, int], of_1000: tuple[int, int]
) -> None:
    assert of_100[0] <= largest_group(100, byzantine, dirty=0.5) < of_100[1]
    assert of_1000[0] <= largest_group(1_000, byzantine, dirty=0.5) < of_1000[1]


def test_groups_with_an_attacker_are_as_many_as_drawing_gives() -> None:
    rng = np.random.default_rng(11)
    law = occupied(12, 20)
    counts = np.array([len(set(rng.integers(0, 20, 12))) for _ in range(20_000)])
    assert law.sum() == pytest.approx(1.0)
    for j in range(13):
        assert abs((counts == j).mean() - law[j]) < 0.02


@pytest.mark.promise("003", "grouped: no group falls for its size, and hidden members leave 8 honest ones")
@pytest.mark.parametrize(
    ("n", "groups", "gamma", "delta"),
    [(1_000, 5, 0.1, 0.05), (300, 2, 0.1, 0.05), (100, 2, 0.0, 0.05), (10_000, 37, 0.1, 0.05)],
)
def test_what_holds_in_each_group_is_what_the_laws_say(
    n: int, groups: int, gamma: float, delta: float
) -> None:
    split = split_for(n, groups, gamma, delta)
    colluders, dropouts = count_of(gamma, n), count_of(delta, n)
    share = 1 / groups

    def small(size: int) -> float:
        return groups * float(binom.cdf(size - 1, n - dropouts, share))

    def together(count: int) -> float:
        return groups * float(binom.sf(count, colluders, share))

    assert small(split.survivors) <= 2**-21 < small(split.survivors + 1)
    assert together(split.colluders) <= 2**-104
    assert split.colluders in (0, colluders) or together(split.colluders - 1) > 2**-104
    assert split.survivors - split.colluders >= 8
    k, t = split.degree.neighbours, split.degree.threshold
    # Whoever lies, 2 t - k of the neighbours must lie with them; no more than C can.
    assert k < split.survivors
    assert 2 * t - k > split.colluders
    assert n * float(hypergeom.sf(k - t, n - 1, dropouts, k)) <= 2**-21


def test_as_many_groups_are_drawn_as_hold() -> None:
    with pytest.raises(
        InvalidValue, match=r"6 groups of 1000 must .* neighbours left; got 50 dropouts and 70 colluders"
    ):
        split_for(1_000, 6, 0.1, 0.05)
    with pytest.raises(InvalidValue, match=r"16 groups of 1000 must each have >= 57 survivors; got 23"):
        split_for(1_000, 16, 0.1, 0.05)


def test_groups_that_are_drawn_never_fall_for_their_size() -> None:
    split = split_for(1_000, 5, 0.1, 0.05)
    rng = np.random.default_rng(3)
    least = min(np.bincount(rng.integers(0, 5, 1_000)[50:], minlength=5).min() for _ in range(5_000))
    assert split.survivors <= least


def test_groups_that_cannot_hide_and_bear_attackers_are_refused_with_both_sizes() -> None:
    assert group_count(1_000, 0.1, 0.0) == 5
    assert group_count(10_000, 0.1, 0.0) == 37
    with pytest.raises(
        InvalidValue, match=r"must have >= 200 members .* <= 8 to bear the attackers; got 1000"
    ):
        group_count(1_000, 0.1, 0.05)
    with pytest.raises(InvalidValue, match=r">= 50 members .*: use the mode sum"):
        group_count(50, 0.1, 0.02)
    with pytest.raises(InvalidValue, match=r"a group needs >= 8 honest survivors; got 5 of 5"):
        least_group(5, 0.0)
