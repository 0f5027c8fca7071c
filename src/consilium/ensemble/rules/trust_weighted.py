"""The strength of a vote is trust times confidence (default of seed 000)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import ClassVar

from consilium.domain import Direction
from consilium.ensemble.voting import (
    DIRECTIONS,
    PASS,
    TOLERANCE,
    Verdict,
    Vote,
    boosted,
    level_of,
    normalised,
    pooled,
    tally,
)


@dataclass(frozen=True, slots=True)
class TrustWeighted:
    """Winner: the direction with the largest sum of strengths ``s_m = t_m c_m``.

    Confidence: ``sum of the winners' s_m / sum of all s_m``. In the pool ``w_m`` is proportional to ``t_m``.
    The agreement gate reads support instead of heads. A tie in strength is FLAT with its pooled probability
    as confidence and reason ``tie``; level, agreement and support then describe the side with more heads.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction, signal_probabilities
    >>> def vote(model, direction, confidence, trust):
    ...     forecast = Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                           probabilities=signal_probabilities(direction, confidence))
    ...     return Vote(forecast, forecast.direction, 1.0, trust)
    >>> said = [vote("nhits", Direction.DOWN, 0.65, 0.97), vote("patchtst", Direction.UP, 0.78, 1.0),
    ...         vote("xgboost", Direction.UP, 0.85, 1.05)]
    >>> verdict = TrustWeighted().verdict(said, 3)
    >>> verdict.direction.name, round(verdict.confidence, 3)
    ('UP', 0.726)

    References
    ----------
    Seed 000, Consensus Calculator.
    """

    name: ClassVar[str] = "trust_weighted"
    linear: ClassVar[bool] = True
    by_support: ClassVar[bool] = True
    by_shares: ClassVar[bool] = True
    volatility_gate: ClassVar[bool] = False

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Sum strengths by direction."""
        weights = normalised([vote.trust for vote in votes])
        probabilities = pooled(votes, weights)
        heads, mass = tally(votes, weights)
        shares = _shares(votes, weights)
        best = max(shares)
        leading = [d for d in DIRECTIONS if shares[d] >= best - TOLERANCE and heads[d]]
        tied = len(leading) > 1
        lead = max(leading, key=lambda d: (heads[d], mass[d])) if tied else leading[0]
        direction = Direction.FLAT if tied else lead
        confidence = min(1.0, probabilities[direction] if tied else shares[lead])
        level, factor = level_of(heads[lead], n)
        return Verdict(
            direction,
            probabilities,
            confidence,
            confidence,
            boosted(confidence, factor),
            level,
            heads[lead] / len(votes),
            min(1.0, mass[lead]),
            weights,
            {"tie": "tie: two directions are equally strong" if tied else PASS},
        )


def _shares(votes: Sequence[Vote], weights: Sequence[float]) -> list[float]:
    """Share of each direction in all strength; of the weight, if no vote has any strength."""
    strengths = [w * vote.prediction.confidence for w, vote in zip(weights, votes, strict=True)]
    total = fsum(strengths)
    if not total > 0.0:
        strengths, total = list(weights), 1.0
    sides: tuple[list[float], list[float], list[float]] = ([], [], [])
    for strength, vote in zip(strengths, votes, strict=True):
        sides[vote.direction].append(strength)
    return [fsum(side) / total for side in sides]
