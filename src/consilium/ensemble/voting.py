"""What all rules share: votes, the tally, levels and the verdict.

Letters: m a voter, w_m its weight, c_m its confidence, p_m its probabilities, n the number of enabled models.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from math import fsum
from typing import NamedTuple, Protocol

from consilium.domain import Direction, InvalidValue, Prediction

PASS = "pass"  # noqa: S105  # a verdict, not a password
"""Verdict of a check that found nothing."""

TOLERANCE = 1e-9
"""Sums of weights carry rounding; figures closer than this to a threshold or to each other are equal."""

DIRECTIONS = tuple(Direction)
"""The directions by number: a tuple is read faster than an enumeration is asked."""

SCORE_LIMIT = 0.95
"""A score never claims more than this."""


class Vote(NamedTuple):
    """A prediction with what it is worth before the rule speaks: its model's allocation and trust."""

    prediction: Prediction
    direction: Direction
    allocation: float
    trust: float


class Verdict(NamedTuple):
    """What a rule says.

    ``weights`` stand in the order of the votes, >= 0, sum 1; ``base`` is the confidence of the leading
    direction, which the volatility gate reads; ``checks`` hold the rule's own gates in their order: "pass" or
    ``reason: figures``.
    """

    direction: Direction
    probabilities: tuple[float, float, float]
    confidence: float
    base: float
    score: float
    level: str
    agreement: float
    support: float
    weights: tuple[float, ...]
    checks: Mapping[str, str]


class Rule(Protocol):
    """A way to reach consensus.

    ``linear``: the pooled probabilities are a weighted mean, so they lie in the hull of the voters'.
    ``by_support``: the agreement gate reads support instead of heads. ``by_shares``: allocation or trust
    moves the verdict. ``volatility_gate``: the rule asks for the volatility gate under every preset.
    """

    @property
    def name(self) -> str:
        """Name in RULES."""
        ...

    @property
    def linear(self) -> bool:
        """Whether the pool is a weighted mean."""
        ...

    @property
    def by_support(self) -> bool:
        """Whether the agreement gate reads support."""
        ...

    @property
    def by_shares(self) -> bool:
        """Whether allocation or trust moves the verdict."""
        ...

    @property
    def volatility_gate(self) -> bool:
        """Whether the volatility gate belongs to the rule."""
        ...

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Decide; ``votes`` are at least one, sorted by model, not all of weight 0; n >= len(votes)."""
        ...


class Tally(NamedTuple):
    """Heads and weight of (down, flat, up)."""

    heads: tuple[int, int, int]
    weight: tuple[float, float, float]


@cache
def strong(n: int) -> int:
    """Heads that make a strong consensus: ``max(floor(n/2) + 1, floor(0.75 n + 0.5))``.

    Parameters
    ----------
    n
        Enabled models, abstainers included; >= 1.

    Raises
    ------
    InvalidValue
        ``n`` below 1.

    Examples
    --------
    >>> [strong(n) for n in range(2, 10)]
    [2, 2, 3, 4, 5, 5, 6, 7]

    References
    ----------
    Seed 002, 4.2: three of four.
    """
    if n < 1:
        raise InvalidValue("strong(n) needs n >= 1", n, "enable a model")
    return max(n // 2 + 1, (3 * n + 2) // 4)


@cache
def level_of(heads: int, n: int) -> tuple[str, float]:
    """Level of a consensus by heads for the winner, and the factor of its score.

    All n heads: unanimous x1.2; strong(n): strong x1.1; half: split x0.8; fewer: weak x0.6.

    Parameters
    ----------
    heads
        Voters for the winner, in [0, n].
    n
        Enabled models, abstainers included; >= 1.

    Examples
    --------
    >>> [level_of(heads, 4) for heads in (4, 3, 2, 1)]
    [('unanimous', 1.2), ('strong', 1.1), ('split', 0.8), ('weak', 0.6)]

    References
    ----------
    Seed 002, 4.2.
    """
    if heads == n:
        return "unanimous", 1.2
    if heads >= strong(n):
        return "strong", 1.1
    if 2 * heads >= n:
        return "split", 0.8
    return "weak", 0.6


def normalised(raw: Sequence[float]) -> tuple[float, ...]:
    """Scale weights to sum 1.

    Examples
    --------
    >>> normalised((1.0, 3.0))
    (0.25, 0.75)
    """
    total = fsum(raw)
    return tuple([w / total for w in raw])


def pooled(votes: Sequence[Vote], weights: Sequence[float]) -> tuple[float, float, float]:
    """Linear opinion pool: ``p = sum_m w_m p_m``.

    References
    ----------
    Stone (1961), "The opinion pool".
    """
    down = flat = up = 0.0
    for (prediction, _, _, _), weight in zip(votes, weights, strict=True):
        p_down, p_flat, p_up = prediction.probabilities
        down += weight * p_down
        flat += weight * p_flat
        up += weight * p_up
    return down, flat, up


def tally(votes: Sequence[Vote], weights: Sequence[float]) -> Tally:
    """Count heads and weight for each direction."""
    heads = [0, 0, 0]
    mass = [0.0, 0.0, 0.0]
    for (_, direction, _, _), weight in zip(votes, weights, strict=True):
        heads[direction] += 1
        mass[direction] += weight
    return Tally((heads[0], heads[1], heads[2]), (mass[0], mass[1], mass[2]))


def boosted(confidence: float, factor: float) -> float:
    """Score of a consensus: ``min(0.95, confidence x factor)``."""
    score = confidence * factor
    return score if score < SCORE_LIMIT else SCORE_LIMIT
