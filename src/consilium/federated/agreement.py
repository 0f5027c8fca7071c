"""What a secret round is over: hashed on both sides from what each holds, so that a lie keeps sums apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.domain import digest
from consilium.federated.owners import OwnerList
from consilium.federated.parameters import count_of
from consilium.federated.rounds import RoundPlan
from consilium.federated.sampling import version_of
from consilium.federated.session import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What one side holds of a session.

    Parameters
    ----------
    terms
        As agreed at the join.
    options
        Of the task: network, features, labels.
    owners
        Who was admitted.
    coordinator
        Public key that signs what the coordinator says.
    """

    terms: Terms
    options: Mapping[str, Any]
    owners: OwnerList
    coordinator: bytes

    @property
    def colluders(self) -> int:
        """How many may lie, floor(gamma N) of all admitted: a coordinator may bring all into one round."""
        return count_of(self.terms.gamma, len(self.owners.owners))

    def digest(self, plan: RoundPlan, model: str) -> bytes:
        """Return the hash that stands in the terms of each attempt of a round, 32 bytes.

        Parameters
        ----------
        plan
            Of the round: clip, weights, members and of whom they were drawn.
        model
            As `model_digest` names what was trained from.
        """
        return bytes.fromhex(
            digest(
                {
                    "what": "consilium round",
                    "model": model,
                    "terms": self.terms.digest(),
                    "options": digest(dict(self.options)),
                    "owners": self.owners.digest(),
                    "coordinator": self.coordinator.hex(),
                    "plan": digest(plan.as_dict()),
                }
            )
        )


def model_digest(parameters: NDArray[np.float64], state: Mapping[str, NDArray[np.float64]]) -> str:
    """Return the hash of all that a participant trains from: the model, and the optimizer's public state.

    Examples
    --------
    >>> base = np.zeros(2)
    >>> model_digest(base, {"control": base}) == model_digest(base, {"control": base + 1})
    False
    """
    named = {name: version_of(state[name]) for name in sorted(state)}
    return digest({"parameters": version_of(parameters), "state": named})
