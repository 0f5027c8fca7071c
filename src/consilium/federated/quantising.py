"""From real updates to integers that a ring can sum, and back."""

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from consilium.domain.checks import require_at_least, require_positive
from consilium.domain.errors import InvalidValue
from consilium.federated.entropy import Entropy

_REDRAWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How long an update may be, and which integer stands for that length.

    Parameters
    ----------
    clip
        L2 norm to which an update is clipped, > 0.
    clip_int
        The integer that stands for ``clip``, in [1, 2^31); 4096 serves 100,000 values.

    Examples
    --------
    >>> Scale(clip=2.0, clip_int=4096).step
    0.00048828125
    """

    clip: float
    clip_int: int = 4096

    def __post_init__(self) -> None:
        require_positive("clip", self.clip)
        if not 1 <= self.clip_int < 2**31:
            raise InvalidValue("clip_int must lie in [1, 2^31)", self.clip_int, "use 4096")

    @property
    def step(self) -> float:
        """What 1 of the integers is worth."""
        return self.clip / self.clip_int

    def norm_bound(self, dimension: int) -> int:
        """Return the L2 norm that no quantised update exceeds, rounded up.

        ``sqrt(C^2 + d/4 + C + sqrt(d)/2)``: each draw stays within it with probability >= 1 - exp(-1/2).

        References
        ----------
        P. Kairouz, Z. Liu, T. Steinke, 2021, eq. 9 with beta = exp(-1/2).
        """
        return isqrt(_bound_squared(self.clip_int, dimension) - 1) + 1


def quantise(delta: NDArray[np.float64], scale: Scale, entropy: Entropy) -> NDArray[np.int64]:
    """Clip an update, scale it, and round each value up or down at random so that the mean stays.

    ``x = delta * min(1, clip/|delta|) * clip_int/clip``; ``q = floor(x) + 1[u < x - floor(x)]``, drawn anew
    until ``|q| <= norm_bound(d)``. Every ``|q_i| <= clip_int``.

    Parameters
    ----------
    delta
        Shape (d,), finite.
    scale
        See `Scale`.
    entropy
        Draws u.

    Raises
    ------
    InvalidValue
        Another shape, or values that are not finite.

    Examples
    --------
    >>> from consilium.federated.entropy import SeededEntropy
    >>> quantise(np.array([3.0, -4.0]), Scale(clip=1.0, clip_int=10), SeededEntropy(1)).tolist()
    [6, -8]
    """
    values = _clipped(_checked(delta), scale)
    down = np.floor(values)
    fraction = values - down
    bound = _bound_squared(scale.clip_int, len(values))
    for _ in range(_REDRAWS):
        draw = np.frombuffer(entropy.token(4 * len(values)), dtype="<u4")
        rounded = (down + (draw < fraction * 2.0**32)).astype(np.int64)
        np.clip(rounded, -scale.clip_int, scale.clip_int, out=rounded)
        if int(rounded @ rounded) <= bound:
            return rounded
    raise InvalidValue(  # pragma: no cover - less likely than exp(-100)
        f"rounding must stay within the norm {scale.norm_bound(len(values))}",
        f"{_REDRAWS} draws beyond it",
        "the source of randomness is broken: look at it",
    )


def dequantise(total: NDArray[np.int64], scale: Scale, count: int = 1) -> NDArray[np.float64]:
    """Return the mean update of ``count`` participants from the sum of their integers.

    Examples
    --------
    >>> dequantise(np.array([12, -16]), Scale(clip=1.0, clip_int=10), 2).tolist()
    [0.6, -0.8]
    """
    require_at_least("count", count, 1)
    return np.asarray(total, dtype=np.float64) * scale.clip / (scale.clip_int * count)


def _bound_squared(clip_int: int, dimension: int) -> int:
    root = isqrt(max(0, dimension - 1)) + 1
    return clip_int * clip_int + clip_int + -(-dimension // 4) + -(-root // 2)


def _checked(delta: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(delta, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise InvalidValue("an update must be flat and not empty", f"shape {values.shape}", "flatten it")
    wrong = len(values) - int(np.isfinite(values).sum())
    if wrong:
        first = int(np.argmin(np.isfinite(values)))
        raise InvalidValue(
            "an update must be finite",
            f"{wrong} of {len(values)} values that are not, first {values[first]} at {first}",
            "lower the learning rate, or leave this round out",
        )
    return values


def _clipped(values: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    # By the largest first: the square of a huge update would overflow.
    largest = float(np.abs(values).max())
    if largest == 0.0:
        return values
    unit = values / largest
    length = float(np.sqrt(unit @ unit))
    factor = min(largest, scale.clip / length)
    return unit * (factor * (scale.clip_int / scale.clip))
