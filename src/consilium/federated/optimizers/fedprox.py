"""FedProx: averaging, with local steps held near the shared model."""

from dataclasses import dataclass, field
from typing import ClassVar

from consilium.domain.checks import require_at_least
from consilium.federated.optimizers.fedavg import FedAvg
from consilium.federated.optimizers.optimizer import Floats, State


@dataclass(frozen=True, slots=True, kw_only=True)
class FedProx:
    """Participants minimise ``F_i(y) + mu/2 |y - x|^2``; the server averages: ``x' = x + lr m``.

    Parameters
    ----------
    mu
        Strength of the pull, >= 0; 0.01. At 0 it is FedAvg.
    learning_rate
        lr of the server, > 0; 1.

    Examples
    --------
    >>> FedProx(mu=0.1).prox_mu
    0.1

    References
    ----------
    Li et al. (2020), Federated optimization in heterogeneous networks, eq. 2 and algorithm 2.
    """

    mu: float = 0.01
    learning_rate: float = 1.0

    name: ClassVar[str] = "fedprox"
    parts: ClassVar[int] = 1
    _server: FedAvg = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_at_least("mu of fedprox", self.mu, 0.0)
        object.__setattr__(self, "_server", FedAvg(learning_rate=self.learning_rate))

    @property
    def prox_mu(self) -> float:
        """Pull of local steps towards x."""
        return self.mu

    def start(self, dimension: int) -> State:
        """Nothing is remembered."""
        return self._server.start(dimension)

    def step(
        self, parameters: Floats, mean: Floats, state: State, *, share: float = 1.0
    ) -> tuple[Floats, State]:
        """Add the mean."""
        return self._server.step(parameters, mean, state, share=share)
