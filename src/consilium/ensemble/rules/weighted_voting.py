"""The weighted mean of all probabilities decides (default of seed 004)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from consilium.ensemble.pooling import verdict_of_pool
from consilium.ensemble.voting import Verdict, Vote, normalised, pooled


@dataclass(frozen=True, slots=True)
class WeightedVoting:
    """Direction and confidence are those of the pool: ``p = sum w p_m``, ``w_m`` proportional to ``a_m t_m``.

    A tie for the first place is FLAT, with reason ``tie``.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction
    >>> def vote(model, p):
    ...     forecast = Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                           probabilities=p)
    ...     return Vote(forecast, forecast.direction, 0.5, 1.0)
    >>> verdict = WeightedVoting().verdict([vote("a", (0.1, 0.1, 0.8)), vote("b", (0.2, 0.4, 0.4))], 2)
    >>> verdict.direction.name, round(verdict.confidence, 2)
    ('UP', 0.6)

    References
    ----------
    Seed 004, 3, WEIGHTED_VOTING.
    """

    name: ClassVar[str] = "weighted_voting"
    linear: ClassVar[bool] = True
    by_support: ClassVar[bool] = False
    by_shares: ClassVar[bool] = True
    volatility_gate: ClassVar[bool] = False

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Pool, then take the most probable direction."""
        weights = normalised([vote.allocation * vote.trust for vote in votes])
        return verdict_of_pool(votes, weights, pooled(votes, weights), n)
