"""Exponential weights that forget: after each round a little weight is shared out anew (the default)."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log, log1p
from typing import ClassVar

from consilium.domain import InvalidValue
from consilium.ensemble.trust.experts import Losses, half_brier_loss
from consilium.ensemble.trust.weighing import ExponentialWeights


class FixedShare(ExponentialWeights):
    """After the loss (half-Brier, eta 1/2) ``v <- (1 - alpha) v + alpha a``: the best model may change.

    No model falls below ``alpha a_m``, so one that becomes good is found again: memory is 1 / alpha rounds.
    Against the best sequence of models with k switches the pool loses over T rounds, for equal priors, at
    most ``2 [ln N + k ln(N / alpha) - (T - 1 - k) ln(1 - alpha + alpha / N)]``.

    Parameters
    ----------
    alpha
        Share of all weight given out anew after each round, in [0, 1), default 1/500; 0 is ``ewa_brier``.
    models, prior, interleave, capacity
        As in `ExpertPolicy`.

    Raises
    ------
    InvalidValue
        ``alpha`` outside [0, 1), and as in `ExpertPolicy`.

    Examples
    --------
    >>> policy = FixedShare(["bad", "good"], alpha=0.1)
    >>> for ts in range(1000):
    ...     policy.charge(ts, {"good": 0.0, "bad": 1.0})
    >>> policy.weights(["bad", "good"])["bad"] > 0.05
    True

    References
    ----------
    Herbster and Warmuth (1998), fixed-share; theorem 1 with alpha (N - 1) / N for their alpha.
    """

    name = "fixed_share"
    eta: ClassVar[float] = 0.5

    loss = staticmethod(half_brier_loss)

    def __init__(
        self,
        models: Iterable[str],
        *,
        alpha: float = 1 / 500,
        prior: Mapping[str, float] | None = None,
        interleave: int = 1,
        capacity: int = 4096,
    ) -> None:
        if not 0.0 <= alpha < 1.0:
            raise InvalidValue("alpha must lie in [0, 1)", alpha, "use 1/500: a memory of 500 rounds")
        super().__init__(models, prior=prior, interleave=interleave, capacity=capacity)
        self.alpha = alpha

    def _step(self, evidence: Sequence[float], losses: Losses) -> list[float]:
        after = super()._step(evidence, losses)
        if self.alpha == 0.0:
            return after
        # In evidence ln(v / a) the share is ln((1 - alpha) e + alpha), the same for every prior.
        keep, share = log1p(-self.alpha), log(self.alpha)
        return [_log_add(keep + value, share) for value in after]


def _log_add(one: float, other: float) -> float:
    high, low = (one, other) if one > other else (other, one)
    return high + log1p(exp(low - high))
