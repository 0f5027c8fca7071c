"""Small networks and windows to learn from, for the tests of the loop."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilium.models.patchtst import PatchTSTForecaster

STEPS, FEATURES = 12, 3


def windows(n: int, *, seed: int = 0, signal: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Windows whose level says the class, in noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    X = signal * (y - 1)[:, None, None] + rng.standard_normal((n, STEPS, FEATURES))
    return X, y


def small(**changed: Any) -> PatchTSTForecaster:
    """A PatchTST with dropout, small enough for a test."""
    settings: dict[str, Any] = {
        "window": STEPS,
        "patch_len": 4,
        "stride": 4,
        "d_model": 8,
        "num_heads": 2,
        "num_layers": 2,
        "ff_dim": 16,
        "dropout": 0.2,
        "epochs": 3,
        "patience": 4,
        "batch_size": 8,
        "accumulate": 4,
        "learning_rate": 1e-2,
    }
    return PatchTSTForecaster(**(settings | changed))


def weights(model: Any) -> dict[str, NDArray[Any]]:
    """All weights of a fitted network."""
    return {name: value.numpy() for name, value in model.network_.state_dict().items()}


def same(one: Any, other: Any) -> bool:
    """Tell whether two fitted networks have the same bits."""
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)
