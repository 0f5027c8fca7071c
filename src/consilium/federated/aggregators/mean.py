"""The weighted mean: exact for honest participants, and moved anywhere by one that is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from consilium.federated.aggregators.aggregator import Floats, require_updates


@dataclass(frozen=True, slots=True)
class Mean:
    """``sum_i w_i u_i / sum_i w_i``, added up in the order of ids, so that all carriers agree bit for bit.

    Examples
    --------
    >>> Mean()(np.array([[1.0, 0.0], [4.0, 3.0]]), ids=("b", "a"), weights=np.array([1.0, 2.0])).tolist()
    [3.0, 2.0]

    References
    ----------
    McMahan et al. (2017), algorithm 1.
    """

    name: ClassVar[str] = "mean"
    tolerates: ClassVar[float] = 0.0

    def __call__(self, updates: Floats, *, ids: Sequence[str], weights: Floats) -> Floats:
        """Return the mean, shape (d,), of updates (n, d)."""
        require_updates(self.name, updates, ids, weights)
        total, whole = np.zeros(updates.shape[1]), 0.0
        for row in sorted(range(len(ids)), key=ids.__getitem__):
            total += weights[row] * updates[row]
            whole += float(weights[row])
        result: Floats = total / whole
        return result
