"""A learner's own controls, kept in its store: they outlive the process, and nobody else reads them."""

import struct

import numpy as np

from consilium.app.federated.secret_store import FileSecretStore
from consilium.domain import InvalidValue
from consilium.federated.learner import Learner

_NUMBER = struct.Struct("<I")


class KeptControls:
    """Writes down what SCAFFOLD keeps of a participant, before a sum can count it and after it is known.

    Parameters
    ----------
    learner
        Whose controls; those of the store are given to it.
    store
        Where they are kept.
    session
        Name of the session.

    Raises
    ------
    InvalidValue
        The store has controls of another model.
    """

    def __init__(self, learner: Learner, store: FileSecretStore, session: str) -> None:
        self._learner, self._store, self._name = learner, store, f"controls:{session}"
        kept = store.get(self._name)
        if kept is not None:
            self._recall(kept)

    @property
    def open_round(self) -> int | None:
        """The last round of which it is not known yet whether the own update counts."""
        return max(self._learner.pending, default=None)

    def keep(self) -> None:
        """Write down the controls as they are now.

        Raises
        ------
        OutputProblem
            The disk does not take them.
        """
        if self._learner.optimizer.parts == 1:
            return
        pending = self._learner.pending
        parts = [_NUMBER.pack(len(pending)), *(_NUMBER.pack(number) for number in pending)]
        rows = (self._learner.control, *pending.values())
        self._store.put(self._name, b"".join((*parts, *(row.astype("<f8").tobytes() for row in rows))))

    def _recall(self, kept: bytes) -> None:
        (count,) = _NUMBER.unpack_from(kept)
        numbers = [_NUMBER.unpack_from(kept, 4 + 4 * at)[0] for at in range(count)]
        values = np.frombuffer(kept, dtype="<f8", offset=4 + 4 * count).astype(np.float64)
        if len(values) % (count + 1):
            raise InvalidValue("controls must be whole", len(values), "put a copy of the store back")
        control, *pending = values.reshape(count + 1, -1)
        self._learner.recall(control, dict(zip(numbers, pending, strict=True)))
