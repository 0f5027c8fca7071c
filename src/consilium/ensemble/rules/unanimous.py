"""All of them or nothing (seed 004)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from consilium.domain import Direction
from consilium.ensemble.voting import PASS, Verdict, Vote, boosted, level_of, normalised, pooled, tally


@dataclass(frozen=True, slots=True)
class Unanimous:
    """The direction of all voters, else FLAT and held with reason ``not_unanimous``.

    Confidence: the pooled probability of the direction, ``w_m`` proportional to ``a_m t_m``. Without
    unanimity level, agreement and support describe the heads that lead (among equals those with more weight).

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction
    >>> def vote(model, p):
    ...     forecast = Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                           probabilities=p)
    ...     return Vote(forecast, forecast.direction, 0.5, 1.0)
    >>> said = [vote("a", (0.1, 0.2, 0.7)), vote("b", (0.1, 0.2, 0.7)), vote("c", (0.3, 0.4, 0.3))]
    >>> Unanimous().verdict(said[:2], 2).direction.name, Unanimous().verdict(said, 3).checks["unanimity"]
    ('UP', 'not_unanimous: heads (down, flat, up) (0, 1, 2)')

    References
    ----------
    Seed 004, 3, UNANIMOUS.
    """

    name: ClassVar[str] = "unanimous"
    linear: ClassVar[bool] = True
    by_support: ClassVar[bool] = False
    by_shares: ClassVar[bool] = True
    volatility_gate: ClassVar[bool] = False

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Ask whether all heads agree."""
        weights = normalised([vote.allocation * vote.trust for vote in votes])
        probabilities = pooled(votes, weights)
        heads, mass = tally(votes, weights)
        most = max(heads)
        agreed = most == len(votes)
        direction = votes[0].direction if agreed else Direction.FLAT
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
            min(1.0, max([weight for count, weight in zip(heads, mass, strict=True) if count == most])),
            weights,
            {"unanimity": PASS if agreed else f"not_unanimous: heads (down, flat, up) {heads}"},
        )
