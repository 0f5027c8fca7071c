"""Sizes of random groups: large enough to hide in, small enough for a robust rule over them."""

from functools import lru_cache
from math import ceil, comb

import numpy as np
from numpy.typing import NDArray

from consilium.domain.errors import InvalidValue
from consilium.federated.parameters import ALMOST, SECRECY_BITS, check_shares, count_of


@lru_cache(maxsize=256)
def least_group(participants: int, gamma: float, honest: int = 8, delta: float = 0.05) -> int:
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


def group_count(
    participants: int, gamma: float, byzantine: float, honest: int = 8, delta: float = 0.05
) -> int:
    """Return into how many groups a `grouped` round is drawn: as many as secrecy allows.

    Raises
    ------
    InvalidValue
        Groups that are large enough to hide in are too large for a robust rule.

    Examples
    --------
    >>> group_count(1000, 0.1, 0.005)
    16
    """
    least = least_group(participants, gamma, honest, delta)
    largest = largest_group(participants, byzantine)
    if least > largest or least == participants:
        raise InvalidValue(
            f"groups must have >= {least} members to hide each, and <= {largest} to bear the attackers",
            f"{participants} participants, gamma {gamma:g}, attackers {byzantine:g}",
            "use the mode sum (no robustness) or visible (no secrecy), or ask more participants",
        )
    return participants // least


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
