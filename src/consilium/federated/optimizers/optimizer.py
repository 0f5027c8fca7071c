"""What every server optimizer is: a local rule for participants, and a step from their mean."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

Floats = NDArray[np.float64]
State = Mapping[str, Floats]
"""Arrays of shape (d,), by name; public, and all that an optimizer remembers."""


class Optimizer(Protocol):
    """One way to move a shared model by what participants send.

    Letters: x (d,) the parameters, y_i those of participant i after its training, m the mean of what was
    sent: ``parts * d`` numbers, y_i - x first.
    """

    name: ClassVar[str]
    parts: ClassVar[int]
    """1, or 2 where the change of a control follows that of the parameters."""

    @property
    def prox_mu(self) -> float:
        """Pull of local steps towards x."""
        ...

    def start(self, dimension: int) -> State:
        """Return the state before the first round."""
        ...

    def step(
        self, parameters: Floats, mean: Floats, state: State, *, share: float = 1.0
    ) -> tuple[Floats, State]:
        """Return parameters and state after a round; what was given stays as it is.

        Parameters
        ----------
        parameters
            Shape (d,).
        mean
            Shape (parts * d,).
        state
            Of the round before.
        share
            Survivors over all participants, in (0, 1].
        """
        ...


def require_step(name: str, parameters: Floats, mean: Floats, parts: int) -> None:
    """Refuse a mean of another length, or numbers that are not finite.

    Raises
    ------
    InvalidValue
        With what was found.
    """
    expected = parts * len(parameters)
    if parameters.ndim != 1 or mean.shape != (expected,):
        raise InvalidValue(
            f"a step of {name} needs a mean of shape ({expected},)", mean.shape, "send all parts"
        )
    for what, values in (("parameters", parameters), ("mean", mean)):
        if not np.all(np.isfinite(values)):
            place = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InvalidValue(
                f"{what} of {name} must be finite", f"{values[place]} at {place}", "leave out that update"
            )


def require_moved(name: str, parameters: Floats) -> Floats:
    """Refuse parameters that a step made too large to hold.

    Raises
    ------
    InvalidValue
        They are not finite.
    """
    if not np.all(np.isfinite(parameters)):
        raise InvalidValue(
            f"parameters must stay finite after a step of {name}", "inf", "lower its learning_rate"
        )
    return parameters
