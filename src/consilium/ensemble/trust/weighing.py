"""Exponential weights: ``v_m`` becomes ``v_m exp(-eta l_m)`` among the awake, scaled to their old mass."""

from abc import abstractmethod
from collections.abc import Sequence
from math import inf
from typing import ClassVar

from consilium.ensemble.trust.experts import ExpertPolicy, Losses, log_sum


class ExponentialWeights(ExpertPolicy):
    """Evidence is ``ln(v_m / a_m)``, so that the prior can be replaced without touching it.

    References
    ----------
    Vovk (1998), aggregating algorithm; Freund et al. (1997) for experts that sleep.
    """

    eta: ClassVar[float]

    @staticmethod
    @abstractmethod
    def loss(probabilities: tuple[float, float, float], came: int) -> float:
        """Loss of one forecast."""

    def _fresh(self) -> list[float]:
        return [0.0] * len(self.models)

    def _logs(self, evidence: Sequence[float], places: Sequence[int]) -> list[float]:
        return [evidence[i] for i in places]

    def _step(self, evidence: Sequence[float], losses: Losses) -> list[float]:
        awake = [(i, loss) for i, loss in enumerate(losses) if loss is not None]
        logs = [self._log_prior[i] + evidence[i] for i, _ in awake]
        if max(logs) == -inf:
            logs = [evidence[i] for i, _ in awake]
        eta = self.eta
        charged = [value - eta * loss for value, (_, loss) in zip(logs, awake, strict=True)]
        mix = log_sum(logs) - log_sum(charged)
        after = list(evidence)
        for i, loss in awake:
            after[i] += mix - eta * loss
        # Mass is 1 before and after; what rounding added to it is taken away, or it would drift.
        drift = log_sum(p + e for p, e in zip(self._log_prior, after, strict=True))
        return [value - drift for value in after]
