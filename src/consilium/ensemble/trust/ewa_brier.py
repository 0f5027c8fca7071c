"""Exponential weights on the half-Brier score."""

from typing import ClassVar

from consilium.ensemble.trust.experts import half_brier_loss
from consilium.ensemble.trust.weighing import ExponentialWeights


class EwaBrier(ExponentialWeights):
    """Weights ``v_m`` proportional to ``a_m exp(-1/2 sum of half-Brier of m)``.

    Half-Brier is exp-concave with eta = 1/2 for every number of classes, since
    ``2 eta (v . (p - y))^2 <= |v|^2`` with ``|p - y|^2 <= 2``. So the pool loses against model m at most
    ``2 ln(1 / a_m)``, for equal priors ``2 ln N``, at every instant and whatever comes.

    See `ExpertPolicy` for parameters and errors.

    Examples
    --------
    >>> policy = EwaBrier(["bad", "good"])
    >>> for ts in range(10):
    ...     policy.charge(ts, {"good": 0.2, "bad": 0.6})
    >>> {model: round(weight, 3) for model, weight in policy.weights(["bad", "good"]).items()}
    {'bad': 0.119, 'good': 0.881}

    References
    ----------
    Kivinen and Warmuth (1999), theorem 3.1; Vovk and Zhdanov (2009) for the Brier game.
    """

    name = "ewa_brier"
    eta: ClassVar[float] = 0.5

    loss = staticmethod(half_brier_loss)
