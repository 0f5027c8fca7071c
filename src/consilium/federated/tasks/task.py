"""What every task is: a model as a flat vector, local training on rows that stay, and a judgement."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue, UnknownName
from consilium.federated.local import LocalPlan, LocalRule, Trained

Floats = NDArray[np.float64]


class Task(Protocol):
    """One model that participants train together.

    A participant's own process makes the task with its own rows only; a simulation makes it with all of them.
    """

    @property
    def name(self) -> str:
        """A name in TASKS."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers of the model."""
        ...

    @property
    def participants(self) -> tuple[str, ...]:
        """Whose rows this process has, in the order of ids."""
        ...

    def examples(self, participant: str) -> int:
        """Return how many rows a participant learns from."""
        ...

    def initial(self) -> Floats:
        """Return the first parameters, shape (d,), the same for all."""
        ...

    def train(
        self, participant: str, parameters: Floats, *, plan: LocalPlan, rule: LocalRule, seed: int
    ) -> Trained:
        """Train on a participant's rows from the parameters of the round, shape (d,)."""
        ...

    def evaluate(self, parameters: Floats) -> Mapping[str, float]:
        """Judge parameters on rows that nobody learned from."""
        ...


def require_parameters(name: str, parameters: Floats, dimension: int) -> None:
    """Refuse parameters of another model, or that are not finite.

    Raises
    ------
    InvalidValue
        With what was found.
    """
    if parameters.shape != (dimension,):
        raise InvalidValue(
            f"parameters of {name} must have shape ({dimension},)", parameters.shape, "load this task's model"
        )
    if not np.all(np.isfinite(parameters)):
        raise InvalidValue(f"parameters of {name} must be finite", "NaN or inf", "take the round before")


def require_participant(participant: str, known: Mapping[str, object]) -> None:
    """Refuse a participant whose rows are not here.

    Raises
    ------
    UnknownName
        With those that are.
    """
    if participant not in known:
        raise UnknownName("participant", participant, known)
