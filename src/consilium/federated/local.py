"""What a participant does between two rounds: how long it trains, and what is added to its gradients."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.domain.checks import require_at_least, require_positive

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlan:
    """How long and how fast a participant trains on its own rows, as seed 003 sets it.

    Parameters
    ----------
    epochs
        Passes over its rows, >= 1; 5.
    batch_size
        Rows of one step, >= 1; 32.
    learning_rate
        Of its own optimizer, > 0; 1e-3.
    """

    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        require_at_least("epochs", self.epochs, 1)
        require_at_least("batch_size", self.batch_size, 1)
        require_positive("learning_rate", self.learning_rate)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocalRule:
    """What is added to a gradient g at y, x being the parameters of the round: ``g + mu (y - x) + a``.

    Parameters
    ----------
    base
        x, shape (d,).
    prox_mu
        Pull towards x, >= 0; 0 for none.
    correction
        a, shape (d,): what all participants learn less what this one does; None for none.

    Examples
    --------
    >>> rule = LocalRule(base=np.zeros(2), prox_mu=0.5)
    >>> rule.added_to(np.array([2.0, -4.0])).tolist()
    [1.0, -2.0]
    """

    base: Floats
    prox_mu: float = 0.0
    correction: Floats | None = None

    def __post_init__(self) -> None:
        require_at_least("prox_mu", self.prox_mu, 0.0)
        if self.correction is not None and self.correction.shape != self.base.shape:
            raise InvalidValue(
                f"a correction must have shape {self.base.shape}",
                self.correction.shape,
                "give one a parameter",
            )

    @property
    def idle(self) -> bool:
        """Whether nothing is added."""
        return self.prox_mu == 0.0 and self.correction is None

    def added_to(self, parameters: Floats) -> Floats:
        """Return what a step at ``parameters`` (d,) adds to its gradient."""
        added = self.prox_mu * (parameters - self.base)
        return added if self.correction is None else added + self.correction


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What came of one local training.

    Parameters
    ----------
    parameters
        Shape (d,).
    mean_gradient
        Shape (d,): the mean of the plain gradients of all steps, before anything was added.
    steps, examples
        Steps taken, and rows learned from.
    performance
        The participant's own figure on rows that it held back; None where it holds none back.
    seconds
        As the carrier measured it.
    """

    parameters: Floats
    mean_gradient: Floats
    steps: int
    examples: int
    performance: float | None = None
    seconds: float = field(default=0.0)
