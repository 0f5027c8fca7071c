"""The networks as classifiers, beside MiniRocket: `python benchmarks/bundled_sets.py`, with aeon installed.

The five data sets that aeon carries, on the split that each comes with. Series are stretched to the window of
a network and put into standard units; the heads have as many classes as a set. Default sizes, EPOCHS passes
at RATE, no early stopping (the sets hold 36 to 270 series to learn from); accuracy on the test part, median
of SEEDS (least to most). `--models`, `--sets` and `--seeds` shorten the run. Exit code 1 if a network is not
better than the largest class by the threshold of thresholds.toml on every set; 2 without aeon.
"""

import argparse
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.models.cnn_lstm import CnnLstm, CnnLstmConfig
from consilium.models.layers.network.heads import DIRECTION
from consilium.models.layers.network.learning import seeded
from consilium.models.layers.network.module import Layer
from consilium.models.layers.ridge import fit_ridge
from consilium.models.layers.rocket import fit_rocket
from consilium.models.mpd_transformer import MPDConfig, MPDTransformer
from consilium.models.nhits import NHitsConfig, NHitsStacks
from consilium.models.patchtst import PatchTST, PatchTSTConfig

SETS = ("GunPoint", "ItalyPowerDemand", "JapaneseVowels", "BasicMotions", "ArrowHead")
EPOCHS, RATE, BATCH, SEEDS, FEATURES, AT_ONCE = 100, 1e-3, 16, (1, 2, 3), 9_996, 64

Part = tuple[NDArray[np.float32], NDArray[np.int64]]


class EachChannel(Layer):
    """N-HiTS stacks on each channel alone, their forecasts mixed: its form `channels`, for K classes."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stacks = NHitsStacks(NHitsConfig(), classes)
        self.mix = nn.Linear(channels * classes, classes)

    def forward(self, windows: Tensor) -> Tensor:
        n, steps, channels = windows.shape
        found = self.stacks(windows.transpose(1, 2).reshape(n * channels, steps))
        mixed: Tensor = self.mix(found.reshape(n, -1))
        return mixed


class Stated(Layer):
    """The direction of a network of the pool, with K classes in place of three."""

    def __init__(self, network: Any, classes: int) -> None:
        super().__init__()
        self.network = network
        width = network.heads.maps[DIRECTION].in_features
        network.heads.maps[DIRECTION] = nn.Linear(width, classes)

    def forward(self, windows: Tensor) -> Tensor:
        logits: Tensor = self.network(windows)[DIRECTION]
        return logits


NETWORKS: dict[str, tuple[int, Callable[[int, int], Layer]]] = {
    "nhits": (120, EachChannel),
    "patchtst": (120, lambda f, k: Stated(PatchTST(PatchTSTConfig(), f), k)),
    "cnn_lstm": (60, lambda f, k: Stated(CnnLstm(CnnLstmConfig(), f), k)),
    "mpd_transformer": (60, lambda f, k: Stated(MPDTransformer(MPDConfig(), f), k)),
}
"""By name: window, and what makes the network for so many channels and classes. TLOB reads books only."""


def bundled(name: str, split: str, window: int | None = None) -> Part:
    """Return windows (n, T, channels) and class codes; stretched to a window, or padded to the longest."""
    from aeon.datasets import load_classification

    series, y = load_classification(name, split=split)
    longest = 29 if name == "JapaneseVowels" else series[0].shape[1]
    if window is None:
        rows = [np.pad(x, ((0, 0), (0, longest - x.shape[1])), mode="edge") for x in series]
    else:
        rows = [stretched(x, window) for x in series]
    return np.stack(rows).transpose(0, 2, 1).astype(np.float32), np.unique(y, return_inverse=True)[1]


def stretched(x: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    places = np.linspace(0.0, x.shape[1] - 1.0, window)
    return np.stack([np.interp(places, np.arange(x.shape[1]), row) for row in x])


def standard(fit: Part, test: Part) -> tuple[Part, Part]:
    mean, scale = fit[0].mean(axis=(0, 1)), fit[0].std(axis=(0, 1))
    return ((fit[0] - mean) / scale, fit[1]), ((test[0] - mean) / scale, test[1])


def by_network(name: str, data: str, seed: int) -> float:
    window, make = NETWORKS[name]
    fit, test = standard(bundled(data, "train", window), bundled(data, "test", window))
    with seeded(seed, 1):
        network = make(fit[0].shape[2], int(fit[1].max()) + 1)
        optimiser = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
        windows, truth = torch.from_numpy(fit[0]), torch.from_numpy(fit[1])
        order = np.random.default_rng(seed)
        for _ in range(EPOCHS):
            network.train()
            rows = torch.from_numpy(order.permutation(len(truth)))
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                loss = F.cross_entropy(network(windows[some]), truth[some])
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
        network.eval()
        with torch.inference_mode():
            asked = torch.from_numpy(test[0])
            parts = [network(asked[at : at + AT_ONCE]) for at in range(0, len(asked), AT_ONCE)]
        return float((torch.cat(parts).argmax(dim=1).numpy() == test[1]).mean())


def by_minirocket(_name: str, data: str, seed: int) -> float:
    fit, test = standard(bundled(data, "train"), bundled(data, "test"))
    rocket = fit_rocket(fit[0], FEATURES, np.random.default_rng(seed))
    ridge = fit_ridge(rocket.transform(fit[0]), fit[1], np.ones(len(fit[1])), None)
    return float((ridge.distribution(rocket.transform(test[0])).argmax(axis=1) == test[1]).mean())


def cell(found: list[float]) -> str:
    return f"{median(found):.3f} ({min(found):.3f} to {max(found):.3f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", default=",".join([*NETWORKS, "minirocket"]))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    arguments = parser.parse_args()
    if find_spec("aeon") is None:
        print("aeon is not installed: run in the environment of make test-peers")
        return 2
    least = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())["bundled_sets"][
        "above_largest_class"
    ]
    sets, seeds = arguments.sets.split(","), [int(seed) for seed in arguments.seeds.split(",")]
    print("| accuracy | " + " | ".join(sets) + " |\n|---|" + "---|" * len(sets), flush=True)
    missed = []
    for name in arguments.models.split(","):
        by, cells = (by_minirocket if name == "minirocket" else by_network), []
        for data in sets:
            found = [by(name, data, seed) for seed in seeds]
            cells.append(cell(found))
            print(f"{name} {data} {cells[-1]}", file=sys.stderr, flush=True)
            largest = np.bincount(bundled(data, "test")[1]).max() / len(bundled(data, "test")[1])
            if median(found) < largest + least:
                missed.append(f"{name} on {data}: {median(found):.3f}, the largest class has {largest:.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
