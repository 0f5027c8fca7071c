"""Updates of any size from no data: to try the protocol, and to measure it apart from training."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_at_least
from consilium.federated.local import LocalPlan, LocalRule, Trained
from consilium.federated.tasks.task import require_parameters, require_participant

Floats = NDArray[np.float64]


class Synthetic:
    """Moves parameters by normal numbers that participant, round and seed settle; it learns nothing.

    Parameters
    ----------
    participants
        Ids.
    dimension
        Numbers of the model, >= 1.

    Examples
    --------
    >>> task = Synthetic(("a",), dimension=4)
    >>> from consilium.federated.local import LocalPlan, LocalRule
    >>> base = task.initial()
    >>> task.train("a", base, plan=LocalPlan(), rule=LocalRule(base=base), seed=1).parameters.shape
    (4,)
    """

    name: ClassVar[str] = "synthetic"

    def __init__(self, participants: tuple[str, ...], *, dimension: int) -> None:
        require_at_least("dimension", dimension, 1)
        self._participants = tuple(sorted(participants))
        self._dimension = dimension

    @property
    def dimension(self) -> int:
        """Numbers of the model."""
        return self._dimension

    @property
    def participants(self) -> tuple[str, ...]:
        """Ids, in their order."""
        return self._participants

    def examples(self, participant: str) -> int:
        """Return 0: there are no rows."""
        require_participant(participant, dict.fromkeys(self._participants))
        return 0

    def initial(self) -> Floats:
        """Return zeros."""
        return np.zeros(self._dimension)

    def train(
        self, participant: str, parameters: Floats, *, plan: LocalPlan, rule: LocalRule, seed: int
    ) -> Trained:
        """Move the parameters by ``learning_rate`` times normal numbers; no rule bends them."""
        del rule
        require_participant(participant, dict.fromkeys(self._participants))
        require_parameters(self.name, parameters, self._dimension)
        drawn = np.random.default_rng(seed).standard_normal(self._dimension)
        moved = parameters + plan.learning_rate * drawn
        return Trained(parameters=moved, mean_gradient=-drawn, steps=1, examples=0)

    def evaluate(self, parameters: Floats) -> Mapping[str, float]:
        """Return the norm: there is nothing to be good at."""
        return {"norm": float(np.linalg.norm(parameters))}
