"""Exponential weights on the logarithmic score: Bayes' rule."""

from math import log
from typing import ClassVar

from consilium.ensemble.trust.weighing import ExponentialWeights

LOWEST, HIGHEST = 1e-3, 1.0 - 2e-3
"""Probabilities are clipped to these, so that one certain error does not end a model for ever."""


class EwaLog(ExponentialWeights):
    """Weights ``v_m`` proportional to ``a_m prod p_m(what came)``, probabilities clipped to [1e-3, 1 - 2e-3].

    With log-loss and eta = 1 this is Bayes' rule, and the pool loses against model m at most ``ln(1 / a_m)``,
    for equal priors ``ln N``. See `ExpertPolicy` for parameters and errors.

    Examples
    --------
    >>> policy = EwaLog(["bad", "good"])
    >>> policy.charge(0, {"good": -log(0.6), "bad": -log(0.2)})
    >>> {model: round(weight, 3) for model, weight in policy.weights(["bad", "good"]).items()}
    {'bad': 0.25, 'good': 0.75}

    References
    ----------
    Vovk (1998), log-loss game; Cesa-Bianchi and Lugosi (2006), ch. 9.
    """

    name = "ewa_log"
    eta: ClassVar[float] = 1.0
    max_loss: ClassVar[float] = -log(LOWEST)

    @staticmethod
    def loss(probabilities: tuple[float, float, float], came: int) -> float:
        """Return ``-ln p`` of what came, p clipped."""
        p = probabilities[came]
        if p < LOWEST:
            p = LOWEST
        elif p > HIGHEST:
            p = HIGHEST
        return -log(p)
