"""Federated averaging: the shared model becomes the mean of the local ones."""

from dataclasses import dataclass
from typing import ClassVar

from consilium.domain.checks import require_positive
from consilium.federated.optimizers.optimizer import Floats, State, require_moved, require_step


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAvg:
    """``x' = x + lr m``.

    Parameters
    ----------
    learning_rate
        lr, > 0; at 1 the new model is the mean of the local ones.

    Examples
    --------
    >>> import numpy as np
    >>> FedAvg().step(np.array([1.0, 2.0]), np.array([0.5, -1.0]), {})[0].tolist()
    [1.5, 1.0]

    References
    ----------
    McMahan et al. (2017), algorithm 1.
    """

    learning_rate: float = 1.0

    name: ClassVar[str] = "fedavg"
    parts: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_positive("learning_rate of fedavg", self.learning_rate)

    @property
    def prox_mu(self) -> float:
        """No pull."""
        return 0.0

    def start(self, dimension: int) -> State:  # noqa: ARG002 - the port's signature
        """Nothing is remembered."""
        return {}

    def step(
        self,
        parameters: Floats,
        mean: Floats,
        state: State,
        *,
        share: float = 1.0,  # noqa: ARG002 - the port's signature
    ) -> tuple[Floats, State]:
        """Add the mean."""
        require_step(self.name, parameters, mean, self.parts)
        # lr 1 must leave no trace in the last bits.
        moved = parameters + (mean if self.learning_rate == 1.0 else self.learning_rate * mean)
        return require_moved(self.name, moved), state
