"""How well the networks forecast numbers, beside the literature: `python benchmarks/etth1.py [FILE]`.

ETTh1, 7 series of 17,420 hours: 8640 hours to learn from, 2880 to stop early by, 2880 to test on, in
standard units of the first part. The next 96 hours from the last ones (L = 336; N-HiTS reads 480), mean
squared error over every test window, one thread. The PatchTST backbone and the N-HiTS stacks are those of
the pool, with the head of `layers.network.horizon`; DLinear stands beside them. `--seeds 1,2,3`, `--models`
and `--epochs` change the run. Exit code 1 if a threshold of thresholds.toml is missed by the median of the
seeds, 2 without the data.
"""

import argparse
import csv
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own habit

from consilium.models.layers.network.horizon import Horizon
from consilium.models.layers.network.learning import seeded
from consilium.models.layers.network.module import Layer
from consilium.models.nhits import NHitsConfig, NHitsStacks
from consilium.models.patchtst import PatchTSTBackbone, PatchTSTConfig

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data" / "forecasting" / "ETTh1.csv"
FIT, STOP, TEST, AHEAD, SERIES = 8640, 2880, 2880, 96, 7
AT_ONCE = 256


class DLinear(Layer):
    """Trend and rest, one linear map each (Zeng et al. 2023): what a network has to be worth."""

    def __init__(self, window: int, kernel: int = 25) -> None:
        super().__init__()
        self.kernel = kernel
        self.trend, self.rest = nn.Linear(window, AHEAD), nn.Linear(window, AHEAD)

    def forward(self, windows: Tensor) -> Tensor:
        series = windows.transpose(1, 2)
        padded = F.pad(series, (self.kernel // 2, self.kernel // 2), mode="replicate")
        trend = F.avg_pool1d(padded, self.kernel, 1)
        both: Tensor = self.trend(trend) + self.rest(series - trend)
        return both.transpose(1, 2)


class EachSeries(Layer):
    """N-HiTS stacks on each series alone."""

    def __init__(self, stacks: NHitsStacks) -> None:
        super().__init__()
        self.stacks = stacks

    def forward(self, windows: Tensor) -> Tensor:
        n, steps, series = windows.shape
        ahead: Tensor = self.stacks(windows.transpose(1, 2).reshape(n * series, steps))
        return ahead.reshape(n, series, AHEAD)


def patchtst(window: int) -> Layer:
    config = PatchTSTConfig(
        window=window,
        patch_len=16,
        stride=8,
        d_model=16,
        num_heads=4,
        ff_dim=128,
        dropout=0.3,
        norm="post_batch",
    )
    return Horizon(PatchTSTBackbone(config, SERIES), SERIES, config.num_patches * config.d_model, AHEAD, 0.3)


def nhits(window: int) -> Layer:
    config = NHitsConfig(window=window, num_blocks=1, pools=(8, 4, 1), dropout=0.3)
    return Horizon(EachSeries(NHitsStacks(config, AHEAD, knots=(4, 16, 96))), SERIES, None, AHEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A network and how it learns; the rate falls by ``decay`` with each epoch."""

    make: Callable[[int], Layer]
    window: int
    rate: float
    batch: int
    epochs: int
    patience: int
    decay: float = 1.0


COURSES = {
    "patchtst": Course(make=patchtst, window=336, rate=1e-3, batch=128, epochs=15, patience=4, decay=0.8),
    "nhits": Course(make=nhits, window=480, rate=5e-4, batch=64, epochs=10, patience=3, decay=0.6),
    "dlinear": Course(make=DLinear, window=336, rate=5e-3, batch=32, epochs=10, patience=3, decay=0.5),
}


def table(path: Path) -> Tensor:
    """Return all hours in standard units of the first part, shape (FIT + STOP + TEST, SERIES)."""
    with path.open(encoding="utf-8") as file:
        rows = [[float(value) for value in row[1:]] for row in list(csv.reader(file))[1:]]
    hours = np.array(rows)[: FIT + STOP + TEST]
    return torch.from_numpy((hours - hours[:FIT].mean(axis=0)) / hours[:FIT].std(axis=0)).float()


def windows(hours: Tensor, start: int, stop: int, window: int) -> Tensor:
    """Return every window with the hours that follow, all of these in [start, stop); (n, SERIES, L + H)."""
    return hours[max(0, start - window) : stop].unfold(0, window + AHEAD, 1)


def cut(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is known and what follows, (n, L, SERIES) and (n, H, SERIES)."""
    hours = rows.transpose(1, 2)
    return hours[:, :-AHEAD], hours[:, -AHEAD:]


def error(network: Layer, rows: Tensor) -> float:
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(rows), AT_ONCE):
            known, ahead = cut(rows[start : start + AT_ONCE])
            total += float(F.mse_loss(network(known), ahead, reduction="sum"))
    return total / (len(rows) * AHEAD * SERIES)


def learn(course: Course, fit: Tensor, stop: Tensor, seed: int, *, say: bool) -> Layer:
    """Return the network of the epoch that did best on the part to stop by."""
    network = course.make(course.window)
    optimiser = torch.optim.Adam(network.parameters(), lr=course.rate, fused=True)
    slower = torch.optim.lr_scheduler.ExponentialLR(optimiser, course.decay)
    order = np.random.default_rng(seed)
    least, best_epoch, best = float("inf"), 0, network.state_dict()
    for epoch in range(1, course.epochs + 1):
        network.train()
        rows = order.permutation(len(fit))
        for start in range(0, len(fit), course.batch):
            known, ahead = cut(fit[torch.from_numpy(rows[start : start + course.batch])])
            loss = F.mse_loss(network(known), ahead)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        slower.step()
        heard = error(network, stop)
        if say:
            print(f"  epoch {epoch}: {heard:.4f} on the part to stop by", file=sys.stderr, flush=True)
        if heard < least:
            least, best_epoch = heard, epoch
            best = {name: value.clone() for name, value in network.state_dict().items()}
        elif epoch - best_epoch >= course.patience:
            break
    network.load_state_dict(best)
    return network


def measured(course: Course, hours: Tensor, seed: int, *, say: bool) -> tuple[float, float]:
    """Return the error on every test window, and the seconds of the processor to learn; one thread."""
    fit = windows(hours, 0, FIT, course.window)
    stop = windows(hours, FIT, FIT + STOP, course.window)
    test = windows(hours, FIT + STOP, FIT + STOP + TEST, course.window)
    begun = time.process_time()
    with seeded(seed, 1):
        network = learn(course, fit, stop, seed, say=say)
        seconds = time.process_time() - begun
        return error(network, test), seconds


def report(path: Path, names: list[str], seeds: list[int], epochs: int | None, *, say: bool) -> int:
    limits = tomllib.loads((HERE / "thresholds.toml").read_text())["etth1"]
    hours, missed = table(path), []
    print("| network | L | parameters | MSE | seconds | seeds |\n|---|---|---|---|---|---|", flush=True)
    for name in names:
        course = COURSES[name]
        if epochs:
            course = Course(**{**{k: getattr(course, k) for k in course.__slots__}, "epochs": epochs})
        got = [measured(course, hours, seed, say=say) for seed in seeds]
        errors, seconds = [found[0] for found in got], [found[1] for found in got]
        size = sum(part.numel() for part in course.make(course.window).parameters())
        print(
            f"| {name} | {course.window} | {size:,} | {median(errors):.4f} ({min(errors):.4f} to "
            f"{max(errors):.4f}) | {median(seconds):.0f} (at most {max(seconds):.0f}) | {len(seeds)} |",
            flush=True,
        )
        most = limits.get(f"{name}_error", float("inf"))
        if median(errors) > most:
            missed.append(f"{name}: {median(errors):.4f} > {most}")
        if max(seconds) > limits["seconds"]:
            missed.append(f"{name}: {max(seconds):.0f} s > {limits['seconds']} s")
    if epochs:
        print("\nnot the whole benchmark: no threshold is checked")
        return 0
    print("\n" + ("missed: " + "; ".join(missed) if missed else "thresholds met"))
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=SHARED)
    parser.add_argument("--models", default=",".join(COURSES))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--say", action="store_true", help="tell each epoch on stderr")
    arguments = parser.parse_args()
    if not arguments.file.exists():
        print(f"no ETTh1 at {arguments.file.name}: give the file ETTh1.csv of the ETT data set")
        return 2
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    names = arguments.models.split(",")
    return report(arguments.file, names, seeds, arguments.epochs, say=arguments.say)


if __name__ == "__main__":
    sys.exit(main())
