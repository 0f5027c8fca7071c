"""Who is surer weighs more (seed 004)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from consilium.ensemble.pooling import verdict_of_pool
from consilium.ensemble.voting import Verdict, Vote, normalised, pooled


@dataclass(frozen=True, slots=True)
class ConfidenceBased:
    """Direction and confidence are the pool's: ``p = sum w p_m``, ``w_m`` proportional to ``a_m t_m c_m``.

    A tie for the first place is FLAT, with reason ``tie``. If every confidence is 0, it has nothing to say
    and ``w_m`` is proportional to ``a_m t_m``.

    Examples
    --------
    >>> from consilium.domain import Direction, Prediction
    >>> def vote(model, p):
    ...     forecast = Prediction(model=model, symbol="BTCUSDT", ts_event=0, horizon_ns=1, label_id="l",
    ...                           probabilities=p)
    ...     return Vote(forecast, forecast.direction, 0.5, 1.0)
    >>> verdict = ConfidenceBased().verdict([vote("a", (0.1, 0.1, 0.8)), vote("b", (0.2, 0.4, 0.4))], 2)
    >>> verdict.direction.name, round(verdict.confidence, 3)
    ('UP', 0.667)

    References
    ----------
    Seed 004, 3, CONFIDENCE_BASED.
    """

    name: ClassVar[str] = "confidence_based"
    linear: ClassVar[bool] = True
    by_support: ClassVar[bool] = False
    by_shares: ClassVar[bool] = True
    volatility_gate: ClassVar[bool] = False

    def verdict(self, votes: Sequence[Vote], n: int) -> Verdict:
        """Pool with confidence as a factor of weight."""
        shares = [vote.allocation * vote.trust for vote in votes]
        raw = [share * vote.prediction.confidence for share, vote in zip(shares, votes, strict=True)]
        weights = normalised(raw if sum(raw) > 0.0 else shares)
        return verdict_of_pool(votes, weights, pooled(votes, weights), n)
