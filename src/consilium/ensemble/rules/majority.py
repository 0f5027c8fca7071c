"""One model, one head (seed 004)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from consilium.domain import Direction
from consilium.ensemble.voting import (
    DIRECTIONS,
    PASS,
    Verdict,
    Vote,
    boosted,
    level_of,
    normalised,
    pooled,
    tally,
)


@dataclass(frozen=True, slots=True)
class Majority:
    """Winner: the direction with most heads; ``w_m = 1 / voters``; confidence: its pooled probability.

    A tie for the first place is FLAT, with reason ``tie``; level, agreement and support then describe the
    heads that lead.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction
    >>> def vote(model, p):
    ...     forecast = Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                           probabilities=p)
    ...     return Vote(forecast, forecast.direction, 0.5, 1.0)
    >>> said = [vote("a", (0.2, 0.3, 0.5)), vote("b", (0.2, 0.3, 0.5)), vote("c", (0.9, 0.1, 0.0))]
    >>> verdict = Majority().verdict(said, 3)
    >>> verdict.direction.name, [round(p, 3) for p in verdict.probabilities]
    ('UP', [0.433, 0.233, 0.333])

    References
    ----------
    Seed 004, 3, MAJORITY_VOTING.
    """

    name: ClassVar[str] = "majority"
    linear: ClassVar[bool] = True
    by_support: ClassVar[bool] = False
    by_shares: ClassVar[bool] = False
    volatility_gate: ClassVar[bool] = False

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Count heads."""
        weights = normalised([1.0] * len(votes))
        probabilities = pooled(votes, weights)
        heads, _ = tally(votes, weights)
        most = max(heads)
        tied = heads.count(most) > 1
        direction = Direction.FLAT if tied else DIRECTIONS[heads.index(most)]
        confidence = min(1.0, probabilities[direction])
        level, factor = level_of(most, n)
        return Verdict(
            direction,
            probabilities,
            confidence,
            confidence,
            boosted(confidence, factor),
            level,
            most / len(votes),
            most / len(votes),
            weights,
            {"tie": f"tie: heads (down, flat, up) {heads}" if tied else PASS},
        )
