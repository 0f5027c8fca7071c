"""What participants send instead of their data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_at_least, require_fraction, require_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Privacy used so far, by the accountant: epsilon never without delta."""

    epsilon: float
    delta: float
    steps: int

    def __post_init__(self) -> None:
        require_at_least("epsilon", self.epsilon, 0.0)
        require_fraction("delta", self.delta)
        require_at_least("steps", self.steps, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Update:
    """Parameters minus base of one participant in one round.

    Parameters
    ----------
    delta
        Shape (d,).
    clip_norm
        L2 bound to which ``delta`` was clipped; None if it was not.
    """

    participant: str
    round: int
    base_version: str
    delta: NDArray[np.float64]
    num_examples: int
    clip_norm: float | None = None
    spend: Spend | None = None
    local_performance: float | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        require_name("participant", self.participant)
        require_at_least("num_examples", self.num_examples, 0)
