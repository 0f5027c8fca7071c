"""SCAFFOLD: controls take out of local steps what drives participants apart."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from consilium.domain import InvalidValue
from consilium.domain.checks import require_positive
from consilium.federated.optimizers.optimizer import Floats, State, require_moved, require_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """Local steps follow ``g_i(y) - c_i + c``; then ``x' = x + lr mean(y_i - x)``, ``c' = c + s mean(dc_i)``.

    A participant's new control is the mean of its plain gradients g_i, which is option II of the paper for
    plain steps: ``c_i - c + (x - y_i) / (K lr_local)``. It sends the change of both, clipped as one vector.

    Parameters
    ----------
    learning_rate
        lr of the server, > 0; 1.

    Examples
    --------
    >>> optimizer = Scaffold()
    >>> moved, state = optimizer.step(np.zeros(1), np.array([1.0, 4.0]), optimizer.start(1), share=0.5)
    >>> moved.tolist(), state["control"].tolist()
    ([1.0], [2.0])

    References
    ----------
    Karimireddy et al. (2020), SCAFFOLD, algorithm 1.
    """

    learning_rate: float = 1.0

    name: ClassVar[str] = "scaffold"
    parts: ClassVar[int] = 2

    def __post_init__(self) -> None:
        require_positive("learning_rate of scaffold", self.learning_rate)

    @property
    def prox_mu(self) -> float:
        """No pull."""
        return 0.0

    def start(self, dimension: int) -> State:
        """Return a control of zeros."""
        return {"control": np.zeros(dimension)}

    def step(
        self, parameters: Floats, mean: Floats, state: State, *, share: float = 1.0
    ) -> tuple[Floats, State]:
        """Add the mean change of parameters, and of controls for as many as took part."""
        require_step(self.name, parameters, mean, self.parts)
        if not 0.0 < share <= 1.0:
            raise InvalidValue("share must lie in (0, 1]", share, "give survivors over participants")
        d = len(parameters)
        change = mean[:d] if self.learning_rate == 1.0 else self.learning_rate * mean[:d]
        control = require_moved(self.name, state["control"] + share * mean[d:])
        return require_moved(self.name, parameters + change), {"control": control}
