"""Who takes part in a round: drawn by a public rule that everybody can repeat."""

from collections.abc import Iterable
from hashlib import sha256
from math import ceil

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue


def seed_of(seed: int, *names: object) -> int:
    """Make a seed for one purpose: the first 8 bytes of the SHA-256 of all names, in [0, 2^63).

    For order, first weights and samples only: keys, nonces and shares come from the operating system.

    Examples
    --------
    >>> seed_of(7, "desk-1", 0) == seed_of(7, "desk-1", 0) != seed_of(7, "desk-1", 1)
    True
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1


def version_of(parameters: NDArray[np.float64]) -> str:
    """Name a model by its bits: SHA-256 of its numbers as little-endian doubles, 64 hex digits."""
    values = np.ascontiguousarray(parameters, dtype="<f8")
    return sha256(len(values).to_bytes(8, "big") + values.tobytes()).hexdigest()


def sample_size(candidates: int, fraction: float, least: int) -> int:
    """Return how many of ``candidates`` take part: ``max(least, ceil(fraction n))``, at most n.

    Examples
    --------
    >>> sample_size(50, 0.1, 3), sample_size(10, 0.1, 3), sample_size(2, 1.0, 3)
    (5, 3, 2)
    """
    # 0.1 * 30 is 3.0000000000000004: that is three, not four.
    return min(candidates, max(least, ceil(fraction * candidates - 1e-9)))


def choose(
    candidates: Iterable[str], count: int, *, seed: int, session: str, round_number: int
) -> tuple[str, ...]:
    """Choose participants of a round: those with the lowest hash of seed, session, round and id.

    Anybody who knows the announced seed gets the same list, in any order of candidates; the coordinator has
    nothing to choose once the seed is announced. No privacy is claimed from not being chosen.

    Parameters
    ----------
    candidates
        Ids; a repeated one counts once.
    count
        How many, >= 1; all where there are fewer.
    seed
        As the session announced it.
    session, round_number
        Which round.

    Returns
    -------
    Ids in their order.

    Examples
    --------
    >>> choose("abcdef", 2, seed=1, session="s", round_number=1)
    ('a', 'c')
    >>> choose("fedcba", 2, seed=1, session="s", round_number=1)
    ('a', 'c')
    """
    if count < 1:
        raise InvalidValue("count must be >= 1", count, "choose at least one participant")
    ranked = sorted(set(candidates), key=lambda name: _rank(seed, session, round_number, name))
    return tuple(sorted(ranked[:count]))


def _rank(seed: int, session: str, round_number: int, name: str) -> bytes:
    text = "\x1f".join(("consilium sample", str(seed), session, str(round_number), name))
    return sha256(text.encode()).digest()


def require_first_model(parameters: NDArray[np.float64]) -> None:
    """Refuse a first model that is no vector of finite numbers.

    Raises
    ------
    InvalidValue
        With its shape, or the first number that is not finite.
    """
    bound = "the first model must be flat, finite and not empty"
    if parameters.ndim != 1 or not len(parameters):
        raise InvalidValue(bound, parameters.shape, "flatten it")
    strange = np.flatnonzero(~np.isfinite(parameters))
    if len(strange):
        raise InvalidValue(bound, f"{parameters[strange[0]]} as number {strange[0] + 1}", "correct it")
