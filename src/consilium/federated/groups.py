"""Sizes of random groups: large enough to hide in, small enough for a robust rule over them."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, comb

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.parameters import (
    ALMOST,
    LIVENESS_BITS,
    SECRECY_BITS,
    Degree,
    at_least,
    check_shares,
    count_of,
    parted,
)

HONEST = 8
"""Survivors of a group who do not collude, at least: each is hidden among the others."""

GRINDING_BITS = 64
"""A coordinator sees the honest keys before it fixes its colluders': it may try 2^64 rosters."""


@dataclass(frozen=True, slots=True)
class Split:
    """What holds inside each random group of a round.

    Parameters
    ----------
    groups
        G.
    survivors
        M: with fewer a group has no sum.
    colluders
        The most that fall into one group.
    degree
        k and t.
    """

    groups: int
    survivors: int
    colluders: int
    degree: Degree


@lru_cache(maxsize=256)
def least_group(participants: int, gamma: float, honest: int = HONEST, delta: float = 0.05) -> int:
    """Return the least mean size of random groups in which the honest ones stay hidden among each other.

    With c = floor(gamma N), r = floor(delta N), n = N - c - r and G = floor(N / g):
    ``(N - c) P[Binomial(n, 1/G) < h] <= 2^-40``. One group of all is always enough.

    Parameters
    ----------
    participants
        N >= 2.
    gamma
        Share of participants that collude, in [0, .5).
    honest
        h: how many honest survivors each group must have.
    delta
        Share that may drop out, in [0, 1).

    Raises
    ------
    InvalidValue
        Outside these bounds, or fewer than h honest survivors in all.

    Examples
    --------
    >>> least_group(1000, 0.1), least_group(1000, 0.2), least_group(50, 0.1)
    (59, 67, 50)
    """
    check_shares(participants, gamma, delta)
    sure = participants - count_of(gamma, participants)
    left = sure - count_of(delta, participants)
    if left < honest:
        raise InvalidValue(
            f"a group needs >= {honest} honest survivors",
            f"{left} of {participants}",
            "ask more participants",
        )
    few, many = 1, participants // honest + 1
    while many - few > 1:
        groups = (few + many) // 2
        below = sum(comb(left, j) * (groups - 1) ** (left - j) for j in range(honest))
        if (sure * below) << SECRECY_BITS <= groups**left:
            few = groups
        else:
            many = groups
    return participants if few == 1 else participants // (few + 1) + 1


@lru_cache(maxsize=256)
def largest_group(participants: int, byzantine: float, dirty: float = 0.4, chance: float = 1 / 4000) -> int:
    """Return the largest mean size of random groups of which few enough hold an attacker; 0 if none does.

    f = floor(byzantine N) attackers fall into G = floor(N / g) groups at random, and
    ``P[groups with an attacker >= dirty G] <= chance``.

    Parameters
    ----------
    participants
        N >= 2.
    byzantine
        Share of participants that attack, in [0, .5).
    dirty
        Share of the groups that a robust rule no longer bears, in (0, 1].
    chance
        How often a draw may be worse.

    Examples
    --------
    >>> largest_group(1000, 0.1, dirty=0.5), largest_group(1000, 0.0)
    (5, 1000)
    """
    check_shares(participants, byzantine, 0.0)
    attackers = count_of(byzantine, participants)
    if not attackers:
        return participants
    small, large = 0, participants // 2 + 1
    while large - small > 1:
        size = (small + large) // 2
        groups = participants // size
        worst = ceil(dirty * groups - ALMOST)
        if worst > min(attackers, groups) or occupied(attackers, groups)[worst:].sum() <= chance:
            small = size
        else:
            large = size
    return small


@lru_cache(maxsize=256)
def split_for(participants: int, groups: int, gamma: float, delta: float, *, honest: int = HONEST) -> Split:
    """Return M, k and t that hold in every group, however unevenly the groups are drawn.

    Each of N falls into one of G groups by a hash. With c = floor(gamma N), r = floor(delta N):

    - M is the most with ``G P[Binomial(N - r, 1/G) < M] <= 2^-21``: no group falls because it is small;
    - C, the most colluders of a group: ``G P[Binomial(c, 1/G) > C] <= 2^-(40 + 64)``, the 64 because a
      coordinator may try rosters until its colluders come together;
    - a coordinator may say that honest members did not reveal, down to M in all: ``M - C >= h`` of them stay;
    - k = M - 1 neighbours, of whom C may lie: t = floor((k + C)/2) + 1, and
      ``N P[Hyper(N - 1, r, k) >= k - t + 1] <= 2^-21``.

    Parameters
    ----------
    participants
        N >= 2.
    groups
        G >= 2.
    gamma, delta
        Shares that collude, in [0, .5), and that may drop out, in [0, 1).
    honest
        h.

    Raises
    ------
    InvalidValue
        Groups that are too small for that.

    Examples
    --------
    >>> split_for(1000, 5, 0.1, 0.05)
    Split(groups=5, survivors=129, colluders=75, degree=Degree(neighbours=128, threshold=102))
    """
    check_shares(participants, gamma, delta)
    colluders, dropouts = count_of(gamma, participants), count_of(delta, participants)
    least = _smallest(participants - dropouts, groups)
    inside = _most_together(colluders, groups)
    if least - inside < honest:
        raise InvalidValue(
            f"{groups} groups of {participants} must each have >= {inside + honest} survivors",
            f"{least}, as unevenly as they may be drawn, of whom {inside} may collude",
            "draw fewer groups, or ask more participants",
        )
    neighbours = least - 1
    threshold = (neighbours + inside) // 2 + 1
    gone, unit = at_least(participants - 1, dropouts, neighbours)
    # No group is twice as large as the mean, nor loses twice its share of the dropouts.
    size = min(participants, 2 * -(-participants // groups))
    apart = parted(size, inside + count_of(2.0 * delta, size), neighbours) > -SECRECY_BITS
    if apart or (participants * gone[neighbours - threshold + 1]) << (LIVENESS_BITS + 1) > unit:
        raise InvalidValue(
            f"{groups} groups of {participants} must have {threshold} of {neighbours} neighbours left",
            f"{dropouts} dropouts and {inside} colluders of one group assumed",
            "draw fewer groups, assume fewer dropouts (delta), or ask more participants",
        )
    return Split(groups, least, inside, Degree(neighbours, threshold))


def _smallest(alive: int, groups: int) -> int:
    """Return the most survivors that every group has but for 2^-21."""
    unit = groups**alive
    ways, below = (groups - 1) ** alive, 0
    for size in range(alive + 1):
        below += ways
        if (groups * below) << (LIVENESS_BITS + 1) > unit:
            return size
        ways = ways * (alive - size) // ((size + 1) * (groups - 1))
    return alive


def _most_together(colluders: int, groups: int) -> int:
    """Return how many colluders come together in one group, but for 2^-104."""
    unit = groups**colluders
    ways, above = 1, 0
    for together in range(colluders, 0, -1):
        above += ways
        if (groups * above) << (SECRECY_BITS + GRINDING_BITS) > unit:
            return together
        ways = ways * together * (groups - 1) // (colluders - together + 1)
    return 0


@lru_cache(maxsize=256)
def group_count(
    participants: int, gamma: float, byzantine: float, honest: int = HONEST, delta: float = 0.05
) -> int:
    """Return into how many groups a `grouped` round is drawn: as many as secrecy allows.

    Raises
    ------
    InvalidValue
        Groups that are large enough to hide in are too large for a robust rule.

    Examples
    --------
    >>> group_count(1000, 0.1, 0.0)
    5
    """
    groups = participants // least_group(participants, gamma, honest, delta)
    while groups > 1 and not _holds(participants, groups, gamma, delta, honest):
        groups -= 1
    size, largest = participants // groups, largest_group(participants, byzantine)
    if groups == 1 or size > largest:
        raise InvalidValue(
            f"groups must have >= {size} members to hide each, and <= {largest} to bear the attackers",
            f"{participants} participants, gamma {gamma:g}, attackers {byzantine:g}",
            "use the mode sum (no robustness) or visible (no secrecy), or ask more participants",
        )
    return groups


def _holds(participants: int, groups: int, gamma: float, delta: float, honest: int) -> bool:
    try:
        split_for(participants, groups, gamma, delta, honest=honest)
    except InvalidValue:
        return False
    return True


def occupied(balls: int, cells: int) -> NDArray[np.float64]:
    """Return the law of the number of cells that are not empty after balls fell at random.

    Examples
    --------
    >>> occupied(2, 4).tolist()
    [0.0, 0.25, 0.75]
    """
    law = np.zeros(balls + 1)
    law[0] = 1.0
    share = np.minimum(np.arange(balls + 1) / cells, 1.0)
    for _ in range(balls):
        stay, go = law * share, law * (1.0 - share)
        law = stay
        law[1:] += go[:-1]
    return law
