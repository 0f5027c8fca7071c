"""What every aggregator is: from the updates of participants to one, (n, d) -> (d,)."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue

Floats = NDArray[np.float64]


class Aggregator(Protocol):
    """One way to merge updates that are seen one by one."""

    name: ClassVar[str]
    tolerates: ClassVar[float]
    """Share of arbitrary participants that it withstands; 0 for none."""

    def __call__(self, updates: Floats, *, ids: Sequence[str], weights: Floats) -> Floats:
        """Merge updates.

        Parameters
        ----------
        updates
            Shape (n, d), finite, n >= 1.
        ids
            n names that differ, of the participants.
        weights
            Shape (n,), > 0.

        Returns
        -------
        Shape (d,), the same bits in whatever order the rows come.
        """
        ...


def require_updates(name: str, updates: Floats, ids: Sequence[str], weights: Floats) -> None:
    """Refuse what no aggregator can merge.

    Raises
    ------
    InvalidValue
        With what was found.
    """
    if updates.ndim != 2 or not len(updates):
        raise InvalidValue(
            f"{name} needs updates of shape (n, d) with n >= 1", updates.shape, "wait for updates"
        )
    if len(ids) != len(updates) or weights.shape != (len(updates),):
        raise InvalidValue(
            f"{name} needs {len(updates)} ids and weights", f"{len(ids)} and {weights.shape}", "give one each"
        )
    if len(set(ids)) < len(ids):
        raise InvalidValue(f"ids of {name} must differ", "one twice", "count each participant once")
    if not np.all(np.isfinite(weights) & (weights > 0.0)):
        raise InvalidValue(f"weights of {name} must be finite and > 0", weights.min(), "leave out weight 0")
    bad = np.flatnonzero(~np.isfinite(updates).all(axis=1))
    if len(bad):
        raise InvalidValue(
            f"updates of {name} must be finite", f"NaN or inf of {ids[bad[0]]}", "leave it out"
        )
