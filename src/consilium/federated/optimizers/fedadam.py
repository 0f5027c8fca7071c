"""FedAdam: the mean of a round is a pseudo-gradient for Adam at the server."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from consilium.domain import InvalidValue
from consilium.domain.checks import require_positive
from consilium.federated.optimizers.optimizer import Floats, State, require_moved, require_step


@dataclass(frozen=True, slots=True, kw_only=True)
class FedAdam:
    """``u' = b1 u + (1 - b1) m``, ``v' = b2 v + (1 - b2) m^2``, ``x' = x + lr u' / (sqrt(v') + tau)``.

    Parameters
    ----------
    learning_rate
        lr, > 0; 0.01.
    beta_1, beta_2
        b1 and b2, in [0, 1); 0.9 and 0.99.
    tau
        Least scale of a step, > 0; 1e-3. v begins at tau^2.

    Examples
    --------
    >>> optimizer = FedAdam(learning_rate=0.1, tau=0.5)
    >>> moved, _ = optimizer.step(np.zeros(1), np.ones(1), optimizer.start(1))
    >>> moved.round(6).tolist()
    [0.009926]

    References
    ----------
    Reddi et al. (2021), Adaptive federated optimization, algorithm 2.
    """

    learning_rate: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.99
    tau: float = 1e-3

    name: ClassVar[str] = "fedadam"
    parts: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_positive("learning_rate of fedadam", self.learning_rate)
        require_positive("tau of fedadam", self.tau)
        for name in ("beta_1", "beta_2"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InvalidValue(f"{name} of fedadam must lie in [0, 1)", getattr(self, name), "use 0.9")

    @property
    def prox_mu(self) -> float:
        """No pull."""
        return 0.0

    def start(self, dimension: int) -> State:
        """Return u = 0 and v = tau^2."""
        return {"first": np.zeros(dimension), "second": np.full(dimension, self.tau**2)}

    def step(
        self,
        parameters: Floats,
        mean: Floats,
        state: State,
        *,
        share: float = 1.0,  # noqa: ARG002 - the port's signature
    ) -> tuple[Floats, State]:
        """Move by the mean over its own scale."""
        require_step(self.name, parameters, mean, self.parts)
        first = self.beta_1 * state["first"] + (1.0 - self.beta_1) * mean
        second = self.beta_2 * state["second"] + (1.0 - self.beta_2) * mean**2
        moved = parameters + self.learning_rate * first / (np.sqrt(second) + self.tau)
        return require_moved(self.name, moved), {"first": first, "second": second}
