"""AdaHedge: exponential weights whose learning rate comes from how hard the losses were so far."""

from collections.abc import Sequence
from math import exp, fsum, inf, log

from consilium.ensemble.trust.experts import ExpertPolicy, Losses, half_brier_loss


class AdaHedge(ExpertPolicy):
    """Weights ``v_m`` proportional to ``a_m exp(-eta L_m)``, ``eta = ln N / D``, L the summed half-Brier.

    D sums ``h - mix`` over the rounds: ``h = sum v_m l_m``, ``mix = -1/eta ln sum v_m exp(-eta l_m)``. While
    D is 0 the leaders share all weight and mix is what the least L grew by. For equal priors the regret is at
    most ``2 sqrt(V ln N) + 4/3 ln N + 2`` with V the summed variance of l under v.

    It assumes nothing of the loss but its range, learns fast where one model is plainly best, and is slower
    than ``ewa_brier`` where all are close. See `ExpertPolicy` for parameters and errors.

    Examples
    --------
    >>> policy = AdaHedge(["bad", "good"])
    >>> for ts in range(3):
    ...     policy.charge(ts, {"good": 0.2, "bad": 0.6})
    >>> {model: round(weight, 3) for model, weight in policy.weights(["bad", "good"]).items()}
    {'bad': 0.033, 'good': 0.967}

    References
    ----------
    de Rooij, van Erven, Grunwald, Koolen (2014), fig. 1 and section 2.2.
    """

    name = "adahedge"

    loss = staticmethod(half_brier_loss)

    def _fresh(self) -> list[float]:
        return [0.0] * (len(self.models) + 1)

    def _eta(self, evidence: Sequence[float]) -> float:
        gap = evidence[-1]
        # Below this the gap may be rounding, and so may be what sets the leaders apart at such a rate.
        return log(len(self.models)) / gap if gap > 1e-12 else inf

    def _logs(self, evidence: Sequence[float], places: Sequence[int]) -> list[float]:
        eta = self._eta(evidence)
        lead = min((evidence[i] for i in places if self._prior[i] > 0.0), default=0.0)
        return [0.0 if evidence[i] <= lead else -eta * (evidence[i] - lead) for i in places]

    def _step(self, evidence: Sequence[float], losses: Losses) -> list[float]:
        awake = [(i, loss) for i, loss in enumerate(losses) if loss is not None]
        prior = self._prior
        staked = [(prior[i], evidence[i], loss) for i, loss in awake if prior[i] > 0.0]
        expected, mix = _round(staked or [(1.0, 0.0, loss) for _, loss in awake], self._eta(evidence))
        spoken = dict(awake)
        after = [value + spoken.get(i, mix) for i, value in enumerate(evidence[:-1])]
        lead = min(after)
        return [*(value - lead for value in after), evidence[-1] + expected - mix]


def _round(staked: Sequence[tuple[float, float, float]], eta: float) -> tuple[float, float]:
    """Return h and mix of a round from the prior, the loss so far and the loss now of each model awake.

    With ``M = -1/eta ln sum a exp(-eta L)`` the mix loss is ``M after - M before``. Taken from the weights
    instead it would lose a model whose weight is too small for a float and that leads after the round.
    """
    lead = min(lost for _, lost, _ in staked)
    leads = min(lost + loss for _, lost, loss in staked)
    held = [a if lost == lead else a * exp(eta * (lead - lost)) for a, lost, _ in staked]
    mass = fsum(held)
    expected = fsum(share * loss for share, (_, _, loss) in zip(held, staked, strict=True)) / mass
    mix = leads - lead
    if eta != inf:
        left = fsum(a * exp(eta * (leads - (lost + loss))) for a, lost, loss in staked)
        mix += (log(mass) - log(left)) / eta
    return expected, min(expected, mix)
