"""Rows divided among participants who see different classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.domain.checks import require_positive

Rows = NDArray[np.int64]


def dirichlet_parts(
    labels: NDArray[np.int64], names: Sequence[str], *, alpha: float, least: int = 1, seed: int = 0
) -> dict[str, Rows]:
    """Divide the rows of each class by shares drawn from ``Dirichlet(alpha, ..., alpha)``.

    Parameters
    ----------
    labels
        Shape (n,), the class of each row.
    names
        Of participants.
    alpha
        > 0: small for participants of few classes each, large for equal ones.
    least
        Fewest rows of a participant, >= 0: those with more give up rows until all have them.
    seed
        Of the draw.

    Returns
    -------
    Rows of each, ascending; every row belongs to exactly one.

    Raises
    ------
    InvalidValue
        Fewer rows than ``least`` for each.

    Examples
    --------
    >>> parts = dirichlet_parts(np.arange(12) % 3, ["a", "b"], alpha=0.5, least=2)
    >>> sorted(np.concatenate(list(parts.values())).tolist()) == list(range(12))
    True

    References
    ----------
    Hsu, Qi and Brown (2019), Measuring the effects of non-identical data distribution, section 3.
    """
    require_positive("alpha", alpha)
    if not names or len(labels) < least * len(names):
        raise InvalidValue(
            f"{len(names)} participants need {least} of the rows each",
            f"{len(labels)} rows",
            "ask fewer of them",
        )
    rng = np.random.default_rng(seed)
    owner = np.empty(len(labels), dtype=np.int64)
    for value in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == value))
        shares = rng.dirichlet(np.full(len(names), alpha))
        # A tiny alpha can round all shares to nothing.
        shares = shares if np.isfinite(shares).all() and shares.sum() > 0 else np.eye(len(names))[0]
        borders = np.round(np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
        for number, part in enumerate(np.split(rows, borders)):
            owner[part] = number
    _fill_up(owner, len(names), least)
    return {name: np.flatnonzero(owner == number) for number, name in enumerate(names)}


def _fill_up(owner: Rows, count: int, least: int) -> None:
    sizes = np.bincount(owner, minlength=count)
    for poor in np.flatnonzero(sizes < least):
        while sizes[poor] < least:
            rich = int(sizes.argmax())
            owner[np.flatnonzero(owner == rich)[-1]] = poor
            sizes[rich] -= 1
            sizes[poor] += 1
