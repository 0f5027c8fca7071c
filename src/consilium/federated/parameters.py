"""How many neighbours, which threshold, which ring: computed, so that nobody has to guess them."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, comb, floor, log

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_at_least
from consilium.domain.errors import InvalidValue

SECRECY_BITS = 40
"""A colluding set learns more than the sum with probability <= 2^-40."""

LIVENESS_BITS = 20
"""An attempt with as many dropouts as allowed fails with probability <= 2^-20."""

COMPLETE = 128
"""Up to so many participants everybody is everybody's neighbour."""

MOST_COHORT = 100_000
"""As many as an owner list may have."""

ALMOST = 1e-9
"""By how much a product of fractions may miss a whole number."""


@dataclass(frozen=True, slots=True)
class Degree:
    """How a participant shares its secrets: with how many, and how many of them give them back."""

    neighbours: int
    threshold: int


def count_of(fraction: float, participants: int) -> int:
    """Return floor(fraction * participants), where .29 of 100 is 29 in spite of binary fractions."""
    return floor(fraction * participants + ALMOST)


def least_survivors(participants: int, delta: float) -> int:
    """Return M = ceil((1 - delta) N): with fewer survivors an attempt ends without a sum.

    Examples
    --------
    >>> least_survivors(1000, 0.05), least_survivors(7, 0.05)
    (950, 7)
    """
    check_shares(participants, 0.0, delta)
    return ceil((1.0 - delta) * participants - ALMOST)


@lru_cache(maxsize=256)
def degree_for(
    participants: int, gamma: float, delta: float, *, malicious: bool = True, colluders: int | None = None
) -> Degree:
    """Return the least number of neighbours, then the least threshold, that keep secrecy and liveness.

    With c = floor(gamma N), r = floor(delta N) and k of N-1 neighbours drawn at random:
    ``N P[Hyper(N-1, c, k) >= 2t - k] <= 2^-40`` for a malicious coordinator (``>= t`` for an honest but
    curious one), and ``N P[Hyper(N-1, r, k) >= k - t + 1] <= 2^-20``, and the honest survivors
    hang together but for 2^-40. Up to 128 participants k = N - 1 and
    t = floor((N - 1 + c)/2) + 1.

    Parameters
    ----------
    participants
        N >= 2.
    gamma
        Share of participants that collude, in [0, .5).
    delta
        Share that may drop out, in [0, 1).
    malicious
        Whether the coordinator may lie about who is alive.
    colluders
        c, where these are drawn from more: a coordinator may bring all who collude with it into one draw.

    Raises
    ------
    InvalidValue
        Outside these bounds, or not even a complete graph meets both.

    Examples
    --------
    >>> degree_for(1000, 0.1, 0.05)
    Degree(neighbours=62, threshold=46)
    >>> degree_for(50, 0.1, 0.05)
    Degree(neighbours=49, threshold=28)
    >>> degree_for(20, 0.1, 0.05, colluders=5)  # all of the 5 among 50 who were admitted
    Degree(neighbours=19, threshold=13)

    References
    ----------
    J. H. Bell et al., 2020, theorems 3.10 and 4.9.
    """
    check_shares(participants, gamma, delta)
    colluders = count_of(gamma, participants) if colluders is None else colluders
    dropouts = count_of(delta, participants)
    complete = _complete(participants, colluders, dropouts, malicious=malicious)
    if participants <= COMPLETE:
        return complete
    for neighbours in range(1, participants):
        threshold = _threshold(participants, colluders, dropouts, neighbours, malicious=malicious)
        if threshold is not None and parted(participants, colluders + dropouts, neighbours) <= -SECRECY_BITS:
            return Degree(neighbours, threshold)
    return complete


@dataclass(frozen=True, slots=True)
class Ring:
    """The integers in which vectors are masked and summed: modulo 2^32 or 2^64."""

    bits: int

    def __post_init__(self) -> None:
        if self.bits not in (32, 64):
            raise InvalidValue("a ring must have 32 or 64 bits", self.bits, "use ring_for")

    @property
    def dtype(self) -> np.dtype[np.uint32] | np.dtype[np.uint64]:
        """Of its vectors."""
        return np.dtype(np.uint32) if self.bits == 32 else np.dtype(np.uint64)

    @property
    def half(self) -> int:
        """Sums must stay below it in size."""
        return 1 << (self.bits - 1)

    def encode(self, values: NDArray[np.int64]) -> NDArray[np.uint32] | NDArray[np.uint64]:
        """Put signed integers into the ring.

        Raises
        ------
        InvalidValue
            A value that the ring cannot hold.

        Examples
        --------
        >>> Ring(32).decode(Ring(32).encode(np.array([-3, 4]))).tolist()
        [-3, 4]
        """
        whole = np.asarray(values, dtype=np.int64)
        if whole.size and (int(whole.max()) >= self.half or int(whole.min()) < -self.half):
            raise InvalidValue(
                f"values must lie in [-2^{self.bits - 1}, 2^{self.bits - 1})",
                f"{int(whole.min())} to {int(whole.max())}",
                "lower clip_int or use the ring of 64 bits",
            )
        return whole.astype(np.uint32) if self.bits == 32 else whole.astype(np.uint64)

    def decode(self, words: NDArray[np.uint32] | NDArray[np.uint64]) -> NDArray[np.int64]:
        """Read signed integers from the ring."""
        signed = np.dtype(np.int32) if self.bits == 32 else np.dtype(np.int64)
        return words.astype(self.dtype, copy=False).view(signed).astype(np.int64)


def ring_for(participants: int, clip_int: int, noise_reach: int = 0) -> Ring:
    """Return the smallest ring in which honest inputs cannot wrap: ``N (C_int + 1 + R) < 2^(bits - 1)``.

    Parameters
    ----------
    participants
        N >= 1.
    clip_int
        Bound of each honest coordinate, >= 1.
    noise_reach
        R, the end of the noise table; 0 without noise.

    Raises
    ------
    InvalidValue
        Not even 64 bits hold the sum.

    Examples
    --------
    >>> ring_for(1000, 4096).bits, ring_for(1_000_000, 4096).bits
    (32, 64)
    """
    require_at_least("participants", participants, 1)
    require_at_least("clip_int", clip_int, 1)
    require_at_least("noise_reach", noise_reach, 0)
    reach = participants * (clip_int + 1 + noise_reach)
    for bits in (32, 64):
        if reach < 2 ** (bits - 1):
            return Ring(bits)
    raise InvalidValue(
        "participants x (clip_int + 1 + noise) must be < 2^63",
        f"{participants} x {clip_int + 1 + noise_reach}",
        "lower clip_int: 4096 serves 100,000 values",
    )


def at_least(population: int, marked: int, drawn: int) -> tuple[list[int], int]:
    """Return exact tails of the hypergeometric law: the weights of ``>= j`` marked, and their unit.

    ``P[Hyper(population, marked, drawn) >= j] = weights[j] / unit`` for j = 0 .. drawn + 1.

    Examples
    --------
    >>> at_least(4, 2, 2)
    ([6, 5, 1, 0], 6)
    """
    chosen, rest = _ways(marked, drawn), _ways(population - marked, drawn)
    tails = [0] * (drawn + 2)
    for j in range(drawn, -1, -1):
        tails[j] = tails[j + 1] + chosen[j] * rest[drawn - j]
    return tails, comb(population, drawn)


def _ways(of: int, most: int) -> list[int]:
    """Return C(of, j) for j = 0 .. most, each from the one before."""
    ways = [1]
    for j in range(most):
        ways.append(ways[-1] * (of - j) // (j + 1) if j < of else 0)
    return ways


def parted(participants: int, lost: int, neighbours: int) -> float:
    """Return a bound of log2 P[the graph of those who are not lost falls into parts].

    With n = N - lost and each drawing k of N - 1 neighbours, a part S of s <= n/2 is cut off when its
    own draws stay in S and among the lost, and nobody else's reach it:
    ``sum_s C(n, s) [C(s-1+lost, k) / C(N-1, k)]^s [C(N-1-s, k) / C(N-1, k)]^(n-s)``.

    Examples
    --------
    >>> parted(1000, 150, 62) < -100, parted(1000, 0, 1) > -1
    (True, True)
    """
    n = participants - lost
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, participants + 1)))])
    s = np.arange(1, n // 2 + 1)

    def choose(of: NDArray[np.int64], k: NDArray[np.int64] | int) -> NDArray[np.float64]:
        ways = logs[np.maximum(of, k)] - logs[k] - logs[np.maximum(of - k, 0)]
        return np.where(of >= k, ways, -np.inf)

    whole = choose(np.array(participants - 1), neighbours)
    inside = choose(s - 1 + lost, neighbours) - whole
    away = choose(participants - 1 - s, neighbours) - whole
    terms = choose(np.array(n), s) + s * inside + (n - s) * away
    largest = terms.max(initial=-np.inf)
    if largest == -np.inf:
        return float(largest)
    return float((largest + np.log(np.exp(terms - largest).sum())) / log(2.0))


def _threshold(n: int, colluders: int, dropouts: int, k: int, *, malicious: bool) -> int | None:
    """Return the least threshold of k neighbours that meets both bounds, or None."""
    bad, unit = at_least(n - 1, colluders, k)
    gone, _ = at_least(n - 1, dropouts, k)
    for t in range(k // 2 + 1, k + 1):
        reach = max(0, 2 * t - k if malicious else t)
        secret = (n * bad[reach]) << SECRECY_BITS <= unit
        alive = (n * gone[k - t + 1]) << LIVENESS_BITS <= unit
        if secret and alive:
            return t
        if not alive:
            return None
    return None


def _complete(n: int, colluders: int, dropouts: int, *, malicious: bool) -> Degree:
    others = n - 1
    threshold = (others + colluders) // 2 + 1 if malicious else max(colluders, others // 2) + 1
    if threshold > others - dropouts:
        raise InvalidValue(
            f"{n} participants must leave {threshold} neighbours for the threshold",
            f"{others - dropouts} after {dropouts} dropouts and {colluders} colluders assumed",
            "assume fewer dropouts (delta) or colluders (gamma), or ask more participants",
        )
    return Degree(others, threshold)


def least_cohort(colluders: int, delta: float, least: int) -> int:
    """Return the fewest participants, >= ``least``, who can withstand so many colluders; 0 where none can.

    Examples
    --------
    >>> least_cohort(30, 0.05, 3), least_cohort(0, 0.05, 3), least_cohort(0, 0.6, 3)
    (34, 3, 0)
    """
    if delta >= 0.5:
        return 0
    # Fewer than c / (1 - 2 delta) never suffice.
    participants = max(2, least, floor(colluders / (1.0 - 2.0 * delta)))
    while (participants - 1 + colluders) // 2 + 1 > participants - 1 - count_of(delta, participants):
        participants += 1
        if participants > MOST_COHORT:
            return 0
    return participants


def check_shares(participants: int, gamma: float, delta: float) -> None:
    """Refuse too few participants, and shares of colluders or dropouts outside their bounds."""
    if participants < 2:
        raise InvalidValue("a secure sum needs >= 2 participants", participants, "ask more of them")
    if not 0.0 <= gamma < 0.5:
        raise InvalidValue("gamma must lie in [0, .5)", gamma, "give the share of colluders as a fraction")
    if not 0.0 <= delta < 1.0:
        raise InvalidValue("delta must lie in [0, 1)", delta, "give the share of dropouts as a fraction")
