"""The port through which a participant reaches its coordinator."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.app.carriers.https import Outbox


class Carrier(Protocol):
    """Reaches the coordinator of one session; `consilium.app.carriers.https.HttpsCarrier` does."""

    @property
    def session(self) -> str:
        """Name of the session."""
        ...

    def expect(self, *, owners: int, dimension: int) -> None:
        """Read answers no further than so many owners and numbers of a model ask for."""
        ...

    def about(self) -> dict[str, Any]:
        """Return what is agreed."""
        ...

    def owners(self) -> str:
        """Return the signed owner list."""
        ...

    def register(self, registration: Mapping[str, Any]) -> int:
        """Join; return the first round that one may be chosen for."""
        ...

    def round(self) -> dict[str, Any]:
        """Return state, rounds done, and the round that is on."""
        ...

    def reports(self, since: int = 1) -> list[dict[str, Any]]:
        """Return the reports of the rounds from one on."""
        ...

    def model(self) -> dict[str, NDArray[np.float64]]:
        """Return the model's arrays."""
        ...

    def outbox(self, owner: str, *, have: int = -1, wait_s: float = 0.0) -> Outbox:
        """Return what one should have now."""
        ...

    def send(self, message: bytes) -> None:
        """Send a signed message."""
        ...

    def send_update(self, update: bytes) -> None:
        """Send a signed update of a round that is seen."""
        ...
