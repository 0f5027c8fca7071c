"""Random streams of a simulated book, one for each quantity, and the memory they are given."""

from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STREAMS = (
    "flow",
    "volatility",
    "spread",
    "moves",
    "bid_depth",
    "ask_depth",
    "bid_start",
    "ask_start",
    "trade_count",
    "trade_side",
    "trade_size",
    "trade_time",
    "sweep",
)


def stream(seed: int, name: str, part: int = 0) -> np.random.Generator:
    """Return the stream of a quantity: a longer market then leaves its beginning as it was."""
    sequence = np.random.SeedSequence(seed, spawn_key=(1, STREAMS.index(name), part))
    return np.random.Generator(np.random.PCG64(sequence))


def autoregress(noise: Floats, memory: float) -> Floats:
    """Return ``x_t = phi x_{t-1} + sqrt(1 - phi^2) e_t``, ``phi = e^(-1/memory)``, started by x_0 = e_0.

    Examples
    --------
    >>> import numpy as np
    >>> autoregress(np.array([1.0, 0.0, 0.0]), 1.0).round(3).tolist()
    [1.0, 0.368, 0.135]
    """
    phi = exp(-1.0 / memory)
    fresh = sqrt(1.0 - phi**2)
    values = noise.tolist()
    for t in range(1, len(values)):
        values[t] = phi * values[t - 1] + fresh * values[t]
    return np.array(values, dtype=np.float64)
