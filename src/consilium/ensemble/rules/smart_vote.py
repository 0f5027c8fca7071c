"""Weighted heads decide, and enough of them must agree (default of seed 002)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from consilium.domain import Direction, InvalidValue
from consilium.ensemble.voting import (
    DIRECTIONS,
    PASS,
    TOLERANCE,
    Tally,
    Verdict,
    Vote,
    boosted,
    level_of,
    normalised,
    pooled,
    strong,
    tally,
)

SPLIT_SCORE = 0.65
"""A split with a score below this is resolved to HOLD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartVote:
    """Winner: the direction with the largest sum of ``w_m``, proportional to ``a_m t_m``.

    Confidence: the weighted mean of ``c_m`` over the winner's voters. Score: ``min(0.95, confidence x
    factor)`` with the factor of the level. Held in this order: ``tie`` (another direction has the winner's
    weight or heads; the direction is then FLAT, while level, agreement, support and score describe the
    leading one), ``conflict_resolved_to_hold`` (a split with score < 0.65), ``below_min_consensus``.

    Parameters
    ----------
    min_consensus
        Heads for the winner that make it actionable, >= 1; ``strong(n)`` if not given.
    boosts
        Whether the level's factor moves the score; without it the score is the confidence, at most .95.

    Raises
    ------
    InvalidValue
        ``min_consensus`` below 1.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction, signal_probabilities
    >>> def vote(model, direction, confidence):
    ...     p = signal_probabilities(direction, confidence)
    ...     forecast = Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                           probabilities=p)
    ...     return Vote(forecast, forecast.direction, 1.0, 1.0)
    >>> votes = [vote("a", Direction.UP, 0.7), vote("b", Direction.UP, 0.8), vote("c", Direction.DOWN, 0.6)]
    >>> verdict = SmartVote().verdict(votes, 3)
    >>> verdict.direction.name, round(verdict.confidence, 2), verdict.level, round(verdict.score, 3)
    ('UP', 0.75, 'strong', 0.825)

    References
    ----------
    Seed 002, 4.2.
    """

    name: ClassVar[str] = "smart_vote"
    linear: ClassVar[bool] = True
    by_support: ClassVar[bool] = False
    by_shares: ClassVar[bool] = True
    volatility_gate: ClassVar[bool] = True
    min_consensus: int | None = None
    boosts: bool = True

    def __post_init__(self) -> None:
        if self.min_consensus is not None and self.min_consensus < 1:
            raise InvalidValue("min_consensus must be >= 1", self.min_consensus, "leave it out for strong(n)")

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Count weight, then heads."""
        weights = normalised([vote.allocation * vote.trust for vote in votes])
        probabilities = pooled(votes, weights)
        count = tally(votes, weights)
        bases = _bases(votes, weights, count)
        lead, tied = _leader(count, bases)
        heads = count.heads[lead]
        base = bases[lead]
        level, factor = level_of(heads, n)
        score = boosted(base, factor if self.boosts else 1.0)
        return Verdict(
            Direction.FLAT if tied else lead,
            probabilities,
            min(1.0, probabilities[Direction.FLAT]) if tied else base,
            base,
            score,
            level,
            heads / len(votes),
            min(1.0, count.weight[lead]),
            weights,
            self._checks(count, tied, level, score, heads, n),
        )

    def _checks(
        self, count: Tally, tied: bool, level: str, score: float, heads: int, n: int
    ) -> dict[str, str]:
        needed = strong(n) if self.min_consensus is None else self.min_consensus
        conflict = level == "split" and score < SPLIT_SCORE - TOLERANCE
        return {
            "tie": f"tie: heads (down, flat, up) {count.heads}" if tied else PASS,
            "split": (
                f"conflict_resolved_to_hold: split with score {score:.3f}, needs {SPLIT_SCORE:g}"
                if conflict
                else PASS
            ),
            "min_consensus": (
                PASS if heads >= needed else f"below_min_consensus: {heads} of {n} heads, needs {needed}"
            ),
        }


def _bases(votes: Sequence[Vote], weights: Sequence[float], count: Tally) -> list[float]:
    sums = [0.0, 0.0, 0.0]
    for (prediction, direction, _, _), weight in zip(votes, weights, strict=True):
        sums[direction] += weight * prediction.confidence
    return [min(1.0, s / w) if w > 0.0 else 0.0 for s, w in zip(sums, count.weight, strict=True)]


def _leader(count: Tally, bases: Sequence[float]) -> tuple[Direction, bool]:
    heads, mass = count
    least = max(mass) - TOLERANCE
    heaviest = [d for d in DIRECTIONS if mass[d] >= least]
    lead = heaviest[0]
    if len(heaviest) > 1:
        # Among equal weights the one with more heads, then the surer one, leads: never the first in the list.
        lead = max(heaviest, key=lambda d: (heads[d], bases[d]))
    return lead, len(heaviest) > 1 or heads.count(heads[lead]) > 1
