"""Learned trust alone decides who weighs how much (seed 004)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from consilium.ensemble.pooling import verdict_of_pool
from consilium.ensemble.voting import Verdict, Vote, normalised, pooled


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Direction and confidence are the pool's: ``p = sum w p_m``, ``w_m`` proportional to ``t_m`` alone.

    The agreement gate reads support instead of heads, or one trusted model could never act. A tie for the
    first place is FLAT, with reason ``tie``.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction
    >>> def vote(model, p, trust):
    ...     forecast = Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                           probabilities=p)
    ...     return Vote(forecast, forecast.direction, 0.5, trust)
    >>> verdict = Adaptive().verdict([vote("a", (0.1, 0.1, 0.8), 0.9), vote("b", (0.8, 0.1, 0.1), 0.1)], 2)
    >>> verdict.direction.name, round(verdict.confidence, 2), round(verdict.support, 2)
    ('UP', 0.73, 0.9)

    References
    ----------
    Seed 004, 3, ADAPTIVE.
    """

    name: ClassVar[str] = "adaptive"
    linear: ClassVar[bool] = True
    by_support: ClassVar[bool] = True
    by_shares: ClassVar[bool] = True
    volatility_gate: ClassVar[bool] = False

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Pool with the weights of the trust policy."""
        weights = normalised([vote.trust for vote in votes])
        return verdict_of_pool(votes, weights, pooled(votes, weights), n)
