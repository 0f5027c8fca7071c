"""AdaHedge: exponential weights whose learning rate comes from how hard the losses were so far."""

from collections.abc import Sequence
from math import exp, fsum, inf, log

from consilium.ensemble.trust.experts import ExpertPolicy, Losses, half_brier_loss


class AdaHedge(ExpertPolicy):
    """Weights ``v_m`` proportional to ``a_m exp(-eta L_m)``, ``eta = ln N / D``, L the summed half-Brier.

    D sums ``h - mix`` over the rounds: ``h = sum v_m l_m``, ``mix = -1/eta ln sum v_m exp(-eta l_m)``. While
    D is 0 the leaders share all weight. For equal priors the regret is at most
    ``2 sqrt(V ln N) + 4/3 ln N + 2`` with V the summed variance of l under v.

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
        # Below this the weights differ from those of the leaders alone by nothing a float can hold.
        return log(len(self.models)) / gap if gap > 1e-12 else inf

    def _logs(self, evidence: Sequence[float], places: Sequence[int]) -> list[float]:
        eta = self._eta(evidence)
        lead = min((evidence[i] for i in places if self._prior[i] > 0.0), default=0.0)
        return [0.0 if evidence[i] <= lead else -eta * (evidence[i] - lead) for i in places]

    def _step(self, evidence: Sequence[float], losses: Losses) -> list[float]:
        awake = [(i, loss) for i, loss in enumerate(losses) if loss is not None]
        weights = self._shares(evidence, [i for i, _ in awake])
        expected = fsum(w * loss for w, (_, loss) in zip(weights, awake, strict=True))
        mix = min(expected, _mix_loss(weights, [loss for _, loss in awake], self._eta(evidence)))
        spoken = dict(awake)
        after = [value + spoken.get(i, mix) for i, value in enumerate(evidence[:-1])]
        lead = min(after)
        return [*(value - lead for value in after), evidence[-1] + expected - mix]


def _mix_loss(weights: Sequence[float], losses: Sequence[float], eta: float) -> float:
    best = min(loss for w, loss in zip(weights, losses, strict=True) if w > 0.0)
    if eta == inf:
        return best
    return (
        best - log(fsum(w * exp(-eta * (loss - best)) for w, loss in zip(weights, losses, strict=True))) / eta
    )
