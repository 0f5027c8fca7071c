"""MiniRocket against aeon's, on the data sets that aeon carries."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consilium.models.layers.ridge import fit_ridge
from consilium.models.layers.rocket import fit_rocket

pytestmark = pytest.mark.peers

FEATURES, SEEDS = 9_996, (0, 1, 2)
PUBLISHED = {
    "GunPoint": 0.99,
    "ItalyPowerDemand": 0.96,
    "JapaneseVowels": 0.99,
    "BasicMotions": 1.0,
    "ArrowHead": 0.86,
}
"""Accuracy of MiniRocket on the split that each set comes with."""

Set = tuple[NDArray[np.float32], NDArray[np.int64]]


def bundled(name: str, split: str, length: int = 29) -> Set:
    """Return windows (n, T, channels) and class codes; shorter series end in their last value."""
    from aeon.datasets import load_classification

    X, y = load_classification(name, split=split)
    if isinstance(X, list):
        X = np.stack([np.pad(x, ((0, 0), (0, length - x.shape[1])), mode="edge") for x in X])
    return X.transpose(0, 2, 1).astype(np.float32), np.unique(y, return_inverse=True)[1]


def ours(fit: Set, test: Set, seed: int) -> float:
    mean, scale = fit[0].mean(axis=(0, 1)), fit[0].std(axis=(0, 1))
    known, asked = ((X - mean) / scale for X in (fit[0], test[0]))
    rocket = fit_rocket(known, FEATURES, np.random.default_rng(seed))
    ridge = fit_ridge(rocket.transform(known), fit[1], np.ones(len(known)), None)
    return float((ridge.distribution(rocket.transform(asked)).argmax(axis=1) == test[1]).mean())


def theirs(fit: Set, test: Set, seed: int) -> float:
    from aeon.classification.convolution_based import MiniRocketClassifier

    model: Any = MiniRocketClassifier(n_kernels=FEATURES, random_state=seed)
    model.fit(fit[0].transpose(0, 2, 1), fit[1])
    return float((model.predict(test[0].transpose(0, 2, 1)) == test[1]).mean())


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", PUBLISHED)
def test_minirocket_is_as_often_right_as_aeons(name: str) -> None:
    fit, test = bundled(name, "train"), bundled(name, "test")
    accuracies = [[by(fit, test, seed) for seed in SEEDS] for by in (ours, theirs)]
    mine, peer = (float(np.mean(found)) for found in accuracies)
    # Of one test set, and of the seeds of both.
    noise = np.hypot(2.0 * np.sqrt(peer * (1.0 - peer) / len(test[1])), 2.0 * np.std(accuracies[1]))
    assert mine >= peer - max(noise, 1.0 / len(test[1]))
    assert mine >= PUBLISHED[name] - max(noise, 0.02)
